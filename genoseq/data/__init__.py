"""Readers, splits, leaks, datasets and data modules: from files to batches."""

import lazy_loader

# Lightning, behind the data modules, takes seconds to import: who reads a FASTA alone is not to wait for it.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
