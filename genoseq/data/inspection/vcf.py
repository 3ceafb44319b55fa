"""What is in a VCF, line by line: no index is needed, and nothing is said of its genotypes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from genoseq.data.alleles import AlleleReader, contigs_of_other_lengths
from genoseq.data.fasta import Fasta
from genoseq.data.inspection.findings import Findings, Options, Value, some
from genoseq.data.vcf import COLUMNS, RecordOrder, Vcf, VcfHeader, VcfRecord
from genoseq.errors import DataError, RecordError
from genoseq.sequence import allele_kind

_SHOWN = 3
_FILTER = 6
_KINDS = {
    "ambiguous": "with letters other than A, C, G, T",
    "spanning deletion": "spanning deletions",
    "missing": "absent",
    "no allele": "that are no alleles",
}
_OF_REF = ("REF mismatch", "beyond the contig")


@dataclass
class _Tally:
    """What was counted on the way through a file.

    Attributes:
        problems: records that go with the genome in no way, or have no alleles, by what is wrong.
        disagree: places whose REF is not what the genome has.
    """

    records: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    filters: Counter[str] = field(default_factory=Counter)
    multiallelic: int = 0
    lowercase: int = 0
    unsorted: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    disagree: list[str] = field(default_factory=list)


def inspect_vcf(path: Path, options: Options) -> Findings:
    """Records by contig, kinds of alleles, samples; REF against the genome where it is given.

    Raises:
        DataError: the file is missing or cut off, has no header, or a line is no VCF.
    """
    vcf = Vcf(path)
    genome = None if options.fasta is None else AlleleReader(Fasta(options.fasta))
    tally, order = _Tally(), RecordOrder()
    for record in vcf.in_any_order():
        tally.unsorted += not order.follows(record)
        _count(tally, record)
        if genome is not None:
            _compare(tally, record, genome)
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
        "samples": len(vcf.header.columns[len(COLUMNS) + 1 :]),
    }
    if genome is not None:
        checked = total - tally.problems["unknown contig"] - tally.problems["no alleles"]
        facts["REF agrees with the genome"] = f"{checked - len(tally.disagree):,} of {checked:,}"
    source = f"vcf={path} fasta={options.fasta or 'GENOME'}"
    settings = _settings(tally, vcf.header, genome)
    uses = {f"genoseq score checkpoint=DIR {source} out=FILE{settings}": f"{total:,} records"}
    return Findings("VCF", {"variants": facts}, tuple(_remarks(tally, vcf.header, genome)), uses)


def _settings(tally: _Tally, header: VcfHeader, genome: AlleleReader | None) -> str:
    """What `genoseq score` has to be told so that it takes such a file."""
    if genome is None:
        return ""
    lengths = " contig_lengths=ignore" if contigs_of_other_lengths(header, genome.names) else ""
    return lengths + (" on_error=skip" if tally.problems else "")


def _count(tally: _Tally, record: VcfRecord) -> None:
    tally.records[record.chromosome] += 1
    tally.filters[record.line.split("\t", _FILTER + 1)[_FILTER]] += 1
    tally.multiallelic += len(record.alternates) > 1
    tally.kinds.update(_kind(record.reference, alternate) for alternate in record.alternates)
    alleles = [allele for allele in (record.reference, *record.alternates) if "<" not in allele]
    tally.lowercase += any(allele != allele.upper() for allele in alleles)


def _compare(tally: _Tally, record: VcfRecord, genome: AlleleReader) -> None:
    try:
        genome.alleles(record)
    except RecordError as error:
        tally.problems[error.problem] += 1
        if error.problem in _OF_REF:
            tally.disagree.append(f"{record.chromosome}:{record.position + 1} {record.reference}")


def _kind(reference: str, alternate: str) -> str:
    kind = allele_kind(alternate)
    if kind == "bases" and allele_kind(reference) != "bases":
        kind = "ambiguous"
    if kind != "bases":
        return _KINDS.get(kind, "symbolic or breakends")
    if len(reference) == len(alternate):
        return "single-base substitutions" if len(reference) == 1 else "longer substitutions"
    return "insertions" if len(alternate) > len(reference) else "deletions"


def _remarks(tally: _Tally, header: VcfHeader, genome: AlleleReader | None) -> list[str]:
    remarks = []
    if tally.unsorted:
        remarks.append(f"{tally.unsorted:,} records are out of order: sort the file before it is indexed.")
    if tally.lowercase:
        remarks.append(f"{tally.lowercase:,} records have alleles in lower case.")
    undeclared = [name for name in tally.records if header.contigs and name not in header.contigs]
    if undeclared:
        remarks.append(f"The header has no ##contig line for {some(undeclared)}.")
    if genome is not None:
        unknown = [name for name in tally.records if genome.names.find(name) is None]
        if unknown:
            remarks.append(f"The genome has no {some(unknown)}; it has {some(genome.fasta.names)}.")
        if other := contigs_of_other_lengths(header, genome.names):
            remarks.append(
                f"The header declares another length than the genome has for {some(other)}: is that a part "
                "of the contig, or another build?"
            )
        if tally.disagree:
            remarks.append(f"REF is not what the genome has at {some(tally.disagree, _SHOWN)}.")
    return remarks
