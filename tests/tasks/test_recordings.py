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
from genoseq.errors import CheckpointError, ConfigError
from genoseq.inference.recordings import classify
from genoseq.models import Femba
from genoseq.paths import configs_dir
from genoseq.training import constant_warmup
from genoseq.training.grouped_results import by_unit
from genoseq.training.run import train
from genoseq_tasks import MaskedRecording, RecordingPrediction
from tests.recordings import write_edf, write_tuar

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

    def test_channels_of_a_window_are_no_independent_witnesses(self):
        # Every channel of a window has one label, and what is said of it by chance is said of all.
        found = []
        for seed in range(20):
            generator = np.random.default_rng(seed)
            index = np.repeat(np.arange(24), 10)
            truth, chance = generator.integers(0, 2, 24)[index], generator.random(24)[index]
            table = pd.DataFrame({"index": index, "recording": index // 12, "group": index // 12})
            table["channel"] = np.tile([f"E{number}" for number in range(10)], 24)
            table["label"] = np.array(["a", "b"])[truth]
            row = by_unit(table.assign(probability_a=1 - chance, probability_b=chance), resamples=99)[0]
            assert (row["unit"], row["n"], row["num_subjects"]) == ("channel", 240, 2)
            found.append(row["auroc"]["p_value"])
        # Were each channel one of its own, it would be a quarter of them.
        assert np.mean(np.array(found) <= 0.05) <= 0.1

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


CHANNELS = ("FP1-F7", "F7-T3", "T3-C3", "T4-A2")
KINDS = ("eyem", "chew", "shiv", "musc", "elec", "eyem_musc")
# As experiment=tuar says they are chosen, and what a row of predictions is then.
FORMS = {
    "ml": ["data.label_form=classes", "model.head=ml", "model.num_classes=5"],
    "mmc": ["data.label_form=channels", "model.head=mmc"],
    "mc": ["data=tuar_any", "model.head=mc", "model.num_classes=0"],
}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """Six people in the layout of TUAR, twelve seconds each: every second two channels have an artifact each.
    The second was recorded without ears."""
    path = tmp_path_factory.mktemp("tuar")
    subjects = [f"aaaaaaj{letter}" for letter in "uvwxyz"]
    rows = {
        subject: [
            (CHANNELS[(who + second + more) % 4], second, second + 0.8, KINDS[(second + 2 * more) % 6])
            for second in range(12)
            for more in range(2)
        ]
        for who, subject in enumerate(subjects)
    }
    write_tuar(path, rows, rate=64, absent=subjects[1:2])
    return path


def of_artifacts(path, run, *overrides):
    montage = ["model.num_channels=22", "model.sequence_length=64", "model.patch_size=[2,16]"]
    data = ["data.preparation.channels=double_banana", "data.preparation.notch=null"]
    rate = ["model.stride=[2,16]", "data.preparation.rate=64", "data.folds=3", "data.fold=0"]
    settings = ["test=true", "model.num_classes=6", *montage, *data, *rate, *overrides]
    return config(path, run, *settings, experiment="tuar")


@pytest.mark.parametrize("head", FORMS)
def test_several_classes_and_channels_are_learnt_tested_and_predicted(artifacts, tmp_path, head):
    run = tmp_path / "run"
    # Two are tested, of whom the first is without ears.
    result = train(of_artifacts(artifacts, run, "data.split_seed=1", *FORMS[head]))
    split = pd.read_csv(run / "split.tsv", sep="\t").set_index("recording")["split"]
    tested = [2, 3]
    assert split[split == "test"].index.tolist() == tested
    rows = pd.read_parquet(run / "predictions.parquet")
    measured = (12 * 20 + 12 * 22) if head != "ml" else 24
    assert len(rows) == measured
    known = genoseq.load(run).preprocessing
    chances = rows[[f"probability_{name}" for name in known["classes"]]].to_numpy()
    assert result.results is not None
    metrics = result.results["rows"][0]["metrics"]
    main(["predict", f"checkpoint={run}", f"input={artifacts}", f"out={tmp_path / 'out.parquet'}"])
    given = pd.read_parquet(tmp_path / "out.parquet")
    given = given[given["recording"].isin(tested)]
    np.testing.assert_allclose(given[[*rows.filter(like="probability_")]], chances, atol=1e-5)
    if head == "ml":
        assert (known["label_form"], len(known["classes"])) == ("classes", 5)
        labels = rows.filter(like="label_").to_numpy()
        # In the sixth and the twelfth second there are eyes and muscles at once, and chewing elsewhere.
        assert labels[[5, 11]].sum(axis=1).tolist() == [3, 3]
        assert metrics["accuracy"] == pytest.approx(((chances > 0.5) == labels).mean())
        assert "embedding" not in rows
        assert "by_unit" not in result.results
        return
    assert known["label_form"] == "channels"
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-6)
    names = np.array(known["classes"])
    assert (rows["prediction"].to_numpy() == names[chances.argmax(axis=1)]).all()
    assert metrics["accuracy"] == pytest.approx((rows["label"] == rows["prediction"]).mean())
    assert given["channel"].tolist() == rows["channel"].tolist()
    without_ears = rows[rows["recording"] == 2]
    assert not {"A1-T7", "T8-A2"} & set(without_ears["channel"])
    # Two channels of each window have an artifact; one of them may have been an ear.
    marked = (rows["label"] != "clean").groupby(rows["index"]).sum()
    assert marked.tolist()[-12:] == [2] * 12
    assert [row["unit"] for row in result.results["by_unit"]] == ["channel"]
    assert result.results["by_unit"][0]["n"] == len(rows)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data.label_form=channels"], r"one of 6 classes a window, .* one of 6 classes a channel: .*mmc"),
        (["data.label_form=channels", "model.head=mmc", "model.num_classes=5"], r"mmc model\.num_classes=6"),
        (
            ["data.label_form=classes"],
            r"5 classes of a window, each .*: give model\.head=ml model\.num_classes=5",
        ),
        (["data=tuar_any"], r"model\.head=mc model\.num_classes=0, or model\.head=mmc model\.num_classes=2"),
        (["model.num_classes=5"], r"give model\.head=mcc model\.num_classes=6"),
        (FORMS["mc"] + ["data.label_form=class"], r"give model\.head=bc model\.num_classes=2"),
        (
            ["model.head=mc", "model.num_classes=0", "data.label_form=channels"],
            r"of 2 classes a channel.*mmc",
        ),
        (["data.label_source=none"], r"the data have no labels: give data\.label_source"),
    ],
)
def test_a_head_for_other_labels_is_refused_before_training(artifacts, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        train(of_artifacts(artifacts, tmp_path / "run", *settings))


def test_what_channels_have_no_part_in_changes_no_loss():
    task = make(RecordingPrediction, head="mmc", num_classes=3)
    given = batch(absent=[2]) | {"labels": torch.tensor([[0, 1, -100, 2]] * 3)}
    loss = task.loss(given)
    logits = task.model(given["x"], observed=given["observed"]).prediction[:, [0, 1, 3]]
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor([0, 1, 2] * 3))
    assert loss.item() == pytest.approx(expected.item())
    task.validation_step(given | {"counted": torch.tensor([True, False, True])}, 0)
    right = (logits[[0, 2]].argmax(-1) == torch.tensor([0, 1, 2])).float().mean()
    assert task.compute_metrics()["accuracy"] == pytest.approx(right.item())


def test_predicting_wants_to_know_what_labels_were(artifacts):
    model = Femba(head="ml", num_classes=2, **SMALL, **PATCHES)
    known = {"preparation": {"channels": "ten_twenty"}, "scaler": {"shift": [0]}, "sampling_rate": 64}
    model.preprocessing = known | {"classes": ["eyes", "muscles"]}
    with pytest.raises(CheckpointError, match=r"has no label_form: how recordings are prepared"):
        next(classify(model, str(artifacts)))
    with pytest.raises(ConfigError, match="a model of classes; this one is of None"):
        next(classify(Femba(**SMALL, **PATCHES), str(artifacts)))
