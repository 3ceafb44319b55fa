"""Coding parts of transcripts from GFF3 and GTF."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

from Bio.Data.IUPACData import protein_letters_3to1_extended

from genoseq.data.features import Feature, FeatureFile, read_features
from genoseq.errors import ConfigError, DataError, RecordError, require_choice
from genoseq.paths import require_file
from genoseq.sequence import Kept, OnError, Strand, Transcript, genetic_code, keep

Phases = Literal["check", "first"]

# Codons that are read as another residue, as features of their own.
_RECODING = {
    "Selenocysteine": "U",
    "stop_codon_redefined_as_selenocysteine": "U",
    "stop_codon_redefined_as_pyrrolysine": "O",
}
_ATTRIBUTES = (
    *("ID", "Parent", "gene_id", "transcript_id", "transl_table", "transl_except"),
    *("partial", "start_range", "end_range", "tag"),
)
_EXCEPTION = re.compile(r"\(pos:(.+?),aa:(\w+)\)")
_RESIDUE_NAMES = {**protein_letters_3to1_extended, "TERM": "*", "OTHER": "X"}


def read_transcripts(
    path: str | os.PathLike[str], *, on_error: OnError = "raise", phases: Phases = "check"
) -> Kept[Transcript]:
    """The coding parts of the transcripts of a GFF3 or GTF file (gzip too), by their first lines.

    In GFF3 the CDS lines of one parent are one coding sequence, named by the parent. They are apart by their
    IDs where the parent is a gene or there is none (bacteria), and where an ID stands on several lines; then
    the ID is the name. In GTF they go by `transcript_id`. Stop codons that have lines of their own are joined
    to the parts. Genetic codes (`transl_table`), recoded codons (`transl_except`, selenocysteine features)
    and ends that are not there (`partial`, `cds_start_NF`) are taken from the attributes.

    Args:
        on_error: "raise" ends at the first transcript that contradicts itself, "skip" leaves them out and
            reports.
        phases: "check" holds the phase of each part against the lengths of those before it. "first" reads
            only that of the first part, for files whose other phases are wrong.

    Raises:
        RecordError: with "raise", and named by the transcript: parents that are missing or cyclic, strands or
            chromosomes that disagree, parts outside of their parent, parts that overlap, phases that
            disagree.
        DataError, IntervalError: the file cannot be read, or a line is no feature; these cannot be skipped.
    """
    require_choice("phases", phases, get_args(Phases))
    located = require_file(path, "the annotation")
    file = read_features(located, _is_wanted, _ATTRIBUTES)
    groups = _by_transcript(file) if file.is_gtf else _by_parent(file.features)
    if not groups:
        raise DataError(
            f"{located} holds no CDS: wanted an annotation of coding sequences, not of exons alone."
        )
    return keep(partial(_transcript, check_phases=phases == "check"), groups, on_error)


def _is_wanted(kind: str, is_gtf: bool) -> bool:
    # In GFF3 anything but an exon may be an ancestor of a CDS.
    return kind in ("CDS", "stop_codon", *_RECODING) or (not is_gtf and kind != "exon")


@dataclass
class _Group:
    """The lines of one coding sequence.

    Attributes:
        check: raises where the parents of the lines are wrong, and gives the gene.
    """

    name: str
    coding: list[Feature]
    stops: list[Feature]
    recoding: list[Feature]
    check: Callable[[], str]


def _transcript(group: _Group, check_phases: bool) -> Transcript:
    gene = group.check()
    _require_one_place(group.name, [*group.coding, *group.stops, *group.recoding])
    lines = sorted(group.coding, key=lambda line: line.start)
    head = lines[0]
    forward = head.strand == "+"
    first = lines[0] if forward else lines[-1]
    bare = Transcript(
        name=group.name,
        chromosome=head.chromosome,
        strand=_strand(head.strand),
        parts=tuple((line.start, line.end) for line in lines),
        phase=first.phase or 0,
    )
    if check_phases:
        _require_phases(bare, lines if forward else lines[::-1])
    low, high = _missing_ends(lines)
    return replace(
        bare,
        parts=_with_stops(bare.parts, group.stops),
        gene=gene,
        code=_code(group.name, head),
        recoded=_recoded(group, forward),
        partial_start=low if forward else high,
        partial_end=high if forward else low,
    )


def _by_transcript(file: FeatureFile) -> list[_Group]:
    """Groups of a GTF, in which each line names its transcript and its gene."""
    groups: dict[str, _Group] = {}
    extra: dict[str, tuple[list[Feature], list[Feature]]] = defaultdict(lambda: ([], []))
    for feature in file.features:
        name = feature.first("transcript_id") or f"line {feature.line}"
        if feature.kind == "CDS":
            if name not in groups:
                stops, recoding = extra[name]
                groups[name] = _Group(name, [], stops, recoding, partial(_gene_of_line, feature, name))
            groups[name].coding.append(feature)
        elif feature.kind == "stop_codon":
            extra[name][0].append(feature)
        elif feature.kind in _RECODING:
            extra[name][1].append(feature)
    return list(groups.values())


def _gene_of_line(feature: Feature, name: str) -> str:
    if feature.first("transcript_id") is None:
        raise RecordError(
            name, "missing parent", "the CDS names no transcript_id. Give it one, or remove it."
        )
    return feature.first("gene_id") or "."


def _by_parent(features: Sequence[Feature]) -> list[_Group]:
    """Groups of a GFF3, in which lines name their parents, which may stand anywhere in the file."""
    family = _Family(features)
    lines: dict[str | None, list[Feature]] = defaultdict(list)
    stops: dict[str | None, list[Feature]] = defaultdict(list)
    recoding: dict[str | None, list[Feature]] = defaultdict(list)
    kinds = {"CDS": lines, "stop_codon": stops} | dict.fromkeys(_RECODING, recoding)
    for feature in features:
        if feature.kind in kinds:
            for parent in feature.attributes.get("Parent", [None]):
                kinds[feature.kind][parent].append(feature)
    groups = []
    for parent, children in lines.items():
        for name, coding in _coding_sequences(parent, children, family):
            # A recoded codon may be a child of the transcript or of the coding sequence itself.
            above = {parent, *(line.first("ID") for line in coding)} - {None}
            recoded = [line for identity in above for line in recoding[identity]]
            check = partial(family.gene, name, parent, coding)
            groups.append(_Group(name, coding, stops[parent] if parent is not None else [], recoded, check))
    return sorted(groups, key=lambda group: group.coding[0].line)


def _coding_sequences(
    parent: str | None, children: list[Feature], family: _Family
) -> list[tuple[str, list[Feature]]]:
    """The lines of a parent, coding sequence by coding sequence, each with its name."""
    ids = Counter(child.first("ID") for child in children)
    alone = parent is None or family.is_gene(parent)
    repeated = None not in ids and len(ids) > 1 and max(ids.values()) > 1
    if not alone and not repeated:
        assert parent is not None
        return [(parent, children)]
    parts: dict[str, list[Feature]] = defaultdict(list)
    for child in children:
        parts[child.first("ID") or parent or f"line {child.line}"].append(child)
    return list(parts.items())


class _Family:
    """Who is whose parent in a GFF3."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._known: dict[str, Feature] = {}
        for feature in features:
            identity = feature.first("ID")
            if identity is not None and feature.kind != "CDS":
                self._known.setdefault(identity, feature)

    def is_gene(self, identity: str) -> bool:
        """Whether a feature is a gene, and so no transcript; one that is missing is none."""
        return identity in self._known and self._known[identity].kind.lower().endswith("gene")

    def gene(self, name: str, parent: str | None, children: Sequence[Feature]) -> str:
        """The topmost ancestor of the lines of a coding sequence; "." where they have no parent.

        Raises:
            RecordError: an ancestor is missing or its own ancestor, or disagrees with a child on chromosome
                or strand, or does not hold it.
        """
        if parent is None:
            return "."
        above = self._get(name, parent, children[0])
        for child in children:
            _require_holds(name, above, child)
        return self._top(name, above, (parent,))

    def _top(self, name: str, feature: Feature, path: tuple[str, ...]) -> str:
        top = path[-1]
        for parent in feature.attributes.get("Parent", []):
            if parent in path:
                circle = " > ".join([*path[path.index(parent) :], parent])
                raise RecordError(
                    name,
                    "cyclic parents",
                    f"its parents go round in a circle, {circle} (line {feature.line}). Correct the Parent "
                    "attributes.",
                )
            above = self._get(name, parent, feature)
            _require_holds(name, above, feature)
            top = self._top(name, above, (*path, parent))
        return top

    def _get(self, name: str, parent: str, child: Feature) -> Feature:
        if parent not in self._known:
            raise RecordError(
                name,
                "missing parent",
                f"the {child.kind} at line {child.line} has the parent {parent!r}, which has no line in the "
                "file. Give the whole annotation, or correct the Parent attribute.",
            )
        return self._known[parent]


