"""FEMBA: two-dimensional patches of a recording under Mamba blocks of both directions.

Names of submodules and parameters are those of the released code.
Source: Tegon et al. 2025, "FEMBA: Efficient and Scalable EEG Analysis with a Bidirectional Mamba Foundation
Model", and its released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.errors import ConfigError, require_choice
from genoseq.models.signal import RecordingModel, SignalOutput
from genoseq.nn.bidirectional import BidirectionalMamba
from genoseq.nn.checkpointing import Checkpointing, checkpointed, require_checkpointing
from genoseq.nn.losses import Problem, problem_loss
from genoseq.nn.mamba import MambaMixer
from genoseq.nn.materialize import reset_children
from genoseq.nn.patch_masks import patch_mask
from genoseq.nn.residual import normed
from genoseq.nn.wide_conv2d import WideConv2d

FembaHead = Literal["reconstruction", "bc", "ml", "mcc", "mc", "mmc"]
_PROBLEMS: dict[str, Problem] = {
    "bc": "single_label",
    "mcc": "single_label",
    "ml": "multi_label",
    "mc": "multi_label",
    "mmc": "single_label",
}
_CLASSIFIER_WIDTH = 256


class Femba(RecordingModel):
    """The published function.

    Patches of some channels by some samples are embedded; the embeddings of all patches at one time are one
    position. Each block adds Mamba ahead and Mamba back to its input, and norms the sum.

    Millions of parameters, of 22 channels of 1,280 samples, as a reconstruction and with a head of two
    classes: tiny 7.80 and 8.33, base 46.61 and 47.15, large 77.17 and 77.82, huge 385.5 and 386.2. Published
    are 7.8, 47.7, 77.8 and 386: one form each, but for base, of which the released documentation says the
    same 12 blocks and E = 35. An encoder with the decoder and two heads would have 47.69; whether that was
    counted, or a digit is wrong, is not known.

    Args:
        sequence_length: T, samples of a window.
        num_channels: C.
        head: `reconstruction` of hidden samples; or classes: `bc` of a window, of two kinds; `mcc` of a
            window, of several; `ml` of a window, each there or not; `mc` of each channel, there or not; `mmc`
            of each channel, of several.
        num_classes: of `bc`, `mcc`, `ml` and `mmc`; 0 for `reconstruction` and `mc`.
        embed_dim: E, width of a patch's embedding. The width inside is E times the patches across channels.
        num_layers: number of blocks.
        expand: how much wider Mamba is inside.
        patch_size: channels and samples of a patch.
        stride: channels and samples from patch to patch.
        decoder_kernel: of the convolution that begins the reconstruction, over positions and width; odd.
        activation_checkpointing: compute blocks again in the backward pass instead of keeping what they hold:
            less memory, more time, the same numbers.

    Raises:
        ConfigError: no such head, classes that do not go with it, or patches that do not fit.
    """

    model_type: ClassVar[str] = "femba"
    head_names: ClassVar[tuple[str, ...]] = ("classifier", "decoder")

    def __init__(
        self,
        *,
        sequence_length: int = 1280,
        num_channels: int = 22,
        head: FembaHead = "reconstruction",
        num_classes: int = 0,
        embed_dim: int = 35,
        num_layers: int = 2,
        expand: int = 4,
        patch_size: Sequence[int] = (2, 16),
        stride: Sequence[int] = (2, 16),
        decoder_kernel: Sequence[int] = (31, 31),
        activation_checkpointing: Checkpointing = False,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__()
        require_choice("head", head, get_args(FembaHead))
        require_checkpointing(activation_checkpointing)
        _require_classes(head, num_classes)
        self.sequence_length, self.num_channels = sequence_length, num_channels
        self.patch_size, self.stride = _pair(patch_size, "patch_size"), _pair(stride, "stride")
        kernel = _pair(decoder_kernel, "decoder_kernel")
        self.arguments = arguments | {
            "patch_size": list(self.patch_size),
            "stride": list(self.stride),
            "decoder_kernel": list(kernel),
        }
        self.head = head
        self.problem = _PROBLEMS.get(head)
        self.per_channel = head in ("mc", "mmc")
        self.num_outputs = num_channels if head == "mc" else num_classes
        self.activation_checkpointing = activation_checkpointing
        across, self.num_positions = self._grid()
        self.d_model = across * embed_dim
        self.patch_embed = _Patches(embed_dim, self.patch_size, self.stride)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.num_positions, self.d_model))
        self.mamba_blocks = nn.ModuleList(
            BidirectionalMamba(
                d_model=self.d_model, combination="add", tied=False, mamba_options={"expand": expand}
            )
            for _ in range(num_layers)
        )
        self.norm_layers = nn.ModuleList(nn.LayerNorm(self.d_model) for _ in range(num_layers))
        self.decoder = self.classifier = None
        if head == "reconstruction":
            self.decoder = _Decoder(embed_dim, across, kernel, self.patch_size, self.stride)
        else:
            per_channel = num_channels if head == "mmc" else 1
            self.classifier = _Classifier(self.d_model, self.num_outputs * per_channel)

    def reset_parameters(self) -> None:
        reset_children(self)
        nn.init.zeros_(self.pos_embed)

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        *,
        observed: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> SignalOutput:
        """See `RecordingModel.forward`.

        Returns:
            `prediction` (B, C, T) of a reconstruction, (B, C, num_classes) of `mmc`, (B, num_outputs) of the
            other heads; `last_hidden_state` (B, positions, D). The loss of a reconstruction is the smooth L1
            distance over the samples that are hidden and observed.
        """
        self.require_window(x)
        hidden = self.encode(x, mask, observed=observed)
        if self.decoder is not None:
            y = self.decoder(hidden)
            loss = None if mask is None else _masked_distance(y, x, mask, observed)
            return SignalOutput(y, hidden, loss)
        assert self.classifier is not None
        y = self.classifier(hidden)
        if self.head == "mmc":
            y = y.unflatten(-1, (self.num_channels, self.num_outputs))
        if labels is None:
            return SignalOutput(y, hidden)
        assert self.problem is not None
        return SignalOutput(y, hidden, problem_loss(self.problem, y, labels))

    def encode(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, *, observed: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(B, positions, D) of recordings (B, C, T); see `forward`."""
        if mask is not None:
            x = x.masked_fill(mask.bool(), 0)
        if observed is not None:
            x = x.masked_fill(~observed.bool(), 0)
        y = self.patch_embed(x)
        y = (y + self.pos_embed).to(torch.promote_types(y.dtype, torch.float32))
        for block, norm in zip(self.mamba_blocks, self.norm_layers, strict=True):
            assert isinstance(norm, nn.LayerNorm)
            y = normed(norm, y + checkpointed(self.activation_checkpointing, block, y.to(norm.weight.dtype)))
        return y

    def draw_mask(self, seeds: torch.Tensor, *, ratio: float = 0.6) -> torch.Tensor:
        """A mask (B, C, T) bool of whole patches for each of B items, from its own seed (B,)."""
        return patch_mask(
            len(seeds),
            self.num_channels,
            self.sequence_length,
            patch_size=self.patch_size,
            ratio=ratio,
            seeds=seeds,
        )

    def _grid(self) -> tuple[int, int]:
        """Patches across channels and along time.

        Raises:
            ConfigError: none fits.
        """
        sizes = (self.num_channels, self.sequence_length)
        across, along = (
            (size - patch) // stride + 1
            for size, patch, stride in zip(sizes, self.patch_size, self.stride, strict=True)
        )
        if across < 1 or along < 1:
            raise ConfigError(
                f"patch_size={list(self.patch_size)} does not fit {sizes[0]} channels x {sizes[1]}."
            )
        covered = [
            (count - 1) * stride + patch
            for count, stride, patch in zip((across, along), self.stride, self.patch_size, strict=True)
        ]
        if self.head == "reconstruction" and covered != list(sizes):
            raise ConfigError(
                f"patches of {list(self.patch_size)} at a stride of {list(self.stride)} cover {covered[0]} "
                f"of {sizes[0]} channels and {covered[1]} of {sizes[1]} samples: a reconstruction wants all."
            )
        return across, along


