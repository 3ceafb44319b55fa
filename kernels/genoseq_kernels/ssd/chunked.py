"""`ssd` through matrix products, on any device: within a chunk of positions as a masked quadratic form,
between chunks as a recurrence over their states.

Decays are exponentials of differences of sums of logarithms, masked before the exponential; nothing is
divided, so that decays which underflow are harmless. The sums are float64, since they are larger than the
differences that matter. Several chunks make a block, done at once; the state before each block is all that
is kept for the gradient, which makes the rest anew.

Inside, heads are (G, R): R heads read the same B and C, so that products with them are one product for all R.
A state is (B, G, N, R * P).

Source: Dao and Gu 2024, "Transformers are SSMs", section 6; the gradient is derived from it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from genoseq_kernels.spans import Span, spans
from genoseq_kernels.ssd.reference import Gradients, Inputs, precise, runs, skip_weight, time_step

CHUNK = 64
"""Positions of a chunk."""

BLOCK_ELEMENTS = 2**20
"""About so many numbers has the largest tensor of a block (heads, chunks, position by position)."""


def forward(inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """y (B, L, H, P), the last state (B, H, P, N), and the states that the gradient needs."""
    x = inputs.x
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    kept = saved_like(inputs)
    state = _first_state(inputs)
    run = None if inputs.seq_idx is None else runs(inputs.seq_idx)
    for index, span in enumerate(_spans(inputs)):
        kept[index] = state
        block = _Block(inputs, span, run)
        states, state = block.states(state)
        result = block.read(states)
        y[:, span.positions] = _gated(result, inputs, span.positions).to(y.dtype)
    return y, _outer_state(state, inputs), kept


def backward(grad: torch.Tensor, grad_last: torch.Tensor, inputs: Inputs, kept: torch.Tensor) -> Gradients:
    """Gradients of the first two results of `forward`, from the last block to the first."""
    sums = _Sums(inputs)
    carried = _inner_state(grad_last, inputs)
    run = None if inputs.seq_idx is None else runs(inputs.seq_idx)
    for index, span in reversed(list(enumerate(_spans(inputs)))):
        block = _Block(inputs, span, run)
        carried = _block_gradients(grad, carried, inputs, kept[index], block, sums)
    return sums.finish(carried)


def saved_like(inputs: Inputs) -> torch.Tensor:
    """An empty tensor for the states kept: one a block, and two more for a last block that is not full."""
    batch, length, heads, width = inputs.x.shape
    groups, state = inputs.B.shape[2:]
    blocks = length // (_chunks_of_block(inputs) * CHUNK) + 2
    shape = (blocks, batch, groups, state, heads // groups * width)
    return torch.empty(shape, dtype=precise(inputs.x.dtype), device=inputs.x.device)


def _chunks_of_block(inputs: Inputs) -> int:
    batch, _, heads, _ = inputs.x.shape
    return max(1, BLOCK_ELEMENTS // (batch * heads * CHUNK**2))


def _spans(inputs: Inputs) -> Iterator[Span]:
    return spans(inputs.x.shape[1], size=CHUNK, chunks=_chunks_of_block(inputs))


class _Block:
    """The tensors of a block that both passes need. T = chunks * positions = K * Q."""

    def __init__(self, inputs: Inputs, span: Span, run: torch.Tensor | None) -> None:
        kept = precise(inputs.x.dtype)
        batch, _, heads, width = inputs.x.shape
        groups = inputs.B.shape[2]
        self.span = span
        self.heads = (groups, heads // groups)
        self.flat = (batch, span.chunks, span.size, heads)
        self.grouped = (batch, span.chunks, span.size, groups, heads // groups * width)
        self.width = width
        chunked = (batch, span.chunks, span.size)
        self.x = inputs.x[:, span.positions].to(kept).reshape(*self.flat, width)
        self.B, self.C = (
            weights[:, span.positions].to(kept).reshape(*chunked, *weights.shape[2:]).transpose(2, 3)
            for weights in (inputs.B, inputs.C)
        )
        self.step = time_step(inputs, span.positions, with_slope=True)
        self.dt = self.step.value.reshape(self.flat)
        self.A = inputs.A.to(kept)
        self.logs = (self.dt * self.A).double().cumsum(2)
        self.same: torch.Tensor | None = None
        self.from_before = self.logs.exp().to(kept)
        self.to_end = (self.logs[:, :, -1:] - self.logs).exp().to(kept)
        if run is not None:
            self._forget(run, chunked)
        self.scaled = self.x * self.dt.unsqueeze(-1)

    def _forget(self, run: torch.Tensor, chunked: tuple[int, ...]) -> None:
        """Nothing reaches from one packed sequence into the next."""
        span = self.span
        here = run[:, span.positions].reshape(chunked)
        first = max(span.start - 1, 0)
        before = torch.cat([run[:, first : first + 1], here[:, :-1, -1]], 1)
        self.same = here.unsqueeze(-1) == here.unsqueeze(-2)
        self.from_before = self.from_before * (here == before.unsqueeze(-1)).unsqueeze(-1)
        self.to_end = self.to_end * (here == here[:, :, -1:]).unsqueeze(-1)

    def decays(self) -> torch.Tensor:
        """(B, K, G, R, Q, Q): what is left at a position (row) of one before it (column)."""
        logs = self.logs.transpose(2, 3)
        hidden = torch.ones(self.span.size, self.span.size, dtype=torch.bool, device=logs.device).triu(1)
        if self.same is not None:
            hidden = (hidden | ~self.same).unsqueeze(2)
        between = (logs.unsqueeze(-1) - logs.unsqueeze(-2)).to(self.x.dtype)
        return between.masked_fill_(hidden, -torch.inf).exp_().unflatten(2, self.heads)

    def similarities(self) -> torch.Tensor:
        """(B, K, G, 1, Q, Q): C of a position (row) times B of another (column)."""
        return (self.C @ self.B.transpose(-1, -2)).unsqueeze(3)

    def by_head(self, tensor: torch.Tensor) -> torch.Tensor:
        """(B, K, Q, H, P) as (B, K, G, R, Q, P)."""
        return tensor.transpose(2, 3).unflatten(2, self.heads)

    def by_group(self, tensor: torch.Tensor) -> torch.Tensor:
        """(B, K, Q, H, P) as (B, K, G, Q, R * P)."""
        return tensor.reshape(self.grouped).transpose(2, 3)

    def by_position(self, tensor: torch.Tensor) -> torch.Tensor:
        """(B, K, G, Q, R * P) or (B, K, G, R, Q, P) as (B, K, Q, H, P)."""
        if tensor.dim() == 6:
            return tensor.flatten(2, 3).transpose(2, 3)
        return tensor.transpose(2, 3).reshape(*self.flat, self.width)

    def over_chunk(self) -> torch.Tensor:
        """(K, B, G, 1, R, 1): what is left of the state before a chunk at its end."""
        return self.from_before[:, :, -1].movedim(1, 0).unflatten(2, self.heads)[:, :, :, None, :, None]

    def states(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The states before each chunk (B, K, G, N, R * P), and the one after the last."""
        ends = self.by_group(self.scaled * self.to_end.unsqueeze(-1))
        made = self.B.transpose(-1, -2) @ ends
        before = torch.empty_like(made)
        for chunk, left in enumerate(self.over_chunk()):
            before[:, chunk] = state
            state = _times(state, left) + made[:, chunk]
        return before, state

    def read_states(self, states: torch.Tensor) -> torch.Tensor:
        """What positions see of the chunks before their own, (B, K, Q, H, P)."""
        return self.by_position(self.C @ states) * self.from_before.unsqueeze(-1)

    def read(self, states: torch.Tensor) -> torch.Tensor:
        """y before D and z, (B, K, Q, H, P)."""
        within = self.decays().mul_(self.similarities()) @ self.by_head(self.scaled)
        return self.read_states(states) + self.by_position(within)