def _require_holds(name: str, parent: Feature, child: Feature) -> None:
    what = f"the {child.kind} at line {child.line} and its parent {parent.kind} at line {parent.line}"
    if parent.chromosome != child.chromosome:
        raise RecordError(
            name,
            "chromosome",
            f"{what} are on two chromosomes, {child.chromosome} and {parent.chromosome}. Correct one of "
            "them.",
        )
    if parent.strand in "+-" and child.strand in "+-" and parent.strand != child.strand:
        raise RecordError(
            name, "strand", f"{what} are on two strands, {child.strand!r} and {parent.strand!r}. Correct one."
        )
    if not (parent.start <= child.start and child.end <= parent.end):
        raise RecordError(
            name,
            "outside of its parent",
            f"{what} disagree: {child.start + 1}-{child.end} is not inside of "
            f"{parent.start + 1}-{parent.end} (counted from 1). Correct one of them.",
        )


def _require_one_place(name: str, lines: Sequence[Feature]) -> None:
    first = lines[0]
    for line in lines[1:]:
        if line.chromosome != first.chromosome:
            raise RecordError(
                name,
                "chromosome",
                f"its parts are on two chromosomes, {first.chromosome} (line {first.line}) and "
                f"{line.chromosome} (line {line.line}). Parts of one name must be of one gene: name them "
                "apart.",
            )
        if line.strand != first.strand:
            raise RecordError(
                name,
                "strand",
                f"its parts are on two strands, {first.strand!r} (line {first.line}) and {line.strand!r} "
                f"(line {line.line}). Correct one; a gene that is spliced from both strands cannot be read.",
            )


