"""Bamba, the hybrid of transformers, to ours and back; and HybriDNA's own layout, as far as it is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from genoseq.errors import CheckpointError
from genoseq.models.base import SequenceModel
from genoseq.models.hybrid_settings import (
    attention_layers,
    head_width,
    pattern_of,
    require_values,
    rotary_width,
)
from genoseq.models.hybridna import layer_kinds, mixer_arguments
from genoseq.models.layouts import (
    HeadChoice,
    OfficialFiles,
    OfficialLayout,
    OfficialModel,
    Tensors,
    require_language_model,
    rotation,
    with_start_changed,
)
from genoseq.nn.materialize import Rows

_HF = {
    "hidden_size": "d_model",
    "num_hidden_layers": "num_layers",
    "intermediate_size": "d_inner",
    "mlp_bias": "mlp_bias",
    "vocab_size": "vocab_size",
    "rms_norm_eps": "norm_epsilon",
    "initializer_range": "initializer_range",
    "pad_token_id": "padding_id",
}
_HF_MAMBA2 = {
    "mamba_d_state": "d_state",
    "mamba_d_conv": "d_conv",
    "mamba_d_head": "headdim",
    "mamba_n_groups": "ngroups",
    "mamba_chunk_size": "chunk_size",
    "mamba_expand": "expand",
    "mamba_conv_bias": "conv_bias",
    "mamba_proj_bias": "bias",
    "rms_norm_eps": "norm_epsilon",
}
_HF_ATTENTION = {"num_attention_heads": "num_heads", "num_key_value_heads": "num_kv_heads"}
# Settings that would change the function if they had another value. Bamba's gated norm knows no groups.
_HF_FIXED = {"hidden_act": "silu", "mamba_n_groups": 1}
_HF_ROTARY_BASE, _HF_ROTARY_PART = 10000.0, 0.5
_HF_NAMES = {
    "model.embed_tokens.": "backbone.embedding.",
    "model.final_layernorm.": "backbone.norm_f.",
    "lm_head.": "head.",
}
# Within a layer, and those of ours that are several of theirs, row after row.
_HF_LAYER_NAMES = {
    "input_layernorm.": "norm.",
    "pre_ff_layernorm.": "norm2.",
    "self_attn.o_proj.": "mixer.out_proj.",
    "mamba.": "mixer.",
    "feed_forward.down_proj.": "mlp.fc2.",
}
_HF_FUSED = {
    "mixer.in_proj.": ("self_attn.q_proj.", "self_attn.k_proj.", "self_attn.v_proj."),
    "mlp.fc1.": ("feed_forward.up_proj.", "feed_forward.gate_proj."),
}
_HF_LAYER, _LAYER = re.compile(r"model(\.layers\.\d+\.)"), re.compile(r"backbone(\.layers\.(\d+)\.)")


def _is_bamba(config: Mapping[str, Any]) -> bool:
    return config.get("model_type") == "bamba"


def _read_bamba(config: Mapping[str, Any], tensors: Tensors, head: HeadChoice | None) -> OfficialModel:
    arguments = _hf_arguments(config)
    rope = rotation(config)
    attention = arguments["attention"]
    part = rope.get("partial_rotary_factor", _HF_ROTARY_PART)
    attention |= {
        "position": "rotary",
        "rotary_dim": int(head_width(attention, arguments["d_model"]) * part),
        "rotary_base": rope.get("rope_theta", _HF_ROTARY_BASE),
    }
    tied = bool(config.get("tie_word_embeddings", False))
    return OfficialModel(arguments, "language_model", {"tied": tied}, _from_hf_names(tensors))


def _is_hybridna(config: Mapping[str, Any]) -> bool:
    """UNVERIFIED. Of HybriDNA's own checkpoints one name is known, `model.layers.i.feed_forward.down_proj`,
    besides a vocabulary of 12 and grouped queries. That name is Bamba's, whose names and settings are taken
    here, without rotary embedding. Strict loading says what does not fit."""
    return config.get("model_type") == "hybridna"


def _read_hybridna(config: Mapping[str, Any], tensors: Tensors, head: HeadChoice | None) -> OfficialModel:
    tied = bool(config.get("tie_word_embeddings", False))
    return OfficialModel(_hf_arguments(config), "language_model", {"tied": tied}, _from_hf_names(tensors))


def _hf_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    wrong = {key: config[key] for key, value in _HF_FIXED.items() if config.get(key, value) != value}
    if wrong:
        raise CheckpointError(f"config.json: {wrong} would be another function; wanted {_HF_FIXED}.")
    arguments = {ours: config[theirs] for theirs, ours in _HF.items() if theirs in config}
    mamba2 = {ours: config[theirs] for theirs, ours in _HF_MAMBA2.items() if theirs in config}
    low, high = config.get("time_step_limit") or (0.0, None)
    mamba2["dt_limit"] = [low, None if high == float("inf") else high]
    attention = {ours: config[theirs] for theirs, ours in _HF_ATTENTION.items() if theirs in config}
    biased = bool(config.get("attention_bias", False))
    attention |= {"head_dim": config.get("head_dim"), "qkv_bias": biased, "out_bias": biased}
    pattern = pattern_of("m", arguments["num_layers"], config.get("attn_layer_indices") or ())
    return arguments | {
        "pattern": pattern,
        "pad_vocab_size_multiple": 1,
        "rescale_residual_init": False,
        "mamba2": mamba2,
        "attention": attention,
    }


def _write_bamba(model: SequenceModel) -> OfficialFiles:
    arguments, head = model.backbone.arguments, require_language_model(model, "hf")
    layers = layer_kinds(arguments["pattern"], arguments["num_layers"])
    if set(layers) != {"a", "m"}:
        raise CheckpointError(f"the hf layout has attention beside Mamba-2; this has {layers}.")
    if not arguments["d_inner"]:
        raise CheckpointError("the hf layout has an MLP in every block; this has d_inner=0.")
    mamba2, attention = mixer_arguments("m", arguments), mixer_arguments("a", arguments)
    biased = attention["qkv_bias"]
    require_values("hf", arguments, norm="rms")
    require_values("hf", mamba2, ngroups=1, norm_epsilon=arguments["norm_epsilon"])
    require_values("hf", attention, position="rotary", rotary_interleaved=False, window=None, out_bias=biased)
    head_dim = head_width(attention, arguments["d_model"])
    low, high = mamba2["dt_limit"]
    config = {theirs: mamba2[ours] for theirs, ours in _HF_MAMBA2.items()}
    config |= {theirs: attention[ours] for theirs, ours in _HF_ATTENTION.items()}
    config |= {theirs: arguments[ours] for theirs, ours in _HF.items()}
    config |= {
        "model_type": "bamba",
        "architectures": ["BambaForCausalLM"],
        "vocab_size": model.backbone.vocab_size,
        "num_key_value_heads": attention["num_kv_heads"] or attention["num_heads"],
        "head_dim": head_dim,
        "attention_bias": biased,
        "attn_layer_indices": attention_layers(layers),
        "mamba_n_heads": mamba2["expand"] * arguments["d_model"] // mamba2["headdim"],
        "time_step_limit": [low, float("inf") if high is None else high],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": attention["rotary_base"],
            "partial_rotary_factor": rotary_width("hf", attention, arguments["d_model"]) / head_dim,
        },
        "hidden_act": "silu",
        "tie_word_embeddings": head.tied,
    }
    return OfficialFiles(config, _to_hf_names(model, attention))


def _from_hf_names(tensors: Tensors) -> dict[str, torch.Tensor | Rows]:
    """Tensors by our names; parts of one of ours that are not all there stay as they are, to be reported."""
    renamed: dict[str, Any] = dict(tensors)
    for ours, theirs in _HF_FUSED.items():
        for first in [name for name in tensors if f".{theirs[0]}" in name]:
            parts = [first.replace(theirs[0], part) for part in theirs]
            if all(part in tensors for part in parts):
                whole = _HF_LAYER.sub(r"backbone\1", first.replace(theirs[0], ours))
                renamed[whole] = Rows(*(renamed.pop(part) for part in parts))
    return {_our_name(name): tensor for name, tensor in renamed.items()}


def _our_name(name: str) -> str:
    layer = _HF_LAYER.match(name)
    if layer is None:
        return with_start_changed(name, _HF_NAMES)
    return f"backbone{layer[1]}{with_start_changed(name[layer.end() :], _HF_LAYER_NAMES)}"


def _to_hf_names(model: SequenceModel, attention: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    backbone = model.backbone
    layers = layer_kinds(backbone.arguments["pattern"], backbone.num_layers)
    width = head_width(attention, backbone.d_model)
    queries, shared = (width * (attention[key] or attention["num_heads"]) for key in _HF_ATTENTION.values())
    rows = {"mixer.in_proj.": [queries, shared, shared], "mlp.fc1.": [backbone.arguments["d_inner"]] * 2}
    outer = {ours: theirs for theirs, ours in _HF_NAMES.items()}
    tensors = {}
    for name, tensor in model.state_dict().items():
        layer = _LAYER.match(name)
        if layer is None:
            tensors[with_start_changed(name, outer)] = tensor.clone()
            continue
        attends, rest = layers[int(layer[2])] == "a", name[layer.end() :]
        parts = {rest: tensor}
        for ours, theirs in _HF_FUSED.items():
            if rest.startswith(ours) and (attends or not ours.startswith("mixer.")):
                split = tensor.split(rows[ours])
                parts = {rest.replace(ours, part): x for part, x in zip(theirs, split, strict=True)}
        other = "mamba." if attends else "self_attn.o_proj."
        inner = {ours: theirs for theirs, ours in _HF_LAYER_NAMES.items() if theirs != other}
        for part, x in parts.items():
            tensors[f"model{layer[1]}{with_start_changed(part, inner)}"] = x.clone()
    return tensors


def _unwritable(model: SequenceModel) -> OfficialFiles:
    raise CheckpointError("HybriDNA's own layout is not public: export to another one.")


LAYOUTS = (
    OfficialLayout("hf", _is_bamba, _read_bamba, _write_bamba),
    OfficialLayout("hybridna", _is_hybridna, _read_hybridna, _unwritable),
)
