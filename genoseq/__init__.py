"""genoseq: long-range sequence models on genomes and other scientific sequences."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["load", "__version__"]

if TYPE_CHECKING:
    from genoseq.models.hub import load


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: `import genoseq` alone must not.
    if name == "load":
        from genoseq.models.hub import load

        return load
    raise AttributeError(f"module 'genoseq' has no attribute {name!r}")