def _require_phases(transcript: Transcript, lines: Sequence[Feature]) -> None:
    for line, expected in zip(lines, transcript.phases, strict=True):
        if line.phase not in (None, expected):
            raise RecordError(
                transcript.name,
                "phase",
                f"line {line.line} has phase {line.phase}, and the parts before it leave {expected} bases to "
                "the next codon. Correct the phases, or read only the first of each transcript with "
                "phases=first.",
            )


def _with_stops(parts: Sequence[tuple[int, int]], stops: Sequence[Feature]) -> tuple[tuple[int, int], ...]:
    """The parts and the stop codon, which GTF leaves out of them: one that touches a part is joined to it."""
    joined = list(parts)
    for stop in stops:
        if any(start <= stop.start and stop.end <= end for start, end in joined):
            continue
        low, high = stop.start, stop.end
        for part in [part for part in joined if part[1] == low or part[0] == high]:
            joined.remove(part)
            low, high = min(low, part[0]), max(high, part[1])
        joined.append((low, high))
    return tuple(sorted(joined))


def _recoded(group: _Group, forward: bool) -> tuple[tuple[int, str], ...]:
    """Genomic position of the first base, in the direction of reading, and residue of each recoded codon."""
    found = {(line.start if forward else line.end - 1): _RECODING[line.kind] for line in group.recoding}
    for line in group.coding:
        # Commas stand in the attribute itself, escaped or not.
        for places, residue in _EXCEPTION.findall(",".join(line.attributes.get("transl_except", []))):
            if residue not in _RESIDUE_NAMES:
                raise RecordError(
                    group.name, "unknown residue", f"transl_except at line {line.line} names {residue!r}."
                )
            bases = [int(number) - 1 for number in re.findall(r"\d+", places)]
            found[min(bases) if forward else max(bases)] = _RESIDUE_NAMES[residue]
    return tuple(sorted(found.items()))


def _missing_ends(lines: Sequence[Feature]) -> tuple[bool, bool]:
    """Whether the annotation says that the end of lower and that of higher coordinates are not there."""
    low = any(line.first("start_range") == "." for line in lines)
    high = any((line.attributes.get("end_range") or [""])[-1] == "." for line in lines)
    if not (low or high) and any(line.first("partial") == "true" for line in lines):
        low = high = True
    tags = {tag for line in lines for tag in line.attributes.get("tag", [])}
    forward = lines[0].strand == "+"
    start, end = "cds_start_NF" in tags, "cds_end_NF" in tags
    return (low or (start if forward else end), high or (end if forward else start))


def _code(name: str, line: Feature) -> int | None:
    text = line.first("transl_table")
    if text is None:
        return None
    try:
        return genetic_code(text).number
    except ConfigError as error:
        raise RecordError(
            name, "genetic code", f"transl_table={text!r} at line {line.line}: {error}"
        ) from error


def _strand(text: str) -> Strand:
    # Transcript itself refuses what cannot be translated.
    return text  # type: ignore[return-value]
