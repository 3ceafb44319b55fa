"""Recordings of people and sensors: EEG and others through MNE, as windows for training."""

from genoseq.data.recordings.channels import DOUBLE_BANANA, TEN_TWENTY
from genoseq.data.recordings.datamodule import RecordingDataModule
from genoseq.data.recordings.folders import Recording, find_recordings
from genoseq.data.recordings.opening import Source, open_recording
from genoseq.data.recordings.preparation import Preparation, Prepared

__all__ = [
    "DOUBLE_BANANA",
    "TEN_TWENTY",
    "Preparation",
    "Prepared",
    "Recording",
    "RecordingDataModule",
    "Source",
    "find_recordings",
    "open_recording",
]
