from .channels import DOUBLE_BANANA, TEN_TWENTY
from .datamodule import RecordingDataModule
from .folders import Recording, find_recordings
from .opening import Source, open_recording
from .preparation import Preparation, Prepared

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
