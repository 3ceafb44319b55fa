"""Every base of a sequence changed to every other, and what the model makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from genoseq.data.alleles import AllelePair
from genoseq.errors import SequenceError
from genoseq.inference.records import Record, naming
from genoseq.inference.regions import Region
from genoseq.inference.variants import VariantScorer
from genoseq.models.chunks import batches

_BASES = "ACGT"


def saturation_mutagenesis(scorer: VariantScorer, regions: Iterable[Region]) -> Iterator[pd.DataFrame]:
    """Scores of all single-base changes.

    Args:
        scorer: what is scored; its window is not asked: a sequence is read as it is.
        regions: sequences, and the part of each that is mutated.

    Yields:
        A table a region, in order, with the columns `name`, `position` (from 0 along the part), for intervals
        also `chromosome` and `genome_position` (from 0), `reference` and `alternate` (on the strand of the
        interval), and the scores, as `score_variants` has them. An N is left as it is.

    Raises:
        SequenceError: a sequence that is empty, too long or no nucleotides; the message names it.
        DeviceError: a batch does not fit in memory.
    """
    for region in regions:
        yield _of_region(scorer, region)


def _of_region(scorer: VariantScorer, region: Region) -> pd.DataFrame:
    changes = [
        (position, base, other)
        for position, base in enumerate(region.letters)
        for other in _BASES
        if base in _BASES and other != base
    ]
    with naming(Record(region.name, region.sequence)):
        if not changes:
            raise SequenceError("there is no A, C, G or T to change. Remove it.")
        pairs = (_pair(region, position, other) for position, _, other in changes)
        scores = [scorer.of(batch) for batch in batches(pairs, scorer.settings.batch_size)]
    positions, references, alternates = zip(*changes, strict=True)
    table = {
        **region.places(np.array(positions)),
        "reference": list(references),
        "alternate": list(alternates),
    }
    values = np.concatenate(scores)
    return pd.DataFrame(table | {column.name: values[:, i] for i, column in enumerate(scorer.columns)})


def _pair(region: Region, position: int, base: str) -> AllelePair:
    place = region.start + position
    changed = region.sequence[:place] + base + region.sequence[place + 1 :]
    return AllelePair(region.sequence, changed, place, 1)
