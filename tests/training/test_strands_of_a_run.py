"""What becomes of the strands is declared once: training, its folder, and all that uses it agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from genoseq.cli import main
from genoseq.errors import ConfigError, SequenceError
from genoseq.paths import configs_dir
from genoseq.training import train
from genoseq.training.assembly import build_model, build_task
from genoseq.training.plan import plan

HYENA = ("model.d_model=8", "model.num_layers=1", "model.filter_order=8", "model.l_max=64")
CADUCEUS = ("model=caduceus_ps_tiny", "model.d_model=8", "model.num_layers=1", "model.d_state=4")
Settings = Callable[..., DictConfig]


def composed(verb: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return compose(verb, overrides=list(overrides))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """`settings(*overrides)`: two steps of fine-tuning on sequences of 17 to 20 bases."""
    generator = np.random.default_rng(0)
    for part, rows in (("train", 16), ("validation", 6), ("test", 7)):
        texts = [
            "".join(generator.choice(list("ACGT"), size=generator.integers(17, 21))) for _ in range(rows)
        ]
        table = pd.DataFrame({"sequence": texts, "label": (["no", "yes"] * 8)[:rows]})
        table.assign(bases=[text.translate(str.maketrans("ACGT", "nyyn")) for text in texts]).to_csv(
            tmp_path / f"{part}.tsv", sep="\t", index=False
        )
    files = [f"data.{part}={tmp_path / part}.tsv" for part in ("train", "validation", "test")]

    def make(*overrides: str, model: tuple[str, ...] = HYENA) -> DictConfig:
        fixed = ["data=labelled", "head=classification", "task=sequence_prediction", "trainer=cpu"]
        steps = [
            "global_batch_size=8",
            "trainer.max_steps=2",
            "ema_decay=null",
            "callbacks.checkpoint.mode=min",
        ]
        monitor = ["callbacks.checkpoint.monitor=val/loss", f"run_dir={tmp_path / 'run'}", "resume=auto"]
        return composed(
            "train", *fixed, *steps, *monitor, *files, *model, "data.strand=unstranded", *overrides
        )

    return make


def probabilities(path: Path) -> np.ndarray:
    return pd.read_table(path)["probability_yes"].to_numpy()


@pytest.mark.parametrize("strands", ["augment", "average", "echo", "repeat"])
def test_a_run_and_what_uses_it(settings: Settings, tmp_path: Path, strands: str) -> None:
    folder, results = train(settings(f"data.strands={strands}", "test=true"))
    assert results is not None
    assert json.loads((folder / "model" / "preprocessing.json").read_text())["strands"] == strands
    tested = pd.read_parquet(folder / "predictions.parquet")["probability_yes"].to_numpy()

    def out(verb: str, name: str, *arguments: str) -> np.ndarray:
        main([verb, f"checkpoint={folder}", f"out={tmp_path / name}.tsv", *arguments])
        return probabilities(tmp_path / f"{name}.tsv")

    test = f"{tmp_path / 'test.tsv'}"
    # Whatever the data of an evaluation say for training: the model knows.
    data = [
        "data=labelled",
        f"data.train={tmp_path / 'train.tsv'}",
        f"data.test={test}",
        "data.strand=unstranded",
    ]
    np.testing.assert_allclose(out("evaluate", "evaluated", *data), tested, atol=1e-6)
    np.testing.assert_allclose(out("predict", "predicted", f"input={test}"), tested, atol=1e-6)
    plain = out("predict", "plain", f"input={test}", "strands=none")
    np.testing.assert_allclose(out("evaluate", "plainly", *data, "strands=none"), plain, atol=1e-6)
    assert np.allclose(plain, tested, atol=1e-6) == (strands == "augment")
    with pytest.raises(ConfigError, match=f"data.strands: {strands} then, none now"):
        train(settings("data.strands=none", "trainer.max_steps=3"))


def test_labels_of_bases(settings: Settings, tmp_path: Path) -> None:
    tokens = (
        "data.level=token",
        "data.label_column=bases",
        "head=token",
        "test=true",
        "trainer.max_steps=60",
    )
    for strands in ("echo", "average"):
        run = tmp_path / strands
        folder, _ = train(settings(*tokens, f"data.strands={strands}", f"run_dir={run}", "optimizer.lr=0.02"))
        tested = pd.read_parquet(folder / "predictions.parquet")
        assert (tested["label"] == tested["prediction"]).mean() > 0.9
        out = tmp_path / f"{strands}.tsv"
        main(["predict", f"checkpoint={folder}", f"input={tmp_path / 'test.tsv'}", f"out={out}"])
        again = pd.read_table(out)
        ordered = tested.sort_values(["index", "position"])
        assert again["position"].tolist() == ordered["position"].tolist()
        np.testing.assert_allclose(again["probability_y"], ordered["probability_y"], atol=1e-5)


def test_equivariant_is_for_models_that_are(settings: Settings) -> None:
    strands = ("data.strands=equivariant", "head=both_strands", "data.tokenizer.special_tokens=none")
    config = settings(*strands, model=CADUCEUS)
    model = build_model(config, instantiate(config.data))
    assert model.preprocessing["strands"] == "equivariant"
    for other, message in (
        (settings("data.strands=equivariant"), "SequenceHead on HyenaDNA is not"),
        (settings(*strands), "HyenaDNA carries one"),
        (settings(*strands, "model.symmetry=none", model=CADUCEUS), "Caduceus carries one"),
        (settings("data.strands=equivariant", model=CADUCEUS), "SequenceHead on Caduceus is not"),
        (
            settings(*strands[:2], model=CADUCEUS),
            r"special_tokens='sep'.*Give data.tokenizer.special_tokens=none",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            build_model(other, instantiate(other.data))


@pytest.mark.parametrize("strands", ["augment", "average", "equivariant"])
def test_stranded_labels_are_neither_turned_nor_averaged(settings: Settings, strands: str) -> None:
    with pytest.raises(Exception, match=f"strands={strands} is for labels that hold for both") as caught:
        train(settings("data.strand=stranded", f"data.strands={strands}"))
    assert isinstance(caught.value.__cause__ or caught.value, ConfigError)


def test_a_doubled_sequence_that_the_model_does_not_take(settings: Settings) -> None:
    with pytest.raises(SequenceError, match=r"given twice has \d\d tokens, and this model's l_max=32"):
        train(settings("model.l_max=32", "data.strands=echo"))


def test_a_plan_counts_both_passes(settings: Settings) -> None:
    shapes = {strands: plan(settings(f"data.strands={strands}")).shape for strands in ("none", "echo")}
    assert shapes["echo"].length == 2 * shapes["none"].length - 1


def test_data_that_give_a_sequence_once(settings: Settings) -> None:
    config = settings()
    datamodule: Any = instantiate(config.data)
    model = build_model(config, datamodule)
    model.preprocessing["strands"] = "echo"
    task = build_task(config, model)
    batch = next(iter(datamodule.evaluation_loader("test")))
    with pytest.raises(ConfigError, match="these data give it once"):
        task.loss(batch)


@pytest.mark.parametrize(
    ("experiment", "strands"),
    [
        ("umaydis", "average"),
        ("demo_finetune", "average"),
        ("celegans", "augment"),
        ("demo_pretrain", "augment"),
    ],
)
def test_experiments(experiment: str, strands: str) -> None:
    config = composed("train", f"experiment={experiment}")
    assert config.data.strands == strands


def test_what_uses_a_model_leaves_the_strands_to_it() -> None:
    assert composed("evaluate", "checkpoint=x").strands is None
    assert composed("predict", "checkpoint=x").strands is None
    assert composed("embed", "checkpoint=x").strands == "none"
