"""Folders of recordings: layouts, windows and their classes, and splits that no subject crosses."""

import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import default_collate

pytest.importorskip("mne")

from genoseq.data.loading import ExampleKey
from genoseq.data.recordings import Preparation, RecordingDataModule, find_recordings
from genoseq.data.recordings.folders import read_intervals
from genoseq.data.recordings.windows import (
    channel_windows,
    overlap_windows,
    present_windows,
    regular_windows,
)
from genoseq.errors import ConfigError, DataError, LeakError
from genoseq.nn.losses import IGNORED
from tests.recordings import write_edf, write_tuar, write_tuh

CHANNELS = ("Fp1", "Fp2", "C3", "C4")
SETTINGS = {
    "layout": "plain",
    "table": None,
    "window": 2.0,
    "stride": None,
    "label_source": "none",
    "label_form": "class",
    "unlabelled": False,
    "classes": None,
    "offset": 0.0,
    "least_overlap": 0.5,
    "background": None,
    "beyond_end": "error",
    "validation_fraction": 0.2,
    "test_fraction": 0.2,
    "folds": None,
    "fold": None,
    "split_seed": 0,
    "on_error": "raise",
    "global_batch_size": 4,
    "micro_batch_size": None,
    "num_workers": 0,
    "pin_memory": False,
    "seed": 0,
}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENOSEQ_CACHE", str(tmp_path / "cache"))


def open_data(path, channels=CHANNELS, preparation=None, **changes):
    preparation = preparation or Preparation(channels=channels)
    return RecordingDataModule(path=path, preparation=preparation, **(SETTINGS | changes))


@pytest.fixture
def people(tmp_path):
    """A folder of ten subjects with two recordings each."""
    for number in range(10):
        for session in range(2):
            marks = [(1.0, 2.0, "T1"), (5.0, 2.0, "T2"), (8.0, 1.0, "Ada Lovelace moved")]
            path = tmp_path / "people" / f"S{number:03}R{session:02}.edf"
            write_edf(path, seconds=10, marks=marks, seed=2 * number + session)
    return tmp_path / "people"


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


KINDS = {"eyem": "eyes", "musc": "muscles", "eyem_musc": ["eyes", "muscles"], "elec": "electrode"}
ROWS = [
    ("FP1-F7", 2.0, 4.0, "eyem"),
    ("T3-C3", 2.5, 4.0, "musc"),
    ("EKG", 4.0, 6.0, "musc"),  # the montage is without the heart
    ("T4-A2", 6.0, 8.0, "eyem_musc"),
    ("FP1-F7", 8.0, 8.4, "elec"),  # a fifth of a window
    ("TERM", 10.0, 12.0, "elec"),
    ("XY-Z9", 0.0, 2.0, "fnsz"),  # none of the classes: whose it is does not matter
]


