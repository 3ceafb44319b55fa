"""From a recording to the array that a model reads: channels, reference, filters, rate."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from genoseq.data.recordings.channels import DOUBLE_BANANA, TEN_TWENTY, explain, explain_all, positions
from genoseq.data.recordings.extra import mne
from genoseq.data.recordings.opening import Source, open_recording, require_plausible, volts
from genoseq.errors import ConfigError, DataError, require_choice

MissingChannels = Literal["mask", "interpolate", "drop", "error"]
FlatChannels = Literal["error", "missing"]
_VERSION = 1  # of what this module makes: a new one makes every cache anew
_NAMED = {"ten_twenty": TEN_TWENTY, "double_banana": DOUBLE_BANANA}


class DroppedRecordingError(DataError):
    """A recording that lacks a channel, where the user said to leave such recordings out."""


@dataclass(frozen=True)
class Prepared:
    """A recording as models read it.

    Attributes:
        signal: (C, T) float32, in µV, or in the units of a table; zeros where a channel is not there.
        present: (C,) bool, False where the recording has no such channel and none was made up for it.
        channels: names of the C rows.
        rate: samples a second.
    """

    signal: np.ndarray
    present: np.ndarray
    channels: tuple[str, ...]
    rate: float


@dataclass(frozen=True)
class Examined:
    """A recording before it is filtered.

    Attributes:
        microvolts: (E, T) float64, of the electrodes that there are.
        there: their names.
        missing: names of those that there are not.
        rate: samples a second, as recorded.
    """

    microvolts: np.ndarray
    there: tuple[str, ...]
    missing: tuple[str, ...]
    rate: float


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What is done to every recording; with the file, all that its array depends on.

    Args:
        channels: names in the order of the rows: places (`Fp1`), differences (`Fp1-F7`), or `ten_twenty`,
            `double_banana`.
        missing_channels: of those, what to do where a recording lacks one: "mask" (zeros, and said so),
            "interpolate" from the others by spherical splines, "drop" the recording, "error".
        flat_channels: of constant or all-NaN ones: "error", or they count as "missing".
        aliases: names for labels that say nothing by themselves.
        ignore_channels: labels, or patterns such as `MISC*`, that are no concern of ours.
        units: of labels, or of all as `{"*": "uV"}`, instead of what the file says.
        check_units: refuse EEG that has not the size of EEG.
        reference: "average" of all EEG channels there are, names such as [A1, A2], or None as recorded.
            Differences need none.
        notch: Hz of the mains, removed with its multiples; None leaves it.
        band: (low, high) in Hz, either may be None; None filters nothing.
        rate: samples a second of the result, whatever the recording has; None keeps it, and it must be the
            same for all.

    Raises:
        ConfigError: a choice that is none, no channels, or a band that cannot be.
    """

    channels: Sequence[str] | str
    missing_channels: MissingChannels = "error"
    flat_channels: FlatChannels = "error"
    aliases: Mapping[str, str] = field(default_factory=dict)
    ignore_channels: Sequence[str] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    check_units: bool = True
    reference: Sequence[str] | str | None = None
    notch: float | None = None
    band: Sequence[float | None] | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        # What a config gives is made plain: all of it goes into the digest.
        for name in ("aliases", "units"):
            object.__setattr__(
                self, name, {str(key): str(value) for key, value in getattr(self, name).items()}
            )
        for name in ("channels", "ignore_channels", "reference", "band"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                object.__setattr__(self, name, tuple(value))
        require_choice("missing_channels", self.missing_channels, get_args(MissingChannels))
        require_choice("flat_channels", self.flat_channels, get_args(FlatChannels))
        if isinstance(self.channels, str):
            require_choice("channels", self.channels, list(_NAMED))
        if not self.names or len(set(self.names)) < len(self.names):
            raise ConfigError(f"channels={list(self.names)}: name one or more, each once.")
        if isinstance(self.reference, str):
            require_choice("reference", self.reference, ("average",))
        low, high = self._band()
        if low is not None and high is not None and not 0 <= low < high:
            raise ConfigError(f"band={list(self.band or ())}: give [low, high] in Hz, such as [0.5, 45].")
        if self.rate is not None and self.rate <= 0:
            raise ConfigError(f"rate={self.rate}: give samples a second above 0.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rows, those of places as the 10-5 system has them."""
        return _NAMED[self.channels] if isinstance(self.channels, str) else _canonical(tuple(self.channels))

    @property
    def digest(self) -> str:
        """Changes whenever the result would."""
        settings = {**asdict(self), "channels": self.names, "version": _VERSION}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def described(self) -> dict[str, Any]:
        """As `preprocessing.json` holds it."""
        return json.loads(json.dumps({**asdict(self), "channels": self.names}))

    def __call__(self, source: Source) -> Prepared:
        """Prepare a recording.

        Raises:
            DroppedRecordingError: it lacks a channel, under missing_channels="drop".
            DataError: whatever else keeps it from being read as the settings say.
        """
        found = self.examine(source)
        data = self._filtered(found.microvolts, found.rate, source)
        there = list(found.there)
        if self.missing_channels == "interpolate":
            data, there = _interpolated(data, there, found.missing, source)
        return self._arranged(data, there, self.rate or found.rate)

    def examine(self, source: Source) -> Examined:
        """All that is checked of a recording before it is filtered.

        Raises:
            DroppedRecordingError, DataError: as when it is prepared.
        """
        raw = open_recording(source)
        explained = explain_all(raw.ch_names, self.aliases, self.ignore_channels, str(source))
        label_of = {channel.name: label for label, channel in explained.items() if channel.kind == "eeg"}
        wanted = self._electrodes(label_of)
        there = [name for name in wanted if name in label_of]
        if not there:
            raise DataError(
                f"{source} has none of the wanted channels; its EEG channels are "
                f"{', '.join(label_of) or 'none'}. "
                "Name others, or say what they are with aliases."
            )
        data = volts(raw, [label_of[name] for name in there], self.units, source) * 1e6
        data, there = self._without_flat(data, there, source)
        missing = [name for name in wanted if name not in there]
        self._require_settled(missing, source)
        if self.check_units:
            require_plausible(data, source)
        return Examined(data, tuple(there), tuple(missing), float(raw.info["sfreq"]))

    def _band(self) -> tuple[float | None, float | None]:
        if self.band is None:
            return None, None
        if len(self.band) != 2:
            raise ConfigError(f"band={list(self.band)}: give [low, high] in Hz, such as [0.5, 45].")
        return self.band[0], self.band[1]

    def _electrodes(self, label_of: Mapping[str, str]) -> list[str]:
        """The channels of the file that the rows and the reference are made of."""
        needed: list[str] = []
        for name in self.names:
            needed += [name] if name in label_of or "-" not in name else name.split("-")
        if self.reference == "average":
            needed += [name for name in label_of if "-" not in name]
        elif self.reference is not None:
            needed += _canonical(tuple(self.reference))
        return list(dict.fromkeys(needed))

    def _without_flat(
        self, data: np.ndarray, names: list[str], source: Source
    ) -> tuple[np.ndarray, list[str]]:
        with np.errstate(all="ignore"):
            bad = ~np.isfinite(data).any(axis=1) | (np.nan_to_num(np.ptp(data, axis=1), nan=1.0) == 0)
        missing = np.isnan(data).any(axis=1)
        if (bad | missing).any() and self.flat_channels == "error":
            said = [
                f"{name} ({'constant' if bad[row] and not missing[row] else 'NaN'})"
                for row, name in enumerate(names)
                if bad[row] or missing[row]
            ]
            raise DataError(
                f"{source}: {', '.join(said)}. Say flat_channels=missing to treat such channels as missing "
                "ones, or leave the recording out."
            )
        kept = ~(bad | missing)
        if not kept.any():
            raise DataError(f"{source}: every wanted channel is constant or NaN. Leave the recording out.")
        return data[kept], [name for name, good in zip(names, kept, strict=True) if good]

    def _require_settled(self, missing: list[str], source: Source) -> None:
        """Refuse, or leave out, a recording without a channel; a reference cannot be made up."""
        if not missing:
            return
        listed = ", ".join(missing)
        if self.missing_channels == "drop":
            raise DroppedRecordingError(f"{source} has no {listed}.")
        named = () if self.reference is None or isinstance(self.reference, str) else tuple(self.reference)
        reference = set(_canonical(named))
        if self.missing_channels == "error" or reference & set(missing):
            raise DataError(
                f"{source} has no {listed}. Say missing_channels=mask, interpolate or drop, or name its "
                "label with aliases."
            )

    def _filtered(self, data: np.ndarray, rate: float, source: Source) -> np.ndarray:
        low, high = self._band()
        target = self.rate or rate
        if high is not None and high >= min(rate, target) / 2:
            raise DataError(
                f"{source}: {high} Hz cannot be kept, of {rate:g} samples a second made {target:g}: give a "
                "band that ends below half of the lower one."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message="filter_length .* is longer than the signal")
            try:
                if self.notch is not None:
                    harmonics = np.arange(self.notch, rate / 2, self.notch)
                    data = mne().filter.notch_filter(data, rate, harmonics, verbose="WARNING")
                if (low, high) != (None, None):
                    data = mne().filter.filter_data(data, rate, low, high, verbose="WARNING")
                if target != rate:
                    data = mne().filter.resample(data, up=target, down=rate, verbose="ERROR")
            except RuntimeWarning as error:
                raise DataError(
                    f"{source}: {data.shape[1] / rate:g} s are shorter than the filter: leave out notch or "
                    f"the lower end of band, or the recording. ({error})"
                ) from error
        return data

    def _arranged(self, data: np.ndarray, there: list[str], rate: float) -> Prepared:
        row_of = {name: row for row, name in enumerate(there)}
        if self.reference == "average":
            electrodes = [row for name, row in row_of.items() if "-" not in name]
            data = data - data[electrodes].mean(axis=0)
        elif self.reference is not None:
            data = data - data[[row_of[name] for name in _canonical(tuple(self.reference))]].mean(axis=0)
        signal = np.zeros((len(self.names), data.shape[1]), dtype=np.float32)
        present = np.zeros(len(self.names), dtype=bool)
        for row, name in enumerate(self.names):
            ends = [name] if name in row_of else name.split("-")
            if all(end in row_of for end in ends):
                signal[row] = data[row_of[ends[0]]] - (data[row_of[ends[1]]] if len(ends) == 2 else 0)
                present[row] = True
        return Prepared(signal, present, self.names, rate)


@cache
def _canonical(names: tuple[str, ...]) -> tuple[str, ...]:
    explained = [explain(str(name), {}) for name in names]
    return tuple(
        str(name) if channel is None else channel.name for name, channel in zip(names, explained, strict=True)
    )


def _interpolated(
    data: np.ndarray, there: list[str], missing: Sequence[str], source: Source
) -> tuple[np.ndarray, list[str]]:
    """Rows for the electrodes that are not there, by spherical splines (Perrin et al. 1989)."""
    placed = positions([*there, *missing])
    known = [name for name in there if name in placed]
    if not missing:
        return data, there
    if len(known) < 4 or any(name not in placed for name in missing):
        raise DataError(
            f"{source}: {', '.join(missing)} cannot be interpolated from {len(known)} electrodes with known "
            "places: it takes four. Say missing_channels=mask or drop."
        )
    order = [*known, *missing]
    info = mne().create_info(order, 1.0, "eeg")
    rows = [there.index(name) for name in known]
    raw = mne().io.RawArray(
        np.vstack([data[rows], np.zeros((len(missing), data.shape[1]))]), info, verbose="ERROR"
    )
    raw.set_montage(
        mne().channels.make_dig_montage({name: placed[name] for name in order}, coord_frame="head"),
        verbose="ERROR",
    )
    raw.info["bads"] = list(missing)
    raw.interpolate_bads(verbose="ERROR")
    made = raw.get_data(picks=list(missing))
    return np.vstack([data, made]), [*there, *missing]
