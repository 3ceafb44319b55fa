"""Alignments as PAF or SAM."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TextIO

from genoseq.data.reads import Read
from genoseq.inference.align.run import Aligned
from genoseq.sequence import reverse_complement

_REVERSE, _UNMAPPED = 16, 4
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
        file.write("@HD\tVN:1.6\tSO:unknown\n")
        for name, length in lengths.items():
            file.write(f"@SQ\tSN:{name}\tLN:{length}\n")
        file.write("@PG\tID:genoseq\tPN:genoseq\n")

    def write(self, read: Read, found: Aligned | None) -> None:
        """One read."""
        sequence, quality = read.sequence.upper(), read.quality or "*"
        if found is None:
            self._line(read.name, _UNMAPPED, "*", 0, 0, "*", sequence, quality, [])
            return
        flag = 0
        if found.strand == "-":
            flag, sequence = _REVERSE, reverse_complement(sequence)
            quality = quality[::-1]
        tags = [f"NM:i:{found.distance}"]
        place = (found.chromosome, found.start + 1, found.quality, found.cigar)
        self._line(read.name, flag, *place, sequence, quality, tags)

    def _line(
        self,
        name: str,
        flag: int,
        chromosome: str,
        position: int,
        mapping_quality: int,
        cigar: str,
        sequence: str,
        quality: str,
        tags: list[str],
    ) -> None:
        place = (chromosome, position, mapping_quality, cigar)
        fields = (name, flag, *place, "*", 0, 0, sequence, quality, *tags)
        self._file.write("\t".join(map(str, fields)) + "\n")
