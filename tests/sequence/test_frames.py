"""Open reading frames: against a reader that goes codon by codon, and by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import ConfigError
from genoseq.sequence import genetic_code, longest_open_frame, reverse_complement


def slow(sequence: str, number: int) -> int:
    """Bases of the longest one, a codon at a time."""
    code, best = genetic_code(number), 0
    for letters in (sequence, reverse_complement(sequence)):
        for phase in range(3):
            begin = None
            for place in range(phase, len(letters) - 2, 3):
                codon = letters[place : place + 3]
                if begin is None and "N" not in codon and code.is_start(codon):
                    begin = place
                if begin is not None:
                    best = max(best, place + 3 - begin)
                if "N" not in codon and code.is_stop(codon):
                    begin = None
    return best


@given(sequence=st.text(alphabet="ACGTN", max_size=80), number=st.sampled_from([1, 2, 11]))
def test_as_a_reader_of_codons(sequence: str, number: int) -> None:
    frame = longest_open_frame(sequence, number)
    assert (frame.stop - frame.start if frame else 0) == slow(sequence, number)
    if frame is None:
        return
    letters = sequence[frame.start : frame.stop]
    letters = letters if frame.strand == "+" else reverse_complement(letters)
    code = genetic_code(number)
    assert code.is_start(letters[:3])
    known = [letters[i : i + 3] for i in range(0, len(letters), 3)]
    stops = [code.is_stop(codon) for codon in known if "N" not in codon]
    assert not any(stops[:-1])
    assert frame.ends == code.is_stop(known[-1])
    assert frame.num_codons == len(known) - frame.ends


def test_by_hand() -> None:
    assert longest_open_frame("CCATGAAATAACC") == (2, 11, "+", True)
    assert longest_open_frame("GGTTATTTCATGG") == (2, 11, "-", True)
    assert longest_open_frame("CATGAAACCCGG") == (1, 10, "+", False)
    assert longest_open_frame("CCCCCC") is None
    assert longest_open_frame("") is None
    with pytest.raises(ConfigError):
        longest_open_frame("ATG", 999)
