"""The one place that says how loops are compiled, and where the compiled code is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numba
import numpy as np

from genoseq.paths import cache_dir

Integer = int | np.integer[Any]
"""What compiled code passes about: a Python number at its door, a 64-bit one inside."""

if "NUMBA_CACHE_DIR" not in os.environ and not os.access(Path(__file__).parent, os.W_OK):
    # An installed package may be read-only, and the home folder that numba would then try may be so too.
    os.environ["NUMBA_CACHE_DIR"] = str(cache_dir() / "numba")
    numba.config.reload_config()

compiled = numba.njit(cache=True, error_model="numpy")
"""Decorator: compile at the first call and keep the result for the next process."""

inlined = numba.njit(inline="always", error_model="numpy")
"""Decorator: pasted into the compiled functions that call it; a table of many arrays is dear to hand over."""
