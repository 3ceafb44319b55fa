"""Paths, sequences and chromosome names come out of Hydra's grammar as they went in."""

import string

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from genoseq.cli.text_values import protect_text, quote


def parsed(argument, *, multirun=False):
    return OverridesParser.create().parse_override(protect_text(argument, multirun=multirun))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("out=/data/run=3/m", "/data/run=3/m"),
        ("out=~/x", "~/x"),
        ("out=a(b).fa", "a(b).fa"),
        ("out=a,b.fa", "a,b.fa"),
        ("out=it's here.fa", "it's here.fa"),
        ("out=C:\\data\\", "C:\\data\\"),
        ("out=1e5", "1e5"),
        ("out=", ""),
        ("prompt=NAN", "NAN"),
        ("prompt=007", "007"),
        ("name=true", "true"),
        ("out='quoted already'", "quoted already"),
        ("out=null", None),
        ("chromosomes=[1,2,X]", ["1", "2", "X"]),
        ("data.classes={T1: left, T2:1e5}", {"T1": "left", "T2": "1e5"}),
        ("data.split.test=[01, chrUn(b), NC_1.1]", ["01", "chrUn(b)", "NC_1.1"]),
        ("data.split.test=[]", []),
        ("data.split.train=0.7", 0.7),
        ("data.split.test=1", 1),
        ("data.split.test=1.bed", "1.bed"),
        ("data.fasta=[a=1.fa,'b,c.fa']", ["a=1.fa", "b,c.fa"]),
        ("data.fasta=genoseq:genomes/x.fa.gz", "genoseq:genomes/x.fa.gz"),
        ("+data.test=/x/y=1.tsv", "/x/y=1.tsv"),
        ("some.other.key=/x/y=1(2)", "/x/y=1(2)"),
        ("resume=/runs/a=1", "/runs/a=1"),
    ],
)
def test_text_stays_text(argument, value):
    assert parsed(argument).value() == value


@pytest.mark.parametrize(
    ("argument", "value"),
    [("size=3", 3), ("test=true", True), ("lr=1e-3", 1e-3), ("x=[1,2]", [1, 2]), ("model={a: 1}", {"a": 1})],
)
def test_other_settings_keep_the_grammar(argument, value):
    assert parsed(argument).value() == value


def test_hydras_own_settings_are_left_alone():
    argument = 'hydra.run.dir="/runs/a=1"'
    assert protect_text(argument) == argument
    assert protect_text("hydra.job.name=3") == "hydra.job.name=3"


def test_an_interpolation_in_a_path_is_kept():
    assert parsed("run_dir=runs/${name}").value() == "runs/${name}"


def test_multirun_sweeps_over_texts():
    sweep = parsed("checkpoint=/a=1,b(c)", multirun=True)
    assert list(sweep.sweep_string_iterator()) == ["'/a=1'", "'b(c)'"]
    lists = parsed("chromosomes=[1,2],[X]", multirun=True)
    assert list(lists.sweep_string_iterator()) == ["['1','2']", "['X']"]
    assert not parsed("out='a,b.fa'", multirun=True).is_sweep_override()
    assert parsed("checkpoint=choice(a,b)", multirun=True).is_sweep_override()


@settings(max_examples=300, deadline=None)
@given(st.text(string.printable.replace("\n", "").replace("\r", "") + "äλ", min_size=1))
def test_any_text_survives_quoting(text):
    assert OverridesParser.create().parse_override(f"out={quote(text)}").value() == text
