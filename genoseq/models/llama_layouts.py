"""The layout of transformers' Llama, which is that of the released GENERator: to ours and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genoseq.models.base import SequenceModel
from genoseq.models.layouts import (
    HeadChoice,
    OfficialFiles,
    OfficialLayout,
    OfficialModel,
    Tensors,
    require_language_model,
    rotation,
    translate,
    with_start_changed,
)

_CONFIG = {
    "hidden_size": "d_model",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "num_key_value_heads": "num_kv_heads",
    "head_dim": "head_dim",
    "intermediate_size": "d_inner",
    "vocab_size": "vocab_size",
    "pad_token_id": "padding_id",
    "max_position_embeddings": "l_max",
    "attention_bias": "attention_bias",
    "mlp_bias": "mlp_bias",
    "attention_dropout": "attention_dropout",
    "rms_norm_eps": "norm_epsilon",
    "initializer_range": "initializer_range",
}
# Settings that would change the function if they had another value.
_FIXED: dict[str, Any] = {"hidden_act": "silu", "pretraining_tp": 1}
# Defaults of transformers, where they are not ours.
_DEFAULTS: dict[str, Any] = {"max_position_embeddings": 2048, "rms_norm_eps": 1e-6}
_ROTARY_BASE = 10000.0
_NAMES = {"model.": "backbone.llama.", "lm_head.": "head."}


def _is_llama(config: Mapping[str, Any]) -> bool:
    return config.get("model_type") == "llama" and "hidden_size" in config


def _read(config: Mapping[str, Any], tensors: Tensors, head: HeadChoice | None) -> OfficialModel:
    given = {**_DEFAULTS, **config}
    known = {key: value for key, value in given.items() if key in _CONFIG or key in _FIXED}
    arguments = translate(known, _CONFIG, fixed=_FIXED, silent=frozenset())
    arguments["rotary_base"] = rotation(config).get("rope_theta", _ROTARY_BASE)
    kept = {with_start_changed(name, _NAMES): tensor for name, tensor in tensors.items()}
    tied = bool(config.get("tie_word_embeddings", False))
    return OfficialModel(arguments, "language_model", {"tied": tied}, kept)


def _write(model: SequenceModel) -> OfficialFiles:
    arguments, head = model.backbone.arguments, require_language_model(model, "hf")
    config = {theirs: arguments[ours] for theirs, ours in _CONFIG.items()}
    config |= _FIXED | {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "num_key_value_heads": arguments["num_kv_heads"] or arguments["num_heads"],
        "head_dim": arguments["head_dim"] or arguments["d_model"] // arguments["num_heads"],
        "rope_parameters": {"rope_type": "default", "rope_theta": arguments["rotary_base"]},
        # Where versions of transformers before 5 look for it.
        "rope_theta": arguments["rotary_base"],
        "tie_word_embeddings": head.tied,
    }
    names = {ours: theirs for theirs, ours in _NAMES.items()}
    # Cloned, since one tensor of two names cannot be written.
    tensors = {with_start_changed(name, names): x.clone() for name, x in model.state_dict().items()}
    return OfficialFiles(config, tensors)


LLAMA_LAYOUTS = (OfficialLayout("hf", _is_llama, _read, _write),)
