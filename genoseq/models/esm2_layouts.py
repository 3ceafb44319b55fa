"""The layout of transformers' ESM-2: its config and names, to ours and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from genoseq.errors import CheckpointError
from genoseq.models.base import SequenceModel
from genoseq.models.layouts import (
    HeadChoice,
    OfficialFiles,
    OfficialLayout,
    OfficialModel,
    Tensors,
    translate,
    with_start_changed,
)
from genoseq.models.strand_heads import MaskedLanguageModelHead

_CONFIG = {
    "hidden_size": "d_model",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "intermediate_size": "d_inner",
    "vocab_size": "vocab_size",
    "pad_token_id": "padding_id",
    "mask_token_id": "mask_id",
    "token_dropout": "token_dropout",
    "rope_theta": "rotary_base",
    "emb_layer_norm_before": "norm_before",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "layer_norm_eps": "norm_epsilon",
    "initializer_range": "initializer_range",
}
# Settings that would change the function if they had another value.
_FIXED: dict[str, Any] = {
    "position_embedding_type": "rotary",
    "is_folding_model": False,
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
# Defaults of transformers, where they are not ours.
_DEFAULTS: dict[str, Any] = {
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "token_dropout": False,
    "position_embedding_type": "absolute",
}
_NAMES = {
    "esm.": "backbone.esm.",
    "lm_head.dense.": "head.transform.dense.",
    "lm_head.layer_norm.": "head.transform.norm.",
    "lm_head.decoder.weight": "head.weight",
    "lm_head.bias": "head.bias",
}
# Files of older versions have a copy of the wavelengths in each layer, and a table of positions.
_OLD_WAVELENGTHS = re.compile(r"esm\.encoder\.layer\.\d+\.attention\.self\.rotary_embeddings\.inv_freq")
_WAVELENGTHS, _POSITIONS = "esm.rotary_embeddings.inv_freq", "esm.embeddings.position_ids"


def _is_esm2(config: Mapping[str, Any]) -> bool:
    return config.get("model_type") == "esm"


def _read(config: Mapping[str, Any], tensors: Tensors, head: HeadChoice | None) -> OfficialModel:
    if head == "sequence":
        raise CheckpointError("ESM-2 is read as the masked language model that it is: leave head= out.")
    # A setting that is null stands for its default.
    given = {**_DEFAULTS, **{key: value for key, value in config.items() if value is not None}}
    known = {key: value for key, value in given.items() if key in _CONFIG or key in _FIXED}
    arguments = translate(known, _CONFIG, fixed=_FIXED, silent=frozenset())
    kept: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if _OLD_WAVELENGTHS.fullmatch(name):
            name = _WAVELENGTHS
        if name != _POSITIONS:
            kept.setdefault(with_start_changed(name, _NAMES), tensor)
    settings = {"tied": True, "transform": True, "norm_epsilon": arguments["norm_epsilon"]}
    return OfficialModel(arguments, "masked_language_model", settings, kept)


def _write(model: SequenceModel) -> OfficialFiles:
    arguments = model.backbone.arguments
    head = {"tied": True, "transform": True, "norm_epsilon": arguments["norm_epsilon"]}
    if not isinstance(model.head, MaskedLanguageModelHead) or model.head.arguments != head:
        raise CheckpointError(
            f"the hf layout has no place for this {type(model.head).__name__}; it takes a tied masked "
            "language model with transform=true and the norm_epsilon of its backbone."
        )
    config: dict[str, Any] = {theirs: arguments[ours] for theirs, ours in _CONFIG.items()}
    config |= _FIXED | {"model_type": "esm", "architectures": ["EsmForMaskedLM"]}
    names = {ours: theirs for theirs, ours in _NAMES.items()}
    # Cloned, since one tensor of two names cannot be written.
    tensors = {with_start_changed(name, names): x.clone() for name, x in model.state_dict().items()}
    return OfficialFiles(config, tensors)


ESM2_LAYOUTS = (OfficialLayout("hf", _is_esm2, _read, _write),)
