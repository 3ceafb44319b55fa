"""`genoseq evaluate` and `compare` of models of signals: the numbers that the run's own test printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from genoseq.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
Mistake = Callable[..., str]


class Trained(NamedTuple):
    """A run that opened its test split, and the settings of its data."""

    folder: Path
    data: list[str]

    @property
    def results(self) -> dict:
        return json.loads((self.folder / "results.json").read_text())

    def evaluate(self, out: Path, *settings: str) -> Path:
        given = [f"checkpoint={self.folder}", *self.data, f"out={out}", "device=cpu", *settings]
        main(["evaluate", *given])
        return out


def train(folder: Path, experiment: str, data: list[str], *settings: str) -> Trained:
    steps = ["trainer.max_steps=4", "trainer.val_check_interval=2", "trainer=cpu", "global_batch_size=8"]
    quiet = ["trainer.enable_progress_bar=false", "report=false", "test=true"]
    settings_of_data = [item for item in data if item.startswith("data.")]
    main(
        [
            "train",
            f"experiment={experiment}",
            *settings_of_data,
            *steps,
            *quiet,
            *settings,
            f"run_dir={folder}",
        ]
    )
    return Trained(folder, data)


@pytest.fixture(scope="module")
def sensors(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    path = tmp_path_factory.mktemp("sensors")
    values = np.random.default_rng(0).normal(5, 2, (600, 2))
    frame = pd.DataFrame({"a": values[:, 0], "b": values[:, 1], "c": values.sum(axis=1)})
    frame.to_csv(path / "samples.csv", index=False)
    data = [
        *("data=sensors", f"data.path={path / 'samples.csv'}", "data.inputs=[a,b]", "data.targets=[c]"),
        "data.sequence_length=32",
    ]
    model = ["model=flat_regressor", "model.input_channels=2", "model.num_outputs=1", "model.d_model=8"]
    # Of the experiment the recipe alone is wanted: the columns are others.
    return train(path / "run", "daphnet", data, *data[:1], *model, "data.samples_per_prediction=1")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    path = tmp_path_factory.mktemp("series")
    generator = np.random.default_rng(0)
    for part, count in (("TRAIN", 40), ("TEST", 12)):
        rows = [
            ",".join(f"{value:.3f}" for value in generator.normal(place % 2, 1, 20)) + f":{'ab'[place % 2]}"
            for place in range(count)
        ]
        head = "@problemName x\n@univariate true\n@equalLength true\n@classLabel true a b\n@data\n"
        (path / f"X_{part}.ts").write_text(head + "\n".join(rows) + "\n")
    data = [
        *("data=series", f"data.source.train={path / 'X_TRAIN.ts'}"),
        f"data.source.test={path / 'X_TEST.ts'}",
    ]
    model = [
        *("model.num_channels=1", "model.num_outputs=2", "model.sequence_length=20", "model.d_model=8"),
        *("model.num_layers=1", "model.mamba2.headdim=8"),
    ]
    return train(path / "run", "series", data, *model)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people, of whom every second has a faster rhythm."""
    pytest.importorskip("mne")
    from tests.recordings import write_edf

    path = tmp_path_factory.mktemp("people")
    rows = ["path\tlabel"]
    for number in range(8):
        name = f"S{number:03}R01.edf"
        write_edf(path / name, seconds=4, rhythm=(8, 30)[number % 2], seed=number)
        rows.append(f"{name}\t{('slow', 'fast')[number % 2]}")
    (path / "table.tsv").write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENOSEQ_CACHE", str(tmp_path_factory.getbasetemp() / "recording_cache"))
        yield


def of_people(people: Path, run: Path, experiment: str, *data: str) -> Trained:
    common = [
        *("data=recordings", f"data.path={people}", "data.window=1", "data.preparation.band=null"),
        *("data.preparation.channels=[Fp1,Fp2,C3,C4]", "data.test_fraction=0.25"),
        *("data.validation_fraction=0.25", *data),
    ]
    small = {"num_channels": 4, "sequence_length": 128, "embed_dim": 4, "num_layers": 1, "expand": 1}
    model = [*(f"model.{name}={value}" for name, value in small.items()), "model.decoder_kernel=[3,3]"]
    return train(run, experiment, common, *model)