class TestForms:
    """What stretches by channel make of windows: six of two seconds each, of a person with ears and of one
    without."""

    @staticmethod
    def data(folder, rows=ROWS, channels="double_banana", settings=None, **changes):
        subjects = {"aaaaaaju": "train", "aaaaaajv": "train", "aaaaaajw": "validation", "aaaaaajx": "test"}
        write_tuar(folder, dict.fromkeys(subjects, rows), absent=["aaaaaajv"])
        lines = [f"edf/01_tcp_ar/{who}_s001_t000.edf\t{part}" for who, part in subjects.items()]
        (folder / "table.tsv").write_text("\n".join(["path\tsplit", *lines]) + "\n")
        preparation = Preparation(channels=channels, **({"missing_channels": "mask"} | (settings or {})))
        fixed = {"table": folder / "table.tsv", "label_source": "stretches"}
        classes = {"classes": KINDS, "background": "clean"}
        return open_data(folder, preparation=preparation, **(fixed | classes | changes))

    @staticmethod
    def labels(data):
        """As a batch of the training part has them."""
        dataset = data.dataset("train")
        return default_collate([dataset[ExampleKey(0, row)] for row in range(len(dataset))])["labels"]

    def test_one_class_where_there_are_two_is_the_first(self, tmp_path):
        data = self.data(tmp_path)
        assert data.classes == ("clean", "eyes", "muscles", "electrode")
        found = data.examples("train")["label"].tolist()
        assert found == ["clean", "eyes", "muscles", "eyes", "clean", "electrode"] * 2

    def test_each_class_there_or_not(self, tmp_path):
        data = self.data(tmp_path, label_form="classes")
        assert data.classes == ("eyes", "muscles", "electrode")
        assert (data.problem, data.judged_as, data.num_outputs) == ("multi_label", "multi_label", 3)
        expected = [[0, 0, 0], [1, 1, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]] * 2
        rows = data.examples("train")
        assert rows[["label_eyes", "label_muscles", "label_electrode"]].to_numpy().tolist() == expected
        assert self.labels(data).tolist() == expected
        # Without a background, windows without any class are left out.
        fewer = self.data(tmp_path, label_form="classes", background=None).dataset("train")
        assert fewer.starts.tolist() == [200, 400, 600, 1000] * 2

    def test_the_class_of_each_channel(self, tmp_path):
        data = self.data(tmp_path, label_form="channels")
        assert data.classes == ("clean", "eyes", "muscles", "electrode")
        assert (data.problem, data.judged_as, data.num_outputs) == ("single_label", "single_label", 4)
        names = data.preparation.names
        expected = torch.zeros(12, 22, dtype=torch.int64)
        for first in (0, 6):
            expected[first + 1, names.index("Fp1-F7")] = 1
            expected[first + 1, names.index("T7-C3")] = 2
            expected[first + 3, names.index("T8-A2")] = 1
            expected[first + 5] = 3
        # An ear that was not measured has no class, whatever is annotated.
        expected[6:, [names.index("A1-T7"), names.index("T8-A2")]] = IGNORED
        assert torch.equal(self.labels(data), expected)
        rows = data.examples("train")
        assert rows["label_T7-C3"].tolist() == ["clean", "muscles", *["clean"] * 3, "electrode"] * 2
        assert rows["label_T8-A2"].isna().tolist() == [False] * 6 + [True] * 6
        assert data.describe()["label_form"] == "channels"

    def test_annotations_without_a_channel_are_of_all(self, tmp_path, people):
        places = [f"edf/aaaaaa{end}/s001_2010/02_tcp_le" for end in "abc"]
        write_tuh(tmp_path / "tusl", ["aaaaaaa", "aaaaaab", "aaaaaac"], suffix=places)
        for file in (tmp_path / "tusl").rglob("*.edf"):
            file.with_suffix(".tse").write_text("version = tse_v1.0.0\n\n0.0 4.0 slow 1.0\n")
        settings = {"label_source": "stretches", "label_form": "channels", "background": "none"}
        parts = {"test_fraction": 0.34, "validation_fraction": 0.34}
        slow = {"classes": {"slow": "slow"}, "layout": "tusl"}
        data = open_data(tmp_path / "tusl", "ten_twenty", **settings, **parts, **slow)
        assert data.dataset("train").labels.tolist() == [[1] * 19] * 2 + [[0] * 19] * 4
        # So are those in the file itself.
        data = open_data(people, **settings, classes={"T1": "left"}, window=1)
        assert data.dataset("test").labels[:4].tolist() == [[0] * 4, [1] * 4, [1] * 4, [0] * 4]

    def test_channels_go_by_aliases_and_by_what_is_ignored(self, tmp_path):
        rows = [("EEG LEFT", 0.0, 2.0, "eyem"), ("MISC2", 2.0, 4.0, "eyem")]
        settings = {"aliases": {"EEG LEFT": "Fp1-F7"}, "ignore_channels": ["MISC*"]}
        labels = self.data(tmp_path, rows, settings=settings, label_form="channels").dataset("train").labels
        assert np.argwhere(labels > 0).tolist() == [[0, 0], [6, 0]]

    def test_a_channel_that_nothing_explains(self, tmp_path):
        data = self.data(tmp_path, [("Wibble", 0.0, 2.0, "eyem")], label_form="channels")
        with pytest.raises(DataError, match=r"aaaaaaj[uvw]_s001_t000\.csv: no alias explains .*'Wibble'"):
            data.examples("train")
        # Where channels are taken together, what they are called is of no concern.
        self.data(tmp_path, [("Wibble", 0.0, 2.0, "eyem")], label_form="classes").examples("train")

    def test_differences_are_no_places(self, tmp_path):
        data = self.data(tmp_path, channels="ten_twenty", label_form="channels")
        with pytest.raises(
            DataError, match=r"annotates Fp1-F7, and the preparation has Fp1: .*double_banana"
        ):
            data.examples("train")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"label_form": "several"}, "choose one of class, classes, channels"),
            ({"label_form": "classes", "label_source": "events"}, "wants label_source=stretches"),
            ({"label_form": "channels", "label_source": "none"}, "wants label_source=stretches"),
            ({"label_form": "channels", "background": None}, "label_form=channels wants background"),
            ({"label_form": "channels", "classes": {"eyem": "clean"}}, "nothing beside the background"),
            ({"label_form": "classes", "classes": {"eyem": ["clean"]}}, "nothing beside the background"),
            ({"classes": {"eyem": []}}, "'eyem' has no name"),
            ({"classes": {"musc": "muscles", "eyem": None}}, "'eyem' has no name"),
        ],
    )
    def test_settings_that_contradict_each_other(self, tmp_path, changes, message):
        with pytest.raises(ConfigError, match=message):
            self.data(tmp_path, **changes)

    @given(
        st.lists(
            st.tuples(st.integers(0, 9), st.integers(1, 4), st.sampled_from("ab"), st.sampled_from("CD")),
            max_size=6,
        )
    )
    def test_every_sample_counted_one_by_one(self, marks):
        table = pd.DataFrame(
            [(onset, length, text, (channel,)) for onset, length, text, channel in marks],
            columns=["onset", "duration", "description", "channels"],
        )
        how = {"size": 20, "rate": 10.0, "least": 0.5, "background": "none"}
        windows = regular_windows(140, 20, 20)
        several = present_windows(table, {"a": ["A"], "b": ["B", "A"]}, windows, **how)
        each = channel_windows(
            table, {"a": "A", "b": "B"}, windows, channels=("C", "D"), present=np.array([True, True]), **how
        )
        time = np.arange(140) / 10

        def share(window, text, channels):
            covered = np.zeros(140, dtype=bool)
            for onset, length, written, channel in marks:
                if written in text and channel in channels:
                    covered |= (time >= onset) & (time < onset + length)
            return covered[window.start : window.start + 20].mean()

        for window in several:
            expected = {name for name, text in (("A", "ab"), ("B", "b")) if share(window, text, "CD") >= 0.5}
            assert set(window.labels) == expected
        for window in each:
            for channel, label in zip("CD", window.labels, strict=True):
                shares = {"A": share(window, "a", channel), "B": share(window, "b", channel)}
                best = max(shares.values())
                assert shares[label] == best >= 0.5 if label != "none" else best < 0.5


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
        found = overlap_windows(
            table, {"a": "A", "b": "B"}, windows, size=20, rate=10.0, least=least, background="none"
        )
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
