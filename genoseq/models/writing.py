"""Models to disk: genoseq's own folders and the official layouts; `genoseq.models.hub` reads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

from genoseq.errors import CheckpointError, require_choice
from genoseq.models.base import SequenceModel
from genoseq.models.card import model_card
from genoseq.models.hub import FORMAT_VERSION, family_of
from genoseq.models.layouts import OfficialFiles
from genoseq.models.prompted import PromptedBackbone
from genoseq.models.signal import SignalModel
from genoseq.models.signal_hub import write_official
from genoseq.models.strict import unique_state
from genoseq.models.tensor_files import write_json, write_safetensors, write_state_dict, write_text
from genoseq.tokenizers import BpeTokenizer
from genoseq.tokenizers.base import FILE_NAME as TOKENIZER_FILE

Layout = Literal["genoseq", "original", "hf"]


def save(model: SequenceModel | SignalModel, folder: str | os.PathLike[str]) -> Path:
    """Write a model as genoseq's own folder: all that `load` and prediction need.

    config.json (type and arguments), model.safetensors, tokenizer.json, preprocessing.json, and README.md,
    the model card. Each file is written whole or not at all, config.json last.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "model.safetensors", unique_state(model))
    if model.tokenizer is not None:
        model.tokenizer.save(folder)
    write_json(folder / "preprocessing.json", model.preprocessing)
    write_text(folder / "README.md", model_card(model))
    main = model if isinstance(model, SignalModel) else model.backbone
    config = {
        "model_type": main.model_type,
        "format_version": FORMAT_VERSION,
        "arguments": main.arguments,
    }
    if isinstance(model, SequenceModel):
        config["head"] = {"type": model.head.head_type, "arguments": model.head.arguments}
        if isinstance(model.backbone, PromptedBackbone):
            config["prompt_length"] = model.backbone.prompt_length
    write_json(folder / "config.json", config)
    return folder


def export(
    model: SequenceModel | SignalModel, folder: str | os.PathLike[str], *, layout: Layout = "genoseq"
) -> Path:
    """Write a model in genoseq's or an official layout; its tensors are the same bit for bit.

    Args:
        model: what to write.
        folder: where to; made if it is not there.
        layout: `genoseq`, `original` (config.json and weights as the authors released them) or `hf`
            (config.json and model.safetensors for transformers).

    Raises:
        ConfigError: there is no such layout.
        CheckpointError: the layout has no place for the model.
    """
    require_choice("layout", layout, get_args(Layout))
    if layout == "genoseq":
        return save(model, folder)
    if isinstance(model, SignalModel):
        return _write(write_official(model, layout), Path(folder))
    if model.tokenizer is not None and model.tokenizer.controls:
        raise CheckpointError(f"the {layout} layout has no place for control tokens: give layout=genoseq.")
    if isinstance(model.backbone, PromptedBackbone):
        raise CheckpointError(f"the {layout} layout has no place for a soft prompt: give layout=genoseq.")
    family = family_of(model.backbone.model_type)
    chosen = [known for known in family.layouts if known.name == layout]
    if not chosen:
        raise CheckpointError(f"{type(model.backbone).__name__} was never released in a layout {layout!r}.")
    folder = _write(chosen[0].write(model), Path(folder), pickled=chosen[0].pickled)
    if family.has_words and isinstance(model.tokenizer, BpeTokenizer):
        write_text(folder / TOKENIZER_FILE, model.tokenizer.to_hugging_face())
    return folder


def _write(files: OfficialFiles, folder: Path, *, pickled: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if pickled:
        write_state_dict(folder / "weights.ckpt", files.tensors)
    else:
        write_safetensors(folder / "model.safetensors", files.tensors)
    write_json(folder / "config.json", files.config)
    return folder
