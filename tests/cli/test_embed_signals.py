"""`genoseq embed` of models of signals: a vector a window or series, however it was padded and batched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import genoseq.cli.embedding_plot as drawing
from genoseq.cli import main
from genoseq.data.calendar_features import calendar_features
from genoseq.models import ChannelForecaster, DLinear, Femba, FlatRegressor, SeriesClassifier, SignalModel

Mistake = Callable[..., str]
CHANNELS, RATE, WINDOW = ["Fp1", "Fp2", "C3", "C4"], 128, 112
LOOK_BACK = 24
S4D = {"d_model": 8, "num_layers": 1, "pattern": "q", "s4d": {"d_state": 4}}


def saved(model: SignalModel, folder: Path, **preprocessing: Any) -> Path:
    model.preprocessing = preprocessing
    return model.save(folder)


def embed(model: Path, path: Path, out: Path, *settings: str) -> pd.DataFrame:
    main(["embed", f"checkpoint={model}", f"input={path}", f"out={out}", "device=cpu", *settings])
    return pd.read_parquet(out)


def vectors(table: pd.DataFrame) -> np.ndarray:
    return np.stack(table["embedding"].tolist())


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[pd.Series | None]:
    """What the dots of each plot were coloured by."""
    seen, draw = [], drawing.embedding_map

    def remember(points: np.ndarray, found: pd.Series | None, **settings: Any) -> Any:
        seen.append(found)
        return draw(points, found, **settings)

    monkeypatch.setattr(drawing, "embedding_map", remember)
    return seen


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings, of 5, 6 and 8 windows; the last lacks a channel."""
    pytest.importorskip("mne")
    from tests.recordings import write_edf

    folder = tmp_path_factory.mktemp("people")
    for number in range(3):
        there = CHANNELS[: 4 - number // 2]
        write_edf(folder / f"{number}.edf", labels=there, rate=RATE, seconds=5 + number, seed=number)
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "people.tsv"
    path.write_text("path\tkind\n2.edf\tslow\n0.edf\tfast\n")
    return path


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from genoseq.data.recordings import Preparation

    torch.manual_seed(0)
    sizes = {"num_channels": 4, "sequence_length": WINDOW, "embed_dim": 4, "num_layers": 1, "expand": 1}
    preparation = Preparation(channels=CHANNELS, missing_channels="mask")
    return saved(
        Femba(**sizes, decoder_kernel=[3, 3]),
        tmp_path_factory.mktemp("models") / "pretrained",
        preparation=preparation.described(),
        scaler={"shift": [1.0, 0.0, -1.0, 2.0], "scale": [10.0, 20.0, 30.0, 40.0]},
        sampling_rate=RATE,
    )


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = SeriesClassifier(sequence_length=30, num_channels=2, num_outputs=2, **S4D)
    known = {"scaler": {"shift": [1.0, 0.0], "scale": [2.0, 1.0]}, "vocabulary": None, "classes": ["a", "b"]}
    return saved(model, tmp_path_factory.mktemp("models") / "classifier", **known)


def write_series(path: Path, header: str, label: Callable[[int], str]) -> list[np.ndarray]:
    """Nine series of 10, 12, ... steps of two channels, also as they were written."""
    generator = np.random.default_rng(0)
    series = [generator.normal(size=(2, 10 + 2 * number)).round(3) for number in range(9)]
    rows = [":".join(",".join(map(str, channel)) for channel in values) for values in series]
    lines = [row + label(number) for number, row in enumerate(rows)]
    path.write_text(f"@problemName x\n{header}\n@data\n" + "\n".join(lines) + "\n")
    return series


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    patches = {"patch_length": 6, "stride": 3, "num_marks": 1}
    model = ChannelForecaster(sequence_length=LOOK_BACK, horizon=4, **patches, **S4D)
    return saved(model, tmp_path_factory.mktemp("models") / "forecaster", **of_forecasts())


def of_forecasts() -> dict[str, Any]:
    return {
        "channels": ["load", "heat"],
        "scaler": {"shift": [500.0, 20.0], "scale": [100.0, 3.0]},
        "reading": {"time_column": "date"},
        "calendar": ["hour"],
        "mask_marks": False,
        "distribution": {"name": "point"},
    }


@pytest.fixture(scope="module")
def rows_by_time(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine windows and a rest."""
    path = tmp_path_factory.mktemp("series") / "series.csv"
    values = np.random.default_rng(0).normal(size=(9 * LOOK_BACK + 5, 2)) * [100, 3] + [500, 20]
    frame = pd.DataFrame(values, columns=["load", "heat"])
    frame.insert(0, "date", pd.date_range("2024-03-01", periods=len(frame), freq="h"))
    frame.to_csv(path, index=False)
    return path


@torch.inference_mode()
def test_windows_of_recordings(pretrained: Path, people: Path, tmp_path: Path) -> None:
    from genoseq import load
    from genoseq.data.recordings import Preparation, Source

    found = embed(pretrained, people, tmp_path / "x.parquet")
    assert list(found.columns) == ["recording", "start", "embedding"]
    assert found["recording"].tolist() == [1] * 5 + [2] * 6 + [3] * 8
    assert found["start"].tolist() == [0.875 * n for n in (*range(5), *range(6), *range(8))]
    model = load(pretrained)
    prepared = Preparation(**model.preprocessing["preparation"])(Source(people / "2.edf"))
    assert prepared.present.tolist() == [True, True, True, False]
    shift, scale = (np.array(model.preprocessing["scaler"][name])[:, None] for name in ("shift", "scale"))
    window = (prepared.signal[:, 3 * WINDOW : 4 * WINDOW] - shift) / scale
    # The channel that is not there is read as zeros.
    window[3] = 0
    expected = model(torch.from_numpy(window[None].astype(np.float32))).last_hidden_state[0].mean(0)
    np.testing.assert_allclose(vectors(found)[5 + 6 + 3], expected.numpy(), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_series_of_a_file(classifier: Path, tmp_path: Path) -> None:
    from genoseq import load

    written = write_series(tmp_path / "x.ts", "@classLabel false", lambda _: "")
    found = embed(classifier, tmp_path / "x.ts", tmp_path / "x.parquet")
    assert list(found.columns) == ["series", "embedding"]
    assert found["series"].tolist() == list(range(9))
    for values, vector in zip(written, vectors(found), strict=True):
        # A model of just this length pads nothing.
        length = values.shape[1]
        model = load(classifier, arguments={"sequence_length": length})
        x = torch.from_numpy((values - [[1], [0]]) / [[2], [1]]).float()[None]
        np.testing.assert_allclose(
            vector, model(x).last_hidden_state[0].mean(0).numpy(), rtol=1e-4, atol=1e-5
        )


@torch.inference_mode()
def test_windows_of_a_table(forecaster: Path, rows_by_time: Path, tmp_path: Path) -> None:
    from genoseq import load

    found = embed(forecaster, rows_by_time, tmp_path / "x.parquet")
    frame = pd.read_csv(rows_by_time, parse_dates=["date"])
    assert list(found.columns) == ["time", "embedding"]
    assert found["time"].tolist() == frame["date"].iloc[: 9 * LOOK_BACK : LOOK_BACK].tolist()
    rows = slice(2 * LOOK_BACK, 3 * LOOK_BACK)
    x = ((frame[["load", "heat"]] - [500, 20]) / [100, 3]).to_numpy(dtype=np.float32)[None, rows]
    marks = calendar_features(pd.DatetimeIndex(frame["date"], freq="h"), ["hour"])[None, rows]
    expected = load(forecaster)(torch.from_numpy(x), torch.from_numpy(marks)).last_hidden_state[0].mean(0)
    np.testing.assert_allclose(vectors(found)[2], expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["recordings", "series", "table"])
def test_batches_change_nothing(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    write_series(tmp_path / "x.ts", "@classLabel false", lambda _: "")
    model, path = {
        "recordings": ("pretrained", "people"),
        "series": ("classifier", None),
        "table": ("forecaster", "rows_by_time"),
    }[kind]
    input_ = tmp_path / "x.ts" if path is None else request.getfixturevalue(path)
    one, seven = (
        embed(request.getfixturevalue(model), input_, tmp_path / "x.parquet", f"batch_size={size}")
        for size in (1, 7)
    )
    pd.testing.assert_frame_equal(one.drop(columns="embedding"), seven.drop(columns="embedding"))
    np.testing.assert_allclose(vectors(one), vectors(seven), rtol=1e-5, atol=1e-6)
    assert np.ptp(vectors(one), axis=0).max() > 1e-3, "the vectors differ from each other"


@pytest.mark.parametrize(
    ("model", "path", "names"),
    [
        ("pretrained", "people", ["recordings", "starts"]),
        ("classifier", None, ["series"]),
        ("forecaster", "rows_by_time", ["times"]),
    ],
)
def test_archives(
    model: str, path: str | None, names: list[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    write_series(tmp_path / "x.ts", "@classLabel false", lambda _: "")
    input_ = tmp_path / "x.ts" if path is None else request.getfixturevalue(path)
    folder = request.getfixturevalue(model)
    table = embed(folder, input_, tmp_path / "x.parquet")
    main(["embed", f"checkpoint={folder}", f"input={input_}", f"out={tmp_path / 'x.npz'}", "device=cpu"])
    with np.load(tmp_path / "x.npz") as archive:
        assert sorted(archive.files) == sorted([*names, "embeddings"])
        np.testing.assert_array_equal(archive["embeddings"], vectors(table))
        for name, column in zip(names, table.columns.drop("embedding"), strict=True):
            # Times are text there, to be read without pickles.
            assert pd.Series(archive[name]).astype(table[column].dtype).tolist() == table[column].tolist()


def test_dots_of_recordings(
    pretrained: Path, people: Path, table: Path, tmp_path: Path, labels: list[pd.Series], mistake: Mistake
) -> None:
    plot = [f"plot={tmp_path / 'map.png'}", "projection=pca"]
    embed(pretrained, people, tmp_path / "x.parquet", *plot)
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert (labels[0].name, labels[0].tolist()) == ("recording", [1] * 5 + [2] * 6 + [3] * 8)
    named = [f"table={table}", "colour_column=kind"]
    found = embed(pretrained, people, tmp_path / "y.parquet", *plot, *named)
    assert found["recording"].tolist() == [1] * 8 + [2] * 5, "in the order of the table"
    assert (labels[1].name, labels[1].tolist()) == ("kind", ["slow"] * 8 + ["fast"] * 5)
    embed(pretrained, people / "0.edf", tmp_path / "z.parquet", *plot)
    assert (labels[2].name, labels[2].tolist()) == ("start (s)", [0.0, 0.875, 1.75, 2.625, 3.5])
    call = ["embed", f"checkpoint={pretrained}", f"input={people}", f"out={tmp_path / 'n.npz'}", *plot]
    assert "give table=TABLE" in mistake(main, [*call, "colour_column=kind"])
    assert "has no column 'age'" in mistake(main, [*call, f"table={table}", "colour_column=age"])
    assert not (tmp_path / "n.npz").exists()


@pytest.mark.parametrize(
    ("header", "label", "expected"),
    [
        ("@classLabel true a b", lambda number: ":" + "ab"[number % 2], list("ababababa")),
        ("@targetLabel true", lambda number: f":{number}.5", [number + 0.5 for number in range(9)]),
        ("@classLabel false", lambda _: "", None),
    ],
)
def test_dots_of_series(
    header: str,
    label: Callable[[int], str],
    expected: list[Any] | None,
    classifier: Path,
    tmp_path: Path,
    labels: list[pd.Series | None],
) -> None:
    write_series(tmp_path / "x.ts", header, label)
    plot = [f"plot={tmp_path / 'map.png'}", "projection=pca"]
    embed(classifier, tmp_path / "x.ts", tmp_path / "x.parquet", *plot)
    assert (None if labels[0] is None else labels[0].tolist()) == expected


def test_dots_of_a_table(
    forecaster: Path, rows_by_time: Path, tmp_path: Path, labels: list[pd.Series]
) -> None:
    embed(forecaster, rows_by_time, tmp_path / "x.parquet", f"plot={tmp_path / 'map.png'}", "projection=pca")
    assert (labels[0].name, labels[0].tolist()) == ("window", list(map(float, range(9))))


@pytest.mark.parametrize(
    "setting",
    [
        *("layer=1", "pooling=max", "strands=repeat", "chunk_length=64", "context=8", "window=10"),
        *("fasta=x.fa", "bed=x.bed", "sequence_column=seq", "name_column=id"),
    ],
)
@pytest.mark.parametrize("kind", ["pretrained", "classifier", "forecaster"])
def test_what_is_for_sequences_is_refused(
    kind: str, setting: str, request: pytest.FixtureRequest, tmp_path: Path, mistake: Mistake
) -> None:
    out, model = tmp_path / "x.npz", request.getfixturevalue(kind)
    said = mistake(main, ["embed", f"checkpoint={model}", "input=x", f"out={out}", "device=cpu", setting])
    what = {"pretrained": "recordings", "classifier": "series", "forecaster": "forecasters"}[kind]
    assert f"{setting}: for sequences, not for {what}. Leave it out." in said
    assert list(tmp_path.iterdir()) == []


def test_other_mistakes(
    classifier: Path,
    forecaster: Path,
    pretrained: Path,
    people: Path,
    rows_by_time: Path,
    tmp_path: Path,
    mistake: Mistake,
) -> None:
    def said(model: Path, *settings: str) -> str:
        out = f"out={tmp_path / 'x.npz'}"
        return mistake(main, ["embed", f"checkpoint={model}", out, "device=cpu", *settings])

    assert "recordings want input=" in said(pretrained)
    for model in (classifier, forecaster):
        assert "table=t.tsv: for recordings" in said(model, "input=x", "table=t.tsv")
        assert "colour_column=kind: for recordings" in said(model, "input=x", "colour_column=kind")
    dlinear = saved(DLinear(sequence_length=LOOK_BACK, horizon=4), tmp_path / "dlinear", **of_forecasts())
    assert "DLinear predicts from its input itself: it has no hidden states" in said(
        dlinear, f"input={rows_by_time}"
    )
    sensors = FlatRegressor(input_channels=2, num_outputs=1, d_model=8, num_layers=1)
    assert "use genoseq stream" in said(saved(sensors, tmp_path / "sensors"), f"input={rows_by_time}")
    released = saved(Femba(num_channels=4, sequence_length=WINDOW), tmp_path / "released")
    assert "no preparation, scaler, sampling_rate" in said(released, f"input={people}")
    assert not (tmp_path / "x.npz").exists()


def test_a_table_of_recordings_is_not_for_sequences(
    language_model: Path, sequences: Path, tmp_path: Path, mistake: Mistake
) -> None:
    call = ["embed", f"checkpoint={language_model}", f"input={sequences}", f"out={tmp_path / 'x.npz'}"]
    assert "table=t.tsv: for recordings, not for sequences" in mistake(main, [*call, "table=t.tsv"])
