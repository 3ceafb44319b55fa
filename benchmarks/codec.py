"""The codec on a file: time, rate, limits, and every block with one wrong base put right.

    python benchmarks/codec.py [FILE] [--megabytes 1] [--block-bytes 240]

Without a file, random bytes. In one block every single substitution there is (three a base) is tried, and in
all blocks one at random at the same time. Times are of one core.
"""

from __future__ import annotations

import argparse
import time
from itertools import groupby
from pathlib import Path

import numpy as np

from genoseq.sequence import decode_bytes, encode_bytes


def substituted(block: str, place: int, step: int) -> str:
    return block[:place] + "ACGT"[("ACGT".index(block[place]) + step) % 4] + block[place + 1 :]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--megabytes", type=float, default=1.0)
    parser.add_argument("--block-bytes", type=int, default=240, help="even, 14 or more")
    given = parser.parse_args()
    generator = np.random.default_rng(0)
    data = given.file.read_bytes() if given.file else generator.bytes(int(given.megabytes * 2**20))
    # The table of words is made at the first call.
    decode_bytes(encode_bytes(b"", block_bytes=given.block_bytes))
    began = time.process_time()
    blocks = encode_bytes(data, block_bytes=given.block_bytes)
    encoding = time.process_time() - began
    noisy = [
        substituted(block, int(generator.integers(len(block))), int(generator.integers(1, 4)))
        for block in blocks
    ]
    began = time.process_time()
    decoded = decode_bytes(noisy)
    decoding = time.process_time() - began
    assert decoded.data == data
    assert len(decoded.corrected) == len(blocks)
    # As much as one block has room for, beside the length and checksum of all.
    (single,) = encode_bytes(data[: given.block_bytes - 12], block_bytes=given.block_bytes)
    tried = [substituted(single, place, step) for place in range(len(single)) for step in (1, 2, 3)]
    assert {decode_bytes([block]).data for block in tried} == {data[: given.block_bytes - 12]}
    joined = "".join(blocks)
    shares = [(block.count("G") + block.count("C")) / len(block) for block in blocks]
    print(f"{len(data):,} bytes in {len(blocks):,} blocks of {len(blocks[0]):,} bases")
    print(f"{8 * len(data) / len(joined):.3f} bits a base")
    print(f"one block: all {len(tried):,} single substitutions put right; all blocks: one each")
    print(f"longest run {max(len(list(run)) for _, run in groupby(joined))}")
    print(f"GC of a block {min(shares):.3f} to {max(shares):.3f}")
    print(f"encoded in {encoding:.2f} s, decoded with one wrong base in every block in {decoding:.2f} s")


if __name__ == "__main__":
    main()