@pytest.fixture(scope="module")
def classes(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    run = tmp_path_factory.mktemp("classes") / "run"
    labels = [
        *(f"data.table={people / 'table.tsv'}", "data.label_source=recording"),
        *("data.folds=4", "data.fold=1"),
    ]
    return of_people(people, run, "recordings", *labels)


@pytest.fixture(scope="module")
def masked(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    run = tmp_path_factory.mktemp("masked") / "run"
    made = of_people(people, run, "recordings_masked", "data.stride=0.5")
    assert json.loads((run / "model" / "preprocessing.json").read_text())["masking"]["patch_samples"] == 16
    return made


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    pytest.importorskip("mne")
    from tests.recordings import write_tuar

    path = tmp_path_factory.mktemp("channels")
    places = ("FP1-F7", "F7-T3", "T3-C3")
    rows = [(places[second % 3], second, second + 0.8, ("eyem", "musc")[second % 2]) for second in range(12)]
    write_tuar(path / "tuar", {f"aaaaaa{letter}a": rows for letter in "abcdef"}, rate=64, absent=["aaaaaaaa"])
    montage = [
        *("data.preparation.channels=[Fp1-F7,F7-T7,T7-C3,A1-T7]", "data.preparation.missing_channels=mask"),
        *("data.preparation.rate=64", "data.label_source=stretches", "data.label_form=channels"),
        *("data.classes={eyem: eyes, musc: muscles}", "data.background=clean", "data.test_fraction=0.4"),
    ]
    common = ["data=recordings", f"data.path={path / 'tuar'}", "data.window=1", "data.preparation.band=null"]
    small = {"num_channels": 4, "sequence_length": 64, "embed_dim": 4, "num_layers": 1, "expand": 1}
    model = [*(f"model.{name}={value}" for name, value in small.items()), "model.head=mmc"]
    return train(path / "run", "recordings", [*common, *montage], *model, "model.num_classes=3")


@pytest.mark.parametrize("kind", ["sensors", "series", "classes", "masked", "channels"])
def test_every_kind_gives_the_numbers_of_its_test(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run: Trained = request.getfixturevalue(kind)
    found = json.loads(run.evaluate(tmp_path / "metrics.json").read_text())
    expected = run.results
    assert found["rows"][0]["metrics"] == pytest.approx(expected["rows"][0]["metrics"], rel=1e-4)
    rows = pd.read_parquet(run.evaluate(tmp_path / "rows.parquet"))
    written = pd.read_parquet(run.folder / "predictions.parquet")
    assert list(rows.columns) == list(written.columns)
    numbers = written.select_dtypes("number").columns
    np.testing.assert_allclose(rows[numbers], written[numbers], rtol=1e-4, atol=1e-5)
    other = pd.read_parquet(run.evaluate(tmp_path / "other.parquet", "split=validation"))
    assert list(other.columns) == list(rows.columns)
    assert not other.equals(rows)


def test_predict_gives_the_series_of_the_test_what_the_test_gave(series: Trained, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    path = series.data[2].removeprefix("data.source.test=")
    main(["predict", f"checkpoint={series.folder}", f"input={path}", f"out={out}", "device=cpu"])
    found, written = pd.read_csv(out), pd.read_parquet(series.folder / "predictions.parquet")
    assert found["series"].tolist() == list(range(12))
    assert found["prediction"].tolist() == written["prediction"].tolist()
    np.testing.assert_allclose(found["probability_b"], written["probability_b"], rtol=1e-4)


def test_people_are_judged_by_window_recording_and_subject(
    classes: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(classes.evaluate(tmp_path / "metrics.json").read_text())["by_unit"]
    assert found == classes.results["by_unit"]
    assert [row["unit"] for row in found] == ["window", "recording", "subject"]
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("window", "recording", "subject", "balanced accuracy"))


def test_channels_are_counted_as_such(
    channels: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(channels.evaluate(tmp_path / "metrics.json").read_text())
    rows = pd.read_parquet(channels.folder / "predictions.parquet")
    windows = rows["index"].nunique()
    assert f"{len(rows)} channels of {windows} windows" in capsys.readouterr().out
    assert [(row["unit"], row["n"]) for row in found["by_unit"]] == [("channel", len(rows))]
    out = tmp_path / "out.json"
    main(["compare", f"a={channels.folder}", f"b={channels.folder}", *channels.data, f"out={out}"])
    compared = json.loads(out.read_text())
    for estimate in (compared["rows"][1]["versus_model"], compared["differences"]["rows"]["mcc"]):
        assert (estimate["n"], estimate["unit"]) == (windows, "window")


@pytest.mark.parametrize("kind", ["classes", "masked", "channels"])
def test_compare_a_run_with_itself(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    run: Trained = request.getfixturevalue(kind)
    out = tmp_path / "out.json"
    main(["compare", f"a={run.folder}", f"b={run.folder}", *run.data, f"out={out}", "device=cpu"])
    assert json.loads(out.read_text())["rows"][1]["versus_model"]["mean"] == 0


def test_other_data_are_refused(
    sensors: Trained, series: Trained, classes: Trained, masked: Trained, tmp_path: Path, mistake: Mistake
) -> None:
    def said(run: Trained, *settings: str) -> str:
        given = [*run.data, *settings, "device=cpu"]
        return mistake(main, ["evaluate", f"checkpoint={run.folder}", *given])

    assert "channels of the data: ['b', 'a']; of the checkpoint: ['a', 'b']" in said(
        sensors, "data.inputs=[b,a]"
    )
    assert "preparation of the data: {'band': [1, 40]}; of the checkpoint: {'band': None}" in said(
        classes, "data.preparation.band=[1,40]"
    )
    assert "classes of the data: ['slow', 'fast']" in said(classes, "data.classes={slow: slow, fast: fast}")
    assert "classes of the data: ['fast', 'slow']; of the checkpoint: None" in said(
        masked,
        "data.label_source=recording",
        f"data.table={masked.data[1].removeprefix('data.path=')}/table.tsv",
    )
    assert "a window, and the data (data.label_form=classes) have 1 classes" in said(
        classes,
        *("data.label_source=stretches", "data.label_form=classes", "data.classes={T1: fast}"),
    )
    assert "sequence_length=20 does not go with the data, which have 128" in mistake(
        main, ["evaluate", f"checkpoint={series.folder}", *classes.data, "device=cpu"]
    )
