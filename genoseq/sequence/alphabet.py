"""Letters to base codes and back, and the reverse complement of either.

A base code is a `uint8`: A 0, C 1, G 2, T 3, N 4. A base set, where the ambiguity letters are to be told
apart, is a `uint8` of four bits: A 1, C 2, G 4, T 8, and their sums. Letters go through 256-entry tables of
`bytes.translate`, which handles hundreds of millions of bases a second.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np

from genoseq.errors import SequenceError

BASES = "ACGTN"
Lowercase = Literal["base", "mask"]
StringOrCodes = TypeVar("StringOrCodes", str, np.ndarray)

_N = BASES.index("N")
_LETTERS = "ACGTURYSWKMBDHVN"
_COMPLEMENTS = "TGCAAYRSWMKVHDBN"
_SETS = ("A", "C", "G", "T", "T", "AG", "CT", "CG", "AT", "GT", "AC", "CGT", "AGT", "ACT", "ACG", "ACGT")
_NO_LETTER = 0xFF


def _code_table(lowercase: Lowercase) -> bytes:
    table = bytearray([_NO_LETTER] * 256)
    for letter in _LETTERS:
        code = BASES.find("T" if letter == "U" else letter)
        table[ord(letter)] = code if code >= 0 else _N
        table[ord(letter.lower())] = table[ord(letter)] if lowercase == "base" else _N
    return bytes(table)


def _set_table() -> bytes:
    table = bytearray([_NO_LETTER] * 256)
    for letter, bases in zip(_LETTERS, _SETS, strict=True):
        table[ord(letter)] = table[ord(letter.lower())] = sum(1 << BASES.index(base) for base in bases)
    return bytes(table)


def _complement_table() -> bytes:
    table = bytearray([_NO_LETTER] * 256)
    for letter, complement in zip(_LETTERS, _COMPLEMENTS, strict=True):
        table[ord(letter)] = ord(complement)
        table[ord(letter.lower())] = ord(complement.lower())
    return bytes(table)


_CODE_TABLES: dict[str, bytes] = {"base": _code_table("base"), "mask": _code_table("mask")}
_SET_TABLE = _set_table()
_COMPLEMENT_LETTERS = _complement_table()
_COMPLEMENT_CODES = np.array([3, 2, 1, 0, 4], dtype=np.uint8)
_LETTER_OF_CODE = np.frombuffer(BASES.encode(), dtype=np.uint8)


def encode_bases(sequence: str | bytes, *, lowercase: Lowercase = "base") -> np.ndarray:
    """Base codes of a sequence.

    Args:
        sequence: L letters. U is read as T; the IUPAC ambiguity letters R Y S W K M B D H V become N.
        lowercase: "base" reads soft-masked letters as the bases they are, "mask" makes each an N.

    Returns:
        (L,) uint8, writable.

    Raises:
        SequenceError: a character that is no nucleotide letter; gaps, digits and white space are none.
    """
    return _looked_up(sequence, _CODE_TABLES[lowercase])


def encode_base_sets(sequence: str | bytes) -> np.ndarray:
    """The bases that each letter stands for: A 1, C 2, G 4, T 8, and for an ambiguity letter the sum of its
    own.

    Args:
        sequence: L letters in either case. U is read as T; R is A or G and so 5, N is 15.

    Returns:
        (L,) uint8, 1 to 15, writable.

    Raises:
        SequenceError: as `encode_bases`.
    """
    return _looked_up(sequence, _SET_TABLE)


def decode_bases(codes: np.ndarray) -> str:
    """Upper-case letters of base codes, (L,) uint8.

    Raises:
        SequenceError: the array is not of base codes.
    """
    require_codes(codes)
    return _LETTER_OF_CODE[codes].tobytes().decode("ascii")


def reverse_complement(sequence: StringOrCodes) -> StringOrCodes:
    """The opposite strand, read in its own direction.

    Args:
        sequence: letters (case and IUPAC ambiguity are kept; U is complemented to A, and A to T, so that the
            result is DNA), or base codes (..., L) uint8, reversed along the last axis.

    Returns:
        The same type and length; an array is a new one.

    Raises:
        SequenceError: letters that are no nucleotides, or an array that is not of base codes.
    """
    if isinstance(sequence, str):
        return _reverse_complement_letters(sequence)
    require_codes(sequence)
    return _COMPLEMENT_CODES[sequence[..., ::-1]]


def require_codes(codes: np.ndarray) -> None:
    """Refuse an array that is not of base codes.

    Raises:
        SequenceError: the dtype is not uint8, or a value is above 4.
    """
    if codes.dtype != np.uint8:
        raise SequenceError(
            f"an array of dtype {codes.dtype} holds no base codes, which are uint8: A 0, C 1, G 2, T 3, N 4. "
            "Make it with encode_bases; token ids are decoded by their tokenizer."
        )
    if codes.size and codes.max() > _N:
        raise SequenceError(
            f"the value {int(codes.max())} is no base code: wanted A 0, C 1, G 2, T 3, N 4. "
            "Make the array with encode_bases."
        )


def _looked_up(sequence: str | bytes, table: bytes) -> np.ndarray:
    values = np.frombuffer(bytearray(_ascii(sequence).translate(table)), dtype=np.uint8)
    if values.size and values.max() == _NO_LETTER:
        raise _bad_letter(sequence, np.flatnonzero(values == _NO_LETTER))
    return values


def _reverse_complement_letters(sequence: str) -> str:
    letters = _ascii(sequence).translate(_COMPLEMENT_LETTERS)
    if _NO_LETTER in letters:
        bad = np.frombuffer(letters, dtype=np.uint8) == _NO_LETTER
        raise _bad_letter(sequence, np.flatnonzero(bad))
    return letters[::-1].decode("ascii")


def _ascii(sequence: str | bytes) -> bytes:
    # "replace" puts one "?" for each foreign character: positions stay true, and "?" is no letter.
    return sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence


def _bad_letter(sequence: str | bytes, positions: np.ndarray) -> SequenceError:
    first = int(positions[0])
    letter = sequence[first] if isinstance(sequence, str) else chr(sequence[first])
    return SequenceError(
        f"{letter!r} at position {first} (counted from 0) is no nucleotide letter, one of "
        f"{positions.size:,} such in the sequence of {len(sequence):,}. Wanted: A C G T U N or an "
        "IUPAC ambiguity letter, no gaps or white space. Remove them, or write N where the base is unknown."
    )
