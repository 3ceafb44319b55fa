"""Layouts of hybrids: their configs and names, to ours and back.

`original`: hybrids of the state-spaces release, whose config.json has `attn_layer_idx`. `hf`: Bamba, as made
for transformers. Of HybriDNA's own, which is not public, see `bamba_layouts._is_hybridna`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genoseq.errors import CheckpointError
from genoseq.models import bamba_layouts
from genoseq.models.base import SequenceModel
from genoseq.models.hybrid_settings import (
    attention_layers,
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
    translate,
)
from genoseq.models.mamba_layouts import layer_arguments, layer_config

_ORIGINAL = {
    "d_model": "d_model",
    "n_layer": "num_layers",
    "vocab_size": "vocab_size",
    "pad_vocab_size_multiple": "pad_vocab_size_multiple",
}
_ORIGINAL_SILENT = frozenset(
    {
        *("ssm_cfg", "attn_cfg", "attn_layer_idx", "d_intermediate", "rms_norm"),
        *("residual_in_fp32", "fused_add_norm", "tie_embeddings"),
    }
)
_ORIGINAL_LETTERS = {"Mamba1": ("s", "mamba"), "Mamba2": ("m", "mamba2")}
# The release rounds the width of its MLPs up to a multiple of this.
_ORIGINAL_MLP_MULTIPLE = 128
_ORIGINAL_ATTENTION = {
    "num_heads": "num_heads",
    "num_heads_kv": "num_kv_heads",
    "head_dim": "head_dim",
    "qkv_proj_bias": "qkv_bias",
    "out_proj_bias": "out_bias",
    "rotary_emb_dim": "rotary_dim",
    "rotary_emb_base": "rotary_base",
    "rotary_emb_interleaved": "rotary_interleaved",
}
# Defaults of the released class, where they are not ours.
_ORIGINAL_ATTENTION_DEFAULTS = {
    "qkv_proj_bias": True,
    "out_proj_bias": True,
    "rotary_emb_dim": 0,
    "causal": False,
}
_ORIGINAL_ATTENTION_FIXED = {"causal": True, "mlp_dim": 0, "d_conv": 0, "softmax_scale": None}


def _is_original(config: Mapping[str, Any]) -> bool:
    attention = bool(config.get("attn_layer_idx"))
    return attention and isinstance(config.get("ssm_cfg"), Mapping) and "n_layer" in config


def _read_original(config: Mapping[str, Any], tensors: Tensors, head: HeadChoice | None) -> OfficialModel:
    arguments = translate(config, _ORIGINAL, fixed={}, silent=_ORIGINAL_SILENT)
    arguments.setdefault("pad_vocab_size_multiple", 8)
    multiple = _ORIGINAL_MLP_MULTIPLE
    arguments |= {
        "d_inner": -(-config.get("d_intermediate", 0) // multiple) * multiple,
        "norm": "rms" if config.get("rms_norm", True) else "layer",
        "attention": _original_attention(config.get("attn_cfg") or {}),
    }
    kind = config["ssm_cfg"].get("layer", "Mamba1")
    if kind not in _ORIGINAL_LETTERS:
        known = ", ".join(_ORIGINAL_LETTERS)
        raise CheckpointError(f"config.json, ssm_cfg: layer={kind!r}; known are {known}.")
    letter, option = _ORIGINAL_LETTERS[kind]
    arguments[option] = layer_arguments(option, config["ssm_cfg"])
    arguments["pattern"] = pattern_of(letter, arguments["num_layers"], config["attn_layer_idx"])
    tied = {"tied": bool(config.get("tie_embeddings", True))}
    names = {"lm_head.weight": "head.weight"}
    renamed = {names.get(name, name): tensor for name, tensor in tensors.items()}
    return OfficialModel(arguments, "language_model", tied, renamed)


def _original_attention(given: Mapping[str, Any]) -> dict[str, Any]:
    arguments = translate(
        {**_ORIGINAL_ATTENTION_DEFAULTS, **given},
        _ORIGINAL_ATTENTION,
        fixed=_ORIGINAL_ATTENTION_FIXED,
        silent=frozenset(),
        where="config.json, attn_cfg",
    )
    if not arguments["rotary_dim"]:
        return arguments | {"position": "none", "rotary_dim": None}
    return arguments | {"position": "rotary"}


def _write_original(model: SequenceModel) -> OfficialFiles:
    arguments, head = model.backbone.arguments, require_language_model(model, "original")
    layers = layer_kinds(arguments["pattern"], arguments["num_layers"])
    require_values("original", arguments, norm_epsilon=1e-5, mlp_bias=False)
    others = set(layers) - {"a"}
    if "a" not in layers or others not in ({"m"}, {"s"}):
        raise CheckpointError(
            f"the original layout has attention beside Mamba or Mamba-2; this has {layers}."
        )
    if arguments["d_inner"] % _ORIGINAL_MLP_MULTIPLE:
        raise CheckpointError(
            f"d_inner={arguments['d_inner']}: the original layout has multiples of {_ORIGINAL_MLP_MULTIPLE}."
        )
    letter = others.pop()
    recurrent, attention = mixer_arguments(letter, arguments), mixer_arguments("a", arguments)
    require_values("original", attention, window=None, num_sinks=0)
    if letter == "m":
        require_values("original", recurrent, norm_epsilon=1e-5)
    config = {theirs: arguments[ours] for theirs, ours in _ORIGINAL.items()}
    config |= {
        "d_intermediate": arguments["d_inner"],
        "ssm_cfg": layer_config("mamba2" if letter == "m" else "mamba", recurrent),
        "attn_layer_idx": attention_layers(layers),
        "attn_cfg": _original_attention_config(attention, arguments["d_model"]),
        "rms_norm": arguments["norm"] == "rms",
        "residual_in_fp32": True,
        "fused_add_norm": True,
        "tie_embeddings": head.tied,
    }
    names = {"head.weight": "lm_head.weight"}
    # The release holds a tied head once more: cloned, since one tensor of two names cannot be written.
    tensors = {names.get(name, name): tensor.clone() for name, tensor in model.state_dict().items()}
    return OfficialFiles(config, tensors)


def _original_attention_config(attention: Mapping[str, Any], d_model: int) -> dict[str, Any]:
    config = {theirs: attention[ours] for theirs, ours in _ORIGINAL_ATTENTION.items()} | {"causal": True}
    return config | {"rotary_emb_dim": rotary_width("original", attention, d_model)}


LAYOUTS = (OfficialLayout("original", _is_original, _read_original, _write_original), *bamba_layouts.LAYOUTS)
