"""Samples piece by piece are the samples of the file, whatever the format and the size of a piece."""

import io

import numpy as np
import pandas as pd
import pytest

from genoseq.data.sample_streams import open_samples
from genoseq.errors import ConfigError, DataError

CHANNELS = ("b", "a")


@pytest.fixture
def table(tmp_path):
    values = np.random.default_rng(0).normal(size=(23, 3)).round(6)
    frame = pd.DataFrame(values, columns=["a", "b", "c"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.csv.gz", index=False)
    np.save(tmp_path / "t.npy", frame[list(CHANNELS)].to_numpy())
    return frame


@pytest.mark.parametrize("name", ["-", "t.csv", "t.csv.gz", "t.npy"])
@pytest.mark.parametrize("samples", [1, 5, 100])
def test_pieces_are_the_whole(table, tmp_path, monkeypatch, name, samples):
    if name == "-":
        monkeypatch.setattr("sys.stdin", io.StringIO((tmp_path / "t.csv").read_text()))
    source = name if name == "-" else str(tmp_path / name)
    pieces = list(open_samples(source, CHANNELS, samples=samples, sampling_rate=100.0))
    assert all(len(piece) == samples for piece in pieces[:-1])
    np.testing.assert_allclose(np.concatenate(pieces), table[list(CHANNELS)])


def test_a_line_is_given_before_the_next_is_there():
    class Sensor:
        """Counts what was asked of it."""

        def __init__(self):
            self.given = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.given += 1
            return "a,b\n" if self.given == 1 else f"{self.given},0\n"

    from genoseq.data.sample_streams import _read_lines

    sensor = Sensor()
    pieces = _read_lines(sensor, "sensor", ("a",), 1, True)
    assert next(pieces).tolist() == [[2.0]]
    assert sensor.given == 2


def test_text_without_a_header_and_with_holes(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("1,2\n3,\n"))
    (piece,) = open_samples("-", CHANNELS, samples=9, sampling_rate=None, header=False)
    np.testing.assert_array_equal(piece, [[1, 2], [3, np.nan]])


def test_a_recording_is_read_in_microvolts(shared):
    pytest.importorskip("mne")
    from genoseq.data.recordings import Preparation, Source

    file = shared / "data/bench/eeg/eegmmidb_S001/S001R03.edf"
    pieces = list(open_samples(str(file), ("C3..", "Cz.."), samples=3333, sampling_rate=160.0))
    whole = Preparation(channels=["C3", "Cz"])(Source(file)).signal
    np.testing.assert_allclose(np.concatenate(pieces).T, whole, rtol=1e-5)


def test_a_wfdb_record_is_read_in_the_order_of_the_channels(shared):
    pytest.importorskip("wfdb")
    from genoseq.data.wfdb_records import read_wfdb

    file = shared / "data/bench/ecg/100.hea"
    pieces = open_samples(str(file), ("V5", "MLII"), samples=5000, sampling_rate=360.0)
    first = [next(pieces), next(pieces)]
    whole = read_wfdb(file).series
    assert whole.names == ("MLII", "V5")
    np.testing.assert_allclose(np.concatenate(first), whole.values[:10_000, ::-1])


class TestBadInput:
    def test_what_is_not_there(self, table, tmp_path):
        with pytest.raises(DataError, match="has no heart; it has a, b, c"):
            next(open_samples(str(tmp_path / "t.csv"), ["heart"], samples=5, sampling_rate=None))
        with pytest.raises(DataError, match="does not exist"):
            open_samples(str(tmp_path / "none.csv"), CHANNELS, samples=5, sampling_rate=None)

    def test_a_format_that_is_none(self, table, tmp_path):
        (tmp_path / "t.doc").write_text("x")
        with pytest.raises(ConfigError, match="give - for standard input"):
            open_samples(str(tmp_path / "t.doc"), CHANNELS, samples=5, sampling_rate=None)
        with pytest.raises(ConfigError, match="one or more"):
            open_samples("-", CHANNELS, samples=0, sampling_rate=None)

    def test_a_line_that_is_no_number(self, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.StringIO("a,b\n1,2\n3,oops\n"))
        pieces = open_samples("-", CHANNELS, samples=1, sampling_rate=None)
        next(pieces)
        with pytest.raises(DataError, match="line 3: '3,oops'"):
            next(pieces)

    def test_another_shape_or_no_array(self, table, tmp_path):
        with pytest.raises(DataError, match=r"\(23, 2\): give \(samples, 3 channels\)"):
            next(open_samples(str(tmp_path / "t.npy"), ["a", "b", "c"], samples=5, sampling_rate=None))
        (tmp_path / "x.npy").write_bytes(b"no array")
        with pytest.raises(DataError, match="is no array"):
            next(open_samples(str(tmp_path / "x.npy"), CHANNELS, samples=5, sampling_rate=None))

    def test_another_rate(self, shared):
        pytest.importorskip("mne")
        file = shared / "data/bench/eeg/eegmmidb_S001/S001R03.edf"
        with pytest.raises(DataError, match="160 samples a second, and the model was trained on 128"):
            next(open_samples(str(file), ["C3.."], samples=5, sampling_rate=128.0))
