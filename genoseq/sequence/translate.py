"""Nucleotides to protein."""

from __future__ import annotations

from collections.abc import Mapping

from genoseq.errors import RecordError, SequenceError
from genoseq.sequence.genetic_code import GeneticCode, genetic_code
from genoseq.sequence.residues import RECODED, STOP

_NOTHING: Mapping[int, str] = {}


def translate(
    letters: str,
    code: int | str | GeneticCode = 1,
    *,
    recoded: Mapping[int, str] = _NOTHING,
    partial_start: bool = False,
    partial_end: bool = False,
    name: str = "the sequence",
) -> str:
    """The protein of a coding sequence, as annotations write it.

    The first codon is M where the code lets a protein begin with it (TTG and GTG in bacteria), and the stop
    codon at the end, where there is one, is no residue. For codons as they stand: `GeneticCode.read`.

    Args:
        letters: the sense strand, 5' to 3', from the first base of a codon, in either case, with U or T. An
            ambiguous codon is read as `GeneticCode.read` says.
        code: NCBI's number or name.
        recoded: residues that the code does not give, by the number of their codon, counted from 0: U for a
            selenocysteine at TGA.
        partial_start: the sequence begins inside of the gene: its first codon is read as any other.
        partial_end: it ends inside of the gene: bases after the last whole codon are left out, and in codes
            in which some stops are residues too (27, 28, 31), the last codon is the residue.
        name: what errors call the sequence.

    Returns:
        One residue a codon, in order, without the stop.

    Raises:
        RecordError: the length is no multiple of three, letters are no nucleotides, a stop stands before the
            end, or `recoded` names a codon or a residue that does not exist.
        ConfigError: there is no such code.
    """
    code = genetic_code(code)
    letters = letters[slice(*coding_part(len(letters), partial_end=partial_end, name=name))]
    try:
        residues = bytearray(code.read(letters), "ascii")
    except SequenceError as error:
        raise RecordError(name, "unknown base", str(error)) from error
    for codon, residue in recoded.items():
        _require_recoding(codon, residue, len(residues), name)
        residues[codon] = ord(residue)
    if residues and not partial_start and 0 not in recoded and code.is_start(letters[:3]):
        residues[0] = ord("M")
    if ends_in_stop(letters, code, recoded=recoded, partial_end=partial_end):
        del residues[-1]
    protein = residues.decode("ascii")
    _require_no_stop(protein, letters, name)
    return protein


def coding_part(length: int, *, frame: int = 0, partial_end: bool = False, name: str) -> tuple[int, int]:
    """The part [start, end) of a coding sequence that is whole codons.

    Args:
        length: bases of the sequence.
        frame: bases before the first whole codon, 0 to 2.
        partial_end: bases may be left over after the last whole codon.
        name: what errors call the sequence.

    Raises:
        RecordError: the frame is none, or bases are left over and may not be.
    """
    if frame not in (0, 1, 2):
        raise RecordError(name, "phase", f"the frame (phase) is {frame!r}; wanted 0, 1 or 2.")
    start = min(frame, length)
    beyond = (length - start) % 3
    if beyond and not partial_end:
        raise RecordError(
            name,
            "length",
            f"{length:,} bases, read from base {start}, are no multiple of three: {beyond} left over after "
            "the last codon. Check the frame and the ends; one that is cut off is read as partial.",
        )
    return start, length - beyond


def ends_in_stop(
    letters: str, code: GeneticCode, *, recoded: Mapping[int, str] = _NOTHING, partial_end: bool = False
) -> bool:
    """Whether the last codon is a stop and no residue; arguments as `translate`, whole codons."""
    last = len(letters) // 3 - 1
    if last < 0 or last in recoded:
        return recoded.get(last) == STOP
    if partial_end:
        return code.read(letters[-3:]) == STOP
    return code.is_stop(letters[-3:])


def _require_recoding(codon: int, residue: str, codons: int, name: str) -> None:
    if not 0 <= codon < codons:
        raise RecordError(
            name,
            "recoding",
            f"codon {codon} is recoded to {residue!r}, and there are codons 0 to {codons - 1}.",
        )
    if len(residue) != 1 or not (residue == STOP or ("A" <= residue <= "Z")):
        raise RecordError(
            name,
            "recoding",
            f"codon {codon} is recoded to {residue!r}, which is no letter of a residue, such as U or O.",
        )


def _require_no_stop(protein: str, letters: str, name: str) -> None:
    if STOP not in protein:
        return
    codon = protein.index(STOP)
    stop = letters[3 * codon : 3 * codon + 3].upper()
    own = [residue for residue, codon_of_it in RECODED.items() if codon_of_it == stop]
    hint = f"; a {stop} that is {own[0]} has to be recoded" if own else ""
    raise RecordError(
        name,
        "internal stop",
        f"codon {codon} of {len(letters) // 3} (counted from 0) is the stop {stop}, one of "
        f"{protein.count(STOP)} before the end. Check the frame, the strand and the genetic code{hint}.",
    )
