"""The two layouts that Mamba and Mamba-2 were released in: their configs and names, to ours and back.

`original`: state-spaces/mamba*, config.json of the released code. `hf`: those made for transformers, model
types `mamba` and `mamba2`. Only the embedding and the head have other names than in our modules. The residual
stream is always float32 here, whatever `residual_in_fp32` says: with float32 weights it is the same function.
"""

from __future__ import annotations

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
    require_language_model,
    translate,
)

_ORIGINAL = {
    "d_model": "d_model",
    "n_layer": "num_layers",
    "vocab_size": "vocab_size",
    "pad_vocab_size_multiple": "pad_vocab_size_multiple",
}
_ORIGINAL_SILENT = frozenset({"ssm_cfg", "rms_norm", "residual_in_fp32", "fused_add_norm", "tie_embeddings"})
# What makes a hybrid, which is another family.
_ORIGINAL_FIXED: dict[str, Any] = {"attn_layer_idx": [], "attn_cfg": {}, "d_intermediate": 0}
# Of `ssm_cfg`: names that are ours already, and what only says how it is computed.
_LAYER = {
    "mamba": ("d_state", "d_conv", "expand", "dt_min", "dt_max", "dt_init_floor", "dt_scale"),
    "mamba2": (
        *("d_state", "d_conv", "expand", "headdim", "ngroups", "chunk_size"),
        *("dt_min", "dt_max", "dt_init_floor"),
    ),
}
_LAYER_COMMON = ("conv_bias", "bias")
_LAYER_SILENT = frozenset({"layer", "use_fast_path", "use_mem_eff_path", "dt_rank", "dt_limit", "dt_init"})
_LAYER_FIXED: dict[str, Any] = {
    "mamba": {"dt_init": "random"},
    "mamba2": {
        "rmsnorm": True,
        "norm_before_gate": False,
        "D_has_hdim": False,
        "d_ssm": None,
        "conv_init": None,
        "A_init_range": [1, 16],
    },
}
_OFFICIAL_LAYER = {"mamba": "Mamba1", "mamba2": "Mamba2"}
_HF_COMMON = {
    "hidden_size": "d_model",
    "num_hidden_layers": "num_layers",
    "vocab_size": "vocab_size",
    "state_size": "d_state",
    "conv_kernel": "d_conv",
    "expand": "expand",
    "time_step_min": "dt_min",
    "time_step_max": "dt_max",
    "time_step_floor": "dt_init_floor",
    "use_conv_bias": "conv_bias",
    "use_bias": "bias",
    "layer_norm_epsilon": "norm_epsilon",
    "initializer_range": "initializer_range",
    "rescale_prenorm_residual": "rescale_residual_init",
}
_HF = {
    "mamba": {**_HF_COMMON, "time_step_rank": "dt_rank", "time_step_scale": "dt_scale"},
    "mamba2": {**_HF_COMMON, "head_dim": "headdim", "n_groups": "ngroups", "chunk_size": "chunk_size"},
}
# Defaults of the transformers classes, where they are not ours.
_HF_DEFAULTS: dict[str, dict[str, Any]] = {
    "mamba": {"rescale_prenorm_residual": False, "initializer_range": 0.1},
    "mamba2": {"rescale_prenorm_residual": False, "initializer_range": 0.1, "n_groups": 8},
}
_HF_ACTIVATIONS = ("silu", "swish")


def _is_original(model_type: str, config: Mapping[str, Any]) -> bool:
    layer = config.get("ssm_cfg")
    if not isinstance(layer, Mapping) or "n_layer" not in config or "model_type" in config:
        return False
    return not config.get("attn_layer_idx") and layer.get("layer", "Mamba1") == _OFFICIAL_LAYER[model_type]


