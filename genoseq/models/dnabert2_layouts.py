"""The layout of the released DNABERT-2: its config and names, to ours and back.

Its `model_type` is that of BERT; what tells it apart is `alibi_starting_size`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from genoseq.errors import CheckpointError
from genoseq.models.base import SequenceModel
from genoseq.models.heads import Head, SequenceHead
from genoseq.models.layouts import (
    HeadChoice,
    OfficialFiles,
    OfficialLayout,
    OfficialModel,
    Tensors,
    is_classifier,
    renamed,
    translate,
)
from genoseq.models.strand_heads import MaskedLanguageModelHead
from genoseq.nn.materialize import Rows

_CONFIG = {
    "hidden_size": "d_model",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "intermediate_size": "d_inner",
    "vocab_size": "vocab_size",
    "type_vocab_size": "token_types",
    "pad_token_id": "padding_id",
    "hidden_dropout_prob": "dropout",
    "layer_norm_eps": "norm_epsilon",
    "initializer_range": "initializer_range",
}
# Settings that would change the function if they had another value.
_FIXED: dict[str, Any] = {
    "hidden_act": "gelu",
    "attention_probs_dropout_prob": 0.0,
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
_NAMES = {
    "bert.embeddings.word_embeddings.": "backbone.embedding.",
    "bert.embeddings.token_type_embeddings.": "backbone.token_types.",
    "bert.embeddings.LayerNorm.": "backbone.norm.",
    "bert.encoder.layer.": "backbone.layers.",
    "bert.pooler.dense.": "head.pooler.",
    "classifier.": "head.score.",
    "cls.predictions.transform.dense.": "head.transform.dense.",
    "cls.predictions.transform.LayerNorm.": "head.transform.norm.",
    "cls.predictions.decoder.": "head.",
}
_LAYER_NAMES = {
    "attention.self.Wqkv.": "mixer.in_proj.",
    "attention.output.dense.": "mixer.out_proj.",
    "attention.output.LayerNorm.": "norm.",
    "mlp.gated_layers.": "mlp.fc1.",
    "mlp.wo.": "mlp.fc2.",
    "mlp.layernorm.": "norm2.",
}
_MASKED, _CLASSIFIER, _SCORE = "cls.", ("bert.pooler.", "classifier."), "classifier.weight"
_PROBLEMS = {"multi_label_classification": "multi_label", "regression": "regression"}


def _is_dnabert2(config: Mapping[str, Any]) -> bool:
    return config.get("model_type") == "bert" and "alibi_starting_size" in config


def _read(config: Mapping[str, Any], tensors: Tensors, head: HeadChoice | None) -> OfficialModel:
    known = {key: value for key, value in config.items() if key in _CONFIG or key in _FIXED}
    arguments = translate(known, _CONFIG, fixed=_FIXED, silent=frozenset())
    classifier = is_classifier(config, tensors, head, score=_SCORE, masked=_MASKED)
    left_out = _MASKED if classifier else _CLASSIFIER
    kept = {
        renamed(name, _NAMES, _LAYER_NAMES): _halves_swapped(x) if ".gated_layers." in name else x
        for name, x in tensors.items()
        if not name.startswith(left_out)
    }
    if not classifier:
        settings = {"tied": True, "transform": True, "norm_epsilon": arguments.get("norm_epsilon", 1e-12)}
        return OfficialModel(arguments, "masked_language_model", settings, kept)
    if _SCORE not in tensors:
        raise CheckpointError("the checkpoint has no classifier.weight, the classifier of the release.")
    dropout = config.get("classifier_dropout")
    settings = {
        "problem": _PROBLEMS.get(config.get("problem_type") or "", "single_label"),
        "num_outputs": len(tensors[_SCORE]),
        "pooling": "first",
        "pooler": True,
        "dropout": arguments.get("dropout", 0.1) if dropout is None else dropout,
    }
    return OfficialModel(arguments, "sequence", settings, kept)


def _write(model: SequenceModel) -> OfficialFiles:
    arguments = model.backbone.arguments
    config: dict[str, Any] = {theirs: arguments[ours] for theirs, ours in _CONFIG.items()}
    config |= _FIXED | {"model_type": "bert", "alibi_starting_size": 512, "max_position_embeddings": 512}
    config |= _head_config(model.head, arguments)
    outer, inner = ({ours: theirs for theirs, ours in table.items()} for table in (_NAMES, _LAYER_NAMES))
    tensors = {
        # Cloned, since one tensor of two names cannot be written.
        renamed(name, outer, inner): _halves_swapped(x).joined() if ".mlp.fc1." in name else x.clone()
        for name, x in model.state_dict().items()
    }
    return OfficialFiles(config, tensors)


def _head_config(head: Head, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What config.json says of the head.

    Raises:
        CheckpointError: the layout has no place for it.
    """
    settings = head.arguments
    masked = {"tied": True, "transform": True, "norm_epsilon": arguments["norm_epsilon"]}
    if isinstance(head, MaskedLanguageModelHead) and settings == masked:
        return {"architectures": ["BertForMaskedLM"]}
    released = {"pooling": "first", "pooler": True, "bias": True}
    if isinstance(head, SequenceHead) and released.items() <= settings.items():
        names = {str(index): f"LABEL_{index}" for index in range(head.num_outputs)}
        return {
            "architectures": ["BertForSequenceClassification"],
            "problem_type": {ours: theirs for theirs, ours in _PROBLEMS.items()}.get(head.problem),
            "classifier_dropout": settings["dropout"],
            "id2label": names,
            "label2id": {label: int(index) for index, label in names.items()},
        }
    raise CheckpointError(
        f"the original layout has no place for this {type(head).__name__}; it takes a tied masked language "
        "model with transform=true and the norm_epsilon of its backbone, or a classifier with pooling=first, "
        "pooler=true and bias=true."
    )


def _halves_swapped(x: torch.Tensor) -> Rows:
    """The release has gates before values; we have values before gates."""
    return Rows(*reversed(x.chunk(2)))


DNABERT2_LAYOUTS = (OfficialLayout("original", _is_dnabert2, _read, _write),)
