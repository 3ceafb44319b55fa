"""The layout of the released Caduceus (kuleshov-group/caduceus-*): its config and names, to ours and back.

The released names tell PS (`submodule`) from Ph, and unfused PS from fused (`norm.submodule`). Fused and
unfused PS are different functions of the same weights, so that names and config must agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from genoseq.errors import CheckpointError
from genoseq.models.base import SequenceModel
from genoseq.models.caduceus import Caduceus
from genoseq.models.heads import SequenceHead
from genoseq.models.layouts import (
    HeadChoice,
    OfficialFiles,
    OfficialLayout,
    OfficialModel,
    Tensors,
    is_classifier,
    translate,
)
from genoseq.models.mamba_layouts import layer_arguments, layer_config
from genoseq.models.strand_heads import MaskedLanguageModelHead, StrandSequenceHead

_CONFIG = {
    "d_model": "d_model",
    "n_layer": "num_layers",
    "vocab_size": "vocab_size",
    "pad_vocab_size_multiple": "pad_vocab_size_multiple",
    "norm_epsilon": "norm_epsilon",
    "bidirectional_strategy": "combination",
    "bidirectional_weight_tie": "tied",
    "fused_add_norm": "fused_add_norm",
}
# Defaults of the released class, where they are not ours.
_DEFAULTS: dict[str, Any] = {"fused_add_norm": True, "rms_norm": True, "rcps": False}
_SCORE, _MASKED = "score.weight", "lm_head"


def _is_caduceus(config: Mapping[str, Any]) -> bool:
    return config.get("model_type") == "caduceus" and "ssm_cfg" in config


def _read(config: Mapping[str, Any], tensors: Tensors, head: HeadChoice | None) -> OfficialModel:
    given = {**_DEFAULTS, **config}
    if not given.get("bidirectional", True):
        raise CheckpointError("config.json: bidirectional=false; Caduceus is read with both directions only.")
    given["bidirectional_strategy"] = given.get("bidirectional_strategy") or "add"
    arguments = {ours: given[theirs] for theirs, ours in _CONFIG.items() if theirs in given}
    arguments |= layer_arguments("mamba", given["ssm_cfg"])
    arguments |= _first_values(given.get("initializer_cfg") or {})
    arguments["norm"] = "rms" if given["rms_norm"] else "layer"
    _require_variant(given, tensors)
    arguments["complement_map"] = _complement_map(given.get("complement_map"))
    classifier = is_classifier(config, tensors, head, score=_SCORE, masked=_MASKED)
    conjoined = classifier or bool(given.get("conjoin_eval", False))
    arguments["symmetry"] = "shared" if given["rcps"] else "conjoined" if conjoined else "none"
    if not classifier:
        kept = _our_names(tensors, {"lm_head.weight", "lm_head.lm_head.weight"})
        return OfficialModel(arguments, "masked_language_model", {"tied": True}, kept)
    if _SCORE not in tensors:
        raise CheckpointError("the checkpoint has no score.weight, the classifier of the release.")
    head_arguments = {"num_outputs": len(tensors[_SCORE]), "bias": False}
    return OfficialModel(arguments, "strand_sequence", head_arguments, _our_names(tensors, {_SCORE}))


def _write(model: SequenceModel) -> OfficialFiles:
    backbone = model.backbone
    assert isinstance(backbone, Caduceus)
    shared = backbone.symmetry == "shared"
    arguments = backbone.arguments
    config: dict[str, Any] = {theirs: arguments[ours] for theirs, ours in _CONFIG.items()}
    layer = layer_config("mamba", arguments)
    del layer["layer"]
    config |= {
        "model_type": "caduceus",
        "ssm_cfg": layer,
        "rms_norm": arguments["norm"] == "rms",
        "residual_in_fp32": False,
        "bidirectional": True,
        "rcps": shared,
        "complement_map": {str(token): int(other) for token, other in enumerate(backbone.complement)},
        "initializer_cfg": {
            "initializer_range": arguments["initializer_range"],
            "rescale_prenorm_residual": arguments["rescale_residual_init"],
            "n_residuals_per_layer": 1,
        },
        "pad_token_id": 4,
    }
    tensors = {
        f"caduceus.{name}": tensor.clone()
        for name, tensor in model.state_dict().items()
        if name.startswith("backbone.")
    }
    if isinstance(model.head, MaskedLanguageModelHead) and model.head.tied:
        prefix = "lm_head.lm_head" if shared else "lm_head"
        tensors[f"{prefix}.weight"] = model.head.weight.detach().clone()
        if shared:
            tensors["lm_head.complement_map"] = backbone.complement.clone()
        return OfficialFiles(config | {"architectures": ["CaduceusForMaskedLM"]}, tensors)
    if isinstance(model.head, StrandSequenceHead) and _is_released_classifier(model.head):
        tensors[_SCORE] = model.head.score.weight.detach().clone()
        config |= {"architectures": ["CaduceusForSequenceClassification"], "conjoin_eval": not shared}
        return OfficialFiles(config, tensors)
    raise CheckpointError(
        f"the original layout has no place for this {type(model.head).__name__} ({model.head.arguments}); it "
        "takes a tied masked language model, or a classifier of two strands with pooling=mean and bias=False."
    )


def _is_released_classifier(head: SequenceHead) -> bool:
    return head.pooling == "mean" and head.score.bias is None


def _our_names(tensors: Tensors, heads: set[str]) -> dict[str, torch.Tensor]:
    """Tensors by the names of our modules, of the released heads only the chosen one."""
    names = {"lm_head.weight": "head.weight", "lm_head.lm_head.weight": "head.weight"}
    names |= {_SCORE: "head.score.weight"}
    others = {_SCORE, "lm_head.weight", "lm_head.lm_head.weight", "lm_head.complement_map"} - heads
    kept = {name: tensor for name, tensor in tensors.items() if name not in others}
    return {names.get(name, name.removeprefix("caduceus.")): tensor for name, tensor in kept.items()}


def _require_variant(config: Mapping[str, Any], tensors: Tensors) -> None:
    """Refuse weights of another variant than the config's.

    Raises:
        CheckpointError: config and names of tensors disagree.
    """
    wanted = _variant(bool(config["rcps"]), bool(config["fused_add_norm"]))
    shared = any(".mixer.submodule." in name for name in tensors)
    found = _variant(shared, not any(".norm.submodule." in name for name in tensors))
    if tensors and wanted != found:
        raise CheckpointError(
            f"config.json (rcps={config['rcps']}, fused_add_norm={config['fused_add_norm']}) is of "
            f"{wanted}; the tensors are of {found}. They are different functions: "
            "use the config.json that belongs to these weights."
        )


def _variant(shared: bool, fused: bool) -> str:
    if not shared:
        return "Caduceus-Ph"
    return f"Caduceus-PS, {'fused' if fused else 'unfused'}"


def _first_values(config: Mapping[str, Any]) -> dict[str, Any]:
    names = {"initializer_range": "initializer_range", "rescale_prenorm_residual": "rescale_residual_init"}
    fixed = {"n_residuals_per_layer": 1}
    return translate(config, names, fixed=fixed, silent=frozenset(), where="config.json, initializer_cfg")


def _complement_map(official: Mapping[str, int] | None) -> list[int] | None:
    if not official:
        return None
    return [int(official[token]) for token in sorted(official, key=int)]


CADUCEUS_LAYOUTS = (OfficialLayout("original", _is_caduceus, _read, _write),)
