"""Variants of a genome: alleles as files write them, and the windows that two alleles are compared in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from genoseq.errors import SequenceError

AlleleKind = Literal[
    "bases",
    "ambiguous",
    "symbolic",
    "breakend",
    "spanning deletion",
    "reference block",
    "missing",
    "no allele",
]

_BASES = frozenset("ACGT")
_AMBIGUOUS = frozenset("NRYSWKMBDHVU")
_REFERENCE_BLOCKS = ("<NON_REF>", "<*>")


def allele_kind(allele: str) -> AlleleKind:
    """What an alternate allele of a VCF is.

    - `bases`: A, C, G and T in either case;
    - `ambiguous`: also N or other IUPAC letters, which no likelihood can be given to;
    - `symbolic`: `<DEL>` and the like; `reference block`: `<NON_REF>` and `<*>` of a gVCF;
    - `breakend`: one end of a rearrangement; `spanning deletion`: `*`; `missing`: `.`;
    - `no allele`: anything else, which is a mistake.

    Source: "The Variant Call Format Specification", VCFv4.3, sections 1.6.1 and 5.
    """
    if allele in _REFERENCE_BLOCKS:
        return "reference block"
    if allele == "*":
        return "spanning deletion"
    if allele == ".":
        return "missing"
    if allele.startswith("<") and allele.endswith(">"):
        return "symbolic"
    if "[" in allele or "]" in allele or (len(allele) > 1 and "." in (allele[0], allele[-1])):
        return "breakend"
    letters = set(allele.upper())
    if not letters:
        return "no allele"
    if letters <= _BASES:
        return "bases"
    return "ambiguous" if letters <= _BASES | _AMBIGUOUS else "no allele"


@dataclass(frozen=True)
class Variant:
    """Bases of a chromosome, and those that stand there instead.

    Attributes:
        position: of the first base of `reference`, counted from 0.
        reference: A, C, G and T in upper case; empty for a pure insertion before `position`.
        alternate: likewise; empty for a pure deletion.

    Raises:
        SequenceError: other letters, two alleles that are the same, or a negative position.
    """

    chromosome: str
    position: int
    reference: str
    alternate: str

    def __post_init__(self) -> None:
        if self.position < 0:
            raise SequenceError(f"{self} begins before its chromosome.")
        if not set(self.reference) | set(self.alternate) <= _BASES:
            raise SequenceError(f"{self}: alleles are A, C, G and T in upper case.")
        if self.reference == self.alternate:
            raise SequenceError(f"{self} changes nothing: its two alleles are the same.")

    def __str__(self) -> str:
        return f"{self.chromosome}:{self.position + 1} {self.reference or '-'}>{self.alternate or '-'}"

    @property
    def width(self) -> int:
        """Bases of the longer allele."""
        return max(len(self.reference), len(self.alternate))

    def trimmed(self) -> Variant:
        """The same change without the bases that both alleles begin or end with, as an indel's anchor."""
        reference, alternate, position = self.reference, self.alternate, self.position
        while reference and alternate and reference[-1] == alternate[-1]:
            reference, alternate = reference[:-1], alternate[:-1]
        shared = 0
        while shared < min(len(reference), len(alternate)) and reference[shared] == alternate[shared]:
            shared += 1
        return Variant(self.chromosome, position + shared, reference[shared:], alternate[shared:])


class AlleleWindow(NamedTuple):
    """Where two alleles are compared: in as many bases of the chromosome as it is, and as it would be.

    Attributes:
        start: first base of either window.
        length: bases of either window.
        offset: of the first base of the alleles from `start`.
    """

    start: int
    length: int
    offset: int


def allele_window(variant: Variant, length: int, chromosome_length: int) -> AlleleWindow | None:
    """The window around a variant, with the reference allele in its middle.

    Both windows begin at one base and have one length: what an indel adds or takes away is made up for at
    their right end. Near the ends of the chromosome the window is moved inwards; it is shorter only where the
    chromosome, with either allele, is.

    Args:
        variant: trimmed.
        length: bases wanted.
        chromosome_length: bases of the chromosome as it is.

    Returns:
        None where an allele takes more than half of the window, and has too little around it to be judged
        by, or would be longer than what is left of the chromosome behind it.
    """
    width, change = len(variant.reference), len(variant.alternate) - len(variant.reference)
    shorter = chromosome_length + min(change, 0)
    length = min(length, shorter)
    if variant.width > length // 2:
        return None
    middle = variant.position + width // 2 - length // 2
    # The last start that leaves the window inside, and the first that has the whole allele in it.
    latest = min(variant.position, shorter - length)
    start = min(max(middle, 0), latest)
    offset = variant.position - start
    return AlleleWindow(start, length, offset) if offset + variant.width <= length else None
