"""A VCF in, the same VCF with scores in its INFO column out.

Three passes over the file: the first reads every record, finds what is wrong before anything is computed, and
remembers which alleles get a score; the second scores them, the third writes. Scores go to a journal beside
the output as they come: a run that is killed goes on from there, and gives the same file.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import compress, islice
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from genoseq import __version__
from genoseq.data.alleles import AllelePair, AlleleReader, check_contig_lengths
from genoseq.data.cache import FileStamp
from genoseq.data.fasta import Fasta
from genoseq.data.vcf import (
    Samples,
    Vcf,
    VcfRecord,
    index_path,
    is_compressed,
    require_pysam,
    with_info,
    write_index,
    write_vcf,
)
from genoseq.errors import ConfigError, RecordError, require_choice
from genoseq.inference.outputs import atomic_file
from genoseq.inference.score_journal import ScoreJournal
from genoseq.inference.variant_scores import Column
from genoseq.inference.variants import VariantScorer
from genoseq.models.chunks import batches
from genoseq.models.identity import weights_digest
from genoseq.paths import locate
from genoseq.sequence import OnError, Variant

ContigLengths = Literal["check", "ignore"]
Watch = Callable[[Iterable[list[AllelePair]]], Iterable[list[AllelePair]]]
_TOO_LONG = "without room in the window"


@dataclass
class Counts:
    """What a VCF holds.

    Attributes:
        records: lines.
        alleles: alternate alleles.
        scored: those that get scores.
        passed: those that cannot have one and are passed through, by what they are.
        skipped: records that are wrong and are passed through, by what is wrong.
        first_skipped: the first of these, and what is wrong with it.
    """

    records: int = 0
    alleles: int = 0
    scored: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    first_skipped: str | None = None

    def __str__(self) -> str:
        words = [f"{self.records:,} records, {self.alleles:,} alternate alleles, {self.scored:,} scored"]
        words += [f"{count:,} {what} passed through" for what, count in sorted(self.passed.items())]
        words += [f"{count:,} records skipped ({what})" for what, count in sorted(self.skipped.items())]
        return ", ".join(words)


class VcfScoring:
    """A VCF to be scored, read whole and checked once.

    Args:
        vcf: the file: plain, gzip or bgzip.
        fasta: the genome.
        window: bases around a variant.
        on_error: what becomes of records that are wrong, such as one whose REF is not in the FASTA: "raise",
            or "skip" to pass them through without scores and count them.
        contig_lengths: "check" compares those that the header declares with the FASTA's, "ignore" does not.
        aliases: further names of contigs; `chr20` and `20` are known to be one.

    Attributes:
        counts: what was found.

    Raises:
        DataError: no VCF, not sorted, contigs of other lengths.
        RecordError: a record that is wrong, with "raise".
    """

    def __init__(
        self,
        vcf: str | os.PathLike[str],
        fasta: str | os.PathLike[str],
        *,
        window: int,
        on_error: OnError = "raise",
        contig_lengths: ContigLengths = "check",
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        require_choice("on_error", on_error, get_args(OnError))
        require_choice("contig_lengths", contig_lengths, get_args(ContigLengths))
        self.vcf = Vcf(vcf)
        self.reader = AlleleReader(Fasta(fasta), aliases)
        self.window = window
        self._on_error = on_error
        if contig_lengths == "check":
            check_contig_lengths(self.vcf.header, self.reader.names)
        self.contigs: dict[str, int] = {}
        # A byte an allele, in the order of the file: whether it gets a score.
        self._is_scored = bytearray()
        self.counts = self._survey()

    def pairs(self) -> Iterator[AllelePair]:
        """The sequences with either allele, of all that are scored, in the order of the file."""
        for record, is_scored in self._judged_records():
            for alternate in compress(record.alternates, is_scored):
                variant = Variant(
                    record.chromosome, record.position, record.reference.upper(), alternate.upper()
                )
                pair = self.reader.known_pair(variant, self.window)
                assert pair is not None, "it fits"
                yield pair

    def lines(self, scores: Iterable[np.ndarray], names: Sequence[str], samples: Samples) -> Iterator[str]:
        """The records with the scores of `pairs`, each (K,), under K names in INFO."""
        rows = iter(scores)
        for record, is_scored in self._judged_records():
            found = [next(rows) if scored else None for scored in is_scored]
            yield with_info(record.line, _info(found, names), samples=samples)

    def added_header(self, columns: Sequence[Column], prefix: str, told: Mapping[str, object]) -> list[str]:
        """The lines that the header has to have more: contigs, INFO fields, and what was done."""
        missing = {
            name: length for name, length in self.contigs.items() if name not in self.vcf.header.contigs
        }
        lines = [f"##contig=<ID={name},length={length}>" for name, length in missing.items()]
        lines += [
            f"##INFO=<ID={info_id(prefix, column.name)},Number=A,Type=Float,"
            f'Description="{_quoted(column.description)}",Source="genoseq",Version="{__version__}">'
            for column in columns
        ]
        facts = ",".join(f'{name}="{_quoted(str(value))}"' for name, value in told.items())
        return [
            *lines,
            f'##{prefix}_score=<ID=genoseq,Version="{__version__}",{facts},Counts="{self.counts}">',
        ]

    def _survey(self) -> Counts:
        counts = Counts()
        for record in self.vcf:
            counts.records += 1
            counts.alleles += len(record.alternates)
            try:
                alleles = self.reader.alleles(record)
            except RecordError as error:
                self._skip(error, counts)
                self._is_scored.extend(bytes(len(record.alternates)))
                continue
            unscored = [self._why_unscored(allele) for allele in alleles]
            counts.passed.update(why for why in unscored if why is not None)
            self._is_scored.extend(why is None for why in unscored)
            if record.chromosome not in self.contigs:
                own = self.reader.names.find(record.chromosome)
                assert own is not None, "it was read"
                self.contigs[record.chromosome] = self.reader.names.lengths[own]
        counts.scored = sum(self._is_scored)
        return counts

    def _skip(self, error: RecordError, counts: Counts) -> None:
        if self._on_error == "raise":
            where = f"{self.vcf.path}, {error.record}"
            raise RecordError(where, error.problem, error.message) from error
        counts.skipped[error.problem] += 1
        counts.first_skipped = counts.first_skipped or str(error)

    def _why_unscored(self, allele: Variant | str) -> str | None:
        if isinstance(allele, str):
            return allele
        return None if self.reader.fits(allele, self.window) else _TOO_LONG

    def _judged_records(self) -> Iterator[tuple[VcfRecord, bytearray]]:
        """The records, and of each alternate allele whether it gets a score."""
        first = 0
        for record in self.vcf.in_any_order():
            last = first + len(record.alternates)
            yield record, self._is_scored[first:last]
            first = last


def annotate_vcf(
    scorer: VariantScorer,
    scoring: VcfScoring,
    out: str | os.PathLike[str],
    *,
    samples: Samples = "keep",
    prefix: str = "GENOSEQ",
    watch: Watch = iter,
) -> None:
    """Write a VCF with scores; one that was begun with the same model, files and settings is gone on with.

    Args:
        scorer: how it is scored.
        scoring: the VCF, read with the scorer's window.
        out: `.vcf`, or `.vcf.gz` for BGZF with a tabix index beside it.
        samples: keep the columns of the samples as they are, or drop them.
        prefix: what the names of the INFO fields begin with.
        watch: what the batches are handed through, for those who show progress.

    Raises:
        ConfigError: `out` is no name for a VCF, or the file has such INFO fields already.
        DataError: the file cannot be written there. DeviceError: a batch does not fit in memory.
    """
    assert scorer.window == scoring.window
    require_vcf_name(out)
    names = [info_id(prefix, column.name) for column in scorer.columns]
    _require_new_fields(scoring, names, prefix)
    size, digest = scorer.settings.batch_size, weights_digest(scorer.model)
    identity = _identity(scoring, scorer, digest)
    with ScoreJournal(out, identity, width=len(names), batch_size=size) as journal:
        todo = islice(scoring.pairs(), journal.num_rows, None)
        for batch in watch(batches(todo, size)):
            journal.append(scorer.of(batch))
        added = scoring.added_header(scorer.columns, prefix, _facts(scorer, digest))
        lines = scoring.lines(journal.rows(), names, samples)
        _write(scoring, out, added, lines, samples)
        journal.finish()


def require_vcf_name(out: str | os.PathLike[str]) -> None:
    """Refuse an output that is not named as a VCF, or that cannot be compressed here.

    Raises:
        ConfigError: it is not, or cannot.
    """
    name = Path(out).name.lower()
    if not name.endswith((".vcf", ".vcf.gz", ".vcf.bgz")):
        raise ConfigError(f"out={out}: the name has to end in .vcf, or .vcf.gz for BGZF with an index.")
    if is_compressed(name):
        require_pysam(out)


def info_id(prefix: str, name: str) -> str:
    """The ID of an INFO field; what VCF does not allow in one becomes an underscore."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", f"{prefix}_{name.upper()}")


