"""`genoseq train` makes a run folder, its report, and a model that the other verbs take."""

import json

import pandas as pd
import pytest

from genoseq.cli import main
from genoseq.models import load
from genoseq.tokenizers import BpeTokenizer

TINY = [
    "model.d_model=16",
    "model.num_layers=1",
    "model.filter_order=8",
    "model.l_max=130",
    "data=genome",
    "data.length=128",
    "data.examples_per_epoch=16",
    "global_batch_size=4",
    "trainer=cpu",
    "trainer.max_steps=2",
]


@pytest.fixture
def trained(tiny_fasta, tmp_path):
    """`trained(*settings)`: the run folder, its name full of Hydra's own signs."""
    folder = tmp_path / "runs" / "a=1,b(c)"

    def train(*settings):
        main(["train", *TINY, f"data.fasta={tiny_fasta}", f"run_dir={folder}", *settings])
        return folder

    return train


def test_a_run_and_what_follows(trained, tmp_path):
    folder = trained()
    for name in ("config.yaml", "metrics.csv", "report.html", "model/model.safetensors"):
        assert (folder / name).is_file(), name
    out = tmp_path / "x.fa"
    main(["generate", f"checkpoint={folder}", f"out={out}", "length=60", "num_sequences=2"])
    assert out.read_text().count(">") == 2
    assert load(folder).backbone.d_model == 16


@pytest.mark.parametrize("kind", ["kmer", "kmer_dnabert", "bpe"])
def test_a_run_of_other_tokens(trained, tmp_path, kind):
    tokenizer = BpeTokenizer.train(["ACGTTTGACAACGTTTACGA" * 20], vocab_size=16, special_tokens="none")
    settings = {
        "kmer": ["tokenizer@data.tokenizer=kmer", "model.vocab_size=4128", "data.length=126"],
        "kmer_dnabert": ["tokenizer@data.tokenizer=kmer_dnabert", "model.vocab_size=4101"],
        "bpe": [
            "tokenizer@data.tokenizer=file",
            f"data.tokenizer.file={tokenizer.save(tmp_path)}",
            "model.vocab_size=16",
        ],
    }
    folder = trained(*settings[kind], "test=true", "report=false", "baselines=genome")
    model = load(folder)
    assert model.tokenizer.tokenizer_type == kind.partition("_")[0]
    assert model.embed(["ACGTACGTAAT", "ACG"]).shape == (2, 16)
    rows = json.loads((folder / "results.json").read_text())["rows"]
    # Words of other tokens are scored per base as well: no better than chance, and not much worse.
    assert 1.9 < rows[0]["metrics"]["bits_per_base"] < (13 if kind == "kmer_dnabert" else 8)
    table = pd.read_parquet(folder / "predictions.parquet")
    assert (table["num_bases"] <= table["end"] - table["start"]).all()


def test_tokenizer_files_that_are_none(mistake, trained, tmp_path):
    tokenizer = ["tokenizer@data.tokenizer=file", f"data.tokenizer.file={tmp_path / 't.json'}"]
    assert "t.json cannot be read" in mistake(trained, *tokenizer)
    (tmp_path / "t.json").write_text('{"model": {"type": "Unigram", "vocab": []}}')
    assert "type 'Unigram'; wanted BPE" in mistake(trained, *tokenizer)
    assert "set the model's vocab_size" in mistake(trained, "tokenizer@data.tokenizer=kmer")


def test_resume_takes_the_settings_of_the_run(trained, tiny_fasta, mistake):
    folder = trained()
    main(["train", f"resume={folder}", "trainer.max_steps=3"])
    assert "max_steps: 3" in (folder / "config.yaml").read_text()
    assert "d_model" in mistake(main, ["train", f"resume={folder}", "model.d_model=32"])
    assert "resume=never" in mistake(trained)


def test_mistyped_settings_of_a_run(mistake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given, wanted in (
        ("modle.d_model=3", "model.d_model"),
        ("model.d_modle=3", "model.d_model"),
        ("lr=1e-3", "optimizer.lr"),
        ("model=hyenadna_tiny", "hyenadna_tiny_1k"),
        ("experiment=celegan", "Did you mean celegans?"),
        ("trainer.max_step=3", "trainer.max_steps"),
    ):
        assert wanted in mistake(main, ["train", given])
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_experiments(capsys, tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\n# What mine is for.\nseed: 1\n")
    main(["train", "--help", "--config-dir", str(tmp_path)])
    page = capsys.readouterr().out
    assert "What mine is for." in page
    assert "hyenadna_tiny_1k" in page
