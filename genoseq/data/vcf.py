"""VCF files: their header, their records line by line, and the same file with more in its INFO column.

Lines are kept as they are. What genoseq reads of a record are its first five columns, and what it writes is
added to the eighth: every other byte, those of the samples included, comes out as it went in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from genoseq.data.lines import numbered_lines
from genoseq.errors import ConfigError, DataError
from genoseq.paths import require_file

Samples = Literal["keep", "drop"]

COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
_COMPRESSED = (".gz", ".bgz")
_INFO = 7
# The longest sequence that a .tbi index has room for.
_TBI_ROOM = 1 << 29
_STRUCTURED = re.compile(r"##(?P<kind>\w+)=<(?P<fields>.*)>")
_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^,]*)')


@dataclass(frozen=True)
class VcfHeader:
    """Attributes:
    meta: the lines that begin with `##`, in their order.
    columns: names of the columns, those of the samples included.
    contigs: declared contigs, each with its length; None where none is given.
    info: IDs of the declared INFO fields.
    """

    meta: tuple[str, ...]
    columns: tuple[str, ...]
    contigs: dict[str, int | None]
    info: frozenset[str]


class VcfRecord(NamedTuple):
    """One line.

    Attributes:
        number: of the line in its file, counted from 1.
        line: all of it, without its end.
        chromosome: as the file names it.
        position: of the first base of `reference`, counted from 0; -1 where the file has POS 0.
        reference: as it is written.
        alternates: likewise; (".",) where there is none.
    """

    number: int
    line: str
    chromosome: str
    position: int
    reference: str
    alternates: tuple[str, ...]

    @property
    def place(self) -> str:
        """What messages call it, with POS as the file has it."""
        alternates = ",".join(self.alternates)
        return (
            f"line {self.number}, {self.chromosome}:{self.position + 1} {shorten(self.reference)}>"
            f"{shorten(alternates)}"
        )


class Vcf:
    """A VCF, plain, gzip or bgzip, read line by line as often as it is iterated over.

    Raises:
        DataError: the file is missing or has no VCF header. On iteration also: a line that is no record, or
            records that are not in the order of their positions.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = require_file(path, "the VCF")
        if self.path.name.endswith(".bcf"):
            raise DataError(
                f"{self.path} is BCF: make it a VCF with `bcftools view -Oz -o x.vcf.gz {self.path.name}`."
            )
        self.header = _read_header(self.path)

    def __iter__(self) -> Iterator[VcfRecord]:
        order = RecordOrder()
        for record in self.in_any_order():
            if not order.follows(record):
                raise DataError(
                    f"{self.path}, {record.place} belongs before records that stand ahead of it: the file is "
                    f"not sorted. Sort it: `bcftools sort -Oz -o sorted.vcf.gz {self.path.name}`."
                )
            yield record

    def in_any_order(self) -> Iterator[VcfRecord]:
        """The records as they stand, sorted or not.

        Raises:
            DataError: a line is no record.
        """
        width = len(self.header.columns)
        first = len(self.header.meta) + 2
        for number, line in numbered_lines(self.path, "a VCF"):
            if number >= first and line.strip():
                yield _read_record(self.path, number, line, width)


