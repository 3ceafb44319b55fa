"""Recordings in training: hidden samples, classes, pretraining first, probes, what a run writes."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir

pytest.importorskip("mne")

import genoseq
from genoseq.cli import main
from genoseq.errors import ConfigError
from genoseq.models import Femba
from genoseq.paths import configs_dir
from genoseq.training import constant_warmup
from genoseq.training.grouped_results import by_unit
from genoseq.training.run import train
from genoseq_tasks import MaskedRecording, RecordingPrediction
from tests.recordings import write_edf

SMALL = {"num_channels": 4, "sequence_length": 128, "embed_dim": 4, "num_layers": 1, "expand": 1}
PATCHES = {"patch_size": [1, 16], "stride": [1, 16], "decoder_kernel": [3, 3]}


def make(task=MaskedRecording, *, seed=0, head="reconstruction", num_classes=0, **settings):
    torch.manual_seed(0)
    return task(
        model=Femba(head=head, num_classes=num_classes, **SMALL, **PATCHES),
        optimizer=partial(torch.optim.AdamW, lr=0.02, weight_decay=0.0),
        schedule=partial(constant_warmup, warmup_fraction=0.1),
        seed=seed,
        **settings,
    )


def batch(indices=(0, 1, 2), *, absent=()):
    x = torch.randn(len(indices), 4, 128, generator=torch.Generator().manual_seed(1))
    observed = torch.ones(len(indices), 4, 1, dtype=torch.bool)
    observed[:, list(absent)] = False
    counted = torch.ones(len(indices), dtype=torch.bool)
    return {"x": x, "observed": observed, "index": torch.tensor(indices), "counted": counted}


class TestMasks:
    def test_each_window_has_its_own_whatever_its_batch(self):
        task = make()
        masks = task.mask(batch((0, 1, 2)), epoch=3)
        assert not torch.equal(masks[0], masks[1])
        assert torch.equal(task.mask(batch((2,)), epoch=3)[0], masks[2])
        assert not torch.equal(task.mask(batch((2,)), epoch=4)[0], masks[2])
        assert not torch.equal(make(seed=1).mask(batch((2,)), epoch=3)[0], masks[2])

    def test_the_share_is_of_whole_patches(self):
        masks = make(masked_fraction=0.6, patch_channels=2).mask(batch(), epoch=0)
        assert masks.float().mean().item() == pytest.approx(10 / 16)
        patches = masks.unflatten(1, (2, 2)).unflatten(3, (8, 16))
        assert ((patches.float().mean((2, 4)) * 2) % 2 == 0).all()

    def test_channels_that_were_not_measured_are_never_hidden(self):
        masks = make().mask(batch(absent=[1, 3]), epoch=0)
        assert not masks[:, [1, 3]].any()
        assert masks[:, [0, 2]].any()

    def test_models_and_settings_that_do_not_fit(self):
        with pytest.raises(ConfigError, match=r"model\.head=reconstruction"):
            make(head="bc", num_classes=2)
        with pytest.raises(ConfigError, match="one of classes"):
            make(RecordingPrediction)
        with pytest.raises(ConfigError, match="patches of 1 or more"):
            make(patch_samples=0)


def test_a_probe_leaves_the_encoder_alone():
    task = make(RecordingPrediction, head="bc", num_classes=2, probe=True)
    learning = {name.split(".")[0] for name, value in task.model.named_parameters() if value.requires_grad}
    assert learning == {"classifier"}


class TestUnits:
    @staticmethod
    def table(quality, *, subjects=12, several=False, seed=0):
        generator = np.random.default_rng(seed)
        rows = []
        for subject in range(subjects):
            for recording in range(2):
                for window in range(6):
                    truth = (window if several else subject) % 2
                    chance = np.clip(0.5 + quality * (truth - 0.5) + generator.normal(0, 0.2), 0, 1)
                    rows.append((("a", "b")[truth], 1 - chance, chance, 2 * subject + recording, subject))
        columns = ["label", "probability_a", "probability_b", "recording", "group"]
        return pd.DataFrame(rows, columns=columns)

    def test_a_good_model_is_told_from_chance_at_every_unit(self):
        rows = by_unit(self.table(0.6), resamples=199)
        assert [row["unit"] for row in rows] == ["window", "recording", "subject"]
        assert [row["n"] for row in rows] == [144, 24, 12]
        for row in rows:
            assert row["auroc"]["p_value"] <= 0.02
            assert row["auroc"]["low"] > 0.6
            assert row["num_subjects"] == 12
        assert rows[2]["balanced_accuracy"]["mean"] >= rows[0]["balanced_accuracy"]["mean"]

    def test_windows_of_a_subject_are_no_independent_witnesses(self):
        # What tells six subjects apart by chance says nothing of the classes, however many windows there are.
        found = []
        for seed in range(20):
            table = self.table(0.0, subjects=6, seed=seed)
            shift = np.random.default_rng(seed).normal(0, 0.3, 6)[table["group"]]
            table["probability_b"] = (table["probability_b"] + shift).clip(0, 1)
            table["probability_a"] = 1 - table["probability_b"]
            found.append(by_unit(table, resamples=99)[0]["auroc"]["p_value"])
        assert np.mean(np.array(found) <= 0.1) <= 0.25

    def test_subjects_with_several_classes_are_judged_by_window(self):
        rows = by_unit(self.table(0.5, several=True), resamples=99)
        assert [row["unit"] for row in rows] == ["window"]
        assert rows[0]["auroc"]["p_value"] == 0.01


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight people, of whom every second has a faster rhythm."""
    path = tmp_path_factory.mktemp("people")
    rows = ["path\tlabel"]
    for number in range(8):
        name = f"S{number:03}R01.edf"
        write_edf(path / name, seconds=8, rhythm=(8, 30)[number % 2], seed=number)
        rows.append(f"{name}\t{('slow', 'fast')[number % 2]}")
    (path / "table.tsv").write_text("\n".join(rows) + "\n")
    return path


