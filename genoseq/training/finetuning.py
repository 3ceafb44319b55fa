"""What of a model learns: all of it, at one rate or one a layer, its head alone, additions, or a prompt."""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn.utils import parametrize

from genoseq.errors import ConfigError
from genoseq.models import PromptedBackbone, SequenceModel
from genoseq.training.optimizers import scale_learning_rate

_log = logging.getLogger(__name__)


class FineTuning(ABC):
    """A way to fine-tune: applied to a model when it is made, and undone when it is written."""

    @abstractmethod
    def prepare(self, model: SequenceModel) -> None:
        """Decide what learns, and how fast; before weights are loaded and the optimiser is made.

        Raises:
            ConfigError: the model has no such part.
        """

    def finish(self, model: SequenceModel) -> None:  # noqa: B027 - most have nothing to undo
        """Make a plain model of it, with the weights that it computes with."""


class FullFineTuning(FineTuning):
    """Everything learns.

    Args:
        layer_decay: factor of the learning rate from each layer to the one below it; the head learns at the
            whole rate, the last layer at the factor, and the embedding slowest. 1 for one rate.

    Raises:
        ConfigError: the factor is not above 0 and at most 1.

    Source: Howard and Ruder 2018, ULMFiT (discriminative fine-tuning); Clark et al. 2020, ELECTRA.
    """

    def __init__(self, *, layer_decay: float = 1.0) -> None:
        if not 0 < layer_decay <= 1:
            raise ConfigError(f"finetuning.layer_decay={layer_decay}: give a number above 0 and at most 1.")
        self.layer_decay = layer_decay

    def prepare(self, model: SequenceModel) -> None:
        if self.layer_decay == 1:
            return
        count = model.backbone.num_layers
        for name, parameter in model.backbone.named_parameters():
            layer = re.match(r"layers\.(\d+)\.", name)
            if layer is not None:
                below = count - int(layer[1])
            else:
                below = 0 if name.startswith(("norm", "ln_f", "final")) else count + 1
            scale_learning_rate(parameter, self.layer_decay**below)


class FrozenBackbone(FineTuning):
    """The head alone learns, on what the backbone makes of the sequences: a probe.

    Linear as it is, and with a hidden layer where `head.pooler=true`. The backbone draws no dropout.
    """

    def __init__(self) -> None:
        pass

    def prepare(self, model: SequenceModel) -> None:
        own = {id(parameter) for parameter in model.head.parameters()}
        shared = [parameter for parameter in model.backbone.parameters() if id(parameter) in own]
        if shared:
            raise ConfigError(
                "finetuning=probe wants a head with weights of its own, and this one shares the embedding's. "
                "Give head=classification or head=regression, or head.tied=false."
            )
        _freeze(model.backbone)
        model.backbone.eval()


