"""What stretches of recordings make of windows: a class, several, or one of each channel."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import default_collate

pytest.importorskip("mne")

from genoseq.data.loading import ExampleKey
from genoseq.data.recordings import Preparation
from genoseq.data.recordings.windows import Coverage, channel_windows, present_windows, regular_windows
from genoseq.errors import ConfigError, DataError
from genoseq.nn.losses import IGNORED
from tests.recordings import open_data, write_people, write_tuar, write_tuh

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


def data_of(folder, rows=ROWS, channels="double_banana", settings=None, **changes):
    """Six windows of two seconds each in the training part, of a person with ears and of one without."""
    subjects = {"aaaaaaju": "train", "aaaaaajv": "train", "aaaaaajw": "validation", "aaaaaajx": "test"}
    write_tuar(folder, dict.fromkeys(subjects, rows), absent=["aaaaaajv"])
    lines = [f"edf/01_tcp_ar/{who}_s001_t000.edf\t{part}" for who, part in subjects.items()]
    (folder / "table.tsv").write_text("\n".join(["path\tsplit", *lines]) + "\n")
    preparation = Preparation(channels=channels, **({"missing_channels": "mask"} | (settings or {})))
    fixed = {"table": folder / "table.tsv", "label_source": "stretches"}
    classes = {"classes": KINDS, "background": "clean"}
    return open_data(folder, preparation=preparation, **(fixed | classes | changes))


def labels_of(data):
    """As a batch of the training part has them."""
    dataset = data.dataset("train")
    return default_collate([dataset[ExampleKey(0, row)] for row in range(len(dataset))])["labels"]


def test_one_class_where_there_are_two_is_the_first(tmp_path):
    data = data_of(tmp_path)
    assert data.classes == ("clean", "eyes", "muscles", "electrode")
    found = data.examples("train")["label"].tolist()
    assert found == ["clean", "eyes", "muscles", "eyes", "clean", "electrode"] * 2


def test_each_class_there_or_not(tmp_path):
    data = data_of(tmp_path, label_form="classes")
    assert data.classes == ("eyes", "muscles", "electrode")
    assert (data.problem, data.judged_as, data.num_outputs) == ("multi_label", "multi_label", 3)
    expected = [[0, 0, 0], [1, 1, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]] * 2
    rows = data.examples("train")
    assert rows[["label_eyes", "label_muscles", "label_electrode"]].to_numpy().tolist() == expected
    assert labels_of(data).tolist() == expected
    # Without a background, windows without any class are left out.
    fewer = data_of(tmp_path, label_form="classes", background=None).dataset("train")
    assert fewer.starts.tolist() == [200, 400, 600, 1000] * 2


def test_the_class_of_each_channel(tmp_path):
    data = data_of(tmp_path, label_form="channels")
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
    assert torch.equal(labels_of(data), expected)
    rows = data.examples("train")
    assert rows["label_T7-C3"].tolist() == ["clean", "muscles", *["clean"] * 3, "electrode"] * 2
    assert rows["label_T8-A2"].isna().tolist() == [False] * 6 + [True] * 6
    assert data.describe()["label_form"] == "channels"


def test_annotations_without_a_channel_are_of_all(tmp_path):
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
    people = write_people(tmp_path / "people")
    data = open_data(people, **settings, classes={"T1": "left"}, window=1)
    assert data.dataset("test").labels[:4].tolist() == [[0] * 4, [1] * 4, [1] * 4, [0] * 4]


def test_channels_go_by_aliases_and_by_what_is_ignored(tmp_path):
    rows = [("EEG LEFT", 0.0, 2.0, "eyem"), ("MISC2", 2.0, 4.0, "eyem")]
    settings = {"aliases": {"EEG LEFT": "Fp1-F7"}, "ignore_channels": ["MISC*"]}
    labels = data_of(tmp_path, rows, settings=settings, label_form="channels").dataset("train").labels
    assert np.argwhere(labels > 0).tolist() == [[0, 0], [6, 0]]


def test_a_channel_that_nothing_explains(tmp_path):
    data = data_of(tmp_path, [("Wibble", 0.0, 2.0, "eyem")], label_form="channels")
    with pytest.raises(DataError, match=r"aaaaaaj[uvw]_s001_t000\.csv: no alias explains .*'Wibble'"):
        data.examples("train")
    # Where channels are taken together, what they are called is of no concern.
    data_of(tmp_path, [("Wibble", 0.0, 2.0, "eyem")], label_form="classes").examples("train")


def test_differences_are_no_places(tmp_path):
    data = data_of(tmp_path, channels="ten_twenty", label_form="channels")
    with pytest.raises(DataError, match=r"annotates Fp1-F7, and the preparation has Fp1: .*double_banana"):
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
def test_settings_that_contradict_each_other(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        data_of(tmp_path, **changes)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 4), st.sampled_from("ab"), st.sampled_from("CD")),
        max_size=6,
    )
)
def test_every_sample_counted_one_by_one(marks):
    table = pd.DataFrame(
        [(onset, length, text, (channel,)) for onset, length, text, channel in marks],
        columns=["onset", "duration", "description", "channels"],
    )
    coverage = Coverage(size=20, rate=10.0, least=0.5, background="none")
    windows = regular_windows(140, 20, 20)
    several = present_windows(table, {"a": ["A"], "b": ["B", "A"]}, windows, coverage)
    each = channel_windows(
        table, {"a": "A", "b": "B"}, windows, coverage, channels=("C", "D"), present=np.array([True, True])
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
