"""Room for more tokens than a backbone was made for."""

from __future__ import annotations

import math

import torch
from torch import nn

from genoseq.errors import ConfigError
from genoseq.models.backbone import Backbone


def extend_vocabulary(backbone: Backbone, vocab_size: int) -> None:
    """Add rows with random first values to the embedding, as if `vocab_size` had been given.

    The rows that are there keep their values bit for bit. A head that shares them has to be made after this.

    Args:
        backbone: causal, with fewer rows than that.
        vocab_size: number of tokens; the rows are rounded up as the constructor rounds them.

    Raises:
        ConfigError: the embedding has no memory, and its rows may yet come from a file.
    """
    arguments, embedding = backbone.arguments, backbone.input_embedding
    multiple = arguments["pad_vocab_size_multiple"]
    num_rows = math.ceil(vocab_size / multiple) * multiple
    old = embedding.weight.detach()
    assert num_rows > len(old), "there is room"
    if old.device.type == "meta":
        raise ConfigError(
            f"{vocab_size} tokens want {num_rows} rows of an embedding that has {len(old)} and, as under "
            "trainer=fsdp2, no memory yet: no row can be added. Give trainer=ddp."
        )
    new = torch.empty(num_rows - len(old), backbone.d_model, dtype=old.dtype, device=old.device)
    nn.init.normal_(new, std=arguments["initializer_range"])
    embedding.weight = nn.Parameter(torch.cat([old, new]), requires_grad=embedding.weight.requires_grad)
    backbone.vocab_size = embedding.num_embeddings = num_rows
    arguments["vocab_size"] = vocab_size
