"""What tests of tokenizers share."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from genoseq.sequence import CodingRegion


@st.composite
def _annotated(draw: st.DrawFn) -> tuple[str, list[CodingRegion]]:
    """A sequence and disjoint regions on it."""
    sequence = draw(st.text(alphabet="ACGTN", max_size=80))
    places = draw(st.lists(st.integers(0, len(sequence)), unique=True, max_size=8))
    bounds = sorted(places)
    last = len(bounds) // 2 * 2
    regions = zip(bounds[0:last:2], bounds[1:last:2], strict=True)
    kinds = st.tuples(st.sampled_from("+-"), st.integers(0, 2))
    return sequence, [CodingRegion(start, stop, *draw(kinds)) for start, stop in regions]


@pytest.fixture(scope="session")
def annotated() -> Any:
    """A strategy: a sequence and disjoint coding regions on it."""
    return _annotated()
