"""A prediction for each sequence, or for each of its letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from genoseq.errors import ConfigError
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import Record, tokenize
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches
from genoseq.models.heads import SequenceHead, TokenHead
from genoseq.sequence import reverse_complement

_UNSTRANDED = "unstranded"


def predict(
    model: SequenceModel,
    records: Iterable[Record],
    *,
    both_strands: bool = False,
    batch_size: int = 32,
) -> Iterator[pd.DataFrame]:
    """Predictions of a model with a head for classes or numbers.

    Args:
        model: its head says of which kind, its `preprocessing` how the classes are called.
        records: named sequences.
        both_strands: average over a sequence and its reverse complement.
        batch_size: sequences at a time.

    Yields:
        Batches, in order, with the columns `name`, `position` (of the letter, from 0; token heads only), and

        - one of several classes: `prediction` and a `probability_<class>` each;
        - several labels: a `prediction_<class>` and a `probability_<class>` each;
        - numbers: `prediction`, or where there are several a `prediction_<name>` each.

    Raises:
        ConfigError: the model predicts no labels, or both strands are averaged where labels have a strand.
        SequenceError: a sequence that is empty, too long or no nucleotides.
        DeviceError: a batch does not fit in memory.
    """
    if not isinstance(model.head, SequenceHead | TokenHead):
        raise ConfigError(
            f"predicting needs a head for classes or numbers, not {type(model.head).__name__}. Fine-tune the "
            "checkpoint first, or use `genoseq embed` or `genoseq evaluate`."
        )
    if both_strands:
        _require_unstranded(model)
    names = [str(name) for name in model.preprocessing.get("classes") or range(model.head.num_outputs)]
    for batch in batches(records, batch_size):
        outputs, letters = _outputs(model, batch)
        if both_strands:
            turned = [Record(name, reverse_complement(sequence[:])) for name, sequence in batch]
            outputs = (outputs + _outputs(model, turned)[0]) / 2
        yield _table(model.head, batch, outputs, letters, names)


@torch.inference_mode()
def _outputs(model: SequenceModel, batch: list[Record]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities or numbers, (B, C) or (B, L, C) float32, and where the letters are, (B, L) bool."""
    tokens = tokenize(batch, model)
    with explain_full_memory(len(batch)):
        logits = model(tokens.input_ids, tokens.mask).logits.float()
    match model.head.problem:
        case "single_label":
            values = logits.softmax(dim=-1)
        case "multi_label":
            values = logits.sigmoid()
        case _:
            values = logits
    return values.cpu().numpy(), tokens.letters.cpu().numpy()


def _table(
    head: SequenceHead | TokenHead,
    batch: list[Record],
    outputs: np.ndarray,
    letters: np.ndarray,
    names: Sequence[str],
) -> pd.DataFrame:
    if isinstance(head, TokenHead):
        lengths = letters.sum(axis=1)
        places = {
            "name": np.repeat([record.name for record in batch], lengths),
            "position": np.concatenate([np.arange(length) for length in lengths]),
        }
        return pd.DataFrame(places | _columns(head.problem, names, outputs[letters]))
    return pd.DataFrame({"name": [record.name for record in batch]} | _columns(head.problem, names, outputs))


def _columns(problem: str, names: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of (N, C) probabilities or numbers."""
    if problem == "single_label":
        likeliest = np.array(names)[values.argmax(axis=1)]
        return {"prediction": likeliest} | _named("probability", names, values)
    if problem == "multi_label":
        return _named("prediction", names, values > 0.5) | _named("probability", names, values)
    return {"prediction": values[:, 0]} if values.shape[1] == 1 else _named("prediction", names, values)


def _named(kind: str, names: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{kind}_{name}": values[:, column] for column, name in enumerate(names)}


def _require_unstranded(model: SequenceModel) -> None:
    strand = model.preprocessing.get("strand", _UNSTRANDED)
    if strand != _UNSTRANDED or isinstance(model.head, TokenHead):
        what = "labels of single letters" if isinstance(model.head, TokenHead) else f"{strand} labels"
        raise ConfigError(f"both_strands=true averages over the strands, but the model predicts {what}.")
