"""Letters of proteins."""

from __future__ import annotations

import numpy as np

from genoseq.errors import RecordError

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
STOP = "*"
UNKNOWN = "X"
# Residues that are set apart by one codon in one place, not by a code: selenocysteine and pyrrolysine.
RECODED = {"U": "TGA", "O": "TAG"}
AMBIGUOUS = {"B": "DN", "Z": "EQ", "J": "IL"}
# The order of residues' numbers: what a codon may be, then what one codon alone does not say.
RESIDUE_LETTERS = RESIDUES + STOP + UNKNOWN + "".join([*RECODED, *AMBIGUOUS])
_LETTERS = {*RESIDUES, *RECODED, *AMBIGUOUS, UNKNOWN}


def require_protein(protein: str, name: str) -> str:
    """The protein in upper case, checked: a "*" may stand at its end.

    Raises:
        RecordError: a letter that is no residue, or a stop before the end; the message says where.
    """
    letters = protein.upper()
    body = letters.removesuffix(STOP)
    if set(body) <= _LETTERS:
        return letters
    place = next(place for place, letter in enumerate(body) if letter not in _LETTERS)
    where = f"at residue {place} of {len(body):,} (counted from 0)"
    if body[place] == STOP:
        raise RecordError(
            name,
            "internal stop",
            f"a stop stands {where}. Give the protein up to it; only the last letter may be *.",
        )
    raise RecordError(
        name,
        "unknown residue",
        f"{body[place]!r} {where} is no residue. Wanted {RESIDUES}, U, O, an ambiguous B, Z or J, X for an "
        "unknown one, and no gaps.",
    )


def encode_residues(protein: str) -> np.ndarray:
    """Numbers of checked residues, their places in `RESIDUE_LETTERS`, (R,) int64."""
    return _NUMBER_OF[np.frombuffer(protein.encode("ascii"), dtype=np.uint8)]


_NUMBER_OF = np.full(128, -1, dtype=np.int64)
_NUMBER_OF[np.frombuffer(RESIDUE_LETTERS.encode(), dtype=np.uint8)] = np.arange(len(RESIDUE_LETTERS))
