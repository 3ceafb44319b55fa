"""A prediction for each sequence, or for each of its letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from genoseq.errors import ConfigError
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import Record, tokenize
from genoseq.inference.targets import output_names
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches
from genoseq.models.heads import SequenceHead, TokenHead
from genoseq.sequence import Strand, StrandPolicy, Strands, reverse_complement


def predict(
    model: SequenceModel,
    records: Iterable[Record],
    *,
    strands: Strands | None = None,
    batch_size: int = 32,
) -> Iterator[pd.DataFrame]:
    """Predictions of a model with a head for classes or numbers.

    Args:
        model: its head says of which kind, its `preprocessing` how the classes are called.
        records: named sequences.
        strands: what becomes of the two strands, see `StrandPolicy`; None: as the model was trained.
        batch_size: sequences at a time.

    Yields:
        Batches, in order, with the columns `name`, `position` (of the letter, from 0; token heads only), and

        - one of several classes: `prediction` and a `probability_<class>` each;
        - several labels: a `prediction_<class>` and a `probability_<class>` each;
        - numbers: `prediction`, or where there are several a `prediction_<name>` each.

    Raises:
        ConfigError: the model predicts no labels, or the policy of strands does not go with it or its labels.
        SequenceError: a sequence that is empty, too long or no nucleotides.
        DeviceError: a batch does not fit in memory.
    """
    if not isinstance(model.head, SequenceHead | TokenHead):
        raise ConfigError(
            f"predicting needs a head for classes or numbers, not {type(model.head).__name__}. Fine-tune the "
            "checkpoint first, or use `genoseq embed` or `genoseq evaluate`."
        )
    policy = model.strand_policy(strands)
    names = output_names(model.preprocessing, model.head.num_outputs)
    for batch in batches(records, batch_size):
        outputs = _outputs(model, batch, policy)
        if policy.averages:
            turned = [Record(name, reverse_complement(sequence[:])) for name, sequence in batch]
            pairs = zip(outputs, _outputs(model, turned, policy, "-"), strict=True)
            step = -1 if isinstance(model.head, TokenHead) else 1
            outputs = [(values + other[::step]) / 2 for values, other in pairs]
        yield _table(model.head, batch, outputs, names)


@torch.inference_mode()
def _outputs(
    model: SequenceModel, batch: list[Record], policy: StrandPolicy, strand: Strand = "+"
) -> list[np.ndarray]:
    """Probabilities or numbers of each record, float32: (C,), or (L, C) in the order of its letters."""
    tokens = tokenize(batch, model, policy, strand)
    with explain_full_memory(len(batch)):
        logits = model(tokens.input_ids, tokens.mask, second_pass=tokens.second_pass).logits.float()
    match model.head.problem:
        case "single_label":
            values = logits.softmax(dim=-1)
        case "multi_label":
            values = logits.sigmoid()
        case _:
            values = logits
    rows = values.cpu().numpy()
    if not isinstance(model.head, TokenHead):
        return list(rows)
    step = -1 if policy.second_pass == "other" else 1
    return [row[mine][::step] for row, mine in zip(rows, tokens.letters.cpu().numpy(), strict=True)]


def _table(
    head: SequenceHead | TokenHead, batch: list[Record], outputs: list[np.ndarray], names: Sequence[str]
) -> pd.DataFrame:
    if isinstance(head, TokenHead):
        lengths = [len(rows) for rows in outputs]
        places = {
            "name": np.repeat([record.name for record in batch], lengths),
            "position": np.concatenate([np.arange(length) for length in lengths]),
        }
        return pd.DataFrame(places | prediction_columns(head.problem, names, np.concatenate(outputs)))
    return pd.DataFrame(
        {"name": [record.name for record in batch]}
        | prediction_columns(head.problem, names, np.stack(outputs))
    )


def prediction_columns(problem: str, names: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    """`prediction` and `probability` columns of (N, C) probabilities or numbers."""
    if problem == "single_label":
        likeliest = np.array(names)[values.argmax(axis=1)]
        return {"prediction": likeliest} | _named("probability", names, values)
    if problem == "multi_label":
        return _named("prediction", names, values > 0.5) | _named("probability", names, values)
    return {"prediction": values[:, 0]} if values.shape[1] == 1 else _named("prediction", names, values)


def _named(kind: str, names: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{kind}_{name}": values[:, column] for column, name in enumerate(names)}
