"""Folders of recordings: layouts, windows and their classes, and splits that no subject crosses."""

import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("mne")

from genoseq.data.loading import ExampleKey
from genoseq.data.recordings import Preparation, find_recordings
from genoseq.data.recordings.folders import read_intervals
from genoseq.data.recordings.windows import (
    Coverage,
    overlap_windows,
    regular_windows,
)
from genoseq.errors import ConfigError, DataError, LeakError
from tests.recordings import CHANNELS, open_data, write_edf, write_people, write_tuh


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENOSEQ_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def people(tmp_path):
    """A folder of ten subjects with two recordings each."""
    return write_people(tmp_path / "people")


class TestLayouts:
    def test_tuab(self, tmp_path):
        places = [
            f"edf/{part}/{kind}/01_tcp_ar" for part in ("train", "eval") for kind in ("normal", "abnormal")
        ]
        write_tuh(tmp_path, ["aaaaaaaa", "aaaaaaab", "aaaaaaac", "aaaaaaad"], suffix=places)
        write_tuh(tmp_path, ["aaaaaaae"], suffix=places[:1])
        data = open_data(
            tmp_path, "double_banana", layout="tuab", label_source="recording", validation_fraction=0.3
        )
        found = {(item.subject, item.split, item.label) for item in data.recordings}
        assert ("aaaaaaac", "test", "normal") in found
        assert data.classes == ("abnormal", "normal")
        assert set(data.examples("test")["label"]) == {"abnormal", "normal"}
        assert sorted(data.splits) == ["test", "test", "train", "train", "validation"]
        assert data.dataset("test")[ExampleKey(0, 0)]["x"].shape == (22, 200)

    def test_tuar_reads_the_intervals_of_every_channel(self, tmp_path):
        write_tuh(tmp_path, ["aaaaaaju", "aaaaaajv", "aaaaaajw"], suffix=["edf/01_tcp_ar"] * 3)
        for file in (tmp_path / "edf/01_tcp_ar").glob("*.edf"):
            file.with_suffix(".csv").write_text(
                "# version = csv_v1.0.0\n# bname = x\n# duration = 12.00 secs\n# montage_file = m.txt\n#\n"
                "channel,start_time,stop_time,label,confidence\n"
                "FP1-F7,2.0,3.2,eyem,1.0\nFP2-F8,2.9,4.0,eyem,1.0\nT3-C3,8.1,10.0,musc,1.0\n"
            )
        data = open_data(
            tmp_path,
            "double_banana",
            layout="tuar",
            label_source="stretches",
            classes={"eyem": "eyes", "musc": "muscles"},
            background="clean",
            test_fraction=0.34,
            validation_fraction=0.34,
        )
        assert data.examples("train")["label"].tolist() == [
            "clean",
            "eyes",
            "clean",
            "clean",
            "muscles",
            "clean",
        ]
        assert data.classes == ("clean", "eyes", "muscles")

    def test_tusl_reads_tse(self, tmp_path):
        places = [f"edf/aaaaaa{end}/s001_2010/02_tcp_le" for end in "abc"]
        write_tuh(tmp_path, ["aaaaaaa", "aaaaaab", "aaaaaac"], suffix=places)
        for file in tmp_path.rglob("*.edf"):
            file.with_suffix(".tse").write_text(
                "version = tse_v1.0.0\n\n0.0 4.0 bckg 1.0\n4.0 12.0 slow 1.0\n"
            )
        data = open_data(
            tmp_path,
            "ten_twenty",
            layout="tusl",
            label_source="stretches",
            classes={"bckg": "background", "slow": "slowing", "seiz": "seizure"},
            test_fraction=0.34,
            validation_fraction=0.34,
        )
        assert data.examples("train")["label"].tolist() == ["background"] * 2 + ["slowing"] * 4

    def test_a_file_outside_of_its_layout(self, tmp_path):
        write_tuh(tmp_path, ["aaaaaaaa"], suffix=["somewhere"])
        with pytest.raises(DataError, match="lies under train or eval"):
            find_recordings(tmp_path, "tuab")
        write_edf(tmp_path / "b.edf")
        with pytest.raises(DataError, match="SUBJECT_s001_t000"):
            find_recordings(tmp_path, "tuar")

    def test_a_table_says_what_the_folder_does_not(self, people, tmp_path):
        table = tmp_path / "t.tsv"
        table.write_text("path\tsubject\tlabel\nS000R00.edf\tx\tsick\nS001R00.edf\ty\twell\n")
        found = find_recordings(people, "plain", table)
        assert [(item.subject, item.label) for item in found] == [("x", "sick"), ("y", "well")]
        table.write_text("path\nnone.edf\n")
        with pytest.raises(DataError, match="not there"):
            find_recordings(people, "plain", table)

    def test_the_twenty_subjects_of_eegdata(self, shared):
        data = open_data(
            shared / "data/bench/eeg/eegdata.rda",
            preparation=Preparation(channels=["FP1", "Fz", "AF3", "PO4"], ignore_channels=["nd"]),
            window=1.0,
            label_source="recording",
            classes={"a": "alcoholic", "c": "control"},
            folds=5,
            fold=2,
        )
        assert len(set(data.subjects)) == 20
        assert len(data.recordings) == 100
        counts = data.examples("test").groupby("label")["group"].nunique()
        assert counts.to_dict() == {"alcoholic": 2, "control": 2}
        assert data.dataset("test")[ExampleKey(0, 3)]["x"].shape == (4, 256)

    def test_intervals_that_are_none(self, tmp_path):
        (tmp_path / "a.csv").write_text("when,what\n1,2\n")
        with pytest.raises(DataError, match="holds no intervals"):
            read_intervals(tmp_path / "a.csv")


