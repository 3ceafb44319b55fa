"""What tells one model from another."""

from __future__ import annotations

import hashlib
import json

import torch

from genoseq.models.base import SequenceModel


def weights_digest(model: SequenceModel) -> str:
    """SHA-256 of a model's tensors and arguments, hexadecimal: the same wherever its folder is."""
    digest = hashlib.sha256()
    described = [type(model.backbone).__name__, model.backbone.arguments, model.head.arguments]
    tokenizer = None if model.tokenizer is None else model.tokenizer.description()
    digest.update(json.dumps([described, tokenizer], sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # As bytes, for NumPy has no bfloat16; a scalar has no axis to be viewed along.
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
