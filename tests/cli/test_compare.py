"""`genoseq compare`: two checkpoints on the same examples, and mistakes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from genoseq.cli import main
from genoseq.data.tables import read_table
from genoseq.models import HyenaDNA, LanguageModelHead, SequenceHead, SequenceModel
from genoseq.paths import data_dir
from genoseq.statistics import paired_bootstrap
from genoseq.tokenizers import CharacterTokenizer, KmerTokenizer


def saved(folder, *, seed=0, kmers=False, outputs=2, language=False):
    torch.manual_seed(seed)
    tokenizer = KmerTokenizer(k=3) if kmers else CharacterTokenizer()
    backbone = HyenaDNA(
        d_model=8, num_layers=1, l_max=400, filter_order=8, vocab_size=tokenizer.vocab_size,
        initializer_range=0.5,
    )  # fmt: skip
    if language:
        return SequenceModel(backbone, LanguageModelHead(backbone), tokenizer).save(folder)
    head = SequenceHead(backbone, num_outputs=outputs)
    classes = [str(name) for name in range(outputs)]
    described = {"problem": "single_label", "classes": classes, "strand": "stranded"}
    return SequenceModel(backbone, head, tokenizer, described).save(folder)


@pytest.fixture
def data(tmp_path):
    paths = []
    for part in ("train", "test"):
        whole = read_table(data_dir() / f"labelled/umaydis_splice_donors/{part}.tsv.gz")
        path = tmp_path / f"{part}.csv"
        whole.sample(80, random_state=1).to_csv(path, index=False)
        paths.append(f"data.{part}={path}")
    return ["data=labelled", *paths, "data.leaks=report", "data.leak_k=12", "device=cpu"]


def test_two_models_on_the_same_examples(data, tmp_path):
    # The second reads other tokens: what is compared are the examples.
    first, second = saved(tmp_path / "a=1"), saved(tmp_path / "b(2)", seed=1, kmers=True)
    checkpoints = [f"a={first}", f"b={second}"]
    out, table = tmp_path / "out.json", tmp_path / "examples.parquet"
    main(["compare", *checkpoints, *data, f"out={out}", "resamples=200"])
    main(["compare", *checkpoints, *data, f"out={table}", "resamples=20"])
    examples, results = pd.read_parquet(table), json.loads(out.read_text())
    assert len(examples) == 80
    right = {side: (examples[f"{side}_prediction"] == examples["label"]).to_numpy() for side in "ab"}
    apart = results["differences"]["rows"]["accuracy"]
    assert apart["mean"] == pytest.approx(right["a"].mean() - right["b"].mean())
    assert apart["low"] <= apart["mean"] <= apart["high"]
    other = paired_bootstrap(right["a"].astype(float), right["b"].astype(float))
    assert apart["low"] == pytest.approx(other.low, abs=0.04)
    assert set(results["differences"]["rows"]) == {"accuracy", "mcc", "f1", "auroc", "auprc"}
    for side, path in (("a", first), ("b", second)):
        one = tmp_path / f"{side}.tsv"
        main(["evaluate", f"checkpoint={path}", *data, f"out={one}"])
        alone = pd.read_csv(one, sep="\t")
        assert np.allclose(alone["probability_1"], examples[f"{side}_probability_1"], atol=1e-6)
    same = tmp_path / "same.json"
    main(["compare", f"a={first}", f"b={first}", *data, f"out={same}", "resamples=20"])
    assert json.loads(same.read_text())["differences"]["rows"]["mcc"]["high"] == 0


def test_language_models_are_compared_by_block(tiny_fasta, tmp_path):
    first, second = (saved(tmp_path / f"lm{seed}", seed=seed, language=True) for seed in (0, 1))
    out = tmp_path / "out.json"
    data = ["data=genome", f"data.fasta={tiny_fasta}", "data.length=128", "device=cpu"]
    main(["compare", f"a={first}", f"b={second}", *data, f"out={out}"])
    mine, theirs = json.loads(out.read_text())["rows"]
    assert theirs["versus_model"]["unit"] == "20 kb block"
    apart = mine["metrics"]["bits_per_base"] - theirs["metrics"]["bits_per_base"]
    assert theirs["versus_model"]["mean"] == pytest.approx(apart, abs=1e-3)


def test_models_of_different_things_are_refused(data, tmp_path, refused):
    first, second = saved(tmp_path / "two"), saved(tmp_path / "three", outputs=3)
    language = saved(tmp_path / "language", language=True)
    assert "the checkpoint is for language_model" in refused(
        ["compare", f"a={first}", f"b={language}", *data]
    )
    message = refused(["compare", f"a={first}", f"b={second}", *data])
    assert "the data have the classes 0, 1, the checkpoint has 0, 1, 2" in message
    assert "give .json" in refused(["compare", f"a={first}", f"b={first}", *data, "out=x.png"])
