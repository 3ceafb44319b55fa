"""Bytes as DNA that can be made and read, and back: short runs, even GC, single substitutions corrected.

Two bytes become a word of nine bases, of which 4 or 5 are G or C, and that hold no run above three wherever
words meet: constrained codewords by their number, as in the D-LOCO codes of Irimagzi, Uslan and Hareedy
(2023), but looked up in a table. A block is some words and two words of parity: the high and the low bytes
of its words are each a shortened Reed-Solomon code over GF(256) of distance 3, so that any one wrong word,
and so any one wrong base, is found and put right. What is written is first mixed with a fixed stream of
random bits, so that no file, not even one of zeros, gives repeats.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from genoseq.errors import ConfigError, DataError
from genoseq.sequence.alphabet import decode_bases, encode_bases

WORD_BASES = 9
MAX_HOMOPOLYMER = 3
GC_OF_WORD = (4, 5)
_WORD_BYTES = 2
_PARITY_WORDS = 2
_MOST_WORDS = 255
_NUM_WORDS = 1 << 16
_HEADER = 12
_FIELD_POLYNOMIAL = 0x11D
_NO_WORD = -1
_POWERS = 4 ** np.arange(WORD_BASES - 1, -1, -1)


@dataclass(frozen=True)
class Decoded:
    """Attributes:
    data: the bytes.
    corrected: numbers of the blocks in which a word was put right.
    """

    data: bytes
    corrected: tuple[int, ...]


def encode_bytes(data: bytes, *, block_bytes: int = 240) -> list[str]:
    """Blocks of DNA that hold some bytes, all of one length.

    No run is longer than 3 bases, within a block and where blocks are joined; 4/9 to 5/9 of the bases of each
    block are G or C.

    Args:
        data: any bytes; their number and checksum are written before them.
        block_bytes: of a block, even, 2 to 506; (block_bytes / 2 + 2) x 9 bases hold them. One substitution a
            block is corrected: shorter blocks stand more of them, and take more bases.

    Raises:
        ConfigError: a block of another size.
    """
    if block_bytes % _WORD_BYTES or not 2 <= block_bytes <= _WORD_BYTES * (_MOST_WORDS - _PARITY_WORDS):
        raise ConfigError(f"block_bytes={block_bytes}: give an even number from 2 to 506.")
    header = len(data).to_bytes(8, "big") + zlib.crc32(data).to_bytes(4, "big")
    padding = -(len(data) + _HEADER) % block_bytes
    plain = np.frombuffer(header + data + bytes(padding), dtype=np.uint8)
    mixed = plain ^ _stream(len(plain))
    lanes = mixed.reshape(-1, block_bytes // _WORD_BYTES, _WORD_BYTES)
    lanes = np.concatenate([lanes, _parity(lanes)], axis=1)
    values = lanes[..., 0].astype(np.int64) << 8 | lanes[..., 1]
    words, _ = _codebook()
    codes = words[values].reshape(len(values), -1)
    return [decode_bases(row) for row in codes]


def decode_bytes(blocks: Sequence[str]) -> Decoded:
    """The bytes that blocks hold, with one wrong word a block put right.

    Args:
        blocks: as `encode_bytes` gave them, in their order, with substitutions.

    Raises:
        DataError: there are none, they are of several lengths or none that blocks have, bases are missing or
            inserted, a block has more wrong than can be put right, or the bytes do not have their checksum.
        SequenceError: letters that are no nucleotides.
    """
    codes = _same_lengths(blocks)
    _, value_of = _codebook()
    read = np.minimum(codes, 3).reshape(len(codes), -1, WORD_BASES)
    values = value_of[read @ _POWERS]
    # What is no word is wrong in any case: any value in its place will be put right, or is too much.
    known = np.where(values == _NO_WORD, 0, values)
    lanes = np.stack([known >> 8, known & 0xFF], axis=-1).astype(np.uint8)
    lanes, wrong, lost = _corrected(lanes)
    if lost.any():
        number = int(np.flatnonzero(lost)[0])
        raise DataError(
            f"block {number} (counted from 0) has more wrong than the one word that can be put right, one of "
            f"{int(lost.sum()):,} such. Read it again."
        )
    payload = np.ascontiguousarray(lanes[:, :-_PARITY_WORDS]).reshape(-1)
    data = (payload ^ _stream(len(payload))).tobytes()
    length, checksum = int.from_bytes(data[:8], "big"), int.from_bytes(data[8:_HEADER], "big")
    content = data[_HEADER : _HEADER + length]
    if len(content) != length or zlib.crc32(content) != checksum:
        raise DataError(
            "the bytes do not have the length and checksum that were written before them: a block has "
            "several errors, or blocks are missing or in another order."
        )
    return Decoded(content, tuple(np.flatnonzero(wrong).tolist()))


def _same_lengths(blocks: Sequence[str]) -> np.ndarray:
    """(N, L) uint8 codes of blocks."""
    if not len(blocks):
        raise DataError("there are no blocks to decode. Give a file that `genoseq codec` wrote.")
    lengths = {len(block) for block in blocks}
    if len(lengths) > 1:
        usual = max(lengths, key=[len(block) for block in blocks].count)
        number = next(number for number, block in enumerate(blocks) if len(block) != usual)
        raise DataError(
            f"block {number} (counted from 0) has {len(blocks[number]):,} bases and most have {usual:,}: "
            "bases are missing or inserted, and only substitutions are corrected."
        )
    (length,) = lengths
    least, most = (WORD_BASES * words for words in (_PARITY_WORDS + 1, _MOST_WORDS))
    if length % WORD_BASES or not least <= length <= most:
        raise DataError(
            f"blocks of {length:,} bases: those of this code have a multiple of {WORD_BASES} from {least} to "
            f"{most:,}. Give a file that `genoseq codec` wrote."
        )
    return np.stack([encode_bases(block) for block in blocks])


@lru_cache(maxsize=1)
def _codebook() -> tuple[np.ndarray, np.ndarray]:
    """(65536, 9) uint8 the word of each value, and (4**9,) int64 the value of each word, -1 of all others."""
    words = (np.arange(4**WORD_BASES)[:, None] // _POWERS % 4).astype(np.uint8)
    strong = np.isin(words, (1, 2)).sum(axis=1)
    same = words[:, 1:] == words[:, :-1]
    # One base at most of the run that may go on from the word before, two of that into the next.
    meets = ~same[:, 0] & ~(same[:, -1] & same[:, -2])
    runs = (same[:, :-2] & same[:, 1:-1] & same[:, 2:]).any(axis=1)
    good = np.flatnonzero(np.isin(strong, GC_OF_WORD) & meets & ~runs)
    # Spread over all of them, so that no beginning is rarer than another.
    chosen = good[np.linspace(0, len(good) - 1, _NUM_WORDS).astype(np.int64)]
    value_of = np.full(4**WORD_BASES, _NO_WORD, dtype=np.int64)
    value_of[chosen] = np.arange(_NUM_WORDS)
    return words[chosen], value_of


def _stream(length: int) -> np.ndarray:
    """(length,) uint8 of a fixed stream of random bits: Philox's raw numbers, which numpy never changes."""
    numbers = np.random.Philox(key=_NUM_WORDS).random_raw(-(-length // 8))
    return np.asarray(numbers, dtype="<u8").view(np.uint8)[:length]


@lru_cache(maxsize=1)
def _field() -> tuple[np.ndarray, np.ndarray]:
    """Powers of 2 in GF(256), (510,) uint8, and the logarithm of each element, (256,) int64; of 0 it is 0."""
    powers, value = np.zeros(2 * _MOST_WORDS, dtype=np.uint8), 1
    for exponent in range(_MOST_WORDS):
        powers[exponent] = powers[exponent + _MOST_WORDS] = value
        value <<= 1
        value ^= _FIELD_POLYNOMIAL if value & 0x100 else 0
    logarithms = np.zeros(256, dtype=np.int64)
    logarithms[powers[:_MOST_WORDS]] = np.arange(_MOST_WORDS)
    return powers, logarithms


def _times(a: np.ndarray, exponent: np.ndarray | int) -> np.ndarray:
    """Elements of GF(256) times a power of 2."""
    powers, logarithms = _field()
    return np.where(a == 0, 0, powers[(logarithms[a] + exponent) % _MOST_WORDS]).astype(np.uint8)


def _syndromes(lanes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B, 2) sums over the words of (B, W, 2) lanes, plain and each times 2 to its place."""
    places = np.arange(lanes.shape[1])[None, :, None]
    return np.bitwise_xor.reduce(lanes, axis=1), np.bitwise_xor.reduce(_times(lanes, places), axis=1)


def _parity(lanes: np.ndarray) -> np.ndarray:
    """(B, 2, 2): two words behind (B, W, 2) that make both sums zero."""
    powers, logarithms = _field()
    plain, weighted = _syndromes(lanes)
    first, second = lanes.shape[1], lanes.shape[1] + 1
    both = logarithms[powers[first % _MOST_WORDS] ^ powers[second % _MOST_WORDS]]
    last = _times(weighted ^ _times(plain, first), _MOST_WORDS - both)
    return np.stack([plain ^ last, last], axis=1)


def _corrected(lanes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lanes (B, W, 2) with one wrong word put right; (B,) in which blocks, and (B,) where it cannot be."""
    _, logarithms = _field()
    plain, weighted = _syndromes(lanes)
    wrong = (plain != 0) | (weighted != 0)
    place = (logarithms[weighted] - logarithms[plain]) % _MOST_WORDS
    lost = wrong & ((plain == 0) | (weighted == 0) | (place >= lanes.shape[1]))
    # One wrong word: where both its bytes are wrong, both point at it.
    apart = wrong.all(axis=1) & (place[:, 0] != place[:, 1])
    lost_blocks = lost.any(axis=1) | apart
    fixed = lanes.copy()
    blocks, lane = np.nonzero(wrong & ~lost_blocks[:, None])
    fixed[blocks, place[blocks, lane], lane] ^= plain[blocks, lane]
    return fixed, wrong.any(axis=1), lost_blocks