class _Patches(nn.Module):
    """(B, C, T) to (B, positions, E * patches across channels)."""

    def __init__(self, embed_dim: int, patch_size: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, embed_dim, kernel_size=patch_size, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(x.to(self.proj.weight.dtype).unsqueeze(1)).flatten(1, 2).transpose(1, 2)


class _Decoder(nn.Module):
    """(B, positions, D) to (B, C, T): a convolution over the hidden states as one image, then patches."""

    def __init__(
        self,
        embed_dim: int,
        across: int,
        kernel: tuple[int, int],
        patch_size: tuple[int, int],
        stride: tuple[int, int],
    ) -> None:
        super().__init__()
        if not all(size % 2 for size in kernel):
            raise ConfigError(f"decoder_kernel={list(kernel)}: give odd numbers, which have a middle.")
        self.shape = (embed_dim, across)
        self.dec_conv = WideConv2d(kernel)
        self.conv_transpose = nn.ConvTranspose2d(embed_dim, 1, kernel_size=patch_size, stride=stride)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        image = self.dec_conv(hidden)
        return self.conv_transpose(image.transpose(1, 2).unflatten(1, self.shape)).squeeze(1)


class _Classifier(nn.Module):
    """(B, positions, D) to (B, outputs): a Mamba of its own, and a mean over time."""

    def __init__(self, d_model: int, num_outputs: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(d_model, _CLASSIFIER_WIDTH)
        self.mamba_1 = MambaMixer(d_model=_CLASSIFIER_WIDTH)
        self.fc3 = nn.Linear(_CLASSIFIER_WIDTH, num_outputs)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        y = F.gelu(self.fc1(hidden.to(self.fc1.weight.dtype)))
        return self.fc3(self.mamba_1(y).mean(1))


def _masked_distance(
    y: torch.Tensor, x: torch.Tensor, mask: torch.Tensor, observed: torch.Tensor | None
) -> torch.Tensor:
    """Smooth L1 over the samples that were hidden and measured; 0 where there are none."""
    counted = mask.bool() if observed is None else mask.bool() & observed.bool()
    precise = torch.promote_types(y.dtype, torch.float32)
    # What was never measured may be no number.
    wanted = x.to(precise).masked_fill(~counted, 0)
    losses = F.smooth_l1_loss(y.to(precise), wanted, reduction="none")
    return losses.masked_fill(~counted, 0).sum() / counted.sum().clamp_min(1)


def _require_classes(head: FembaHead, num_classes: int) -> None:
    least = {"reconstruction": 0, "mc": 0, "ml": 1}.get(head, 2)
    if num_classes < least or (least == 0 and num_classes):
        wanted = "0" if least == 0 else f"{least} or more"
        raise ConfigError(f"head={head!r} with num_classes={num_classes}: give {wanted}.")


def _pair(value: Any, name: str) -> tuple[int, int]:
    first, second = tuple(int(item) for item in value) if len(value) == 2 else (0, 0)
    if first < 1 or second < 1:
        raise ConfigError(f"{name}={list(value)}: give two numbers of at least 1.")
    return first, second