def _require_new_fields(scoring: VcfScoring, names: Sequence[str], prefix: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", prefix):
        raise ConfigError(
            f"prefix={prefix!r}: INFO fields have names of letters, digits, _ and dots that begin with a "
            "letter."
        )
    known = sorted(set(names) & scoring.vcf.header.info)
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if known or twice:
        where = f"{scoring.vcf.path} has" if known else "two classes would share"
        raise ConfigError(
            f"{where} the INFO field(s) {', '.join(known or twice)}: give another prefix=, or rename them."
        )


def _info(scores: Sequence[np.ndarray | None], names: Sequence[str]) -> str:
    """`NAME=a,b;...` of the alleles of a record, each (K,), None without scores; empty where none has any."""
    if all(row is None for row in scores):
        return ""
    columns = (
        (name, ("." if row is None else _number(row[i]) for row in scores)) for i, name in enumerate(names)
    )
    return ";".join(f"{name}={','.join(values)}" for name, values in columns)


def _number(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else "."


def _write(
    scoring: VcfScoring,
    out: str | os.PathLike[str],
    added: Sequence[str],
    lines: Iterable[str],
    samples: Samples,
) -> None:
    with ExitStack() as stack:
        index = None
        if is_compressed(out):
            beside = index_path(locate(out), scoring.reader.names.lengths.values())
            index = stack.enter_context(atomic_file(beside))
        # Entered last and so in place first: an index is never older than its file.
        path = stack.enter_context(atomic_file(out))
        write_vcf(path, scoring.vcf.header, added, lines, samples=samples)
        if index is not None:
            write_index(path, index)


def _facts(scorer: VariantScorer, digest: str) -> dict[str, object]:
    """What the header tells of how scores were made."""
    return {
        "Model": f"{type(scorer.model.backbone).__name__} {digest[:16]}",
        "Window": scorer.window,
        "Strands": scorer.policy.name,
    }


def _identity(scoring: VcfScoring, scorer: VariantScorer, digest: str) -> dict[str, object]:
    """All that scores depend on."""
    return {
        "genoseq": __version__,
        "torch": torch.__version__,
        "device": scorer.model.device.type,
        "model": digest,
        "files": [asdict(FileStamp.of(path)) for path in (scoring.vcf.path, scoring.reader.fasta.path)],
        "settings": asdict(scorer.settings),
        "window": scorer.window,
        "strands": scorer.policy.name,
        "counts": str(scoring.counts),
    }


def _quoted(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"")
