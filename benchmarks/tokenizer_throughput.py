"""Bases a second on one core: letters to ids, ids to letters, and the opposite strand of either.

    python benchmarks/tokenizer_throughput.py

Twenty million random bases, in windows of 1,000 and 1,000,000 as training has them and in one piece; best of
three passes. Ends with status 1 where encoding is below 50 million bases a second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from genoseq.sequence import decode_bases, reverse_complement
from genoseq.tokenizers import CharacterTokenizer

TOTAL_BASES = 20_000_000
WINDOWS = (1_000, 1_000_000, TOTAL_BASES)
PASSES = 3
REQUIRED_ENCODING_RATE = 50e6


def rate(function: Callable[[Any], object], windows: Sequence[Any]) -> float:
    """Bases a second of the fastest pass of `function` over all windows."""
    seconds = []
    for _ in range(PASSES):
        start = time.perf_counter()
        for window in windows:
            function(window)
        seconds.append(time.perf_counter() - start)
    return TOTAL_BASES / min(seconds)


def measure(sequence: str, window: int) -> dict[str, float]:
    """Rates of every operation at one window length."""
    tokenizer = CharacterTokenizer()
    letters = [sequence[start : start + window] for start in range(0, TOTAL_BASES, window)]
    ids = [tokenizer.encode(text) for text in letters]
    return {
        "encode": rate(tokenizer.encode, letters),
        "decode": rate(tokenizer.decode, ids),
        "reverse complement, letters": rate(reverse_complement, letters),
        "reverse complement, ids": rate(tokenizer.reverse_complement, ids),
    }


def main() -> int:
    torch.set_num_threads(1)
    codes = np.random.default_rng(0).integers(0, 4, TOTAL_BASES, dtype=np.uint8)
    sequence = decode_bases(codes)
    rates = {window: measure(sequence, window) for window in WINDOWS}
    print(f"{'million bases a second on one core':36}" + "".join(f"{window:>13,}" for window in WINDOWS))
    for operation in rates[TOTAL_BASES]:
        print(f"{operation:36}" + "".join(f"{rates[window][operation] / 1e6:13.0f}" for window in WINDOWS))
    slowest = min(rates[window]["encode"] for window in WINDOWS)
    return 0 if slowest >= REQUIRED_ENCODING_RATE else 1


if __name__ == "__main__":
    sys.exit(main())
