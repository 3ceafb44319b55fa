"""`tokenizer.json`: what is saved comes back, and what is broken is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from genoseq.errors import CheckpointError
from genoseq.tokenizers import (
    BpeTokenizer,
    CharacterTokenizer,
    CodonTokenizer,
    FrameTokenizer,
    KmerTokenizer,
    Tokenizer,
    load_tokenizer,
    read_tokenizer,
)


@pytest.mark.parametrize(
    ("special_tokens", "padding_side", "lowercase"),
    list(product(["cls_sep", "sep", "none"], ["left", "right"], ["base", "mask"])),
)
def test_what_is_saved_comes_back(tmp_path: Path, special_tokens, padding_side, lowercase) -> None:
    saved = CharacterTokenizer(special_tokens=special_tokens, padding_side=padding_side, lowercase=lowercase)
    assert saved.save(tmp_path / "model") == tmp_path / "model" / "tokenizer.json"
    assert load_tokenizer(tmp_path / "model") == saved
    assert read_tokenizer(file=tmp_path / "model") == saved


@pytest.mark.parametrize(
    "saved",
    [
        CodonTokenizer(special_tokens="cls_sep", padding_side="right", lowercase="mask"),
        FrameTokenizer(special_tokens="cls_sep", padding_side="left", lowercase="mask"),
        KmerTokenizer(k=3, overlapping=True, layout="dnabert", special_tokens="both", padding_side="right"),
        KmerTokenizer(remainder="pad", special_tokens="start", lowercase="mask"),
        BpeTokenizer(merges=["A C", "AC G"], special_tokens="none", padding_side="left", lowercase="mask"),
    ],
    ids=lambda tokenizer: tokenizer.tokenizer_type,
)
def test_every_kind_comes_back(tmp_path: Path, saved: Tokenizer) -> None:
    saved.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert type(loaded) is type(saved)
    assert loaded == saved
    assert loaded.encode("ACGTACGTNacg").tolist() == saved.encode("ACGTACGTNacg").tolist()


def test_saving_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    CharacterTokenizer().save(tmp_path)
    CharacterTokenizer(padding_side="right").save(tmp_path)
    assert load_tokenizer(tmp_path).padding_side == "right"
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CharacterTokenizer().save(tmp_path)

    def full_disk(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        CharacterTokenizer(padding_side="right").save(tmp_path)
    assert load_tokenizer(tmp_path) == CharacterTokenizer()
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


def test_a_folder_without_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read: No such file"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is no JSON"),
        (b'{"tokenizer_type": "char', "truncated or damaged"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[1, 2]", "holds a list"),
        (b'{"model": {"type": "BPE"}}', "wanted BPE of bases, with its vocab and merges"),
        (b'{"model_type": "llama"}', "tokenizer_type None is not known"),
    ],
)
def test_files_that_are_no_tokenizer_are_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=complaint):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda saved: saved.update(tokenizer_type="os.system"), "'os.system' is not known"),
        (lambda saved: saved.update(tokenizer_type=["character"]), "is not known"),
        (lambda saved: saved.update(format_version=2), "format_version is 2"),
        (lambda saved: saved.pop("format_version"), "format_version is None"),
        (lambda saved: saved.pop("settings"), "settings are None; wanted lowercase, padding_side"),
        (
            lambda saved: saved["settings"].pop("lowercase"),
            "settings are padding_side, special_tokens; wanted",
        ),
        (lambda saved: saved["settings"].update(extra=1), "settings are extra, "),
        (lambda saved: saved["settings"].update(lowercase="upper"), "lowercase='upper'"),
        (lambda saved: saved["settings"].update(padding_side=["left"]), r"padding_side=\['left'\]"),
        (lambda saved: saved["vocabulary"].reverse(), "are not those of CharacterTokenizer"),
        (lambda saved: saved.pop("vocabulary"), "are not those of CharacterTokenizer"),
    ],
)
def test_damaged_files_are_refused(
    tmp_path: Path, damage: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    path = CharacterTokenizer().save(tmp_path)
    saved = json.loads(path.read_text())
    damage(saved)
    path.write_text(json.dumps(saved))
    with pytest.raises(CheckpointError, match=complaint):
        load_tokenizer(tmp_path)
