"""What is in a VCF, read as text: no index is needed, and nothing is said of its genotypes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from genoseq.data.fasta import Fasta
from genoseq.data.inspection.findings import Findings, Options, Value, some
from genoseq.data.lines import numbered_lines
from genoseq.errors import DataError
from genoseq.paths import require_file

_FIXED = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
_SHOWN = 3


@dataclass
class _Tally:
    """What was counted on the way through a file."""

    samples: tuple[str, ...] = ()
    contigs: list[str] = field(default_factory=list)
    records: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    filters: Counter[str] = field(default_factory=Counter)
    multiallelic: int = 0
    lowercase: int = 0
    unsorted: int = 0
    checked: int = 0
    disagree: list[str] = field(default_factory=list)
    last: tuple[str, int] = ("", 0)


def inspect_vcf(path: Path, options: Options) -> Findings:
    """Records by contig, kinds of alleles, samples; REF against the genome where it is given.

    Raises:
        DataError: the file is missing or cut off, has no header, or a line is no VCF.
    """
    fasta = None if options.fasta is None else Fasta(options.fasta)
    tally = _read(require_file(path, "the VCF"), fasta)
    total = sum(tally.records.values())
    if not total:
        raise DataError(f"{path} holds no record. Give a VCF with at least one.")
    facts: dict[str, Value] = {
        "records": total,
        "contigs": some(f"{name} ({count:,})" for name, count in tally.records.items()),
        "alternate alleles": ", ".join(f"{count:,} {kind}" for kind, count in tally.kinds.most_common()),
        "multi-allelic records": tally.multiallelic,
        "filters": some(f"{name} ({count:,})" for name, count in tally.filters.most_common()),
        # How many, never their names: these may be people.
        "samples": len(tally.samples),
    }
    if fasta is not None:
        facts["REF agrees with the genome"] = f"{tally.checked - len(tally.disagree):,} of {tally.checked:,}"
    source = f"vcf={path} fasta={options.fasta or 'GENOME'}"
    uses = {f"genoseq score checkpoint=DIR {source} out=FILE": f"{total:,} records"}
    return Findings("VCF", {"variants": facts}, tuple(_remarks(tally, fasta)), uses)


def _read(path: Path, fasta: Fasta | None) -> _Tally:
    tally, header = _Tally(), False
    for number, text in numbered_lines(path, "a VCF"):
        if text.startswith("##"):
            if text.startswith("##contig=<ID="):
                tally.contigs.append(text.removeprefix("##contig=<ID=").split(",")[0].rstrip(">"))
        elif text.startswith("#"):
            tally.samples, header = _samples(text, f"{path}, line {number}"), True
        elif text.strip():
            if not header:
                raise DataError(
                    f"{path} has no header line #CHROM POS ID REF ALT ... before its records. Add it."
                )
            _count(tally, text.split("\t"), f"{path}, line {number}", fasta)
    return tally


def _samples(text: str, place: str) -> tuple[str, ...]:
    columns = text.split("\t")
    if tuple(columns[: len(_FIXED)]) != _FIXED:
        raise DataError(f"{place}: the header of a VCF begins with {' '.join(_FIXED)}, apart by tabs.")
    return tuple(columns[len(_FIXED) + 1 :])


def _count(tally: _Tally, fields: list[str], place: str, fasta: Fasta | None) -> None:
    if len(fields) < len(_FIXED) or not fields[1].isdecimal():
        raise DataError(
            f"{place}: a VCF record has {len(_FIXED)} columns or more, apart by tabs, and a number as POS."
        )
    contig, position, reference = fields[0], int(fields[1]), fields[3]
    alternates = fields[4].split(",")
    tally.records[contig] += 1
    tally.filters[fields[6]] += 1
    tally.multiallelic += len(alternates) > 1
    tally.lowercase += (reference + fields[4]) != (reference + fields[4]).upper() and "<" not in fields[4]
    tally.kinds.update(_kind(reference, alternate) for alternate in alternates)
    came_before = contig == tally.last[0] and position < tally.last[1]
    left_before = contig != tally.last[0] and tally.records[contig] > 1
    tally.unsorted += came_before or left_before
    tally.last = (contig, position)
    if fasta is not None and contig in fasta.lengths:
        _check_reference(tally, fasta, contig, position, reference)


def _check_reference(tally: _Tally, fasta: Fasta, contig: str, position: int, reference: str) -> None:
    tally.checked += 1
    start, end = position - 1, position - 1 + len(reference)
    inside = start >= 0 and end <= fasta.lengths[contig]
    if not inside or fasta.fetch(contig, start, end).upper() != reference.upper():
        tally.disagree.append(f"{contig}:{position} {reference}")


def _kind(reference: str, alternate: str) -> str:
    if alternate in ("*", ".", "<NON_REF>", "<*>") or set(alternate) & set("<[]>"):
        return {"*": "spanning deletions", ".": "absent"}.get(alternate, "symbolic or breakends")
    if set((reference + alternate).upper()) - set("ACGT"):
        return "with letters other than A, C, G, T"
    if len(reference) == len(alternate):
        return "single-base substitutions" if len(reference) == 1 else "longer substitutions"
    return "insertions" if len(alternate) > len(reference) else "deletions"


def _remarks(tally: _Tally, fasta: Fasta | None) -> list[str]:
    remarks = []
    if tally.unsorted:
        remarks.append(f"{tally.unsorted:,} records are out of order: sort the file before it is indexed.")
    if tally.lowercase:
        remarks.append(f"{tally.lowercase:,} records have alleles in lower case.")
    undeclared = [name for name in tally.records if tally.contigs and name not in tally.contigs]
    if undeclared:
        remarks.append(f"The header has no ##contig line for {some(undeclared)}.")
    if fasta is not None:
        unknown = [name for name in tally.records if name not in fasta.lengths]
        if unknown:
            remarks.append(f"The genome has no {some(unknown)}; it has {some(fasta.names)}.")
        if tally.disagree:
            remarks.append(f"REF is not what the genome has at {some(tally.disagree, _SHOWN)}.")
    return remarks
