"""The two layouts that HyenaDNA was released in: their configs and names, to ours and back.

`original`: LongSafari/hyenadna-*, `weights.ckpt` of a Lightning run. `hf`: LongSafari/hyenadna-*-hf, made for
transformers. Parameters keep their official names in our modules, so that only prefixes differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from genoseq.errors import CheckpointError
from genoseq.models.base import SequenceModel
from genoseq.models.heads import LanguageModelHead, SequenceHead
from genoseq.models.layouts import HeadChoice, OfficialFiles, OfficialLayout, OfficialModel, Tensors
from genoseq.models.strict import unique_state

_ORIGINAL = {
    "d_model": "d_model",
    "n_layer": "num_layers",
    "d_inner": "d_inner",
    "vocab_size": "vocab_size",
    "pad_vocab_size_multiple": "pad_vocab_size_multiple",
    "embed_dropout": "embed_dropout",
    "resid_dropout": "resid_dropout",
    "layer_norm_epsilon": "layer_norm_epsilon",
}
_ORIGINAL_LAYER = {
    "l_max": "l_max",
    "order": "order",
    "filter_order": "filter_order",
    "emb_dim": "emb_dim",
    "short_filter_order": "short_filter_order",
    "num_inner_mlps": "num_inner_mlps",
    "w": "activation_freq",
    "lr": "filter_lr",
    "wd": "filter_weight_decay",
    "lr_pos_emb": "position_lr",
    "dropout": "mixer_dropout",
}
# Defaults of the released classes, where they are not ours.
_ORIGINAL_LAYER_DEFAULTS = {"emb_dim": 3, "w": 1, "lr": 1e-3, "lr_pos_emb": 1e-5}
# Of the layer: what changes nothing, and what would change the function if it had another value.
_ORIGINAL_LAYER_SILENT = {"_name_", "local_order", "filter_dropout", "fused_fft_conv"}
_ORIGINAL_LAYER_FIXED = {"modulate": True, "bidirectional": False, "normalized": False, "modulation_lr": 0.0}
_HF = {
    "d_model": "d_model",
    "n_layer": "num_layers",
    "d_inner": "d_inner",
    "vocab_size": "vocab_size",
    "pad_vocab_size_multiple": "pad_vocab_size_multiple",
    "max_seq_len": "l_max",
    "hyena_order": "order",
    "filter_order": "filter_order",
    "emb_dim": "emb_dim",
    "short_filter_order": "short_filter_order",
    "num_inner_mlps": "num_inner_mlps",
    "activation_freq": "activation_freq",
    "train_freq": "train_freq",
    "embed_dropout": "embed_dropout",
    "hyena_dropout": "mixer_dropout",
    "layer_norm_epsilon": "layer_norm_epsilon",
    "initializer_range": "initializer_range",
}
_HF_DEFAULTS = {"emb_dim": 3, "activation_freq": 1}
_HF_PROBLEMS = {
    "single_label_classification": "single_label",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}
_CHECKPOINTED = re.compile(r"(\.mixer|\.mlp)\.layer\.")


def is_original(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of the original release."""
    layer = config.get("layer")
    return isinstance(layer, Mapping) and layer.get("_name_", "hyena") == "hyena"


