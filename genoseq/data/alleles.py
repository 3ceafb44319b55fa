"""The two sequences that a variant is judged by, and the alleles of VCF records that can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from genoseq.data.contigs import ContigNames
from genoseq.data.fasta import Fasta
from genoseq.data.vcf import VcfHeader, VcfRecord, shorten
from genoseq.errors import DataError, RecordError
from genoseq.sequence import (
    Variant,
    allele_kind,
    allele_window,
    decode_bases,
    encode_base_sets,
    reverse_complement,
)

_ANY_BASE = 15


class AllelePair(NamedTuple):
    """Two sequences of one length that differ by one allele.

    Attributes:
        reference: upper-case letters with the reference allele.
        alternate: the same with the alternate allele.
        offset: where the alleles begin in either.
        width: bases of the longer allele.
    """

    reference: str
    alternate: str
    offset: int
    width: int

    def turned(self) -> AllelePair:
        """The same on the other strand."""
        behind = len(self.reference) - self.offset - self.width
        return AllelePair(
            reverse_complement(self.reference), reverse_complement(self.alternate), behind, self.width
        )


class AlleleReader:
    """Windows around variants of a genome.

    Args:
        fasta: the genome.
        aliases: names of its chromosomes beside its own, `chr20` and `20` apart; see `ContigNames`.
    """

    def __init__(self, fasta: Fasta, aliases: Mapping[str, str] | None = None) -> None:
        self.fasta = fasta
        self.names = ContigNames(fasta.lengths, aliases)

    def pair(self, variant: Variant, length: int) -> AllelePair | None:
        """The sequences with either allele; None where the window is too short for it, see `allele_window`.

        Args:
            variant: its reference allele stands in the genome.
            length: bases of the window.

        Raises:
            DataError: there is no such chromosome.
            RecordError: the variant is beyond its end, or another allele stands there.
        """
        chromosome = self._own_name(variant)
        self._require_reference(str(variant), chromosome, variant.position, variant.reference)
        return self.known_pair(variant, length)

    def known_pair(self, variant: Variant, length: int) -> AllelePair | None:
        """The same of a variant whose reference allele has been compared with the genome, in less time."""
        chromosome = self._own_name(variant)
        change = variant.trimmed()
        window = allele_window(change, length, self.fasta.lengths[chromosome])
        if window is None:
            return None
        start, length, offset = window
        longer = max(len(change.reference) - len(change.alternate), 0)
        letters = decode_bases(self.fasta.codes(chromosome, start, start + length + longer))
        changed = letters[:offset] + change.alternate + letters[offset + len(change.reference) :]
        return AllelePair(letters[:length], changed[:length], offset, change.width)

    def fits(self, variant: Variant, length: int) -> bool:
        """Whether a variant of the genome has a `pair`."""
        chromosome = self._own_name(variant)
        return allele_window(variant.trimmed(), length, self.fasta.lengths[chromosome]) is not None

    def alleles(self, record: VcfRecord) -> list[Variant | str]:
        """Each alternate allele of a record: what changes, or why it cannot be scored, in a word or two.

        Raises:
            RecordError: the record does not go with the genome, or has alleles that are none.
        """
        kinds = [allele_kind(alternate) for alternate in record.alternates]
        letters = allele_kind(record.reference)
        if letters not in ("bases", "ambiguous") or "no allele" in kinds:
            raise RecordError(
                record.place,
                "no alleles",
                "REF must be of the letters A, C, G, T and N; ALT likewise, *, a symbolic allele as <DEL>, "
                "a breakend, or a single dot. Correct the record, or leave such out with on_error=skip.",
            )
        name = self.names.find(record.chromosome)
        if name is None:
            raise RecordError(record.place, "unknown contig", self.names.explain(record.chromosome))
        reference = record.reference.upper()
        self._require_reference(record.place, name, record.position, reference)
        found: list[Variant | str] = []
        for alternate, kind in zip(record.alternates, kinds, strict=True):
            if kind == "bases" and letters == "bases":
                if alternate.upper() == reference:
                    raise RecordError(record.place, "no change", "ALT is REF itself. Remove the record.")
                found.append(Variant(record.chromosome, record.position, reference, alternate.upper()))
            elif kind == "ambiguous" or (kind == "bases" and letters == "ambiguous"):
                raise RecordError(
                    record.place,
                    "ambiguous letters",
                    "an allele has N or another letter that stands for several bases: no likelihood can be "
                    "given to it. Resolve it, or leave such out with on_error=skip.",
                )
            else:
                found.append(kind)
        return found

    def _own_name(self, variant: Variant) -> str:
        name = self.names.find(variant.chromosome)
        if name is None:
            raise DataError(f"{variant}: {self.names.explain(variant.chromosome)}")
        return name

    def _require_reference(self, place: str, chromosome: str, position: int, reference: str) -> None:
        end, length = position + len(reference), self.fasta.lengths[chromosome]
        if position < 0 or end > length:
            raise RecordError(
                place,
                "beyond the contig",
                f"the FASTA's {chromosome} has {length:,} bases, positions 1 to {length}. Is it another "
                "build, or only a part of the contig? Records outside can be left out with on_error=skip.",
            )
        if not reference:
            return
        found = decode_bases(self.fasta.codes(chromosome, position, end))
        if found == reference:
            return
        # A FASTA may have a letter for several bases where a VCF has to give one.
        letters = self.fasta.fetch(chromosome, position, end)
        allowed, given = encode_base_sets(letters), encode_base_sets(reference)
        unlike = ((given & allowed) != given) | ((allowed == _ANY_BASE) & (given != allowed))
        if unlike.any():
            raise RecordError(
                place,
                "REF mismatch",
                f"REF is {shorten(reference)}, and the FASTA has {shorten(letters)} there. Give the FASTA of "
                "the build that the variants were called on, or leave such out with on_error=skip.",
            )


def contigs_of_other_lengths(header: VcfHeader, names: ContigNames) -> list[str]:
    """Those for which a VCF declares another length than the genome has, as the VCF calls them."""
    return [
        contig
        for contig, declared in header.contigs.items()
        if declared is not None and (own := names.find(contig)) and declared != names.lengths[own]
    ]


def check_contig_lengths(header: VcfHeader, names: ContigNames) -> None:
    """Compare the lengths that a VCF declares with the genome's; contigs it does not know are passed by.

    Raises:
        DataError: one differs.
    """
    for contig in contigs_of_other_lengths(header, names):
        name = names.find(contig)
        assert name is not None, "it has a length"
        raise DataError(
            f"the VCF declares {header.contigs[contig]:,} bases for {contig}, and the FASTA's {name} has "
            f"{names.lengths[name]:,}: they are of two builds. Give the right FASTA. If it is a part of the "
            "same build, whose positions are those of the whole, say contig_lengths=ignore: REF alleles are "
            "compared in any case."
        )
