"""Models on disk: genoseq's own folders and the official layouts, told apart by what is in them.

A folder from a stranger never chooses what runs: `model_type` is looked up in the table below, and weights
are read without executing pickles.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from genoseq.errors import CheckpointError, ConfigError
from genoseq.models import hybridna_layouts, hyenadna_layouts
from genoseq.models.backbone import Backbone
from genoseq.models.base import SequenceModel
from genoseq.models.caduceus import Caduceus
from genoseq.models.caduceus_layouts import CADUCEUS_LAYOUTS
from genoseq.models.construct import changed, construct
from genoseq.models.dnabert2 import DNABERT2
from genoseq.models.dnabert2_layouts import DNABERT2_LAYOUTS
from genoseq.models.embedding_head import EmbeddingHead
from genoseq.models.esm2 import ESM2
from genoseq.models.esm2_layouts import ESM2_LAYOUTS
from genoseq.models.had import HAD
from genoseq.models.heads import HEADS
from genoseq.models.hybridna import HybriDNA
from genoseq.models.hyenadna import HyenaDNA
from genoseq.models.layouts import HeadChoice, OfficialLayout
from genoseq.models.lifecode import LifeCode, LifeCodeHead
from genoseq.models.llama import Llama
from genoseq.models.llama_layouts import LLAMA_LAYOUTS
from genoseq.models.mamba import Mamba, Mamba2
from genoseq.models.mamba_layouts import MAMBA2_LAYOUTS, MAMBA_LAYOUTS
from genoseq.models.prompted import PromptedBackbone, unprompted
from genoseq.models.signal import SignalModel
from genoseq.models.signal_hub import SIGNAL_FAMILIES, read_signals, recognised
from genoseq.models.strand_heads import STRAND_HEADS
from genoseq.models.strict import load_strictly
from genoseq.models.tensor_files import (
    find_weights,
    read_json,
    read_tensors,
)
from genoseq.nn.materialize import Values
from genoseq.tokenizers import (
    CharacterTokenizer,
    FrameTokenizer,
    KmerTokenizer,
    Tokenizer,
    load_tokenizer,
)
from genoseq.tokenizers.base import FILE_NAME as TOKENIZER_FILE

_log = logging.getLogger(__name__)

FORMAT_VERSION = 1

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILES = ("*.json", "*.safetensors", "*.bin", "*.ckpt")


@dataclass(frozen=True)
class Family:
    """What the hub knows of one kind of model.

    Attributes:
        backbone: its class.
        layouts: the official ones, told apart by their `recognises`.
        default_tokenizer: for checkpoints that hold none; of the backbone, since a family may have models of
            many vocabularies.
        derivable: whether a name of the state dict is a buffer that the constructor makes from its arguments.
        has_words: an official folder may hold the `tokenizer.json` of a `BpeTokenizer`.
    """

    backbone: type[Backbone]
    layouts: tuple[OfficialLayout, ...]
    default_tokenizer: Callable[[Backbone], Tokenizer | None]
    derivable: re.Pattern[str] | None = None
    has_words: bool = False


def _characters(backbone: Backbone) -> Tokenizer | None:
    """Single nucleotides, where the vocabulary is of their size; None for one of text."""
    tokenizer = CharacterTokenizer()
    return tokenizer if tokenizer.vocab_size <= backbone.vocab_size <= 2 * tokenizer.vocab_size else None


def _words_of_six(backbone: Backbone) -> Tokenizer | None:
    """GENERator's words, where the vocabulary is of their size; else single nucleotides, or None."""
    tokenizer = KmerTokenizer(special_tokens="start")
    return tokenizer if backbone.vocab_size == tokenizer.vocab_size else _characters(backbone)


# One row a model type. A new family: its class, the layouts of its own `*_layouts.py`, its tokenizer.
FAMILIES: dict[str, Family] = {
    "hyenadna": Family(
        HyenaDNA,
        hyenadna_layouts.LAYOUTS,
        _characters,
        re.compile(r"\.(pos_emb\.[zt]|modulation\.deltas)$"),
    ),
    "mamba": Family(Mamba, MAMBA_LAYOUTS, _characters),
    "mamba2": Family(Mamba2, MAMBA2_LAYOUTS, _characters),
    "hybridna": Family(
        HybriDNA,
        hybridna_layouts.LAYOUTS,
        _characters,
        # The filters of its Hyena layers, where there are any.
        re.compile(r"\.(pos_emb\.[zt]|modulation\.deltas)$"),
    ),
    "caduceus": Family(Caduceus, CADUCEUS_LAYOUTS, _characters),
    "dnabert2": Family(DNABERT2, DNABERT2_LAYOUTS, _characters, has_words=True),
    # It was never released.
    "had": Family(HAD, (), _characters),
    "lifecode": Family(LifeCode, (), lambda _: FrameTokenizer()),
    "llama": Family(Llama, LLAMA_LAYOUTS, _words_of_six),
    # Residues are no letters of our tokenizers.
    "esm2": Family(ESM2, ESM2_LAYOUTS, lambda _: None, re.compile(r"\.rotary_embeddings\.inv_freq$")),
}