class TestSplits:
    def test_no_subject_is_in_two_and_the_table_says_so(self, people):
        data = open_data(people)
        table = data.split_table()
        assert table.groupby("subject")["split"].nunique().max() == 1
        assert set(table["split"]) == {"train", "validation", "test"}
        assert list(table) == ["recording", "subject", "content", "split"]
        assert not table.astype(str).stack().str.contains("S00").any()
        again = open_data(people, seed=7).split_table()
        pd.testing.assert_frame_equal(table, again)

    def test_a_declared_subject_in_two_is_refused(self, people, tmp_path):
        table = tmp_path / "t.tsv"
        table.write_text("path\tsplit\nS000R00.edf\ttrain\nS000R01.edf\ttest\n")
        with pytest.raises(LeakError, match="in both train and test"):
            open_data(people, table=table).splits  # noqa: B018

    def test_a_tuab_subject_in_train_and_eval_is_refused(self, tmp_path):
        places = ["edf/train/normal/01_tcp_ar", "edf/eval/normal/01_tcp_ar"]
        write_tuh(tmp_path, ["aaaaaaaa", "aaaaaaaa"], suffix=places)
        with pytest.raises(LeakError, match="in both"):
            open_data(tmp_path, "ten_twenty", layout="tuab").splits  # noqa: B018

    def test_one_recording_under_two_names_is_refused(self, people, tmp_path):
        (people / "S020R00.edf").write_bytes((people / "S000R00.edf").read_bytes())
        table = tmp_path / "t.tsv"
        table.write_text("path\tsplit\nS000R00.edf\ttrain\nS020R00.edf\ttest\n")
        with pytest.raises(LeakError, match="under two names"):
            open_data(people, table=table).splits  # noqa: B018

    def test_folds_test_everyone_once(self, people):
        tested = [open_data(people, folds=5, fold=number).split_table() for number in range(5)]
        subjects = [set(table.loc[table["split"] == "test", "subject"]) for table in tested]
        assert sorted(subject for fold in subjects for subject in fold) == list(range(1, 11))
        with pytest.raises(ConfigError, match="fold=5 of folds=5"):
            open_data(people, folds=5, fold=5).splits  # noqa: B018

    def test_too_few_subjects(self, tmp_path):
        write_edf(tmp_path / "S001R01.edf")
        with pytest.raises(DataError, match=r"recordings of \d subjects? cannot be cut.*table=FILE"):
            open_data(tmp_path).splits  # noqa: B018


