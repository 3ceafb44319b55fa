"""Genes and what acts on them from afar, in the files of DNALongBench: a configuration, a table, a genome.

The form is that of the authors' loader (`parse_EPI`, `parse_eQTL` in `dnalongbench/utils.py`): verified
against that code, not against the files themselves.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genoseq.benchmark.suites.base import chromosome_of
from genoseq.data.bed import read_bed
from genoseq.data.fasta import Fasta
from genoseq.errors import DataError
from genoseq.sequence import reverse_complement

_log = logging.getLogger(__name__)

CLASSES = ("negative", "positive")
_COLUMNS = (
    "gene_chrom", "gene_start", "gene_end", "gene_id", "gene_strand",
    "region_chrom", "region_start", "region_end", "region_id", "target", "subset",
)  # fmt: skip
_ALLELES = ("allele1", "allele2")
_FLANKS = ("tss_flank_upstream", "tss_flank_downstream", "region_flank_upstream", "region_flank_downstream")
_LONGEST = 450_000


@dataclass(frozen=True)
class PairFiles:
    """What a configuration names, by paths below the folder of its task.

    Attributes:
        table: a row a pair of a gene and a region.
        masked: BED (gzip) of other regions, which become N between the two.
        genome: FASTA.
        flanks: bases before and after the start of transcription, before and after the region.
        longest: pairs that are further apart are left out; the sequence is cut there.
    """

    table: str
    masked: str
    genome: str
    flanks: tuple[int, int, int, int]
    longest: int

    @classmethod
    def read(cls, path: Path, *, table: str, masked: str) -> PairFiles:
        """A configuration of lines `key value type`.

        Args:
            path: of it.
            table, masked: the keys of these files.

        Raises:
            DataError: a key is missing, or no number where one is wanted.
        """
        lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
        given = {words[0]: words[1] for words in lines if len(words) > 1}
        missing = [key for key in (table, masked, "genome_fa", *_FLANKS) if key not in given]
        if missing:
            raise DataError(f"{path} has no {', '.join(missing)}; its lines are `key value type`.")
        try:
            upstream, downstream, before, after = (int(given[key]) for key in _FLANKS)
            longest = int(given.get("seq_len_cutoff", _LONGEST))
        except ValueError as error:
            raise DataError(f"{path}: flanks and seq_len_cutoff are whole numbers: {error}.") from None
        flanks = upstream, downstream, before, after
        return cls(given[table], given[masked], given["genome_fa"], flanks, longest)

    @property
    def names(self) -> tuple[str, ...]:
        """All files."""
        return self.table, self.masked, self.genome


def pair_table(folder: Path, files: PairFiles, subset: str, *, alleles: bool) -> pd.DataFrame:
    """The pairs of a subset: `sequence`, `label`, `name`, `chromosome`.

    A sequence goes from the region to the start of transcription, flanks included; known regions between the
    two are N, and it is turned where the gene lies behind the region. The authors fill it up with N to
    `longest`: that is left to padding, which changes nothing here.

    Args:
        folder: that the files are in.
        files: of the task.
        subset: train, valid or test.
        alleles: whether the region is a variant: the sequence with `allele2` then follows that with
            `allele1`, since a model reads one sequence. The authors' models read the two apart.

    Raises:
        DataError: a column is missing, a row is none, or the genome is another.
    """
    path = folder / files.table
    table = pd.read_csv(path, sep="\t", dtype={"gene_chrom": str, "region_chrom": str})
    missing = [name for name in (*_COLUMNS, *(_ALLELES if alleles else ())) if name not in table]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}. Is it the official file?")
    reader = _PairReader(files, Fasta(folder / files.genome), _Masks(folder / files.masked), alleles)
    rows, left_out = [], Counter[str]()
    for number, row in zip(table.index, table.to_dict("records"), strict=True):
        if row["subset"] != subset:
            continue
        place = reader.place(row)
        if isinstance(place, str):
            left_out[place] += 1
            continue
        if row["target"] not in CLASSES:
            raise DataError(
                f"{path}, row {number} (counted from 0): target {row['target']!r} is neither of {CLASSES}."
            )
        letters = reader.letters(row, place, f"{path}, row {number} (counted from 0)")
        name = f"{row['gene_id']} {row['region_id']}"
        rows.append(
            {"sequence": letters, "label": row["target"], "name": name, "chromosome": row["gene_chrom"]}
        )
    for why, count in left_out.items():
        _log.info("%s, %s: %s pairs left out: %s", path.name, subset, count, why)
    if not rows:
        raise DataError(f"{path} has no pair of the subset {subset}. Was its download cut short?")
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Place:
    """Of a pair: the whole stretch, and the gap between the two; the gap holds no base where they touch."""

    start: int
    end: int
    gap: tuple[int, int]
    turned: bool


class _Masks:
    """Regions by chromosome."""

    def __init__(self, path: Path) -> None:
        places: dict[str, list[tuple[int, int]]] = {}
        for interval in read_bed(path):
            places.setdefault(interval.chromosome, []).append((interval.start, interval.end))
        self._places = {name: np.array(found) for name, found in places.items()}

    def hide(self, letters: str, chromosome: str, place: _Place) -> str:
        """N in place of the regions that lie in the gap, in part too, and whole in the letters."""
        found = self._places.get(chromosome)
        if found is None or place.gap[0] >= place.gap[1]:
            return letters
        hidden = np.frombuffer(letters.encode(), dtype=np.uint8).copy()
        for start, end in found[(found[:, 0] < place.gap[1]) & (found[:, 1] > place.gap[0])] - place.start:
            if start > 0 and end < len(hidden):
                hidden[start:end] = ord("N")
        return hidden.tobytes().decode()


@dataclass(frozen=True)
class _PairReader:
    files: PairFiles
    fasta: Fasta
    masks: _Masks
    alleles: bool

    def place(self, row: Mapping[Any, Any]) -> _Place | str:
        """Where a pair lies; or why it is left out."""
        if row["gene_chrom"] != row["region_chrom"]:
            return "on two chromosomes"
        if row["gene_strand"] not in ("+", "-"):
            return "a gene without strand"
        upstream, downstream, before, after = self.files.flanks
        first = int(row["gene_start"] if row["gene_strand"] == "+" else row["gene_end"] - 1)
        gene = first - upstream, first + 1 + downstream
        region = int(row["region_start"]) - before, int(row["region_end"]) + after
        gap = min(gene[1], region[1]), max(gene[0], region[0])
        if gap[1] - gap[0] > self.files.longest:
            return "too far apart"
        turned = int(row["gene_start"]) > region[1]
        return _Place(min(gene[0], region[0]), max(gene[1], region[1]), gap, turned)

    def letters(self, row: Mapping[Any, Any], place: _Place, where: str) -> str:
        """The sequence of a pair; with alleles, both of them."""
        name = chromosome_of(row["gene_chrom"], self.fasta)
        if name is None:
            raise DataError(f"{where}: {self.fasta.path} has no {row['gene_chrom']}. Is it the right genome?")
        inside = max(place.start, 0), min(place.end, self.fasta.lengths[name])
        letters = self.fasta.fetch(name, *inside).upper()
        letters = "N" * (inside[0] - place.start) + letters + "N" * (place.end - inside[1])
        if not self.alleles:
            return self._finished(self.masks.hide(letters, row["region_chrom"], place), place)
        start, end = int(row["region_start"]) - place.start, int(row["region_end"]) - place.start
        if letters[start:end] != row["allele1"]:
            raise DataError(
                f"{where}: allele1 is {row['allele1']}, the genome has {letters[start:end]} there. Is it the "
                "right genome?"
            )
        letters = self.masks.hide(letters, row["region_chrom"], place)
        other = letters[:start] + row["allele2"] + letters[end:]
        return self._finished(letters, place) + self._finished(other, place)

    def _finished(self, letters: str, place: _Place) -> str:
        return (reverse_complement(letters) if place.turned else letters)[: self.files.longest]
