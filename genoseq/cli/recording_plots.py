"""Spectra and scalp maps of recordings that `genoseq inspect` was asked to draw."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from genoseq.data.recordings import Preparation, Prepared, Recording, find_recordings
from genoseq.errors import ConfigError, DataError
from genoseq.paths import locate
from genoseq.report.plots.recordings import band_power, scalp_plot, spectrum_plot
from genoseq.report.style import MATPLOTLIB

_log = logging.getLogger(__name__)

_MOST_RECORDINGS, _MOST_SECONDS = 24, 60


def require_channels(settings: Mapping[str, Any]) -> None:
    """Refuse plots of channels that are not named.

    Raises:
        ConfigError: they are not.
    """
    if settings.get("channels") is None:
        raise ConfigError(
            "plots= draws recordings as a run would read them: say which channels, such as "
            "recordings.channels=ten_twenty."
        )


def save_recording_plots(path: str, settings: Mapping[str, Any], folder: str) -> None:
    """Write `spectrum.png` and `scalp.png` of a minute each of some recordings, one line and map a label.

    Args:
        path: of the recordings.
        settings: `layout`, `table`, and what `Preparation` takes.
        folder: where the plots go; it is made.

    Raises:
        DataError: none can be read, or their rates differ.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    layout, table = given.pop("layout", "plain"), given.pop("table", None)
    preparation = Preparation(**given)
    found = find_recordings(path, layout, table)
    places = np.linspace(0, len(found) - 1, min(_MOST_RECORDINGS, len(found))).round().astype(int)
    signals: dict[str, list[np.ndarray]] = {}
    rates: set[float] = set()
    for place in dict.fromkeys(places.tolist()):
        made = _read(preparation, found[place], place + 1)
        if made is not None:
            signal = made.signal[:, : round(_MOST_SECONDS * made.rate)].astype(np.float64)
            signals.setdefault(found[place].label or "all", []).append(signal)
            rates.add(made.rate)
    if not signals:
        raise DataError(f"{path}: no recording could be drawn; the table says why.")
    if len(rates) > 1:
        raise DataError(f"{path} has recordings of {sorted(rates)} Hz: give recordings.rate.")
    (rate,) = rates
    together = {name: np.concatenate(parts, axis=1) for name, parts in sorted(signals.items())}
    target = locate(folder)
    target.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(MATPLOTLIB):
        spectrum_plot(together, rate).save_png(target)
        scalp_plot(_maps(together, rate), preparation.names, label="dB above the mean").save_png(target)
    _log.info("plots of %s recordings in %s", sum(map(len, signals.values())), Path(folder))


def _read(preparation: Preparation, recording: Recording, number: int) -> Prepared | None:
    try:
        return preparation(recording.source)
    except DataError as error:
        _log.warning("not drawn: recording %s: %s", number, error)
        return None


def _maps(signals: Mapping[str, np.ndarray], rate: float) -> dict[str, np.ndarray]:
    """(C,) power of each band above its mean over the channels; of several labels, their alpha bands."""
    powers = {name: band_power(signal, rate) for name, signal in signals.items()}
    if len(powers) > 1:
        maps = {f"{name}, alpha": bands["alpha"] for name, bands in powers.items()}
    else:
        (maps,) = powers.values()
    return {name: power - power.mean() for name, power in maps.items()}
