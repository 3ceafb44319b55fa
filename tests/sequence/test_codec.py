"""The codec: round trips, limits of runs and GC, and every single substitution of a block put right."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genoseq.errors import ConfigError, DataError, SequenceError
from genoseq.sequence import decode_bytes, encode_bytes


def longest_run(text):
    return max(len(list(run)) for _, run in groupby(text))


def gc(text):
    return (text.count("G") + text.count("C")) / len(text)


def substituted(text, place, step):
    return text[:place] + "ACGT"[("ACGT".index(text[place]) + step) % 4] + text[place + 1 :]


@settings(max_examples=60)
@given(data=st.binary(max_size=300), half=st.integers(1, 253))
def test_bytes_come_back_within_the_limits(data, half):
    blocks = encode_bytes(data, block_bytes=2 * half)
    assert decode_bytes(blocks).data == data
    assert {len(block) for block in blocks} == {9 * (half + 2)}
    assert longest_run("".join(blocks)) <= 3
    assert all(4 / 9 <= gc(block) <= 5 / 9 for block in blocks)


@settings(max_examples=60)
@given(data=st.binary(min_size=1, max_size=200), half=st.integers(1, 60), seed=st.integers(0, 99))
def test_one_substitution_in_every_block_is_put_right(data, half, seed):
    generator = np.random.default_rng(seed)
    blocks = encode_bytes(data, block_bytes=2 * half)
    noisy = [
        substituted(block, int(generator.integers(len(block))), int(generator.integers(1, 4)))
        for block in blocks
    ]
    decoded = decode_bytes(noisy)
    assert decoded.data == data
    assert decoded.corrected == tuple(range(len(blocks)))


def test_every_single_substitution_of_a_block():
    (block,) = encode_bytes(b"designed", block_bytes=20)
    for place in range(len(block)):
        for step in (1, 2, 3):
            assert decode_bytes([substituted(block, place, step)]).data == b"designed"


def test_a_megabyte_that_repeats():
    data = bytes(1 << 20)
    blocks = encode_bytes(data)
    assert longest_run("".join(blocks)) == 3
    assert all(4 / 9 <= gc(block) <= 5 / 9 for block in blocks[::50])
    assert len(set(blocks)) == len(blocks)
    assert 8 * len(data) / sum(map(len, blocks)) > 1.74
    assert decode_bytes(blocks).data == data


def test_lower_case_and_unknown_bases_are_substitutions():
    (block,) = encode_bytes(b"hello", block_bytes=20)
    assert decode_bytes([block.lower()]).data == b"hello"
    assert decode_bytes([block[:30] + "N" + block[31:]]).data == b"hello"


def test_more_than_can_be_put_right_is_never_silent():
    data = bytes(range(100))
    blocks = encode_bytes(data, block_bytes=40)
    generator = np.random.default_rng(1)
    for _ in range(300):
        noisy, number = list(blocks), int(generator.integers(len(blocks)))
        for place in generator.choice(len(blocks[0]), size=3, replace=False):
            noisy[number] = substituted(noisy[number], int(place), int(generator.integers(1, 4)))
        try:
            assert decode_bytes(noisy).data == data
        except DataError as error:
            assert f"block {number} " in str(error) or "checksum" in str(error)  # noqa: PT017


def test_what_is_no_such_code():
    blocks = encode_bytes(bytes(500), block_bytes=100)
    with pytest.raises(ConfigError, match="block_bytes=7"):
        encode_bytes(b"", block_bytes=7)
    with pytest.raises(DataError, match="no blocks"):
        decode_bytes([])
    with pytest.raises(DataError, match=r"block 1 .* missing or inserted"):
        decode_bytes([blocks[0], blocks[1][:-1], *blocks[2:]])
    with pytest.raises(DataError, match="multiple of 9"):
        decode_bytes(["ACGT"])
    with pytest.raises(DataError, match="checksum"):
        decode_bytes([blocks[1], blocks[0], *blocks[2:]])
    with pytest.raises(DataError, match="checksum"):
        decode_bytes(blocks[:-1])
    with pytest.raises(SequenceError, match="nucleotide"):
        decode_bytes([blocks[0][:-1] + "!", *blocks[1:]])
