"""DNA, RNA, protein and coding sequences as records of one kind."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from genoseq.errors import RecordError, SequenceError
from genoseq.sequence.codon_usage import CodonUsage
from genoseq.sequence.genetic_code import GeneticCode, genetic_code
from genoseq.sequence.record import Modality, UnifiedSequence
from genoseq.sequence.residues import RECODED, STOP, require_protein
from genoseq.sequence.reverse_translate import Choice, reverse_translate
from genoseq.sequence.transcribe import reverse_transcribe
from genoseq.sequence.translate import coding_part

_NOTHING: Mapping[int, str] = {}


def unify_dna(
    name: str, letters: str, *, coding: tuple[int, int] | None = None, code: int | str | GeneticCode = 1
) -> UnifiedSequence:
    """A record of DNA, in either case; without a coding part, one that is not read in codons.

    Args:
        coding: [start, end) of the part that is read in codons, from the first codon to the stop, 0-based.

    Raises:
        RecordError: letters that are no DNA, or a coding part that cannot be translated.
        ConfigError: there is no such code.
    """
    return UnifiedSequence(name, letters.upper(), "dna", coding, genetic_code(code))


def unify_rna(
    name: str, letters: str, *, coding: tuple[int, int] | None = None, code: int | str | GeneticCode = 1
) -> UnifiedSequence:
    """A record of RNA, as its complementary DNA in the letters of the sense strand; see `reverse_transcribe`.

    Arguments and errors as `unify_dna`.
    """
    return UnifiedSequence(name, _dna(name, letters), "rna", coding, genetic_code(code))


def unify_cds(
    name: str,
    letters: str,
    *,
    code: int | str | GeneticCode = 1,
    frame: int = 0,
    recoded: Mapping[int, str] = _NOTHING,
    partial_start: bool = False,
    partial_end: bool = False,
    modality: Modality = "dna",
) -> UnifiedSequence:
    """A record of a coding sequence, DNA or RNA in either case, from one end to the other.

    Args:
        frame: bases before the first whole codon, 0 to 2; a sequence with any has no start (`partial_start`).
        recoded, partial_start, partial_end: as `genoseq.sequence.translate`.
        modality: what it was before.

    Raises:
        RecordError: no whole number of codons and not `partial_end`, a stop before the end, letters that are
            no nucleotides.
        ConfigError: there is no such code.
    """
    sense = _dna(name, letters)
    coding = coding_part(len(sense), frame=frame, partial_end=partial_end, name=name)
    return UnifiedSequence(
        name, sense, modality, coding, genetic_code(code), recoded, partial_start or frame > 0, partial_end
    )


def unify_protein(
    name: str,
    protein: str,
    usage: CodonUsage,
    *,
    choice: Choice = "most_frequent",
    generator: np.random.Generator | None = None,
) -> UnifiedSequence:
    """A record of a protein, as a coding sequence that translates to it; see `reverse_translate`.

    The sequence has a stop codon where the protein ends in "*", a start where it begins with M.

    Raises:
        RecordError: letters that are no residues, a stop before the end, a residue without counted codons.
        ConfigError: "sample" without a generator.
    """
    letters = reverse_translate(protein, usage, choice=choice, generator=generator, name=name)
    residues = protein.upper()
    return unify_cds(
        name,
        letters,
        code=usage.code,
        recoded={codon: residue for codon, residue in enumerate(residues) if residue in RECODED},
        partial_start=not residues.startswith("M"),
        partial_end=not residues.endswith(STOP),
        modality="protein",
    )


def unify_pair(
    name: str, letters: str, protein: str, *, code: int | str | GeneticCode = 1, partial: bool = False
) -> UnifiedSequence:
    """A record of a coding sequence whose protein is known, and is what the record translates to.

    U and O of the protein, at TGA and TAG, are taken from it.

    Args:
        letters: DNA or RNA in either case.
        protein: residues; a "*" at the end is left out.
        partial: the coding sequence may be cut off at its ends: its frame is found by the protein, and bases
            beyond the last codon are left out.

    Raises:
        RecordError: the coding sequence gives another protein; the message says where. Or as `unify_cds`.
        ConfigError: there is no such code.
    """
    sense = _dna(name, letters)
    code = genetic_code(code)
    wanted = require_protein(protein, name).removesuffix(STOP)
    coding_part(len(sense), partial_end=partial, name=name)
    frames = (0, 1, 2) if partial else (0,)
    for frame in frames:
        recoded = _recoded(sense[frame:], wanted, code, begins=frame == 0)
        if recoded is not None:
            return unify_cds(
                name,
                sense,
                code=code,
                frame=frame,
                recoded=recoded,
                partial_start=not wanted.startswith("M"),
                partial_end=(len(sense) - frame) // 3 == len(wanted),
            )
    raise RecordError(name, "translation", _difference(sense, wanted, code, frames))


def _dna(name: str, letters: str) -> str:
    try:
        return reverse_transcribe(letters).upper()
    except SequenceError as error:
        raise RecordError(name, "unknown base", str(error)) from error


def _recoded(letters: str, wanted: str, code: GeneticCode, begins: bool) -> dict[int, str] | None:
    """The codons to recode so that the letters, read from the first, give the protein; None where none do."""
    whole = letters[: len(letters) // 3 * 3]
    read = code.read(whole)
    beyond = len(read) - len(wanted)
    if beyond not in (0, 1) or (beyond == 1 and not code.is_stop(whole[-3:])):
        return None
    coded, residues = (np.frombuffer(text.encode(), dtype=np.uint8) for text in (read[: len(wanted)], wanted))
    recoded: dict[int, str] = {}
    for codon in np.flatnonzero(coded != residues).tolist():
        residue, triplet = wanted[codon], whole[3 * codon : 3 * codon + 3]
        if begins and codon == 0 and residue == "M" and code.is_start(triplet):
            continue
        if RECODED.get(residue) != triplet:
            return None
        recoded[codon] = residue
    return recoded


def _difference(letters: str, wanted: str, code: GeneticCode, frames: tuple[int, ...]) -> str:
    read = code.read(letters[: len(letters) // 3 * 3])
    # The first residue may be M for any start codon: it is looked at last.
    codons = [*range(1, min(len(read), len(wanted))), *range(min(1, len(read), len(wanted)))]
    first = next((codon for codon in codons if read[codon] != wanted[codon]), None)
    if first is None:
        what = f"it has {len(read):,} codons, and the protein {len(wanted):,} residues"
    else:
        triplet = letters[3 * first : 3 * first + 3]
        what = f"codon {first} (counted from 0), {triplet}, is {read[first]}, not {wanted[first]}"
    tried = "" if frames == (0,) else "in no frame; in frame 0, "
    return (
        f"the coding sequence does not give the protein: {tried}{what}. Check the ends, and whether "
        f"{code.number} is the genetic code; partial=True looks for the frame of one that is cut off."
    )
