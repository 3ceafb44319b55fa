"""Suites from the hub, played here by a folder: what is asked for, what is checked, and no network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from genoseq.benchmark.suites.fetching import fetch
from genoseq.errors import DataError


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A repository with one large file, and what was asked of it."""
    folder = tmp_path / "snapshots" / "0123"
    (folder / "set").mkdir(parents=True)
    (folder / "set/train.csv").write_text("sequence,label\nACGT,1\n")
    known = hashlib.sha256((folder / "set/train.csv").read_bytes()).hexdigest()
    state = SimpleNamespace(folder=folder, asked=[], sha256=known, offline=False)

    def snapshot_download(repository: str, **settings: Any) -> str:
        state.asked.append((repository, settings))
        return str(folder)

    class Api:
        def get_paths_info(self, repository: str, paths: list[str], **settings: Any) -> list[Any]:
            if state.offline:
                raise OfflineModeIsEnabled("offline")
            state.asked.append((repository, settings))
            return [SimpleNamespace(path=path, lfs=SimpleNamespace(sha256=state.sha256)) for path in paths]

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return state


def test_only_the_files_that_are_wanted_are_asked_for_and_checked_at_that_revision(
    hub: SimpleNamespace,
) -> None:
    assert fetch("a/b", ["set/train.csv", "set/train.csv"], revision="v1") == hub.folder
    (first, settings), (_, checked) = hub.asked
    assert first == "a/b"
    assert settings == {"repo_type": "dataset", "revision": "v1", "allow_patterns": ["set/train.csv"]}
    assert checked["revision"] == "0123"


def test_a_file_that_is_not_what_the_hub_says_is_refused(hub: SimpleNamespace) -> None:
    hub.sha256 = "0" * 64
    with pytest.raises(DataError, match=r"set/train\.csv is not what the checksums say"):
        fetch("a/b", ["set/train.csv"], revision=None)


def test_a_file_that_the_repository_has_not_is_told(hub: SimpleNamespace) -> None:
    with pytest.raises(DataError, match=r"1 of the 2 files.*missing: set/test\.csv"):
        fetch("a/b", ["set/train.csv", "set/test.csv"], revision=None)


def test_what_was_fetched_before_is_used_where_the_hub_cannot_be_asked(hub: SimpleNamespace) -> None:
    hub.offline = True
    assert fetch("a/b", ["set/train.csv"], revision=None) == hub.folder


def test_no_network_and_nothing_fetched_is_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: Any, **settings: Any) -> str:
        raise LocalEntryNotFoundError("nothing in the cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(DataError, match=r"Give suite\.folder="):
        fetch("a/b", ["set/train.csv"], revision=None)
