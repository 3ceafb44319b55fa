"""Which parameters decay, and at what rate each learns."""

from __future__ import annotations

from typing import Any

from torch import nn


def parameter_groups(model: nn.Module, *, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters into the optimiser groups of the HyenaDNA recipe.

    Biases, norms and other vectors, and embeddings, do not decay. A parameter that carries `_optim` (Hyena's
    filters do) has the `lr` and `weight_decay` it names there; its rate is then multiplied by the `lr_factor`
    that `scale_learning_rate` put there.

    Args:
        model: its trainable parameters are taken in order, shared ones once.
        lr, weight_decay: what parameters have that say nothing of their own.

    Returns:
        One dict of `params`, `lr` and `weight_decay` for every pair of settings, in order of first
        appearance.

    Source:
        HyenaDNA (Nguyen et al. 2023), `src/utils/optim_groups.py` of the official code.
    """
    embeddings = {
        id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.ndim >= 2 and id(parameter) not in embeddings
        own: dict[str, float] = getattr(parameter, "_optim", {})
        own_lr = own.get("lr", lr) * own.get("lr_factor", 1.0)
        settings = (own_lr, own.get("weight_decay", weight_decay if decays else 0.0))
        groups.setdefault(settings, []).append(parameter)
    return [
        {"params": parameters, "lr": group_lr, "weight_decay": group_decay}
        for (group_lr, group_decay), parameters in groups.items()
    ]


def scale_learning_rate(parameter: nn.Parameter, factor: float) -> None:
    """Let a parameter learn at `factor` times the rate that it would learn at."""
    own: dict[str, float] = getattr(parameter, "_optim", {})
    parameter._optim = {**own, "lr_factor": factor}  # type: ignore[attr-defined]
