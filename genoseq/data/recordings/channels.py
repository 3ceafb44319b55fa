"""What a channel of a recording is, whatever its file calls it.

Sources: Jurcak et al. 2007, NeuroImage 34:1600 (the 10-20, 10-10 and 10-5 systems); Ferrell et al. 2020,
"The Temple University Hospital EEG Corpus: Electrode Location and Channel Labels" (labels and pairs of TUH).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from itertools import pairwise
from typing import Literal

from genoseq.data.recordings.extra import mne
from genoseq.errors import DataError

Kind = Literal["eeg", "other"]

# Older names of the same places, and those of two caps that are in circulation.
_OLDER = {
    "T3": "T7",
    "T4": "T8",
    "T5": "P7",
    "T6": "P8",
    "AF1": "AF3",
    "AF2": "AF4",
    "PO1": "PO3",
    "PO2": "PO4",
}
# What a label says beside the place: the kind before it, the reference after it, dots that fill up a field.
_BEFORE = re.compile(r"^(EEG|POL)[ _-]+", re.IGNORECASE)
_AFTER = re.compile(r"[ _-]+(REF|LE|AR|AVG|AV|CAR|CE|A1A2|A1\+A2|M1M2)$", re.IGNORECASE)
_OTHER = re.compile(
    r"([RLIHV]?EOG|ECG|EKG|EMG|LOC|ROC|PHOTIC|IBI|BURSTS|SUPPR|RESP|PULSE|SPO2|SAO2|STATUS|STI|TRIGGER|EXG|ANNOTATIONS"
    r"|LUC|RLC|PG\d|SP\d|DC\d|BP\d|X|Y|ND|X\d)|\d+$",
    re.IGNORECASE,
)

DOUBLE_BANANA = tuple(
    f"{anode}-{cathode}"
    for chain in (
        ("Fp1", "F7", "T7", "P7", "O1"),
        ("Fp2", "F8", "T8", "P8", "O2"),
        ("A1", "T7", "C3", "Cz", "C4", "T8", "A2"),
        ("Fp1", "F3", "C3", "P3", "O1"),
        ("Fp2", "F4", "C4", "P4", "O2"),
    )
    for anode, cathode in pairwise(chain)
)
"""The 22 differences of the temporal central parasagittal montage, in the order of the TUH corpora."""

TEN_TWENTY = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz"),
    *("C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2"),
)
"""The 19 electrodes of the 10-20 system."""


@dataclass(frozen=True)
class Channel:
    """What a label says.

    Attributes:
        name: the place in the 10-5 system (T7, never T3), or a difference of two (F4-A1); for others the
            label.
        kind: `eeg`, or `other`: hearts, eyes, muscles, triggers, numbered inputs.
    """

    name: str
    kind: Kind


def explain(label: str, aliases: Mapping[str, str]) -> Channel | None:
    """What a channel is by its label, or None where nothing says it.

    Args:
        label: as the file has it, such as `EEG T3-REF` or `Fc5.`.
        aliases: further names of labels, which go before everything else.
    """
    given = aliases.get(label, label)
    text = _AFTER.sub("", _BEFORE.sub("", given.strip().strip("."))).strip().strip(".")
    place = _place(text)
    if place is None and "-" in text:
        ends = [_place(part.strip()) for part in text.split("-")]
        if len(ends) == 2 and all(ends):
            place = f"{ends[0]}-{ends[1]}"
    if place is not None:
        return Channel(place, "eeg")
    if label in aliases:
        return Channel(given, "eeg")
    return Channel(label, "other") if _OTHER.match(text) else None


def explain_each(
    labels: Sequence[str], aliases: Mapping[str, str], ignored: Sequence[str], source: str
) -> dict[str, Channel]:
    """`explain` of each label, but for those that a pattern such as `MISC*` says to leave out.

    Raises:
        DataError: a label that nothing explains.
    """
    explained = {
        label: explain(label, aliases)
        for label in labels
        if not any(fnmatch(label, pattern) for pattern in ignored)
    }
    unknown = [label for label, channel in explained.items() if channel is None]
    if unknown:
        raise DataError(
            f"{source}: no alias explains the channel{'s' if len(unknown) > 1 else ''} "
            f"{', '.join(map(repr, unknown))}. Say what they are, aliases={{{unknown[0]!r}: Fp1}}, or leave "
            f"them out, ignore_channels=[{unknown[0]!r}]."
        )
    return {label: channel for label, channel in explained.items() if channel is not None}


def explain_all(
    labels: Sequence[str], aliases: Mapping[str, str], ignored: Sequence[str], source: str
) -> dict[str, Channel]:
    """`explain_each` of the channels of one recording.

    Raises:
        DataError: a label that nothing explains, or two that mean the same place.
    """
    found = explain_each(labels, aliases, ignored, source)
    seen: dict[str, str] = {}
    for label, channel in found.items():
        if channel.kind == "eeg" and seen.setdefault(channel.name, label) != label:
            raise DataError(
                f"{source}: the channels {seen[channel.name]!r} and {label!r} are both {channel.name}. Leave "
                f"one out: ignore_channels=[{label!r}]."
            )
    return found


def positions(names: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """Places on a standard head, in metres, of those names that have one."""
    places = _montage()
    return {name: places[name] for name in names if name in places}


@cache
def _montage() -> dict[str, tuple[float, float, float]]:
    montage = mne().channels.make_standard_montage("colin27_1005")
    return {
        name: (float(x), float(y), float(z)) for name, (x, y, z) in montage.get_positions()["ch_pos"].items()
    }


@cache
def _places() -> dict[str, str]:
    return {name.upper(): name for name in _montage() if name not in _OLDER}


def _place(text: str) -> str | None:
    upper = text.upper()
    return _places().get(_OLDER.get(upper, upper).upper())
