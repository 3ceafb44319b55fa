"""Two layers over one sequence, one in either direction.

Source: Schiff et al. 2024, "Caduceus", section 4.1 (BiMamba), and its released code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal, get_args

import torch

from genoseq.errors import SequenceError, require_choice
from genoseq.nn.mamba import MambaMixer
from genoseq.nn.mixer import Mixer, MixerContext, StatelessMixer

Combination = Literal["add", "ew_multiply"]


class Bidirectional(StatelessMixer):
    """A mixer of the sequence, and one of it turned round.

    Args:
        ahead: of the sequence.
        back: of it turned round.
        combination: what becomes of the two outputs: their sum, or their product element by element.

    Raises:
        ConfigError: the combination is none of `Combination`.
    """

    packs: ClassVar[bool] = True
    names: ClassVar[tuple[str, str]] = ("ahead", "back")
    """Of the two submodules."""

    def __init__(self, ahead: Mixer, back: Mixer, *, combination: Combination) -> None:
        super().__init__()
        require_choice("combination", combination, get_args(Combination))
        self.combination = combination
        for name, mixer in zip(self.names, (ahead, back), strict=True):
            self.add_module(name, mixer)

    def _mix(self, x: torch.Tensor, context: MixerContext, state: None) -> torch.Tensor:
        ahead, back = (self.get_submodule(name) for name in self.names)
        y = ahead(x, context)
        other = back(x.flip(1), turned(context)).flip(1)
        return y + other if self.combination == "add" else y * other


class BidirectionalMamba(Bidirectional):
    """Mamba in both directions.

    Args:
        d_model: D.
        combination: what becomes of the two outputs: their sum, or their product element by element.
        tied: share the projections in and out.
        mamba_options: keyword arguments of `MambaMixer`, `d_model` aside.

    Raises:
        ConfigError: the combination is none of `Combination`.
    """

    names: ClassVar[tuple[str, str]] = ("mamba_fwd", "mamba_rev")

    def __init__(
        self, *, d_model: int, combination: Combination, tied: bool, mamba_options: dict[str, Any]
    ) -> None:
        super().__init__(
            MambaMixer(d_model=d_model, **mamba_options),
            MambaMixer(d_model=d_model, **mamba_options),
            combination=combination,
        )
        self.tied = tied
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Tie the projections, also after each was given memory; the rest is the layers' own."""
        if not self.tied:
            return
        ahead, back = (self.get_submodule(name) for name in self.names)
        for name in ("in_proj", "out_proj"):
            ours, theirs = getattr(back, name), getattr(ahead, name)
            ours.weight, ours.bias = theirs.weight, theirs.bias


def turned(context: MixerContext) -> MixerContext:
    """The context of the sequences turned round.

    Raises:
        SequenceError: positions or time steps were given, which have a direction.
    """
    if context.positions is not None or context.time_step is not None:
        raise SequenceError("a mixer of both directions takes neither positions nor time steps.")
    return replace(
        context,
        mask=None if context.mask is None else context.mask.flip(1),
        segment_ids=None if context.segment_ids is None else context.segment_ids.flip(1),
    )