class _Sums:
    """Gradients as they are gathered; sums over positions in the precision of the computation."""

    def __init__(self, inputs: Inputs) -> None:
        def empty(of: torch.Tensor) -> torch.Tensor:
            return torch.empty(of.shape, dtype=of.dtype, device=of.device)

        def zeros(of: torch.Tensor) -> torch.Tensor:
            return torch.zeros(of.shape, dtype=precise(inputs.x.dtype), device=of.device)

        self.inputs = inputs
        self.x, self.dt, self.B, self.C = (empty(of) for of in (inputs.x, inputs.dt, inputs.B, inputs.C))
        self.z = None if inputs.z is None else empty(inputs.z)
        self.A = zeros(inputs.A)
        self.D = None if inputs.D is None else zeros(inputs.D)
        self.dt_bias = None if inputs.dt_bias is None else zeros(inputs.dt_bias)

    def finish(self, carried: torch.Tensor) -> Gradients:
        """All, in the dtypes of the inputs."""
        inputs = self.inputs
        first = inputs.initial_states
        return Gradients(
            x=self.x,
            dt=self.dt,
            A=self.A.to(inputs.A.dtype),
            B=self.B,
            C=self.C,
            D=None if self.D is None or inputs.D is None else self.D.to(inputs.D.dtype),
            z=self.z,
            dt_bias=(
                None
                if self.dt_bias is None or inputs.dt_bias is None
                else self.dt_bias.to(inputs.dt_bias.dtype)
            ),
            initial_states=None if first is None else _outer_state(carried, inputs).to(first.dtype),
        )