def layer_arguments(model_type: str, layer: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the mixers, from the `ssm_cfg` of the official release.

    Raises:
        CheckpointError: a setting that this genoseq has no place for.
    """
    names = {name: name for name in (*_LAYER[model_type], *_LAYER_COMMON)}
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in layer.items()}
    arguments = translate(
        given, names, fixed=_LAYER_FIXED[model_type], silent=_LAYER_SILENT, where="config.json, ssm_cfg"
    )
    if model_type == "mamba":
        rank = layer.get("dt_rank", "auto")
        return arguments | {"dt_rank": None if rank == "auto" else rank}
    return arguments | _limits(layer.get("dt_limit"))


def layer_config(model_type: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The `ssm_cfg` of the official release, from arguments of a backbone."""
    layer = {name: arguments[name] for name in (*_LAYER[model_type], *_LAYER_COMMON)}
    layer["layer"] = _OFFICIAL_LAYER[model_type]
    if model_type == "mamba":
        return layer | {"dt_rank": arguments["dt_rank"] or "auto"}
    return layer | {"dt_limit": _official_limits(arguments)}


def _read_original(model_type: str, config: Mapping[str, Any], tensors: Tensors) -> OfficialModel:
    arguments = translate(config, _ORIGINAL, fixed=_ORIGINAL_FIXED, silent=_ORIGINAL_SILENT)
    arguments.setdefault("pad_vocab_size_multiple", 8)
    arguments["norm"] = "rms" if config.get("rms_norm", True) else "layer"
    arguments |= layer_arguments(model_type, config["ssm_cfg"])
    tied = bool(config.get("tie_embeddings", True))
    return OfficialModel(arguments, "language_model", {"tied": tied}, _our_names(tensors))


def _write_original(model_type: str, model: SequenceModel) -> OfficialFiles:
    arguments, head = model.backbone.arguments, require_language_model(model, "original")
    if arguments["norm_epsilon"] != 1e-5:
        raise CheckpointError(
            f"norm_epsilon={arguments['norm_epsilon']}: the original release has 1e-5, and no setting for it."
        )
    config = {theirs: arguments[ours] for theirs, ours in _ORIGINAL.items()}
    config |= {
        "ssm_cfg": layer_config(model_type, arguments),
        "rms_norm": arguments["norm"] == "rms",
        "residual_in_fp32": True,
        "fused_add_norm": True,
        "tie_embeddings": head.tied,
    }
    return OfficialFiles(config, _official_names(model, "embedding"))


def _is_hf(model_type: str, config: Mapping[str, Any]) -> bool:
    return config.get("model_type") == model_type and "hidden_size" in config


def _read_hf(model_type: str, config: Mapping[str, Any], tensors: Tensors) -> OfficialModel:
    given = {**_HF_DEFAULTS[model_type], **config}
    if given.get("hidden_act", "silu") not in _HF_ACTIVATIONS:
        raise CheckpointError(
            f"config.json: hidden_act={given['hidden_act']!r}; Mamba is read with silu only."
        )
    arguments = {ours: given[theirs] for theirs, ours in _HF[model_type].items() if theirs in given}
    arguments["pad_vocab_size_multiple"] = 1
    width = arguments["d_model"] * arguments.get("expand", 2)
    if given.get("intermediate_size", width) != width:
        raise CheckpointError(
            f"config.json: intermediate_size={given['intermediate_size']}; "
            f"wanted expand * hidden_size = {width}."
        )
    if model_type == "mamba":
        arguments["dt_rank"] = (
            None if given.get("time_step_rank", "auto") == "auto" else given["time_step_rank"]
        )
    else:
        arguments |= _limits(given.get("time_step_limit"))
    tied = bool(config.get("tie_word_embeddings", model_type == "mamba"))
    return OfficialModel(arguments, "language_model", {"tied": tied}, _our_names(tensors))


def _write_hf(model_type: str, model: SequenceModel) -> OfficialFiles:
    arguments, head = model.backbone.arguments, require_language_model(model, "hf")
    if arguments["norm"] != "rms":
        raise CheckpointError(f"norm={arguments['norm']!r}: the hf layout has RMSNorm only.")
    config: dict[str, Any] = {theirs: arguments[ours] for theirs, ours in _HF[model_type].items()}
    width = arguments["d_model"] * arguments["expand"]
    config |= {
        "model_type": model_type,
        "vocab_size": model.backbone.vocab_size,
        "hidden_act": "silu",
        "residual_in_fp32": True,
        "tie_word_embeddings": head.tied,
    }
    if model_type == "mamba":
        config |= {
            "architectures": ["MambaForCausalLM"],
            "time_step_rank": arguments["dt_rank"] or "auto",
            "intermediate_size": width,
        }
    else:
        config |= {
            "architectures": ["Mamba2ForCausalLM"],
            "num_heads": width // arguments["headdim"],
            "time_step_limit": _official_limits(arguments),
        }
    return OfficialFiles(config, _official_names(model, "embeddings"))


def _our_names(tensors: Tensors) -> dict[str, torch.Tensor]:
    """The embedding of either release, and the head, by the names of our modules."""
    names = {
        "backbone.embeddings.weight": "backbone.embedding.weight",
        "lm_head.weight": "head.weight",
    }
    return {names.get(name, name): tensor for name, tensor in tensors.items()}


def _official_names(model: SequenceModel, embedding: str) -> dict[str, torch.Tensor]:
    names = {"backbone.embedding.weight": f"backbone.{embedding}.weight", "head.weight": "lm_head.weight"}
    # The releases hold a tied head once more: cloned, since one tensor of two names cannot be written.
    return {names.get(name, name): tensor.clone() for name, tensor in model.state_dict().items()}


def _limits(official: Any) -> dict[str, Any]:
    if official is None:
        return {}
    low, high = official
    return {"dt_limit": [float(low), None if high is None or high == float("inf") else float(high)]}


def _official_limits(arguments: Mapping[str, Any]) -> list[float]:
    low, high = arguments["dt_limit"]
    return [low, float("inf") if high is None else high]


def _layouts(model_type: str) -> tuple[OfficialLayout, ...]:
    def read_original(config: Mapping[str, Any], tensors: Tensors, head: HeadChoice | None) -> OfficialModel:
        return _read_original(model_type, config, tensors)

    def read_hf(config: Mapping[str, Any], tensors: Tensors, head: HeadChoice | None) -> OfficialModel:
        return _read_hf(model_type, config, tensors)

    return (
        OfficialLayout(
            "original",
            lambda config: _is_original(model_type, config),
            read_original,
            lambda model: _write_original(model_type, model),
        ),
        OfficialLayout(
            "hf",
            lambda config: _is_hf(model_type, config),
            read_hf,
            lambda model: _write_hf(model_type, model),
        ),
    )


MAMBA_LAYOUTS = _layouts("mamba")
MAMBA2_LAYOUTS = _layouts("mamba2")