class TestWindows:
    def test_events_become_windows_of_their_classes(self, people):
        data = open_data(
            people, label_source="events", classes={"T1": "left", "T2": "right"}, offset=0.5, window=1
        )
        rows = data.examples("test")
        assert rows["label"].tolist()[:2] == ["left", "right"]
        assert rows["start"].tolist()[:2] == [1.5, 5.5]
        example = data.dataset("test")[ExampleKey(0, 1)]
        assert example["labels"] == 1
        assert example["x"].dtype == np.float32

    def test_the_scale_is_of_the_training_part(self, people):
        data = open_data(people)
        values = np.concatenate([item.samples() for _, item in data._prepared("train")], axis=1)
        assert np.allclose(data.scaler.shift, np.median(values, axis=1), atol=0.5)
        train = data.dataset("train")
        x = np.concatenate([train[ExampleKey(0, row)]["x"] for row in range(len(train))], axis=1)
        low, high = np.quantile(x, [0.25, 0.75], axis=1)
        assert np.allclose((high - low) / 1.349, 1, atol=0.05)

    def test_a_masked_channel_is_zero_and_said(self, people):
        write_edf(people / "S030R00.edf", labels=("Fp1", "Fp2", "C3"), seed=99)
        settings = Preparation(channels=CHANNELS, missing_channels="mask")
        data = open_data(people, preparation=settings, test_fraction=0.4)
        seen = [
            (example["observed"][:, 0].tolist(), float(np.abs(example["x"][3]).max()))
            for split in ("train", "validation", "test")
            for example in [
                data.dataset(split)[ExampleKey(0, row)] for row in range(len(data.dataset(split)))
            ]
        ]
        assert ([True, True, True, False], 0.0) in seen
        assert all(most > 0 for there, most in seen if there[3])

    def test_rates_that_differ_want_one(self, people):
        write_edf(people / "S000R02.edf", rate=100, seed=50)
        with pytest.raises(DataError, match="100, 128 samples a second"):
            [open_data(people).examples(split) for split in ("train", "validation", "test")]
        data = open_data(people, preparation=Preparation(channels=CHANNELS, rate=64))
        assert {len(data.dataset(split)[ExampleKey(0, 0)]["x"][0]) for split in ("train", "test")} == {128}

    def test_an_annotation_beyond_the_end(self, people):
        (people / "S000R00.csv").write_text("channel,start_time,stop_time,label,confidence\nTERM,4,11,T1,1\n")
        settings = {"label_source": "stretches", "classes": {"T1": "left", "T2": "right"}}
        with pytest.raises(DataError, match=r"beyond the recording of 10 s, the first from 4 to 11 s"):
            [open_data(people, **settings).examples(split) for split in ("train", "validation", "test")]
        open_data(people, beyond_end="drop", **settings).examples("train")

    def test_broken_recordings_are_skipped_where_that_is_said(self, people, caplog):
        file = people / "S003R01.edf"
        file.write_bytes(file.read_bytes()[:-999])
        with pytest.raises(DataError, match="truncated"):
            [open_data(people).examples(split) for split in ("train", "validation", "test")]
        data = open_data(people, on_error="skip")
        rows = pd.concat([data.examples(split) for split in ("train", "validation", "test")])
        assert rows["recording"].nunique() == 19
        assert "on_error=skip" in caplog.text

    def test_a_window_longer_than_every_recording(self, people):
        with pytest.raises(DataError, match="has a window of 60 s"):
            open_data(people, window=60).examples("train")

    def test_workers_get_no_samples_with_their_data_set(self, people):
        dataset = open_data(people).dataset("train")
        before = dataset[ExampleKey(0, 5)]["x"]
        content = pickle.dumps(dataset)
        assert len(content) < 20_000
        assert np.array_equal(pickle.loads(content)[ExampleKey(0, 5)]["x"], before)

    def test_batches_count_every_window_of_the_test_part(self, people):
        data = open_data(people, global_batch_size=7)
        data.trainer = SimpleNamespace(world_size=1, global_rank=0)
        counted = sum(int(batch["counted"].sum()) for batch in data.test_dataloader())
        assert counted == len(data.examples("test")) == 20

    @given(
        st.lists(st.tuples(st.floats(0, 9), st.floats(0.01, 4), st.sampled_from("abx")), max_size=6),
        st.floats(0.05, 1),
    )
    def test_a_window_has_the_class_that_covers_most_of_it(self, marks, least):
        table = pd.DataFrame(marks, columns=["onset", "duration", "description"])
        windows = regular_windows(100, 20, 20)
        coverage = Coverage(size=20, rate=10.0, least=least, background="none")
        found = overlap_windows(table, {"a": "A", "b": "B"}, windows, coverage)
        assert [window.start for window in found] == [0, 20, 40, 60, 80]
        time = (np.arange(20_000) + 0.5) / 2000  # ten seconds, finely
        for window in found:
            within = (time >= window.start / 10) & (time < window.start / 10 + 2)
            share = {
                name: max(
                    [0.0]
                    + [
                        np.mean(
                            np.any(
                                [
                                    (time[within] >= on) & (time[within] < on + long)
                                    for on, long, text in marks
                                    if text.upper() == name
                                ],
                                axis=0,
                            )
                        )
                        for _ in [0]
                        if any(text.upper() == name for *_, text in marks)
                    ]
                )
                for name in "AB"
            }
            best = max(share.values())
            if window.label == "none":
                assert best < max(least, 0.05) + 0.01
            else:
                assert share[window.label] >= max(best, least) - 0.01
