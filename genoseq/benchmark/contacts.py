"""Contacts of residues as ESM-2 predicts them: a target that no residue tells by itself."""

from __future__ import annotations

import numpy as np
import torch

from genoseq.errors import ConfigError
from genoseq.models.backbone import Backbone
from genoseq.models.esm2 import ESM2
from genoseq.models.modes import evaluating

# Its vocabulary: <cls>, <pad>, <eos> and <unk>, then these.
_RESIDUES = "LAGVSERTIDPKQNFYMHWCXBUZO"
_BEGIN, _END, _UNKNOWN, _FIRST = 0, 2, 3, 4


@torch.inference_mode()
def esm2_contacts(model: Backbone, protein: str) -> np.ndarray:
    """Probability of a contact (8 A between the residues' beta carbons) of each pair of residues.

    Args:
        model: the backbone of an ESM-2 that `genoseq.load` gives, its contact head among its weights.
        protein: residues.

    Returns:
        (R, R) float32.

    Raises:
        ConfigError: the model is no ESM-2, or the protein has no residue.

    Source: Lin et al. 2023, Science 379:1123.
    """
    if not isinstance(model, ESM2) or not protein:
        raise ConfigError(
            f"contacts of {len(protein)} residues from a {type(model).__name__}: give a protein, and the "
            "backbone of an ESM-2, such as genoseq.load(FOLDER).backbone."
        )
    ids = [_FIRST + _RESIDUES.index(x) if x in _RESIDUES else _UNKNOWN for x in protein]
    tokens = torch.tensor([[_BEGIN, *ids, _END]], device=model.input_embedding.weight.device)
    # Only the plain implementation gives its attentions away.
    usual = model.esm.config._attn_implementation
    model.esm.set_attn_implementation("eager")
    try:
        with evaluating(model):
            return model.esm.predict_contacts(tokens, torch.ones_like(tokens))[0].float().cpu().numpy()
    finally:
        model.esm.set_attn_implementation(usual)