class LowRankAdaptation(FineTuning):
    """LoRA: the backbone is frozen, and to some of its matrices a product of two thin ones is added.

    peft makes the thin ones, draws their first values and scales them. They are added where a layer's weight
    is read, so that kernels which read it themselves see the sum. Once trained they are added up: the model
    that is written is a plain one.

    Args:
        rank: of the product.
        alpha: its scale is alpha / rank.
        targets: ends of the names of the linear layers; None for all that project into a mixer or out of it.

    Raises:
        ConfigError: a rank below 1, no layer of such a name, or peft is not installed.

    Source: Hu et al. 2021, LoRA, section 4.1.
    """

    def __init__(self, *, rank: int = 8, alpha: int = 16, targets: Sequence[str] | None = None) -> None:
        if rank < 1 or alpha <= 0:
            raise ConfigError(f"finetuning.rank={rank}, finetuning.alpha={alpha}: give positive numbers.")
        self.rank = rank
        self.alpha = alpha
        self.targets = None if targets is None else tuple(targets)

    def prepare(self, model: SequenceModel) -> None:
        backbone = model.backbone
        names = [name for name, _ in self._layers(backbone)]
        if not names:
            linear = sorted(
                {n.rpartition(".")[2] for n, m in backbone.named_modules() if isinstance(m, nn.Linear)}
            )
            raise ConfigError(
                f"finetuning.targets={list(self.targets or _PROJECTIONS)}: {type(backbone).__name__} has no "
                f"linear layer of such a name; it has {', '.join(linear)}."
            )
        _freeze(backbone)
        done: dict[int, _Addition] = {}
        for _, layer in list(self._layers(backbone)):
            # Layers that share a weight share what is added to it.
            key = id(layer.weight)
            if key not in done:
                done[key] = _Addition(layer, rank=self.rank, alpha=self.alpha)
            parametrize.register_parametrization(layer, "weight", done[key])
        count = sum(parameter.numel() for parameter in backbone.parameters() if parameter.requires_grad)
        _log.info("LoRA on %s layers: %s parameters of the backbone learn", len(done), f"{count:,}")

    def finish(self, model: SequenceModel) -> None:
        summed: set[int] = set()
        for module in list(model.backbone.modules()):
            if parametrize.is_parametrized(module, "weight"):
                original = id(module.parametrizations.weight.original)  # type: ignore[union-attr]
                # The sum is written into the weight itself: a second layer that shares it has it then.
                parametrize.remove_parametrizations(
                    module, "weight", leave_parametrized=original not in summed
                )
                summed.add(original)

    def _layers(self, backbone: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
        wanted = self.targets or _PROJECTIONS
        for name, module in backbone.named_modules():
            if isinstance(module, nn.Linear) and name.rpartition(".")[2] in wanted:
                yield name, module


class SoftPrompt(FineTuning):
    """A prompt: vectors before each sequence learn, and the head, on a frozen backbone.

    A head that shares the embedding's weights, as a language model's does, is frozen with it. The prompt
    stays in the model that is written. Its first values are the embeddings of random bases.

    Args:
        length: vectors of the prompt.
        dropout: of their numbers, in training; the backbone draws none.

    Raises:
        ConfigError: the model is not causal, its `l_max` has no room for the prompt, or it has no memory yet.

    Source: Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning", sections 2 and
    3.2; Nguyen et al. 2023, "HyenaDNA", in-context learning by soft prompts.
    """

    def __init__(self, *, length: int = 32, dropout: float = 0.1) -> None:
        self.length = length
        self.dropout = dropout

    def prepare(self, model: SequenceModel) -> None:
        assert model.tokenizer is not None, "a model in training has the tokenizer of its data"
        if model.device.type == "meta":
            raise ConfigError("finetuning=soft_prompt goes with trainer=ddp, not with trainer=fsdp2.")
        _freeze(model.backbone)
        model.backbone.eval()
        prompted = PromptedBackbone(model.backbone, prompt_length=self.length, dropout=self.dropout)
        known = torch.from_numpy(model.tokenizer.known_ids)
        prompted.begin_with(known[torch.randint(len(known), (self.length,))])
        model.backbone = prompted
        count = prompted.prompt.weight.numel()
        _log.info("a prompt of %s vectors learns: %s parameters", self.length, f"{count:,}")


# What the families call the layers that project into their mixers and out of them.
_PROJECTIONS = ("in_proj", "out_proj", "x_proj", "Wqkv", "q_proj", "k_proj", "v_proj", "o_proj")


class _Addition(nn.Module):
    """W -> W + B A alpha / rank, as peft's own linear layer would add it to what it computes."""

    def __init__(self, layer: nn.Linear, *, rank: int, alpha: int) -> None:
        super().__init__()
        try:
            from peft import LoraConfig
            from peft.tuners.lora import Linear
        except ImportError as error:
            raise ConfigError(
                "finetuning=lora wants peft: `pip install genoseq[peft]`, or give finetuning=full or probe."
            ) from error
        config = LoraConfig(r=rank, lora_alpha=alpha)
        place = nn.Linear(layer.in_features, layer.out_features, bias=False, device=layer.weight.device)
        self.adapter = Linear(place, "default", config=config, r=rank, lora_alpha=alpha)
        # Its own matrix is of no use: the layer has one.
        del self.adapter.base_layer

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """(out, in) to the same."""
        return weight + self.adapter.get_delta_weight("default")


def _freeze(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.requires_grad_(False)
