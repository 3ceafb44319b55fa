"""Gated delta net and linear attention: their definitions, names, first values, and bad input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from genoseq.errors import ConfigError, SequenceError
from genoseq.nn import Bidirectional, GatedDeltaNet, LinearAttention, MambaMixer

# Those of flash-linear-attention's layer.
NAMES = {
    *(f"{name}_proj.weight" for name in "qkvabgo"),
    *(f"{name}_conv1d.weight" for name in "qkv"),
    *("A_log", "dt_bias", "o_norm.weight"),
}


def values(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def read_out(layer: Any, x: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
    normal = F.rms_norm(read, read.shape[-1:], layer.o_norm.weight, 1e-5).flatten(-2)
    return layer.o_proj(normal * F.silu(layer.g_proj(x)))


def heads(layer: Any, name: str, x: torch.Tensor) -> torch.Tensor:
    conv = getattr(layer, f"{name}_conv1d")
    mixed = getattr(layer, f"{name}_proj")(x).transpose(1, 2)
    mixed = F.conv1d(F.pad(mixed, (3, 0)), conv.weight, conv.bias, groups=mixed.shape[1])
    width = layer.value_dim if name == "v" else layer.head_dim
    return F.silu(mixed).transpose(1, 2).unflatten(-1, (-1, width))


@pytest.mark.parametrize("negative", [False, True])
def test_gated_delta_net_is_its_definition(negative: bool) -> None:
    torch.manual_seed(0)
    layer = GatedDeltaNet(d_model=8, num_heads=2, head_dim=4, allow_neg_eigval=negative).double()
    x = values(2, 30)
    q, k, v = (heads(layer, name, x) for name in ("q", "k", "v"))
    q, k = (y / (y.square().sum(-1, keepdim=True) + 1e-6).sqrt() for y in (q, k))
    alpha = torch.exp(-layer.A_log.exp() * F.softplus(layer.a_proj(x) + layer.dt_bias))
    beta = torch.sigmoid(layer.b_proj(x)) * (2 if negative else 1)
    state, read = torch.zeros(2, 2, 8, 4, dtype=torch.float64), []
    for t in range(30):
        key, share = k[:, t].unsqueeze(-2), beta[:, t, :, None, None]
        state = alpha[:, t, :, None, None] * (state - share * (state @ key.mT) @ key)
        state = state + share * v[:, t].unsqueeze(-1) * key
        read.append((state @ q[:, t].unsqueeze(-1)).squeeze(-1) / 2)
    torch.testing.assert_close(layer(x), read_out(layer, x, torch.stack(read, dim=1)))


@pytest.mark.parametrize(("decay", "left"), [("fixed", (1 - 2**-5, 1 - 2**-6)), ("none", (1.0, 1.0))])
def test_linear_attention_is_its_definition(decay: Any, left: tuple[float, float]) -> None:
    torch.manual_seed(0)
    layer = LinearAttention(d_model=8, num_heads=2, head_dim=4, decay=decay).double()
    x = values(2, 30)
    q, k, v = (heads(layer, name, x) for name in ("q", "k", "v"))
    ago = torch.arange(30)[:, None] - torch.arange(30)
    weights = torch.tensor(left, dtype=torch.float64)[:, None, None] ** ago.clamp(min=0) * (ago >= 0)
    pairs = torch.einsum("blhk,bmhk->bhlm", q, k) / 2 * weights
    read = torch.einsum("bhlm,bmhv->blhv", pairs, v)
    torch.testing.assert_close(layer(x), read_out(layer, x, read))


def test_names_and_first_values() -> None:
    torch.manual_seed(0)
    layer = GatedDeltaNet(d_model=8, num_heads=64, head_dim=2)
    assert {name for name, _ in layer.named_parameters()} == NAMES
    assert layer.v_proj.weight.shape == (256, 8)
    steps = F.softplus(layer.dt_bias)
    assert steps.min() >= 0.001 - 1e-6
    assert steps.max() <= 0.1 + 1e-6
    rates = layer.A_log.exp()
    assert rates.max() <= 16
    assert rates.std() > 3
    for name in ("A_log", "dt_bias"):
        assert getattr(layer, name)._optim["weight_decay"] == 0


@pytest.mark.parametrize("kind", [GatedDeltaNet, LinearAttention])
def test_settings_that_do_not_fit(kind: Any) -> None:
    with pytest.raises(ConfigError, match="num_heads=2 does not divide num_v_heads=3"):
        kind(d_model=8, num_heads=2, num_v_heads=3)
    with pytest.raises(ConfigError, match="decay='fast'"):
        LinearAttention(d_model=8, num_heads=2, decay="fast")  # type: ignore[arg-type]


def test_both_directions_are_one_turned_round() -> None:
    torch.manual_seed(0)
    layer = GatedDeltaNet(d_model=8, num_heads=2, head_dim=4).double()
    both = Bidirectional(layer, layer, combination="add")
    x = values(2, 20)
    torch.testing.assert_close(both(x), layer(x) + layer(x.flip(1)).flip(1))
    torch.testing.assert_close(both(x.flip(1)), both(x).flip(1))
    product = Bidirectional(layer, MambaMixer(d_model=8).double(), combination="ew_multiply")
    assert product(x).shape == x.shape
    with pytest.raises(ConfigError, match="combination='mean'"):
        Bidirectional(layer, layer, combination="mean")  # type: ignore[arg-type]
    with pytest.raises(SequenceError, match="both directions"):
        both.step(x[:, 0], None)
