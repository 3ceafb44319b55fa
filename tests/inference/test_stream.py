"""A stream gives what one pass gives, whatever its pieces, and what it remembers does not grow."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
import torch

import genoseq
from genoseq.cli import main
from genoseq.errors import ConfigError, SequenceError
from genoseq.inference.stream import stream
from genoseq.models import Femba, FlatRegressor, HiSS
from genoseq.models.mixer_stack import MIXERS

OPTIONS = {
    "attention": {"num_heads": 2, "window": 8},
    "mamba2": {"headdim": 8, "d_state": 8},
    "delta": {"num_heads": 2, "head_dim": 4},
    "linear": {"num_heads": 2, "head_dim": 4},
}


def make(mixer="mamba", *, every=1, **options):
    torch.manual_seed(0)
    model = FlatRegressor(
        input_channels=2,
        num_outputs=3,
        d_model=16,
        num_layers=2,
        mixer=mixer,
        options=OPTIONS.get(mixer, {}) | options,
        samples_per_prediction=every,
    )
    model.preprocessing = {
        "channels": ["a", "b"],
        "classes": ["x", "y", "z"],
        "scaler": {"shift": [1.0, 2.0, 3.0, 4.0, 5.0], "scale": [2.0, 1.0, 1.0, 2.0, 3.0]},
    }
    return model.eval()


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(loc=[1, 2], size=(101, 2)).round(5)


def whole(model, samples):
    x = (samples - [1, 2]) / [2, 1]
    with torch.no_grad():
        y = model(torch.from_numpy(x.astype(np.float32)).unsqueeze(0)).prediction[0].numpy()
    return y * [1, 2, 3] + [3, 4, 5]


@pytest.mark.parametrize("mixer", sorted(MIXERS))
@pytest.mark.parametrize(("piece", "every"), [(1, 1), (7, 4), (101, 5)])
def test_pieces_equal_the_whole(samples, mixer, piece, every):
    model = make(mixer, every=every)
    pieces = [samples[start : start + piece] for start in range(0, len(samples), piece)]
    rows = pd.concat(list(stream(model, pieces)), ignore_index=True)
    assert rows["sample"].tolist() == list(range(every - 1, 101, every))
    assert list(rows)[1:] == ["prediction_x", "prediction_y", "prediction_z"]
    np.testing.assert_allclose(rows.iloc[:, 1:], whole(model, samples), atol=2e-4)


def test_a_hierarchy_streams_by_its_chunks(samples):
    torch.manual_seed(0)
    stack = {"mixer": "s4d", "d_model": 16, "num_layers": 2, "options": {"d_state": 8}}
    model = HiSS(input_channels=2, num_outputs=3, chunk_length=5, low=stack, high=stack).eval()
    model.preprocessing = make().preprocessing
    pieces = [samples[start : start + 7] for start in range(0, len(samples), 7)]
    rows = pd.concat(list(stream(model, pieces)), ignore_index=True)
    assert rows["sample"].tolist() == list(range(4, 100, 5))
    np.testing.assert_allclose(rows.iloc[:, 1:], whole(model, samples), atol=2e-4)


def test_a_prediction_is_out_before_the_next_sample_is_asked_for(samples):
    asked = []

    def sensor():
        for number, row in enumerate(samples):
            asked.append(number)
            yield row[None]

    given = stream(make(every=4), sensor())
    assert next(given)["sample"].tolist() == [3]
    assert asked == [0, 1, 2, 3]


@pytest.mark.parametrize("mixer", sorted(MIXERS))
def test_what_is_remembered_does_not_grow(mixer):
    model = make(mixer)
    assert model.fixed_memory
    state = model.init_state(1, max_length=2**40)

    def size(value):
        if isinstance(value, torch.Tensor):
            return value.untyped_storage().nbytes()
        if isinstance(value, list):
            return sum(map(size, value))
        return sum(map(size, vars(value).values())) if hasattr(value, "__dict__") else 0

    sizes = []
    for _ in range(6):
        model.forward_chunk(torch.randn(1, 50, 2), state)
        sizes.append(size(state))
    assert len(set(sizes[1:])) == 1


def test_what_cannot_stream_says_so(samples):
    model = make("attention", window=None)
    with pytest.raises(ConfigError, match="grows with every sample"):
        next(stream(model, [samples]))
    rows = pd.concat(list(stream(model, [samples[:50], samples[50:]], max_length=101)))
    np.testing.assert_allclose(rows.iloc[:, 1:], whole(model, samples), atol=2e-4)
    model.streams = False
    with pytest.raises(ConfigError, match="reads whole sequences"):
        next(stream(model, [samples]))
    with pytest.raises(SequenceError, match="2 channels"):
        make()(torch.zeros(1, 3, 5))


def test_nan_is_taken_for_the_mean(samples):
    model = make()
    broken, mended = samples.copy(), samples.copy()
    broken[40] = np.nan
    mended[40] = [1, 2]
    first, second = (pd.concat(list(stream(model, [values]))) for values in (broken, mended))
    pd.testing.assert_frame_equal(first, second)


class TestVerb:
    @pytest.fixture
    def folder(self, tmp_path):
        make(every=2).save(tmp_path / "model")
        return tmp_path

    def test_files_and_standard_input_agree(self, folder, samples, monkeypatch, capsys):
        pd.DataFrame(samples, columns=["b", "a"]).to_csv(folder / "s.csv", index=False)
        np.save(folder / "s.npy", samples[:, ::-1])
        for source in ("s.csv", "s.npy"):
            main(
                [
                    "stream",
                    f"checkpoint={folder}/model",
                    f"input={folder / source}",
                    f"out={folder}/{source}.parquet",
                ]
            )
        first, second = (pd.read_parquet(folder / f"{name}.parquet") for name in ("s.csv", "s.npy"))
        pd.testing.assert_frame_equal(first, second)
        np.testing.assert_allclose(
            first.iloc[:, 1:], whole(genoseq.load(folder / "model"), samples[:, ::-1]), atol=2e-4
        )
        monkeypatch.setattr("sys.stdin", io.StringIO((folder / "s.csv").read_text()))
        capsys.readouterr()
        main(["stream", f"checkpoint={folder}/model", "input=-", "out=-"])
        printed = pd.read_csv(io.StringIO(capsys.readouterr().out))
        np.testing.assert_allclose(printed, first, atol=2e-4)

    def test_mistakes(self, folder, samples, capsys):
        np.save(folder / "s.npy", samples)
        ask = ["stream", f"input={folder}/s.npy", f"out={folder}/o.csv"]
        with pytest.raises(SystemExit):
            main([*ask, f"checkpoint={folder}/model", "channels=[a]"])
        assert "the model reads 2; name each" in capsys.readouterr().err
        recorder = Femba(num_channels=4, sequence_length=64, patch_size=[1, 16], stride=[1, 16], embed_dim=4)
        recorder.save(folder / "femba")
        with pytest.raises(SystemExit):
            main([*ask, f"checkpoint={folder}/femba"])
        assert "wants a model that gives a sequence" in capsys.readouterr().err
