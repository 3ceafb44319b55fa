"""A vector for each sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, get_args

import torch

from genoseq.errors import ConfigError, require_choice
from genoseq.models.backbone import StreamingBackbone
from genoseq.models.chunks import (
    Reading,
    Window,
    batches,
    encode_part,
    first_state,
    plan_reading,
    require_bases,
    require_tokens_of_bases,
    window_tokens,
)
from genoseq.models.heads import PlainPooling, pool
from genoseq.models.modes import evaluating
from genoseq.models.strand_use import require_room_for_two
from genoseq.sequence import Letters, StrandPolicy, Strands, strand_policy
from genoseq.tokenizers import Tokenizer, encode_passes, pad_passes

if TYPE_CHECKING:
    from genoseq.models.base import SequenceModel

# What there is to choose where nothing is predicted.
_STRANDS = ("none", "echo", "repeat")


def embed(
    model: SequenceModel,
    sequences: str | Sequence[str],
    *,
    layer: int = -1,
    pooling: PlainPooling = "mean",
    strands: Strands = "none",
    chunk_length: int | None = None,
    context: int | None = None,
) -> torch.Tensor:
    """Hidden states of one layer, pooled over the letters of each sequence: no special tokens, no padding.

    Args:
        model: any model with a tokenizer; its head is not asked, nor what it was trained with.
        sequences: one text or several; without `chunk_length`, all computed at once.
        layer: see `embed_tokens`.
        pooling: `mean`, `max`, `first` or `last`.
        strands: `none` gives each sequence once. `repeat` gives it twice, without anything between, and pools
            over the second time, so that every position has seen all of it; `echo` likewise with its reverse
            complement as the second. See `StrandPolicy`.
        chunk_length, context: how sequences longer than fit are read, one by one; see
            `genoseq.models.chunks.plan_reading`.

    Returns:
        (B, D) float32.

    Raises:
        ConfigError: there is no such layer, pooling or policy, or the model has no tokenizer or does not read
            in chunks so.
        SequenceError: a sequence that is no nucleotides, or longer than the model takes, both passes counted.
    """
    if model.tokenizer is None:
        raise ConfigError("this model has no tokenizer: give it one, or call its backbone with token ids.")
    policy = require_embedding(model, layer, pooling, strands)
    reading = plan_reading(model, chunk_length=chunk_length, context=context)
    texts = [sequences] if isinstance(sequences, str) else sequences
    if reading is None:
        return _embed_whole(model, model.tokenizer, texts, layer, pooling, policy)
    require_one_pass(policy)
    vectors = [
        pooled.vector
        for text in texts
        for pooled in pool_parts(hidden_states(model, text, reading, layer=layer), pooling)
    ]
    return torch.stack(vectors).to(model.device)


def _embed_whole(
    model: SequenceModel,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    layer: int,
    pooling: PlainPooling,
    policy: StrandPolicy,
) -> torch.Tensor:
    for text in texts:
        require_bases(text)
    passes = [encode_passes(tokenizer, model.encode(text), policy) for text in texts]
    input_ids, mask, second_pass, letters = pad_passes(tokenizer, passes)
    if second_pass is not None:
        require_room_for_two(model, input_ids, mask)
    device = model.device
    return embed_tokens(model, input_ids.to(device), mask.to(device), letters.to(device), layer, pooling)


@torch.inference_mode()
def embed_tokens(
    model: SequenceModel,
    input_ids: torch.Tensor,
    mask: torch.Tensor | None,
    letters: torch.Tensor,
    layer: int,
    pooling: PlainPooling,
) -> torch.Tensor:
    """Hidden states of one layer, pooled.

    Args:
        model: its backbone is asked.
        input_ids: (B, L) integers.
        mask: (B, L) bool, False at padding; None where there is none.
        letters: (B, L) bool, the positions that are pooled.
        layer: one of `num_layers + 2`. 0 is the token embeddings, i the output of block i, `num_layers + 1`
            that of the last block after the final norm; negative counts from the end, so that -1 is the last
            hidden state and -2 the output of the last block.
        pooling: `mean`, `max`, `first` or `last`.

    Returns:
        (B, D) float32.
    """
    return pool(_layer(model, input_ids, mask, layer), letters, pooling)


def hidden_states(
    model: SequenceModel, letters: Letters, reading: Reading | None, *, layer: int, batch_size: int = 1
) -> Iterator[torch.Tensor]:
    """Hidden states of one layer at all letters of one sequence, part by part.

    Args:
        model: with a tokenizer of single nucleotides.
        letters: one or more.
        reading: how it is read; None for all at once.
        layer: see `embed_tokens`.
        batch_size: windows at a time; a state is carried one chunk at a time.

    Yields:
        (L, D) float32 on the model's device, of L consecutive letters.

    Raises:
        SequenceError: the letters are none, no nucleotides, or more than the model takes.
        ConfigError: the model reads sequences of codons.
    """
    require_bases(letters)
    if model.preprocessing.get("coding") is not None:
        raise ConfigError(
            "this model was taught to read whole sequences of codons: it cannot read them in parts, nor give "
            "vectors of windows. Leave out chunk_length, context and window."
        )
    if reading is not None and reading.context is None:
        yield from _carried(model, letters, reading, layer)
        return
    whole = Window(0, 0, len(letters), len(letters))
    windows = iter([whole]) if reading is None else reading.windows(len(letters))
    special = len(require_tokens_of_bases(model).prefix_ids)
    for group in batches(windows, batch_size):
        states = _layer(model, window_tokens(model, letters, group), None, layer)[:, special:]
        for window, row in zip(group, states, strict=True):
            yield row[window.first - window.start : window.last - window.start]


class Pooled(NamedTuple):
    """Attributes:
    start, end: letters [start, end) of a sequence.
    vector: (D,) float32, their hidden states pooled.
    """

    start: int
    end: int
    vector: torch.Tensor


def pool_parts(
    parts: Iterable[torch.Tensor], pooling: PlainPooling, *, window: int | None = None
) -> Iterator[Pooled]:
    """Pool hidden states as they come.

    Args:
        parts: (L, D) float32 of consecutive letters, L of any size.
        pooling: `mean`, `max`, `first` or `last`.
        window: letters that are pooled to one vector, fewer at the end; None for all.
    """
    start, running = 0, _RunningPool(pooling)
    for part in parts:
        while len(part):
            room = len(part) if window is None else window - running.count
            running.add(part[:room])
            part = part[room:]
            if running.count == window:
                yield Pooled(start, start + running.count, running.vector)
                start, running = start + running.count, _RunningPool(pooling)
    if running.count:
        yield Pooled(start, start + running.count, running.vector)


class _RunningPool:
    """What `pool` gives for hidden states that come in parts; a mean is of sums in float64."""

    def __init__(self, pooling: PlainPooling) -> None:
        self.pooling = pooling
        self.count = 0
        self._value = torch.empty(0)

    def add(self, hidden: torch.Tensor) -> None:
        """Take in (L, D) float32, L of 1 or more."""
        # On the CPU, for not every device has float64.
        match self.pooling:
            case "mean":
                part = hidden.sum(0).cpu().double()
                self._value = part + self._value if self.count else part
            case "max":
                part = hidden.amax(0).cpu()
                self._value = torch.maximum(part, self._value) if self.count else part
            case "last":
                self._value = hidden[-1].cpu()
            case "first" if not self.count:
                self._value = hidden[0].cpu()
        self.count += len(hidden)

    @property
    def vector(self) -> torch.Tensor:
        """(D,) float32."""
        return (self._value / self.count if self.pooling == "mean" else self._value).float()


def require_embedding(model: SequenceModel, layer: int, pooling: str, strands: Strands) -> StrandPolicy:
    """Check the settings of an embedding, before anything is computed, and give its policy of strands.

    Raises:
        ConfigError: the model has no such layer, or there is no such pooling or policy.
    """
    require_choice("pooling", pooling, get_args(PlainPooling))
    require_choice("strands", strands, _STRANDS)
    count = _num_states(model)
    if not -count <= layer < count:
        raise ConfigError(f"layer={layer}: this model has the layers 0 to {count - 1}, or -1 to {-count}.")
    return strand_policy(strands)


def require_one_pass(policy: StrandPolicy) -> None:
    """Check that sequences are given once.

    Raises:
        ConfigError: twice, which goes only with sequences that are read at once.
    """
    if policy.passes > 1:
        raise ConfigError(
            f"strands={policy.name} gives each sequence twice, and is for sequences that are read at once: "
            "leave chunk_length and window out, or give strands=none."
        )


def _num_states(model: SequenceModel) -> int:
    """The embeddings, each block, and the last block after the norm."""
    return model.backbone.num_layers + 2


@torch.inference_mode()
def _layer(
    model: SequenceModel, input_ids: torch.Tensor, mask: torch.Tensor | None, layer: int
) -> torch.Tensor:
    """(B, L, D) float32."""
    with evaluating(model):
        states = model.backbone(input_ids, mask, output_hidden_states=True).hidden_states
    assert len(states) == _num_states(model)
    return states[layer].float()


def _carried(model: SequenceModel, letters: Letters, reading: Reading, layer: int) -> Iterator[torch.Tensor]:
    tokenizer, backbone = require_tokens_of_bases(model), model.backbone
    assert isinstance(backbone, StreamingBackbone)
    state = first_state(model, backbone, len(letters))

    @torch.inference_mode()
    def read_on(tokens: torch.Tensor) -> torch.Tensor:
        with evaluating(model):
            output = backbone.read_on(tokens.to(model.device).unsqueeze(0), state, output_hidden_states=True)
        assert output.hidden_states is not None
        return output.hidden_states[layer][0].float()

    if len(tokenizer.prefix_ids):
        read_on(torch.from_numpy(tokenizer.prefix_ids))
    for chunk in reading.windows(len(letters)):
        yield read_on(torch.from_numpy(encode_part(tokenizer, letters, chunk.first, chunk.last)))
