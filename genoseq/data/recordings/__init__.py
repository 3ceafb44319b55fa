"""Recordings of people and sensors: EEG and others through MNE, as windows for training."""

import lazy_loader

# As in genoseq.data: what is not asked for is not imported.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
