"""Recordings made for tests: EEG-like noise with a rhythm, in files of all formats and layouts."""

from __future__ import annotations

from pathlib import Path

import edfio
import numpy as np

from genoseq.data.recordings import Preparation, RecordingDataModule

REFERENTIAL = "FP1 FP2 F3 F4 C3 C4 P3 P4 O1 O2 F7 F8 T3 T4 T5 T6 A1 A2 FZ CZ PZ".split()  # noqa: SIM905


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


def microvolts(num_channels, rate, seconds, *, seed=0, rhythm=10.0):
    """(C, T) of noise and a rhythm of its own strength in each channel."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(rate * seconds)) / rate
    strength = np.linspace(5, 20, num_channels)[:, None]
    return generator.normal(0, 15, (num_channels, len(time))) + strength * np.sin(2 * np.pi * rhythm * time)


def write_edf(
    path,
    *,
    labels=("Fp1", "Fp2", "C3", "C4"),
    rate=128,
    seconds=10,
    unit="uV",
    marks=(),
    data=None,
    seed=0,
    rhythm=10.0,
):
    """An EDF file with `marks` of (onset, duration, text), of a patient with a name."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = microvolts(len(labels), rate, seconds, seed=seed, rhythm=rhythm) if data is None else data
    scale = {"uV": 1.0, "mV": 1e-3, "V": 1e-6}.get(unit, 1.0)
    signals = [
        edfio.EdfSignal(
            row * scale, rate, label=label, physical_dimension=unit, physical_range=_range(row * scale)
        )
        for label, row in zip(labels, data, strict=True)
    ]
    annotations = [edfio.EdfAnnotation(onset, duration, text) for onset, duration, text in marks]
    patient = edfio.Patient(code="MRN7781", name="Ada_Lovelace")
    edfio.Edf(signals, annotations=annotations, patient=patient).write(path)
    return path


def write_tuh(folder, subjects, *, suffix, seconds=12, rate=100):
    """EDF files in the layout of a corpus of Temple University Hospital, below folders of their own."""
    labels = [f"EEG {name}-REF" for name in REFERENTIAL] + ["EEG EKG1-REF", "PHOTIC-REF", "IBI"]
    for subject, place in zip(subjects, suffix, strict=True):
        write_edf(
            Path(folder) / place / f"{subject}_s001_t000.edf",
            labels=labels,
            rate=rate,
            seconds=seconds,
            seed=int(subject, 36),
        )


def write_tuar(folder, intervals, *, seconds=12, rate=100, absent=()):
    """Recordings in the layout of TUAR: `intervals` has rows of (channel, start, stop, label) by subject;
    those in `absent` were recorded without ears."""
    for subject, rows in intervals.items():
        names = [name for name in REFERENTIAL if subject not in absent or name not in ("A1", "A2")]
        file = write_edf(
            Path(folder) / "edf/01_tcp_ar" / f"{subject}_s001_t000.edf",
            labels=[f"EEG {name}-REF" for name in names],
            rate=rate,
            seconds=seconds,
            seed=int(subject, 36),
        )
        lines = ["# version = csv_v1.0.0", "#", "channel,start_time,stop_time,label,confidence"]
        lines += [",".join(map(str, (*row, 1.0))) for row in rows]
        file.with_suffix(".csv").write_text("\n".join(lines) + "\n")


def write_people(folder):
    """Ten subjects with two recordings each, annotated."""
    marks = [(1.0, 2.0, "T1"), (5.0, 2.0, "T2"), (8.0, 1.0, "Ada Lovelace moved")]
    for number in range(10):
        for session in range(2):
            path = Path(folder) / f"S{number:03}R{session:02}.edf"
            write_edf(path, seconds=10, marks=marks, seed=2 * number + session)
    return Path(folder)


def open_data(path, channels=CHANNELS, preparation=None, **changes):
    """The data module of a folder, with `SETTINGS` but for the changes."""
    preparation = preparation or Preparation(channels=channels)
    return RecordingDataModule(path=path, preparation=preparation, **(SETTINGS | changes))


def _range(values):
    finite = np.abs(values[np.isfinite(values)])
    most = float(np.ceil(finite.max() * 1000 + 1) / 1000) if finite.size else 1.0
    return (-most, most)