def _block_gradients(
    grad: torch.Tensor,
    carried: torch.Tensor,
    inputs: Inputs,
    state: torch.Tensor,
    block: _Block,
    sums: _Sums,
) -> torch.Tensor:
    """Gather the gradients of one block; `carried` is that of the state after it, the result before it."""
    positions = block.span.positions
    before, _ = block.states(state)
    decays, similarities = block.decays(), block.similarities()
    weights = decays * similarities
    dy = _ungated_gradient(grad, inputs, before, block, weights, sums)
    after, carried = _state_gradients(dy, carried, block)

    products = block.by_head(dy) @ block.by_head(block.scaled).transpose(-1, -2)
    seen = block.by_group(dy * block.from_before.unsqueeze(-1))
    ends = block.by_group(block.scaled * block.to_end.unsqueeze(-1))
    from_states = block.by_position(block.B @ after) * block.to_end.unsqueeze(-1)
    scaled = from_states + block.by_position(weights.transpose(-1, -2) @ block.by_head(dy))
    logs = _log_gradients(dy, products * weights, before, after, from_states, block)

    pairs = products.mul_(decays).sum(3)
    sums.C[:, positions] = _merged(pairs @ block.B + seen @ before.transpose(-1, -2), sums.C)
    sums.B[:, positions] = _merged(pairs.transpose(-1, -2) @ block.C + ends @ after.transpose(-1, -2), sums.B)
    dx = scaled * block.dt.unsqueeze(-1)
    if inputs.D is not None:
        dx = dx + dy * skip_weight(inputs.D, dy.dtype)
    sums.x[:, positions] = dx.flatten(1, 2).to(sums.x.dtype)
    sums.A += (logs * block.dt).sum((0, 1, 2))
    dt = ((scaled * block.x).sum(-1) + logs * block.A).flatten(1, 2)
    dt = dt if block.step.slope is None else dt * block.step.slope
    sums.dt[:, positions] = dt.to(sums.dt.dtype)
    if sums.dt_bias is not None:
        sums.dt_bias += dt.sum((0, 1))
    return carried


