"""Gated delta net: heads that forget, and replace what they hold under a key.

Names of submodules and parameters are those of flash-linear-attention's layer.
Source: Yang et al. 2024, "Gated Delta Networks: Improving Mamba2 with Delta Rule", section 3.4.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.nn.hyena_filter import set_optimizer_options
from genoseq.nn.matrix_memory import MatrixMemory
from genoseq.nn.recurrence import fill_time_step_bias, precise
from genoseq_kernels import gated_delta_rule, gated_delta_rule_update

_MOST_DECAY = 16.0


class GatedDeltaNet(MatrixMemory):
    """Gated delta net's layer.

    Args:
        d_model, num_heads, head_dim, expand_v, num_v_heads, d_conv, conv_bias, norm_epsilon: see
            `MatrixMemory`.
        allow_neg_eigval: let beta reach 2, so that a state may be turned round under a key: what counting and
            parity need.
        dt_min, dt_max, dt_init_floor: range of the first time steps, by which decays are scaled.

    Raises:
        ConfigError: the heads of queries and keys do not divide those of values.
    """

    def __init__(
        self,
        *,
        d_model: int,
        num_heads: int,
        head_dim: int = 128,
        expand_v: int = 2,
        num_v_heads: int | None = None,
        d_conv: int = 4,
        allow_neg_eigval: bool = False,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init_floor: float = 1e-4,
        conv_bias: bool = False,
        norm_epsilon: float = 1e-5,
    ) -> None:
        super().__init__(
            d_model=d_model,
            num_heads=num_heads,
            head_dim=head_dim,
            expand_v=expand_v,
            num_v_heads=num_v_heads,
            d_conv=d_conv,
            conv_bias=conv_bias,
            norm_epsilon=norm_epsilon,
        )
        self.a_proj = nn.Linear(d_model, self.num_v_heads, bias=False)
        self.b_proj = nn.Linear(d_model, self.num_v_heads, bias=False)
        self.A_log = nn.Parameter(torch.empty(self.num_v_heads))
        self.dt_bias = nn.Parameter(torch.empty(self.num_v_heads))
        self.allow_neg_eigval = allow_neg_eigval
        self._first_steps = {"low": dt_min, "high": dt_max, "floor": dt_init_floor}
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """First values of decays and time steps, as officially; they do not decay in training."""
        fill_time_step_bias(self.dt_bias, **self._first_steps)
        # Not from zero itself, whose logarithm is no number.
        self.A_log.uniform_(1e-4, _MOST_DECAY).log_()
        for parameter in (self.A_log, self.dt_bias):
            set_optimizer_options(parameter, lr=None, weight_decay=0.0)

    @property
    def _matrix(self) -> tuple[int, int]:
        return self.head_dim, self.value_dim

    def _scan(
        self,
        x: torch.Tensor,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: torch.Tensor | None,
        runs: torch.Tensor | None,
        memory: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        decay, share = self._gates(x)
        if mask is not None:
            padding = ~mask.unsqueeze(-1)
            decay, share = decay.masked_fill(padding, 0), share.masked_fill(padding, 0)
        return gated_delta_rule(
            q,
            k,
            v,
            decay,
            share,
            initial_state=memory,
            output_final_state=True,
            use_qk_l2norm_in_kernel=True,
            seq_idx=runs,
        )

    def _update(
        self, x: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, memory: torch.Tensor
    ) -> torch.Tensor:
        return gated_delta_rule_update(memory, q, k, v, *self._gates(x), use_qk_l2norm_in_kernel=True)

    def _gates(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logarithms of decays, and beta: (..., H) each, float32 or better."""
        steps = F.softplus(precise(self.a_proj(x)) + precise(self.dt_bias))
        share = torch.sigmoid(precise(self.b_proj(x)))
        return -torch.exp(precise(self.A_log)) * steps, 2 * share if self.allow_neg_eigval else share
