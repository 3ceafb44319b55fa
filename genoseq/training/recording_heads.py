"""Which head of a model goes with the labels of recordings."""

from __future__ import annotations

from typing import Any

from genoseq.errors import ConfigError
from genoseq.models.signal import RecordingModel


def require_head(model: RecordingModel, datamodule: Any) -> None:
    """Check that a model predicts what data of recordings have labels of.

    A model that reconstructs does without labels; a task that does not says so.

    Args:
        model: `label_form` and `num_activated` count.
        datamodule: its `label_form` and `num_outputs`, the number of classes.

    Raises:
        ConfigError: it predicts something else.
    """
    form, count = datamodule.label_form, datamodule.num_outputs
    if not model.num_outputs or (model.label_form, model.num_activated) == (form, count):
        return
    predicted = f"the model predicts {_words(model.label_form, model.num_activated)}"
    if not count:
        raise ConfigError(
            f"{predicted}, and the data have no labels: give data.label_source=recording, events or "
            "stretches."
        )
    raise ConfigError(
        f"{predicted}, and the data (data.label_form={form}) have {_words(form, count)}: give "
        f"{_settings(model, form, count)}, or other data."
    )


def _words(form: str, count: int) -> str:
    return {
        "class": f"one of {count} classes a window",
        "classes": f"{count} classes of a window, each there or not",
        "channels": f"one of {count} classes a channel",
        "values": "numbers",
    }[form]


def _settings(model: RecordingModel, form: str, count: int) -> str:
    """What makes a model predict that."""
    if form == "class":
        of_femba = f"model.head={'bc' if count == 2 else 'mcc'} model.num_classes={count}"
        others = f"model.problem=single_label model.num_outputs={count}"
        return of_femba if "head" in model.arguments else others
    if form == "classes":
        of_femba = f"model.head=ml model.num_classes={count}"
        others = f"model.problem=multi_label model.num_outputs={count}"
        return of_femba if "head" in model.arguments else others
    of_each = f"model.head=mmc model.num_classes={count}"
    return f"model.head=mc model.num_classes=0, or {of_each}" if count == 2 else of_each
