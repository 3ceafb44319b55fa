"""`inspect` of a mixed folder says of each recording what a run would do with it, and names nobody."""

import json

import numpy as np
import pytest

pytest.importorskip("mne")

from genoseq.cli import main
from genoseq.data.inspection import Options, inspect
from genoseq.data.recordings import Preparation, Source
from genoseq.data.recordings.preparation import DroppedRecordingError
from genoseq.errors import DataError
from tests.recordings import microvolts, write_edf

CHANNELS = ["Fp1", "Fp2", "C3", "C4"]


@pytest.fixture
def mixed(tmp_path):
    folder = tmp_path / "hospital"
    marks = [(1.0, 0.0, "T1"), (2.0, 0.0, "T1"), (3.0, 0.0, "Mrs Lovelace moves")]
    write_edf(folder / "lovelace" / "a.edf", marks=marks)
    write_edf(
        folder / "lovelace" / "b.edf", labels=("EEG FP1-REF", "EEG FP2-REF", "EEG C3-REF"), rate=100, seed=1
    )
    write_edf(folder / "byron" / "c.edf", labels=(*CHANNELS[:3], "Wibble"), seed=2)
    flat = microvolts(4, 128, 10, seed=3)
    flat[0] = 1
    write_edf(folder / "byron" / "d.edf", data=flat)
    cut = write_edf(folder / "shelley.edf", seed=4)
    cut.write_bytes(cut.read_bytes()[:3000])
    return folder


def outcomes(folder, **settings):
    found = inspect(folder, Options(recordings={"channels": CHANNELS, **settings}))
    return {name: row["a run"] for name, row in zip(found.names, found.table, strict=True)}, found


def test_each_recording_has_its_outcome(mixed):
    said, found = outcomes(mixed, missing_channels="mask", rate=64)
    assert said["lovelace/a.edf"] == "reads 4 electrodes, resamples to 64 Hz"
    assert said["lovelace/b.edf"] == "reads 3 electrodes, masks C4, resamples to 64 Hz"
    assert said["byron/c.edf"].startswith("stops: no alias explains the channel 'Wibble'")
    assert said["byron/d.edf"].startswith("stops: Fp1 (constant)")
    assert said["shelley.edf"].startswith("stops: is truncated")
    assert found.remarks[0] == "3 of 5 would stop a run: 1, 2, 5."
    assert {row["subject"] for row in found.table} == {1, 2, 3}


def test_it_says_what_a_run_then_does(mixed):
    settings = {"channels": CHANNELS, "missing_channels": "drop", "flat_channels": "missing"}
    said, _ = outcomes(mixed, **settings)
    for name, outcome in said.items():
        try:
            Preparation(**settings)(Source(mixed / name))
        except DataError as error:
            wanted = "leaves it out" if isinstance(error, DroppedRecordingError) else "stops"
            assert outcome.split(": ")[0] == wanted
        else:
            assert outcome.startswith("reads")


def test_the_verb_tabulates_and_its_file_names_nobody(mixed, tmp_path, capsys):
    out = tmp_path / "found.json"
    main(["inspect", f"input={mixed}", "recordings.channels=[Fp1,C3]", f"out={out}"])
    screen = capsys.readouterr().out
    assert "lovelace/a.edf" in screen
    assert "T1 x 2, free text x 1" in screen
    written = out.read_text()
    assert not any(name in written.lower() for name in ("lovelace", "byron", "ada", "mrn7781"))
    rows = json.loads(written)["table"]
    assert [row["Hz"] for row in rows] == [128, 128, 128, 100, 0]
    assert np.sum([row["a run"].startswith("reads 2") for row in rows]) == 2


def test_without_channels_it_only_looks(mixed):
    found = inspect(mixed)
    assert found.table[3]["a run"].startswith("not asked")
    assert any("Rates differ" in text for text in found.remarks)
    assert any("'Wibble'" in text or "Wibble" in text for text in found.remarks)


def test_plots_of_what_a_run_would_read(mixed, tmp_path, capsys):
    out = tmp_path / "plots"
    asked = ["inspect", f"input={mixed}", f"plots={out}"]
    with pytest.raises(SystemExit):
        main(asked)
    assert "say which channels" in capsys.readouterr().err
    assert not out.exists()
    settings = ["channels=[Fp1,Fp2,C3,C4]", "missing_channels=mask", "flat_channels=missing", "rate=100"]
    given = [f"recordings.{setting}" for setting in settings]
    main([*asked, *given, "recordings.ignore_channels=[Wibble]"])
    assert all((out / name).stat().st_size > 5000 for name in ("spectrum.png", "scalp.png"))