class RecordOrder:
    """That of a sorted file: the contigs one after the other, positions ascending."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._chromosome = ""
        self._position = -1

    def follows(self, record: VcfRecord) -> bool:
        """Whether a record belongs behind the one that was asked for last; False in a contig left before."""
        if record.chromosome != self._chromosome:
            follows = record.chromosome not in self._seen
            self._seen.add(record.chromosome)
        else:
            follows = record.position >= self._position
        self._chromosome, self._position = record.chromosome, record.position
        return follows


def write_vcf(
    path: Path, header: VcfHeader, added: Sequence[str], lines: Iterable[str], *, samples: Samples = "keep"
) -> None:
    """A VCF: a header with more lines, and records.

    Args:
        path: where; BGZF where its name ends in `.gz` or `.bgz`, which wants pysam.
        header: of the file that the records are from.
        added: further lines of it, without their ends.
        lines: records, without their ends.
        samples: keep or drop the columns of the samples, here in the header.
    """
    columns = header.columns if samples == "keep" else header.columns[: len(COLUMNS)]
    with _open_to_write(path) as file:
        for line in (*header.meta, *added, "\t".join(columns)):
            file.write(f"{line}\n".encode())
        for line in lines:
            file.write(f"{line}\n".encode())


def with_info(line: str, info: str, *, samples: Samples = "keep") -> str:
    """A record with more in its INFO column.

    Args:
        line: the record, without its end.
        info: `KEY=VALUE;...`; nothing is added where it is empty.
        samples: keep the columns behind as they are, or drop them.
    """
    fields = line.split("\t", _INFO + 1)
    if info:
        fields[_INFO] = info if fields[_INFO] in (".", "") else f"{fields[_INFO]};{info}"
    return "\t".join(fields if samples == "keep" else fields[: _INFO + 1])


def index_path(path: Path, lengths: Iterable[int]) -> Path:
    """Where the index of a compressed VCF stands; of which kind, the lengths of its contigs say."""
    kind = "csi" if max(lengths, default=0) > _TBI_ROOM else "tbi"
    return path.with_name(f"{path.name}.{kind}")


def write_index(path: Path, index: Path) -> None:
    """The tabix index of a BGZF-compressed VCF in order; `.csi` or `.tbi`, as its name says."""
    pysam = require_pysam(path)
    csi = index.name.endswith(".csi")
    pysam.tabix_index(str(path), preset="vcf", force=True, csi=csi, index=str(index))


def is_compressed(path: str | os.PathLike[str]) -> bool:
    """Whether a name says that the file is compressed."""
    return os.fspath(path).lower().endswith(_COMPRESSED)


def require_pysam(path: str | os.PathLike[str], *, plain: str = ".vcf") -> Any:
    """pysam, which writes and indexes what is compressed.

    Args:
        path: what is to be written.
        plain: ending of what can be written without.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import pysam
    except ImportError as error:
        raise ConfigError(
            f"{path}: to write what is compressed and indexed, pysam is needed: pip install "
            f"'genoseq[variants]'. Or give a name that ends in {plain}."
        ) from error
    return pysam


def shorten(text: str, width: int = 24) -> str:
    """A text for messages, its middle left out where it is long."""
    return text if len(text) <= width else f"{text[: width // 2]}...{text[-width // 3 :]}"


def _read_header(path: Path) -> VcfHeader:
    meta: list[str] = []
    columns: tuple[str, ...] | None = None
    for _, line in numbered_lines(path, "a VCF"):
        if not line.startswith("##"):
            columns = tuple(line.split("\t"))
            break
        meta.append(line)
    if not meta or not meta[0].startswith("##fileformat=VCF"):
        raise DataError(
            f"{path} does not begin with ##fileformat=VCF: it has no VCF header. Put back the lines that "
            "begin with #, or make the file anew with its caller or `bcftools reheader`."
        )
    if columns is None or columns[: len(COLUMNS)] != COLUMNS:
        raise DataError(
            f"{path}: behind the lines with ## wanted one with the columns {' '.join(COLUMNS)}, apart by "
            f"tabs; found {shorten(' '.join(columns or ('nothing',)), 80)}."
        )
    contigs: dict[str, int | None] = {}
    info = set()
    for line in meta:
        kind, fields = _structured(line)
        if kind == "contig" and "ID" in fields:
            length = fields.get("length", "")
            contigs[fields["ID"]] = int(length) if length.isdigit() else None
        elif kind == "INFO" and "ID" in fields:
            info.add(fields["ID"])
    return VcfHeader(tuple(meta), columns, contigs, frozenset(info))


def _structured(line: str) -> tuple[str, dict[str, str]]:
    match = _STRUCTURED.fullmatch(line)
    return (match["kind"], dict(_FIELD.findall(match["fields"]))) if match else ("", {})


def _read_record(path: Path, number: int, line: str, width: int) -> VcfRecord:
    fields = line.split("\t", _INFO + 1)
    columns = line.count("\t") + 1
    if columns != width:
        raise DataError(
            f"{path}, line {number} has {columns} columns, and the header {width}, apart by tabs. Is it "
            "cut off?"
        )
    chromosome, position, _, reference, alternates = fields[:5]
    if not position.isdigit():
        raise DataError(f"{path}, line {number}: POS {position!r} must be a whole number, counted from 1.")
    return VcfRecord(number, line, chromosome, int(position) - 1, reference, tuple(alternates.split(",")))


def _open_to_write(path: Path) -> IO[bytes]:
    if not is_compressed(path):
        return path.open("wb")
    return require_pysam(path).BGZFile(str(path), "wb")
