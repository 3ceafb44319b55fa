"""Linear attention: heads that add every value to a matrix under its key, and forget at a rate of their own.

Source: Katharopoulos et al. 2020, "Transformers are RNNs", section 3.3; the decays and the norm in place of a
denominator: Sun et al. 2023, "Retentive Network", section 2.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch

from genoseq.errors import require_choice
from genoseq.nn.matrix_memory import MatrixMemory
from genoseq_kernels import selective_state_update, ssd

Decay = Literal["fixed", "none"]

_FASTEST = 5
"""The first head forgets 2^-5 of what it holds at each position, every further one half as much."""


class LinearAttention(MatrixMemory):
    """Linear attention's layer.

    Args:
        d_model, num_heads, head_dim, expand_v, num_v_heads, d_conv, conv_bias, norm_epsilon: see
            `MatrixMemory`.
        decay: `fixed`, or `none` for heads that never forget.

    Raises:
        ConfigError: the heads of queries and keys do not divide those of values, or no such decay.
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
        decay: Decay = "fixed",
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
        require_choice("decay", decay, get_args(Decay))
        self.decay = decay

    @property
    def _matrix(self) -> tuple[int, int]:
        return self.value_dim, self.head_dim

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
        rates = self._log_decays(v)
        # Time that passes: none at padding, where the memory does not move.
        steps = rates.new_ones(v.shape[:2]) if mask is None else mask.to(rates.dtype)
        return ssd(
            v,
            steps.unsqueeze(-1).expand(v.shape[:3]),
            rates,
            k,
            q * self.head_dim**-0.5,
            initial_states=memory,
            seq_idx=runs,
            return_final_states=True,
        )

    def _update(
        self, x: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, memory: torch.Tensor
    ) -> torch.Tensor:
        rates = self._log_decays(v)[:, None, None].expand(memory.shape[1:])
        return selective_state_update(memory, v, torch.ones_like(v), rates, k, q * self.head_dim**-0.5)

    def _log_decays(self, like: torch.Tensor) -> torch.Tensor:
        """(H,), float32 or better."""
        dtype = torch.promote_types(like.dtype, torch.float32)
        heads = torch.arange(self.num_v_heads, device=like.device, dtype=dtype)
        if self.decay == "none":
            return torch.zeros_like(heads)
        return torch.log1p(-torch.exp2(-_FASTEST - heads))
