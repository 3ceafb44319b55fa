"""One chromosome under the names that different files have for it."""

from __future__ import annotations

from collections.abc import Mapping

from genoseq.errors import ConfigError

_MITOCHONDRIA = ("MT", "M", "chrM", "chrMT")


class ContigNames:
    """The names of a genome, and others that mean the same: `chr20` and `20`; `MT`, `M` and `chrM`.

    Args:
        lengths: bases of each sequence of the genome, by its name.
        aliases: further names, each with the one that the genome has.

    Raises:
        ConfigError: an alias is of a name that the genome does not have.
    """

    def __init__(self, lengths: Mapping[str, int], aliases: Mapping[str, str] | None = None) -> None:
        self.lengths = lengths
        # What is looked up once for each record is kept.
        self._found: dict[str, str | None] = {}
        for name, own in (aliases or {}).items():
            if str(own) not in lengths:
                raise ConfigError(f"aliases: {name} is to mean {own}, and {self._known}.")
            self._found[str(name)] = str(own)

    def find(self, name: str) -> str | None:
        """The genome's own name; None where no alias explains the given one."""
        if name not in self._found:
            self._found[name] = next((own for own in _names_alike(name) if own in self.lengths), None)
        return self._found[name]

    def explain(self, name: str) -> str:
        """Words for a name that is not found."""
        return (
            f"the contig {name!r} is none of the FASTA's, with or without chr: {self._known}. Give the FASTA "
            f"of the same build, or say what it means: aliases={{{name}: NAME}}."
        )

    @property
    def _known(self) -> str:
        names = list(self.lengths)
        return f"the FASTA has {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"


def _names_alike(name: str) -> tuple[str, ...]:
    mitochondrial = _MITOCHONDRIA if name in _MITOCHONDRIA else ()
    return (name, name.removeprefix("chr"), f"chr{name}", *mitochondrial)