def load(
    path: str | os.PathLike[str],
    *,
    family: str | None = None,
    head: HeadChoice | None = None,
    device: str | torch.device | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> SequenceModel | SignalModel:
    """A model, in eval mode, with its tokenizer (the family's default where the checkpoint has none).

    Models of signals (see `genoseq.models.signal`) have no tokenizer.

    Args:
        path: a folder of genoseq's own, a run folder, a folder or a file of weights (.ckpt, .bin,
            .safetensors, its config.json beside it) of an official layout, or the id of a repository on the
            Hugging Face hub.
        family: the model type, where the config does not tell it.
        head: for official files that hold a language model and a classifier: which of the two to take; by
            default the one their config names, else the language model.
        device: where to put it; None is torch's default device. Under `torch.device("meta")` the model has no
            memory, and its weights stay in their files until `genoseq.nn.materialize.materialize` reads them.
        arguments: of the constructor of the backbone, or of the model of signals, instead of those that its
            config has: `extended_l_max`, `max_taps`, `sequence_tile` and whatever else leaves the shapes of
            the weights as they are.

    Raises:
        ConfigError: there is no such argument.
        CheckpointError: there is no such checkpoint, it is truncated, or its tensors do not fit its config;
            names every missing, unexpected and misshapen one.
    """
    device = torch.get_default_device() if device is None else torch.device(device)
    if device.type != "meta":
        return _read(path, family, head, arguments or {}).to(device).eval()
    with device:
        return _read(path, family, head, arguments or {}).eval()


def load_sequence_model(path: str | os.PathLike[str], **settings: Any) -> SequenceModel:
    """What `load` gives with the same settings, where it is a model of tokens.

    Raises:
        CheckpointError: as `load`.
        ConfigError: it is a model of signals.
    """
    model = load(path, **settings)
    if not isinstance(model, SequenceModel):
        raise ConfigError(
            f"{path} is a {type(model).__name__}, a model of signals: it does not read letters. Give a model "
            "of sequences, or a verb for signals."
        )
    return model


def load_backbone(*, checkpoint: str | os.PathLike[str]) -> Backbone:
    """The backbone of any checkpoint that `load` takes, ready to be fine-tuned under another head.

    The log says where a head with weights of its own is left behind, or a soft prompt.

    Raises:
        CheckpointError: as `load`.
    """
    model = load_sequence_model(checkpoint)
    shared = {id(parameter) for parameter in model.backbone.parameters()}
    left = sum(parameter.numel() for parameter in model.head.parameters() if id(parameter) not in shared)
    if left:
        _log.info(
            "the %s of %s is left behind, %s parameters: the new head has none of them",
            type(model.head).__name__,
            checkpoint,
            f"{left:,}",
        )
    if isinstance(model.backbone, PromptedBackbone):
        length = model.backbone.prompt_length
        _log.info("the prompt of %s is left behind, %s vectors", checkpoint, length)
    return unprompted(model.backbone).train()


def _find(path: str | os.PathLike[str]) -> tuple[Path, Path | None]:
    """The folder of config.json, and the file of weights where it was named."""
    located = Path(path).expanduser()
    if located.is_file():
        return located.parent, located
    if located.is_dir():
        run = located / "model"
        return (run if not (located / "config.json").is_file() and run.is_dir() else located), None
    if _HUB_ID.fullmatch(os.fspath(path)):
        return _download(os.fspath(path)), None
    raise CheckpointError(
        f"{located} does not exist: give a model folder, a run folder, or a file of weights."
    )


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, allow_patterns=list(_HUB_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"{repository} is no folder here, and could not be had from the Hugging Face hub: {error}"
        ) from error


def _read(
    path: str | os.PathLike[str],
    family: str | None,
    head: HeadChoice | None,
    arguments: Mapping[str, Any],
) -> SequenceModel | SignalModel:
    folder, weights = _find(path)
    config = read_json(folder / "config.json")
    weights = weights or find_weights(folder)
    official = read_tensors(weights)
    own = "format_version" in config
    if own:
        _require_version(folder, config)
    kind = SIGNAL_FAMILIES.get(str(config.get("model_type"))) if own else recognised(config, family)
    if kind is not None:
        described = read_json(folder / "preprocessing.json") if own else None
        return read_signals(kind, config, official, arguments, described, source=str(weights))
    tensors: Values = official
    if own:
        model = _from_genoseq(folder, config, arguments)
    else:
        model, tensors = _from_official(folder, config, official, family, head, arguments)
    _fill(model, tensors, source=str(weights))
    return model


def _require_version(folder: Path, config: Mapping[str, Any]) -> None:
    if config["format_version"] != FORMAT_VERSION:
        raise CheckpointError(
            f"{folder}: format_version {config['format_version']}; this genoseq reads {FORMAT_VERSION}: "
            "update it."
        )


def _from_genoseq(folder: Path, config: Mapping[str, Any], arguments: Mapping[str, Any]) -> SequenceModel:
    head = config.get("head") or {}
    preprocessing = read_json(folder / "preprocessing.json")
    tokenizer = load_tokenizer(folder) if (folder / TOKENIZER_FILE).is_file() else None
    family = family_of(config.get("model_type"))
    return _build(
        family,
        changed(family.backbone, config.get("arguments") or {}, arguments),
        head.get("type"),
        head.get("arguments") or {},
        tokenizer=tokenizer,
        preprocessing=preprocessing,
        prompt_length=config.get("prompt_length"),
    )


def _from_official(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    family: str | None,
    head: HeadChoice | None,
    arguments: Mapping[str, Any],
) -> tuple[SequenceModel, Values]:
    families = FAMILIES if family is None else {str(family): family_of(family)}
    found = [
        (known, layout)
        for known in families.values()
        for layout in known.layouts
        if layout.recognises(config)
    ]
    if not found:
        raise CheckpointError(
            f"config.json (keys {', '.join(sorted(config))}) is of no layout known here: a genoseq folder "
            f"has format_version; official ones are those of {', '.join(families)}, and of signals."
        )
    known, layout = found[0]
    with torch.device("cpu"):
        official = layout.read(config, tensors, head)
    model = _build(
        known,
        changed(known.backbone, official.arguments, arguments),
        official.head_type,
        official.head_arguments,
        tokenizer=load_tokenizer(folder) if known.has_words and (folder / TOKENIZER_FILE).is_file() else None,
        preprocessing=official.preprocessing,
    )
    model.tokenizer = model.tokenizer or known.default_tokenizer(model.backbone)
    return model, official.tensors


def _build(
    family: Family,
    arguments: Mapping[str, Any],
    head_type: str | None,
    head_arguments: Mapping[str, Any],
    *,
    tokenizer: Tokenizer | None,
    preprocessing: dict[str, Any],
    prompt_length: int | None = None,
) -> SequenceModel:
    heads = HEADS | STRAND_HEADS | {LifeCodeHead.head_type: LifeCodeHead}
    heads |= {EmbeddingHead.head_type: EmbeddingHead}
    if head_type not in heads:
        raise CheckpointError(f"config.json: head type {head_type!r}; known are {', '.join(heads)}.")
    # First values are drawn only to be overwritten: the caller's random numbers must not notice.
    with torch.random.fork_rng(devices=[]):
        backbone = construct(family.backbone, **arguments)
        head = construct(heads[head_type], backbone, **head_arguments)
        if prompt_length is not None:
            backbone = PromptedBackbone(backbone, prompt_length=prompt_length)
    return SequenceModel(backbone, head, tokenizer, preprocessing)


def _fill(model: SequenceModel, tensors: Values, *, source: str) -> None:
    pattern = family_of(model.backbone.model_type).derivable
    learned = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    buffers = [name for name in model.state_dict() if name not in learned]
    derivable = [name for name in buffers if pattern is not None and pattern.search(name)]
    load_strictly(model, tensors, source=source, derivable=derivable)


def family_of(name: str | None) -> Family:
    if name not in FAMILIES:
        known = ", ".join([*FAMILIES, *SIGNAL_FAMILIES])
        raise CheckpointError(f"model type {name!r} is unknown here; known are {known}.")
    return FAMILIES[name]
