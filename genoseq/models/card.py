"""The README.md of a model folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from genoseq.models.signal import SignalModel

if TYPE_CHECKING:
    from genoseq.models.base import SequenceModel

_TEMPLATE = """---
library_name: genoseq
tags: [biology, genomics, {model_type}]
---

# {title}

A {backbone} with {parameters:,} parameters ({layers} layers of width {width}), {reach}, under a {head}.

```python
import genoseq

model = genoseq.load("path/to/this/folder")
```

or `genoseq predict checkpoint=path/to/this/folder input=FILE out=FILE`.

| | |
|---|---|
| head | `{head_arguments}` |
| tokenizer | `{tokenizer}` |
| preprocessing | `{preprocessing}` |

Files: `config.json` (type and arguments), `model.safetensors` (weights), `tokenizer.json`,
`preprocessing.json`.
"""


_SIGNAL_TEMPLATE = """---
library_name: genoseq
tags: [time-series, signals, {model_type}]
---

# {title}

A {title} with {parameters:,} parameters.

```python
import genoseq

model = genoseq.load("path/to/this/folder")
```

| | |
|---|---|
| arguments | `{arguments}` |
| preprocessing | `{preprocessing}` |

Files: `config.json` (type and arguments), `model.safetensors` (weights), `preprocessing.json`.
"""


def model_card(model: SequenceModel | SignalModel) -> str:
    """What a reader of the folder wants to know first, as Markdown."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if isinstance(model, SignalModel):
        return _SIGNAL_TEMPLATE.format(
            model_type=model.model_type,
            title=type(model).__name__,
            parameters=parameters,
            arguments=json.dumps(model.arguments),
            preprocessing=json.dumps(model.preprocessing),
        )
    backbone = model.backbone
    return _TEMPLATE.format(
        model_type=backbone.model_type,
        title=f"{type(backbone).__name__}, {model.head.head_type.replace('_', ' ')}",
        backbone=type(backbone).__name__,
        parameters=parameters,
        layers=backbone.num_layers,
        width=backbone.d_model,
        reach="any length" if backbone.l_max is None else f"up to {backbone.l_max:,} tokens",
        head=type(model.head).__name__,
        head_arguments=json.dumps(model.head.arguments),
        tokenizer=model.tokenizer,
        preprocessing=json.dumps(model.preprocessing),
    )
