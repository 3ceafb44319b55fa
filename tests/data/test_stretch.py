"""A stretch of a genome reads as the text of it would."""

import pytest

from genoseq.data.fasta import Fasta
from genoseq.data.stretch import Stretch
from genoseq.errors import DataError, IntervalError
from genoseq.sequence import Interval, reverse_complement


@pytest.mark.parametrize("strand", ["+", "-", "."])
def test_parts_are_those_of_the_text(tiny_fasta, strand):
    fasta = Fasta(tiny_fasta)
    text = fasta.fetch("chr2", 2900, 3000)
    if strand == "-":
        text = reverse_complement(text)
    stretch = Stretch(fasta, Interval("chr2", 2900, 3000, strand))
    assert len(stretch) == 100
    assert stretch[:] == text
    for start, end in ((0, 1), (0, 100), (99, 100), (37, 61), (90, 1000), (50, 50), (60, 40), (200, 300)):
        assert stretch[start:end] == text[start:end]
    assert "".join(stretch[start : start + 7] for start in range(0, 100, 7)) == text


def test_places_are_checked_before_anything_is_read(tiny_fasta):
    fasta = Fasta(tiny_fasta)
    with pytest.raises(IntervalError, match="2990-3001"):
        Stretch(fasta, Interval("chr2", 2990, 3001))
    with pytest.raises(DataError, match="chr9"):
        Stretch(fasta, Interval("chr9", 0, 1))