def config(folder, run, *overrides, experiment="recordings"):
    small = [f"model.{name}={value}" for name, value in (SMALL | PATCHES).items()]
    data = [f"data.path={folder}", "data.window=1", "data.preparation.channels=[Fp1,Fp2,C3,C4]"]
    fixed = [
        f"experiment={experiment}",
        f"run_dir={run}",
        "data.preparation.band=null",
        "global_batch_size=8",
    ]
    steps = ["trainer.max_steps=4", "trainer.val_check_interval=2", "trainer.accelerator=cpu"]
    quiet = ["trainer.enable_progress_bar=false", "trainer.log_every_n_steps=1"]
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return compose("train", overrides=[*fixed, *data, *small, *steps, *quiet, *overrides])


LABELLED = [
    "data.label_source=recording",
    "data.test_fraction=0.25",
    "data.validation_fraction=0.25",
    "test=true",
]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GENOSEQ_CACHE", str(tmp_path_factory.getbasetemp() / "recording_cache"))


def test_pretraining_first_is_one_switch(folder, tmp_path):
    run = tmp_path / "run"
    switch = [
        "pretrain=masked_recording",
        "pretrain.trainer.max_steps=2",
        "pretrain.trainer.val_check_interval=2",
    ]
    settings = [
        *LABELLED,
        *switch,
        f"data.table={folder / 'table.tsv'}",
        "optimizer.lr=0",
        "optimizer.weight_decay=0",
    ]
    result = train(config(folder, run, *settings, "data.folds=4", "data.fold=1"))
    assert result.results is not None
    assert {row["unit"] for row in result.results["by_unit"]} == {"window", "recording", "subject"}
    # With a rate of zero nothing is learnt after: the encoder is the pretrained one, to the last bit.
    first, last = (genoseq.load(path).state_dict() for path in (run / "pretraining", run))
    encoder = [name for name in last if not name.startswith("classifier")]
    assert encoder
    assert all(torch.equal(first[name], last[name]) for name in encoder)
    # Nobody who is tested was learnt from.
    tables = [pd.read_csv(path / "split.tsv", sep="\t") for path in (run / "pretraining", run)]
    pd.testing.assert_frame_equal(*tables)
    predicted = pd.read_parquet(run / "predictions.parquet")
    tested = set(tables[1].loc[tables[1]["split"] == "test", "subject"])
    assert set(predicted["group"]) == tested
    assert len(predicted) == 8 * len(tested)
    known = json.loads((run / "model" / "preprocessing.json").read_text())
    assert known["classes"] == ["fast", "slow"]
    assert known["channels"] == ["Fp1", "Fp2", "C3", "C4"]
    assert known["sampling_rate"] == 128
    # For recordings, predict gives what the test has given, window by window.
    main(["predict", f"checkpoint={run}", f"input={folder}", f"out={tmp_path / 'windows.parquet'}"])
    given = pd.read_parquet(tmp_path / "windows.parquet")
    both = predicted.assign(start=predicted.groupby("recording").cumcount().astype(float)).merge(
        given, on=["recording", "start"], suffixes=("", "_given")
    )
    assert len(both) == len(predicted)
    np.testing.assert_allclose(both["probability_slow_given"], both["probability_slow"], atol=1e-5)
    for file in run.rglob("*"):
        assert file.is_dir() or b"Lovelace" not in file.read_bytes()


def test_a_masked_run_says_how_much_it_explains(folder, tmp_path):
    result = train(config(folder, tmp_path / "run", "test=true", experiment="recordings_masked"))
    assert result.results is not None
    (row,) = result.results["rows"]
    assert row["metrics"]["mse"] > 0
    assert row["metrics"]["explained"] < 1
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    shown = table["signal"].dropna()
    assert len(shown) == 8
    assert np.array(shown.iloc[0].tolist()).shape == (4, 128)


def test_a_model_for_other_windows_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"model\.num_channels=5 does not go with the data, which have 4"):
        train(config(folder, tmp_path / "run", "model.num_channels=5", experiment="recordings_masked"))


def test_a_checkpoint_has_learnt_already(folder, tmp_path):
    settings = [*LABELLED, "pretrain=masked_recording", f"data.table={folder / 'table.tsv'}"]
    made = config(folder, tmp_path / "run", *settings)
    made.model = {"_target_": "genoseq.models.load_encoder", "checkpoint": "x", "arguments": {}}
    with pytest.raises(ConfigError, match="pretrain=none"):
        train(made)
