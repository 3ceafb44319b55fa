"""A tokenizer from its `tokenizer.json`. The file names a type of the table here, never a class to import.

A file of Hugging Face, such as DNABERT-2's, is one of BPE.
"""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from typing import Any

from genoseq.errors import CheckpointError, GenoseqError
from genoseq.paths import locate
from genoseq.tokenizers.base import FILE_NAME, FORMAT_VERSION, Tokenizer
from genoseq.tokenizers.bpe import BpeTokenizer
from genoseq.tokenizers.character import CharacterTokenizer
from genoseq.tokenizers.codon import CodonTokenizer
from genoseq.tokenizers.control import ControlTokenizer
from genoseq.tokenizers.frame import FrameTokenizer
from genoseq.tokenizers.kmer import KmerTokenizer

_TOKENIZERS: dict[str, type[Tokenizer]] = {
    kind.tokenizer_type: kind
    for kind in (
        CharacterTokenizer,
        ControlTokenizer,
        CodonTokenizer,
        FrameTokenizer,
        KmerTokenizer,
        BpeTokenizer,
    )
}


def load_tokenizer(folder: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer that `Tokenizer.save` wrote into a folder, or that DNABERT-2's release has there.

    Raises:
        CheckpointError: `tokenizer.json` is missing, broken, or of an unknown program, type or version.
    """
    return read_tokenizer(file=Path(folder) / FILE_NAME)


def read_tokenizer(*, file: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`, whatever its name, or of a folder that has one: genoseq's own, or
    Hugging Face's of BPE.

    Raises:
        CheckpointError: as `load_tokenizer`.
    """
    path = locate(file)
    if path.is_dir():
        path /= FILE_NAME
    described = _read(path)
    if "tokenizer_type" not in described and isinstance(described.get("model"), dict):
        return _from_hugging_face(described, path)
    kind = described.get("tokenizer_type")
    if not isinstance(kind, str) or kind not in _TOKENIZERS:
        raise CheckpointError(
            f"{path}: the tokenizer_type {kind!r} is not known here; wanted one of {', '.join(_TOKENIZERS)}. "
            "The file is of another program, or of a newer genoseq."
        )
    if described.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: its format_version is {described.get('format_version')!r}, and this genoseq reads "
            f"{FORMAT_VERSION}. Install the genoseq that wrote it."
        )
    tokenizer = _build(_TOKENIZERS[kind], described.get("settings"), path)
    if tokenizer.description() != described:
        raise CheckpointError(
            f"{path}: the vocabulary or settings in the file are not those of {tokenizer!r}: it was edited "
            "or comes from another genoseq. Save the tokenizer again."
        )
    return tokenizer


def _read(path: Path) -> dict[str, Any]:
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}. Give a tokenizer.json, or a folder that has one."
        ) from error
    except ValueError as error:  # not JSON, or not even UTF-8
        raise CheckpointError(
            f"{path} is no JSON: {error}. It is truncated or damaged: copy it again."
        ) from error
    if not isinstance(described, dict):
        raise CheckpointError(
            f"{path} holds a {type(described).__name__}, wanted a JSON object of a tokenizer."
        )
    return described


def _from_hugging_face(described: dict[str, Any], path: Path) -> Tokenizer:
    try:
        return BpeTokenizer.from_hugging_face(described)
    except GenoseqError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _build(kind: type[Tokenizer], settings: object, path: Path) -> Tokenizer:
    wanted = set(inspect.signature(kind).parameters)
    if not isinstance(settings, dict) or set(settings) != wanted:
        given = ", ".join(sorted(settings)) if isinstance(settings, dict) else repr(settings)
        raise CheckpointError(f"{path}: settings are {given or 'empty'}; wanted {', '.join(sorted(wanted))}.")
    try:
        return kind(**settings)
    except GenoseqError as error:
        raise CheckpointError(f"{path}: {error}") from error
