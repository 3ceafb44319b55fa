"""Sequences come in order, with their names, whatever file they are in; mistakes name the sequence."""

import pandas as pd
import pytest

from genoseq.data.fasta import Fasta
from genoseq.errors import CheckpointError, ConfigError, DataError, IntervalError, SequenceError
from genoseq.inference import Record, read_records
from genoseq.inference.records import tokenize
from genoseq.models.chunks import batches
from genoseq.sequence import reverse_complement


def test_fasta_in_order(tiny_fasta):
    records = list(read_records(tiny_fasta))
    assert [(record.name, len(record.sequence)) for record in records] == [("chr1", 5000), ("chr2", 3000)]
    assert records == list(read_records(fasta=tiny_fasta))
    assert records[1].sequence == Fasta(tiny_fasta).fetch("chr2", 0, 3000)


def test_bed_keeps_order_names_and_strand(tiny_fasta, tmp_path):
    bed = tmp_path / "peaks.bed"
    bed.write_text("chr2\t10\t20\tsecond\t0\t-\nchr1\t5\t9\nchr1\t5\t9\tsecond\t0\t+\n")
    fasta = Fasta(tiny_fasta)
    assert list(read_records(fasta=tiny_fasta, bed=bed)) == [
        Record("second", reverse_complement(fasta.fetch("chr2", 10, 20))),
        Record("chr1:5-9(.)", fasta.fetch("chr1", 5, 9)),
        Record("second", fasta.fetch("chr1", 5, 9)),
    ]


def test_sequences_that_wait_until_they_are_read(tiny_fasta, tmp_path):
    bed = tmp_path / "peaks.bed"
    bed.write_text("chr2\t10\t20\tsecond\t0\t-\nchr1\t5\t9\n")
    for source in ({"fasta": tiny_fasta, "bed": bed}, {"fasta": tiny_fasta}):
        lazy = list(read_records(**source, lazily=True))
        assert not any(isinstance(record.sequence, str) for record in lazy)
        assert [Record(name, letters[:]) for name, letters in lazy] == list(read_records(**source))
    empty = tmp_path / "x.fa"
    empty.write_text(">a\n>b\nAC\n")
    assert [len(record.sequence) for record in read_records(empty, lazily=True)] == [0, 2]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".tsv.gz"])
def test_tables(tmp_path, ending):
    table = pd.DataFrame({"id": ["b", "a"], "seq": ["NAN", "ACGT"]})
    path = tmp_path / f"x{ending}"
    if ending == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, sep="," if ending == ".csv" else "\t", index=False)
    named = list(read_records(path, sequence_column="seq", name_column="id"))
    assert named == [Record("b", "NAN"), Record("a", "ACGT")]
    assert [record.name for record in read_records(path, sequence_column="seq")] == ["0", "1"]


@pytest.mark.parametrize("sources", [{}, {"input": "a.fa", "fasta": "b.fa"}, {"input": "a", "bed": "b"}])
def test_one_source_is_wanted(sources):
    with pytest.raises(ConfigError, match="fasta=FILE"):
        read_records(**sources)


def test_broken_sources(tiny_fasta, tmp_path):
    bed = tmp_path / "x.bed"
    with pytest.raises(DataError, match="does not exist"):
        list(read_records(tmp_path / "no.fa"))
    for text, error in (("chr9\t1\t2\n", DataError), ("chr1\t4990\t6000\n", IntervalError)):
        bed.write_text(text)
        with pytest.raises(error, match=r"chr9|6,?000"):
            list(read_records(fasta=tiny_fasta, bed=bed))
    (tmp_path / "x.csv").write_text("name,seq\na,ACGT\n")
    with pytest.raises(DataError, match="'sequence'"):
        list(read_records(tmp_path / "x.csv"))


def test_batches_are_consecutive():
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    with pytest.raises(ConfigError, match="batch_size=0"):
        list(batches(range(5), 0))


def test_padding_and_special_tokens_are_no_letters(language_model):
    tokens = tokenize([Record("a", "ACG"), Record("b", "AN")], language_model)
    assert tokens.letters.tolist() == [[True, True, True, False], [False, True, True, False]]
    assert tokens.mask.tolist() == [[True] * 4, [False, True, True, True]]
    assert tokenize([Record("a", "ACG")], language_model).mask is None


@pytest.mark.parametrize(
    ("sequence", "message"),
    [("", "culprit: the sequence is empty"), ("ACX", "culprit: .*X"), ("A" * 64, "culprit: 65 tokens.*64")],
)
def test_mistakes_name_the_sequence(language_model, sequence, message):
    with pytest.raises(SequenceError, match=message):
        tokenize([Record("fine", "ACGT"), Record("culprit", sequence)], language_model)


def test_a_model_without_a_tokenizer(language_model):
    language_model.tokenizer = None
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        tokenize([Record("a", "ACGT")], language_model)
