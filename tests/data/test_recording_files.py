"""Recordings from their files: channels, units, filters, and everything that can be wrong with them."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mne")

from genoseq.data.recordings import DOUBLE_BANANA, TEN_TWENTY, Preparation, Source
from genoseq.data.recordings.cache import prepared
from genoseq.data.recordings.channels import explain
from genoseq.data.recordings.preparation import DroppedRecordingError
from genoseq.errors import ConfigError, DataError
from tests.recordings import REFERENTIAL, microvolts, write_edf

CHANNELS = ("Fp1", "Fp2", "C3", "C4")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENOSEQ_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("EEG Fp1-REF", "Fp1"),
        ("EEG T3-LE", "T7"),
        ("Fc5.", "FC5"),
        ("CZ", "Cz"),
        ("T6", "P8"),
        ("F4-A1", "F4-A1"),
        ("EEG FP1-F7", "Fp1-F7"),
        ("AF1", "AF3"),
        ("POL Fz", "Fz"),
    ],
)
def test_a_place_has_one_name_whatever_the_label(label, name):
    assert explain(label, {}).name == name
    assert explain(label, {}).kind == "eeg"


@pytest.mark.parametrize(
    "label", ["EEG EKG1-REF", "PHOTIC-REF", "EMG-REF", "REOG", "Status", "EEG 27-REF", "IBI"]
)
def test_hearts_eyes_and_triggers_are_known_as_such(label):
    assert explain(label, {}).kind == "other"


def test_every_format_is_read_in_microvolts(tmp_path, shared):
    bench = shared / "data" / "bench"
    files = {
        bench / "eeg/eegmmidb_S001/S001R03.edf": ("C3", "Cz", "C4"),
        bench / "eeg/mne_test_73ch_2048Hz.bdf": ("C3", "Cz", "C4"),
        bench / "sleep/data_resting_EO_200Hz_raw.fif": ("F4-A1", "Cz-A2"),
    }
    for file, channels in files.items():
        found = Preparation(channels=channels, rate=100.0, band=None)(Source(file))
        assert found.rate == 100.0
        assert found.present.all()
        assert (found.signal.std(axis=1) > 1).all()
        assert (found.signal.std(axis=1) < 500).all()


def test_an_eeglab_file_says_what_its_edf_says(tmp_path):
    import mne

    source = write_edf(tmp_path / "a.edf", seconds=4)
    raw = mne.io.read_raw_edf(source, verbose="ERROR", preload=True)
    from scipy.io import savemat

    data = raw.get_data() * 1e6
    locations = [{"labels": name, "type": "EEG"} for name in raw.ch_names]
    content = {
        "data": data.astype(np.float32),
        "srate": 128.0,
        "nbchan": len(data),
        "pnts": data.shape[1],
        "trials": 1,
        "xmin": 0.0,
        "chanlocs": np.array(
            [(item["labels"], item["type"]) for item in locations],
            dtype=[("labels", object), ("type", object)],
        ),
        "event": [],
        "epoch": [],
        "setname": "a",
    }
    savemat(tmp_path / "a.set", {"EEG": content}, appendmat=False)
    settings = Preparation(channels=CHANNELS)
    np.testing.assert_allclose(
        settings(Source(tmp_path / "a.set")).signal, settings(Source(source)).signal, atol=1e-2
    )


def test_units_of_a_file_are_made_microvolts(tmp_path):
    files = [write_edf(tmp_path / f"{unit}.edf", unit=unit, seconds=4) for unit in ("uV", "mV")]
    signals = [Preparation(channels=CHANNELS)(Source(file)).signal for file in files]
    assert np.allclose(signals[0], signals[1], atol=0.1)
    assert 10 < signals[0].std() < 40


def test_a_filter_leaves_its_band_and_a_rate_is_what_was_asked(tmp_path):
    time = np.arange(20 * 256) / 256
    row = sum(20 * np.sin(2 * np.pi * hertz * time) for hertz in (0.1, 10, 50, 70))
    file = write_edf(tmp_path / "a.edf", labels=["Cz"], rate=256, seconds=20, data=row[None])
    found = Preparation(channels=["Cz"], band=[1, 40], notch=50, rate=200)(Source(file))
    assert found.rate == 200
    assert found.signal.shape == (1, 4000)
    power = np.abs(np.fft.rfft(found.signal[0, 400:-400])) / (len(found.signal[0]) - 800) * 2
    hertz = np.fft.rfftfreq(len(found.signal[0]) - 800, 1 / 200)
    strength = {wanted: power[np.abs(hertz - wanted).argmin()] for wanted in (0.1, 10, 50, 70)}
    assert strength[10] == pytest.approx(20, rel=0.05)
    assert max(strength[0.1], strength[50], strength[70]) < 1


def test_the_double_banana_is_the_differences_of_neighbours(tmp_path):
    labels = [f"EEG {name}-REF" for name in REFERENTIAL]
    data = microvolts(len(labels), 100, 5)
    file = write_edf(tmp_path / "a.edf", labels=labels, rate=100, seconds=5, data=data)
    found = Preparation(channels="double_banana")(Source(file))
    assert len(DOUBLE_BANANA) == 22
    assert found.present.all()
    wanted = data[REFERENTIAL.index("T3")] - data[REFERENTIAL.index("T5")]
    assert np.allclose(found.signal[DOUBLE_BANANA.index("T7-P7")], wanted, atol=0.05)


def test_a_new_reference_is_taken_off(tmp_path):
    data = microvolts(4, 128, 5)
    file = write_edf(tmp_path / "a.edf", seconds=5, data=data)
    average = Preparation(channels=CHANNELS, reference="average")(Source(file)).signal
    assert np.allclose(average, data - data.mean(axis=0), atol=0.05)
    to_c3 = Preparation(channels=["Fp1"], reference=["C3"])(Source(file)).signal
    assert np.allclose(to_c3[0], data[0] - data[2], atol=0.05)


class TestMissingChannels:
    @pytest.fixture
    def file(self, tmp_path):
        labels = [name for name in TEN_TWENTY if name != "C3"]
        place = np.linspace(0, 1, len(labels))[:, None]
        data = microvolts(len(labels), 128, 4) * 0.01 + 30 * np.sin(np.arange(512) / 9 + place)
        return Source(write_edf(tmp_path / "a.edf", labels=labels, seconds=4, data=data))

    def test_error_names_them(self, file):
        with pytest.raises(DataError, match=r"has no C3\. Say missing_channels=mask, interpolate or drop"):
            Preparation(channels="ten_twenty")(file)

    def test_mask_says_which(self, file):
        found = Preparation(channels="ten_twenty", missing_channels="mask")(file)
        row = TEN_TWENTY.index("C3")
        assert not found.present[row]
        assert found.present.sum() == 18
        assert (found.signal[row] == 0).all()

    def test_interpolate_makes_it_from_its_neighbours(self, file):
        found = Preparation(channels="ten_twenty", missing_channels="interpolate")(file)
        assert found.present.all()
        near = found.signal[[TEN_TWENTY.index(name) for name in ("F3", "Cz", "P3", "T7")]].mean(axis=0)
        assert np.corrcoef(found.signal[TEN_TWENTY.index("C3")], near)[0, 1] > 0.9

    def test_drop_leaves_the_recording_out(self, file):
        with pytest.raises(DroppedRecordingError, match="C3"):
            Preparation(channels="ten_twenty", missing_channels="drop")(file)

    def test_a_missing_reference_is_never_made_up(self, file):
        with pytest.raises(DataError, match="has no A1"):
            Preparation(channels=["Fz"], reference=["A1"], missing_channels="mask")(file)

    def test_a_difference_needs_both_ends(self, file):
        found = Preparation(channels=["F3-C3", "F4-C4"], missing_channels="mask")(file)
        assert found.present.tolist() == [False, True]


class TestBadInput:
    def test_a_truncated_file(self, tmp_path):
        file = write_edf(tmp_path / "a.edf")
        file.write_bytes(file.read_bytes()[:-700])
        with pytest.raises(DataError, match="truncated: its header promises 10 data records, 9 are there"):
            Preparation(channels=CHANNELS)(Source(file))

    @pytest.mark.parametrize("ending", [".edf", ".bdf", ".fif", ".set", ".rda"])
    def test_a_file_of_something_else(self, tmp_path, ending):
        file = tmp_path / f"a{ending}"
        file.write_bytes(b"no recording at all " * 100)
        member = 0 if ending == ".rda" else None
        with pytest.raises(DataError, match=r"corrupt|cannot be read"):
            Preparation(channels=CHANNELS)(Source(file, member))

    def test_a_channel_that_no_alias_explains(self, tmp_path):
        source = Source(write_edf(tmp_path / "a.edf", labels=("Fp1", "Fp2", "C3", "Wibble")))
        with pytest.raises(DataError, match="no alias explains the channel 'Wibble'"):
            Preparation(channels=CHANNELS)(source)
        assert Preparation(channels=CHANNELS, aliases={"Wibble": "C4"})(source).present.all()
        left = Preparation(channels=CHANNELS, ignore_channels=["Wib*"], missing_channels="mask")(source)
        assert left.present.tolist() == [True, True, True, False]

    def test_two_labels_of_one_place(self, tmp_path):
        source = Source(write_edf(tmp_path / "a.edf", labels=("T3", "T7", "C3", "C4")))
        with pytest.raises(DataError, match="'T3' and 'T7' are both T7"):
            Preparation(channels=["T7"])(source)

    def test_units_that_are_no_voltage(self, tmp_path):
        source = Source(write_edf(tmp_path / "a.edf", unit="mmHg"))
        with pytest.raises(DataError, match=r"the unit of the channel 'Fp1', .* is no voltage"):
            Preparation(channels=CHANNELS)(source)

    def test_units_that_do_not_match_the_size(self, tmp_path):
        source = Source(write_edf(tmp_path / "a.edf", unit="mV", data=microvolts(4, 128, 10) * 1000))
        with pytest.raises(DataError, match="units do not match"):
            Preparation(channels=CHANNELS)(source)
        found = Preparation(channels=CHANNELS, units={"*": "uV"})(source)
        assert 10 < found.signal.std() < 40

    def test_a_constant_channel(self, tmp_path):
        data = microvolts(4, 128, 10)
        data[2] = 7.0
        source = Source(write_edf(tmp_path / "a.edf", data=data))
        with pytest.raises(DataError, match=r"C3 \(constant\)"):
            Preparation(channels=CHANNELS)(source)
        found = Preparation(channels=CHANNELS, flat_channels="missing", missing_channels="mask")(source)
        assert found.present.tolist() == [True, True, False, True]

    def test_an_all_nan_channel(self, tmp_path):
        import mne

        data = microvolts(4, 128, 10) * 1e-6
        data[1] = np.nan
        raw = mne.io.RawArray(data, mne.create_info(list(CHANNELS), 128, "eeg"), verbose="ERROR")
        raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
        with pytest.raises(DataError, match=r"Fp2 \(NaN\)"):
            Preparation(channels=CHANNELS)(Source(tmp_path / "a_raw.fif"))

    def test_a_recording_shorter_than_its_filter(self, tmp_path):
        source = Source(write_edf(tmp_path / "a.edf", seconds=2))
        with pytest.raises(DataError, match="shorter than the filter"):
            Preparation(channels=CHANNELS, band=[0.5, 40])(source)

    def test_a_band_beyond_the_rate(self, tmp_path):
        with pytest.raises(DataError, match="cannot be kept"):
            Preparation(channels=CHANNELS, band=[1, 40], rate=64)(Source(write_edf(tmp_path / "a.edf")))

    @pytest.mark.parametrize(
        "settings",
        [
            {"missing_channels": "guess"},
            {"band": [40, 1]},
            {"rate": 0},
            {"channels": "cap"},
            {"reference": "ears"},
        ],
    )
    def test_settings_that_are_none(self, settings):
        with pytest.raises(ConfigError):
            Preparation(**{"channels": CHANNELS, **settings})


def test_the_cache_is_mapped_keyed_by_settings_and_knows_no_patient(tmp_path):
    source = Source(write_edf(tmp_path / "Lovelace.edf"))
    settings = Preparation(channels=CHANNELS)
    first = prepared(source, settings)
    assert isinstance(first.samples(), np.memmap)
    assert np.array_equal(first.samples(), settings(source).signal)
    assert prepared(source, settings).path == first.path
    assert prepared(source, Preparation(channels=CHANNELS, reference="average")).path != first.path
    # Another file under the same name is another entry.
    write_edf(tmp_path / "Lovelace.edf", seed=1, seconds=12)
    assert prepared(source, settings).path != first.path
    for file in Path(tmp_path / "cache").rglob("*"):
        assert b"Lovelace" not in file.read_bytes()
        assert "Lovelace" not in file.name
        if file.suffix == ".json":
            assert set(json.loads(file.read_text())) == {"present", "rate", "num_samples"}