def _ungated_gradient(
    grad: torch.Tensor,
    inputs: Inputs,
    before: torch.Tensor,
    block: _Block,
    weights: torch.Tensor,
    sums: _Sums,
) -> torch.Tensor:
    """Gradient of the result before D and z, (B, K, Q, H, P); those of z and D are gathered."""
    positions = block.span.positions
    dy = grad[:, positions].to(block.x.dtype).reshape(block.x.shape)
    if inputs.z is not None and sums.z is not None:
        z = inputs.z[:, positions].to(dy.dtype).reshape(block.x.shape)
        y = block.read_states(before) + block.by_position(weights @ block.by_head(block.scaled))
        if inputs.D is not None:
            y = y + block.x * skip_weight(inputs.D, y.dtype)
        sigmoid = torch.sigmoid(z)
        slope = sigmoid * (1 + z * (1 - sigmoid))
        sums.z[:, positions] = (dy * y * slope).flatten(1, 2).to(sums.z.dtype)
        dy = dy * z * sigmoid
    if sums.D is not None:
        by_width = (dy * block.x).sum((0, 1, 2))
        sums.D += by_width.sum(-1) if sums.D.dim() == 1 else by_width
    return dy


def _state_gradients(
    dy: torch.Tensor, carried: torch.Tensor, block: _Block
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the states after each chunk (B, K, G, N, R * P), and of the one before the first."""
    seen = block.C.transpose(-1, -2) @ block.by_group(dy * block.from_before.unsqueeze(-1))
    after = torch.empty_like(seen)
    for chunk, left in reversed(list(enumerate(block.over_chunk()))):
        after[:, chunk] = carried
        carried = _times(carried, left) + seen[:, chunk]
    return after, carried


def _log_gradients(
    dy: torch.Tensor,
    pairs: torch.Tensor,
    before: torch.Tensor,
    after: torch.Tensor,
    from_states: torch.Tensor,
    block: _Block,
) -> torch.Tensor:
    """Gradient of dt * A at each position (B, K, Q, H): the share of all that its decay stands between.

    `pairs` is the share of each pair of positions, taken over; no decay stands between a position and itself,
    whose large shares would only round off the others. What begins before the chunk counts at the positions
    up to its end there, and what goes on after the chunk from its beginning on.
    """
    pairs.diagonal(dim1=-2, dim2=-1).zero_()
    begun = (pairs.sum(-1) - pairs.sum(-2)).flatten(2, 3).transpose(2, 3)
    begun = begun + (dy * block.read_states(before)).sum(-1)
    gone = (block.scaled * from_states).sum(-1)
    through = (before * after).unflatten(-1, (-1, block.width)).sum((3, 5)).flatten(2)
    through = (through * block.from_before[:, :, -1]).unsqueeze(2)
    suffix = begun.double().flip(2).cumsum(2).flip(2)
    prefix = gone.double().cumsum(2) - gone
    return (suffix + prefix + through).to(dy.dtype)


def _merged(gradient: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(B, K, G, Q, N) as (B, T, G, N)."""
    return gradient.transpose(2, 3).flatten(1, 2).to(like.dtype)


def _times(state: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """(B, G, N, R * P) times one number a head (B, G, 1, R, 1)."""
    return (state.unflatten(-1, (factor.shape[3], -1)) * factor).flatten(-2)


def _gated(y: torch.Tensor, inputs: Inputs, positions: slice) -> torch.Tensor:
    """The result (B, T, H, P) of y before D and z, which it takes over."""
    y = y.flatten(1, 2)
    if inputs.D is not None:
        y = y + inputs.x[:, positions] * skip_weight(inputs.D, y.dtype)
    if inputs.z is not None:
        y = y * torch.nn.functional.silu(inputs.z[:, positions].to(y.dtype))
    return y


def _first_state(inputs: Inputs) -> torch.Tensor:
    if inputs.initial_states is not None:
        return _inner_state(inputs.initial_states, inputs)
    batch, _, heads, width = inputs.x.shape
    groups, state = inputs.B.shape[2:]
    shape = (batch, groups, state, heads // groups * width)
    return torch.zeros(shape, dtype=precise(inputs.x.dtype), device=inputs.x.device)


def _inner_state(state: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """(B, H, P, N) as (B, G, N, R * P)."""
    by_group = state.to(precise(inputs.x.dtype)).unflatten(1, (inputs.B.shape[2], -1))
    return by_group.movedim(-1, 2).flatten(3)


def _outer_state(state: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """The way back, in memory of its own."""
    width = inputs.x.shape[3]
    return state.unflatten(-1, (-1, width)).movedim(2, -1).flatten(1, 2).contiguous()
