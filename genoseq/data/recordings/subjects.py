"""Who is in which split: no subject, and no recording under two names, is ever in two."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from genoseq.data.recordings.folders import Recording
from genoseq.data.recordings.opening import Source
from genoseq.data.splits import Split, split_groups
from genoseq.errors import ConfigError, DataError, LeakError

_CHECKED = 65_536


def numbered(names: Sequence[str]) -> np.ndarray:
    """Subjects as numbers from 1, in the order of their names: reports and caches have these alone."""
    return np.unique(np.asarray(names), return_inverse=True)[1] + 1


def declared_splits(recordings: Sequence[Recording]) -> np.ndarray | None:
    """(N,) the splits that the layout or a table gives; None where it gives none.

    Raises:
        LeakError: a subject is in two.
        DataError: some recordings have none, or one that is no split.
    """
    given = [recording.split for recording in recordings]
    if not any(given):
        return None
    if wrong := {str(split) for split in given if split not in ("train", "validation", "test")}:
        raise DataError(
            f"the splits {', '.join(sorted(wrong))}: every recording is for train, validation or test."
        )
    splits = np.array(given)
    require_apart(recordings, splits)
    return splits


def cut(recordings: Sequence[Recording], *, validation: float, test: float, seed: int) -> np.ndarray:
    """(N,) splits by subject. Where a test part is declared it stays, and validation is cut from the rest.

    Raises:
        LeakError: a subject is in two of the declared splits. DataError: there are too few subjects.
    """
    subjects = np.array([recording.subject for recording in recordings])
    declared = declared_splits(recordings)
    if declared is None:
        splits = _divided(subjects, {"validation": validation, "test": test}, seed)
    elif "validation" in declared:
        splits = declared
    else:
        splits, rest = declared.astype("<U10"), declared == "train"
        splits[rest] = _divided(subjects[rest], {"validation": validation}, seed)
    require_apart(recordings, splits)
    return splits


def fold(
    recordings: Sequence[Recording], *, number: int, folds: int, validation: float, seed: int
) -> np.ndarray:
    """(N,) splits of one round of cross-validation by subject: fold `number` is the test part.

    Where every recording has a label, folds have about equal shares of each.

    Raises:
        ConfigError: there is no such fold, or there are fewer subjects than folds.
    """
    subjects = np.array([recording.subject for recording in recordings])
    if not 0 <= number < folds or not 2 <= folds <= len(set(subjects)):
        raise ConfigError(
            f"fold={number} of folds={folds}: there are {len(set(subjects))} subjects; give at least 2 folds "
            "and at most as many as subjects, and a fold from 0."
        )
    labels = [recording.label for recording in recordings]
    places = np.zeros((len(recordings), 1))
    if all(label is not None for label in labels):
        cutter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        rounds = list(cutter.split(places, np.array(labels), subjects))
    else:
        rounds = list(GroupKFold(folds, shuffle=True, random_state=seed).split(places, groups=subjects))
    splits = np.full(len(recordings), "train", dtype="<U10")
    rest, tested = rounds[number]
    splits[rest] = _divided(subjects[rest], {"validation": validation}, seed)
    splits[tested] = "test"
    require_apart(recordings, splits)
    return splits


def _divided(subjects: np.ndarray, fractions: Mapping[Split, float], seed: int) -> np.ndarray:
    """(N,) splits, no subject in two.

    Raises:
        DataError: there are too few.
    """
    wanted = ["train", *(name for name, share in fractions.items() if share > 0)]
    if (count := len(set(subjects))) < len(wanted):
        raise DataError(
            f"recordings of {count} subject{'' if count == 1 else 's'} cannot be cut into "
            f"{', '.join(wanted)}: nobody is divided. Give more people; or say yourself who, or which "
            "recording, is what: table=FILE with the columns path, subject, and maybe split."
        )
    return split_groups(subjects, fractions, seed=seed)


def require_apart(recordings: Sequence[Recording], splits: np.ndarray) -> None:
    """Check that no subject is in two splits, and no recording is there twice in two.

    Raises:
        LeakError: one is.
    """
    numbers = numbered([recording.subject for recording in recordings])
    seen: dict[object, str] = {}
    for recording, number, split in zip(recordings, numbers, splits, strict=True):
        if seen.setdefault(number, split) != split:
            raise LeakError(
                f"the subject of {recording.source} is in both {seen[number]} and {split}: what a model "
                "learnt of a person it would be tested on. Let each subject be in one split."
            )
    prints: dict[str, tuple[str, Source]] = {}
    for recording, split in zip(recordings, splits, strict=True):
        mark = fingerprint(recording.source)
        before, source = prints.setdefault(mark, (split, recording.source))
        if before != split:
            raise LeakError(
                f"{recording.source} ({split}) has the content of {source} ({before}): the same recording "
                "under two names. Remove one."
            )


def fingerprint(source: Source) -> str:
    """A hash of the content of a recording's file: its size, its first and its last 64 KiB."""
    member = "" if source.member is None else f":{source.member}"
    return _content(source.path) + member


def _content(path: Path) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        content = file.read(_CHECKED)
        file.seek(max(0, size - _CHECKED))
        content += file.read(_CHECKED)
    return hashlib.sha256(f"{size}:".encode() + content).hexdigest()[:16]