def is_hf(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of the transformers release."""
    return "max_seq_len" in config and config.get("model_type", "hyenadna") == "hyenadna"


def arguments_from_original(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `HyenaDNA`.

    Raises:
        CheckpointError: the config asks for what the released models never had.
    """
    layer = {**_ORIGINAL_LAYER_DEFAULTS, **config["layer"]}
    unknown = set(layer) - set(_ORIGINAL_LAYER) - _ORIGINAL_LAYER_SILENT - set(_ORIGINAL_LAYER_FIXED)
    unknown |= {key for key, value in _ORIGINAL_LAYER_FIXED.items() if layer.get(key, value) != value}
    if unknown:
        settings = ", ".join(f"{key}={layer[key]!r}" for key in sorted(unknown))
        raise CheckpointError(
            f"config.json: the layer settings {settings} are no part of the released HyenaDNA."
        )
    arguments = {ours: config[theirs] for theirs, ours in _ORIGINAL.items() if theirs in config}
    return arguments | {ours: layer[theirs] for theirs, ours in _ORIGINAL_LAYER.items() if theirs in layer}


def config_for_original(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The config.json of the original release."""
    layer = {theirs: arguments[ours] for theirs, ours in _ORIGINAL_LAYER.items()}
    config = {theirs: arguments[ours] for theirs, ours in _ORIGINAL.items()}
    config["d_inner"] = _d_inner(arguments)
    return config | {
        "fused_mlp": False,
        "fused_dropout_add_ln": True,
        "residual_in_fp32": True,
        "return_hidden_state": True,
        "layer": {"_name_": "hyena", "modulate": True, **layer},
    }


def arguments_from_hf(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `HyenaDNA`."""
    given = {**_HF_DEFAULTS, **config}
    return {ours: given[theirs] for theirs, ours in _HF.items() if theirs in given}


def config_for_hf(model: SequenceModel) -> dict[str, Any]:
    """The config.json of the transformers release."""
    arguments = model.backbone.arguments
    config: dict[str, Any] = {theirs: arguments[ours] for theirs, ours in _HF.items()}
    config |= {"model_type": "hyenadna", "d_inner": _d_inner(arguments), "use_bias": True, "pad_token_id": 4}
    if isinstance(model.head, SequenceHead):
        problem = next(theirs for theirs, ours in _HF_PROBLEMS.items() if ours == model.head.problem)
        classes = model.preprocessing.get("classes") or [f"LABEL_{i}" for i in range(model.head.num_outputs)]
        return config | {
            "architectures": ["HyenaDNAForSequenceClassification"],
            "problem_type": problem,
            "id2label": {str(index): str(name) for index, name in enumerate(classes)},
            "label2id": {str(name): index for index, name in enumerate(classes)},
        }
    return config | {"architectures": ["HyenaDNAForCausalLM"], "tie_word_embeddings": False}


def head_from_hf(
    config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], choice: str | None
) -> tuple[str, dict[str, Any]]:
    """Type and arguments of the head.

    Args:
        config: the config.json.
        tensors: by their official names.
        choice: `language_model` or `sequence`; None for the one that the config names or that alone is there.

    Raises:
        CheckpointError: there is no such head, or it is for a problem that is none.
    """
    classifier = "SequenceClassification" in " ".join(config.get("architectures") or ())
    classifier |= "score.weight" in tensors and "lm_head.weight" not in tensors
    if choice == "sequence" or (choice is None and classifier):
        return "sequence", _classifier_arguments(config, tensors)
    return "language_model", {"tied": bool(config.get("tie_word_embeddings", False))}


def classes_from_hf(config: Mapping[str, Any], num_outputs: int) -> list[str] | None:
    """Names of a classifier's classes, where the config has them all."""
    names = config.get("id2label") or {}
    if len(names) != num_outputs:
        return None
    return [names[index] for index in sorted(names, key=int)]


def _classifier_arguments(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """The transformers release's classifier looks at the last real token, and has no bias."""
    if "score.weight" not in tensors:
        raise CheckpointError(
            "the checkpoint has no score.weight, the classifier of the transformers release."
        )
    outputs = len(tensors["score.weight"])
    problem = config.get("problem_type") or ("regression" if outputs == 1 else "single_label_classification")
    if problem not in _HF_PROBLEMS:
        raise CheckpointError(f"config.json: problem_type {problem!r}; known are {', '.join(_HF_PROBLEMS)}.")
    return {"problem": _HF_PROBLEMS[problem], "num_outputs": outputs, "pooling": "last", "bias": False}


def to_our_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of either release by the names of our modules; names of neither stay as they are.

    `model.` is Lightning's prefix, `hyena.` that of transformers; `.layer` comes of training with
    checkpointing.
    """
    return {_our_name(name): tensor for name, tensor in tensors.items()}


def to_official_names(model: SequenceModel, layout: str) -> dict[str, torch.Tensor]:
    """Tensors of a model by the names of a release.

    Raises:
        CheckpointError: the release has no such head, or knows no filters that end early.
    """
    _require_whole_filters(model.backbone.arguments)
    head = model.head
    classifier = isinstance(head, SequenceHead) and head.pooling == "last" and head.score.bias is None
    tied = isinstance(head, LanguageModelHead) and head.tied
    untied = isinstance(head, LanguageModelHead) and not head.tied
    if not (tied or (layout == "hf" and (classifier or untied))):
        wanted = (
            "a tied language model"
            if layout == "original"
            else "a language model, or pooling=last and bias=False"
        )
        raise CheckpointError(
            f"the {layout} layout has no place for this {type(head).__name__} ({head.arguments}); "
            f"it takes {wanted}."
        )
    if layout == "original":
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        tensors["model.lm_head.weight"] = tensors.pop("model.head.weight")
        return tensors
    tensors = {
        f"hyena.{name}" if name.startswith("backbone.") else name: tensor
        for name, tensor in unique_state(model).items()
    }
    if classifier:
        tensors["score.weight"] = tensors.pop("head.score.weight")
    else:
        # transformers leaves the head untied: a tied one becomes two equal tensors.
        tensors["lm_head.weight"] = tensors.pop("head.weight", model.backbone.input_embedding.weight).clone()
    return tensors


def _require_whole_filters(arguments: Mapping[str, Any]) -> None:
    if (arguments.get("max_taps") or arguments["l_max"]) < arguments["l_max"]:
        raise CheckpointError(
            f"max_taps={arguments['max_taps']}: the released models would read this with filters of all "
            f"l_max={arguments['l_max']} taps, another function. Use layout=genoseq."
        )


def _our_name(name: str) -> str:
    name = _CHECKPOINTED.sub(r"\1.", name.removeprefix("model.").removeprefix("hyena."))
    if name == "lm_head.weight":
        return "head.weight"
    return f"head.{name}" if name == "score.weight" else name


def _d_inner(arguments: Mapping[str, Any]) -> int:
    return arguments["d_inner"] or 4 * arguments["d_model"]


def _read_original(config: Mapping[str, Any], tensors: Tensors, head: HeadChoice | None) -> OfficialModel:
    arguments = arguments_from_original(config)
    return OfficialModel(arguments, "language_model", {"tied": True}, to_our_names(tensors))


def _read_hf(config: Mapping[str, Any], tensors: Tensors, head: HeadChoice | None) -> OfficialModel:
    head_type, head_arguments = head_from_hf(config, tensors, head)
    classes = classes_from_hf(config, head_arguments.get("num_outputs", 0))
    return OfficialModel(
        arguments_from_hf(config),
        head_type,
        head_arguments,
        _without_other_head(to_our_names(tensors), head_type),
        {"classes": classes} if classes else {},
    )


def _write_original(model: SequenceModel) -> OfficialFiles:
    tensors = to_official_names(model, "original")
    return OfficialFiles(config_for_original(model.backbone.arguments), tensors)


def _write_hf(model: SequenceModel) -> OfficialFiles:
    return OfficialFiles(config_for_hf(model), to_official_names(model, "hf"))


def _without_other_head(tensors: dict[str, torch.Tensor], head_type: str) -> dict[str, torch.Tensor]:
    """A file may hold a language model and a classifier: drop the one that was not chosen."""
    names = {"language_model": "head.weight", "sequence": "head.score.weight"}
    if set(names.values()) <= set(tensors):
        return {
            name: x for name, x in tensors.items() if name == names[head_type] or name not in names.values()
        }
    return tensors


LAYOUTS = (
    OfficialLayout("original", is_original, _read_original, _write_original, pickled=True),
    OfficialLayout("hf", is_hf, _read_hf, _write_hf),
)
