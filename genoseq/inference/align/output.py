"""Alignments as PAF, SAM or BAM."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from genoseq.data.reads import Read
from genoseq.data.vcf import require_pysam
from genoseq.errors import ConfigError
from genoseq.inference.align.run import Aligned
from genoseq.inference.outputs import atomic_file
from genoseq.sequence import reverse_complement

_REVERSE, _UNMAPPED = 16, 4
_SORT_MEMORY = "256M"
_BAI_ROOM = 2**29  # bases of a contig that a BAI index reaches
_STEP = re.compile(r"(\d+)([=XID])")


class PafWriter:
    """PAF as minimap2 writes it: a line a mapped read, with tags NM, cg (CIGAR) and sm (similarity)."""

    def __init__(self, file: TextIO, lengths: Mapping[str, int]) -> None:
        self._file = file
        self._lengths = lengths

    def write(self, read: Read, found: Aligned | None) -> None:
        """One read; nothing where it has no place."""
        if found is None:
            return
        steps = [(int(count), kind) for count, kind in _STEP.findall(found.cigar)]
        matches = sum(count for count, kind in steps if kind == "=")
        length = len(read.sequence)
        fields = (
            read.name,
            length,
            0,
            length,
            found.strand,
            found.chromosome,
            self._lengths[found.chromosome],
            found.start,
            found.end,
            matches,
            sum(count for count, _ in steps),
            found.quality,
            f"NM:i:{found.distance}",
            f"cg:Z:{found.cigar}",
            f"sm:f:{found.similarity:.4f}",
        )
        self._file.write("\t".join(map(str, fields)) + "\n")


class SamWriter:
    """SAM: a line a read, unmapped ones too; with tag NM."""

    def __init__(self, file: TextIO, lengths: Mapping[str, int]) -> None:
        self._file = file
        file.write(_sam_header(lengths))

    def write(self, read: Read, found: Aligned | None) -> None:
        """One read."""
        self._file.write(_sam_line(read, found) + "\n")


class BamWriter:
    """BAM of the same records, by their places in the genome; unmapped reads are at its end.

    Args:
        path: of the file, which is there once `close` has sorted it; until then records wait beside it.
        lengths: of the chromosomes.
        index: where the index goes: `.csi` or `.bai`, as its name says.

    Raises:
        ConfigError: pysam is not installed.
    """

    def __init__(self, path: Path, lengths: Mapping[str, int], index: Path) -> None:
        self._pysam = require_pysam(path, plain=".sam")
        self._path, self._index = path, index
        self._unsorted = path.with_suffix(".unsorted")
        self._header = self._pysam.AlignmentHeader.from_text(_sam_header(lengths))
        self._file = self._pysam.AlignmentFile(str(self._unsorted), "wb", header=self._header)

    def write(self, read: Read, found: Aligned | None) -> None:
        """One read."""
        self._file.write(self._pysam.AlignedSegment.fromstring(_sam_line(read, found), self._header))

    def close(self) -> None:
        """Sort what was written, and index it."""
        self._file.close()
        self._pysam.sort("--no-PG", "-m", _SORT_MEMORY, "-o", str(self._path), str(self._unsorted))
        kind = "-c" if self._index.suffix == ".csi" else "-b"
        self._pysam.index(kind, str(self._path), str(self._index))


@contextmanager
def open_alignments(out: str, lengths: Mapping[str, int]) -> Iterator[PafWriter | SamWriter | BamWriter]:
    """A writer of the format that a name's ending says; the file is there once the block ends well.

    Args:
        out: its name, ending in .paf, .sam or .bam; a BAM's index comes beside it.
        lengths: of the chromosomes.

    Raises:
        ConfigError: another ending, or pysam is not installed. DataError: it cannot be written there.
    """
    suffix = Path(out).suffix.lower()
    if suffix not in (".paf", ".sam", ".bam"):
        raise ConfigError(f"out={out}: the name has to end in .paf, .sam or .bam, which says the format.")
    with ExitStack() as stack:
        if suffix != ".bam":
            text = stack.enter_context(atomic_file(out)).open("w", encoding="ascii")
            stack.enter_context(text)
            yield (PafWriter if suffix == ".paf" else SamWriter)(text, lengths)
            return
        kind = "csi" if max(lengths.values()) > _BAI_ROOM else "bai"
        beside = stack.enter_context(atomic_file(f"{out}.{kind}"))
        # Entered last and so in place first: an index is never older than its file.
        writer = BamWriter(stack.enter_context(atomic_file(out)), lengths, beside)
        yield writer
        writer.close()


def _sam_header(lengths: Mapping[str, int]) -> str:
    contigs = (f"@SQ\tSN:{name}\tLN:{length}\n" for name, length in lengths.items())
    return f"@HD\tVN:1.6\tSO:unknown\n{''.join(contigs)}@PG\tID:genoseq\tPN:genoseq\n"


def _sam_line(read: Read, found: Aligned | None) -> str:
    sequence, quality = read.sequence.upper(), read.quality or "*"
    place: tuple[str | int, ...] = ("*", 0, 0, "*")
    flag, tags = _UNMAPPED, []
    if found is not None:
        flag, tags = 0, [f"NM:i:{found.distance}"]
        place = (found.chromosome, found.start + 1, found.quality, found.cigar)
        if found.strand == "-":
            flag, sequence = _REVERSE, reverse_complement(sequence)
            quality = quality[::-1]
    return "\t".join(map(str, (read.name, flag, *place, "*", 0, 0, sequence, quality, *tags)))
