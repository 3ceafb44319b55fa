"""One step of training without its memory: the real task on tensors that have shapes and no values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch import LightningModule, Trainer
from omegaconf import DictConfig
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from genoseq.data.datamodule import ExampleDataModule
from genoseq.nn.tiling import few_tiles
from genoseq.training.assembly import build_model, build_task
from genoseq.training.fully_sharded import is_sharded
from genoseq.training.optimizers import parameter_groups
from genoseq_kernels.dry_run import nothing_launched
from genoseq_kernels.live_bytes import LiveBytes
from genoseq_kernels.workspaces import WORKSPACES

# What the matrix library of CUDA takes from torch's allocator, once.
_CUBLAS_WORKSPACE = 32 * 2**20


@dataclass(frozen=True)
class BatchShape:
    """What a micro-batch is made of.

    Attributes:
        fields: shape and dtype of each; the first axis is of examples.
        evaluation_length: tokens of an example of validation.
    """

    fields: Mapping[str, tuple[tuple[int, ...], torch.dtype]]
    evaluation_length: int

    @property
    def examples(self) -> int:
        """Number of them."""
        return self.fields["input_ids"][0][0]

    @property
    def length(self) -> int:
        """Tokens of an example."""
        return self.fields["input_ids"][0][1]

    def resized(self, *, examples: int | None = None, length: int | None = None) -> BatchShape:
        """The same with another number of examples, or of tokens in each."""
        examples, length = examples or self.examples, length or self.length
        fields = {
            name: (_resized(shape, self.length, examples, length), dtype)
            for name, (shape, dtype) in self.fields.items()
        }
        return BatchShape(fields, self.evaluation_length * length // self.length)

    def blank(self, device: torch.device) -> dict[str, torch.Tensor]:
        """A batch of zeros."""
        return {
            name: torch.zeros(shape, dtype=dtype, device=device)
            for name, (shape, dtype) in self.fields.items()
        }


@dataclass(frozen=True)
class StepMemory:
    """Bytes of one device in training.

    Attributes:
        parameters: with the buffers.
        gradients: with their copies for the exchange between devices.
        optimizer: what the optimiser remembers.
        averages: the average of the weights.
        frozen: models that are read and not trained, as a teacher; whole on each device.
        activations: what the forward pass keeps for the backward pass.
        transient: what comes on top at the worst moment.
        host: what is kept in the host's memory instead, where the device is another.
        undeclared: operators whose own scratch memory is not known, and not counted.
    """

    parameters: int
    gradients: int
    optimizer: int
    averages: int
    frozen: int
    activations: int
    transient: int
    host: int
    undeclared: tuple[str, ...]

    @property
    def total(self) -> int:
        """The most that is allocated at once."""
        lasting = self.parameters + self.gradients + self.optimizer + self.averages + self.frozen
        return lasting + self.activations + self.transient


def trace_step(
    config: DictConfig, datamodule: ExampleDataModule, trainer: Trainer, shape: BatchShape
) -> StepMemory:
    """The memory of a step of a config, from its own task, on the trainer's device and in its precision.

    Every operator of a forward and a backward pass, of a step of the optimiser and of a validation batch runs
    on tensors without values, and what is alive is counted. The step is one of the midst of a run: gradients
    of the last step are there until the forward pass has ended.
    """
    device = trainer.strategy.root_device
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    try:
        with fake, torch.device(device):
            model = build_model(config, datamodule)
    except (InstantiationException, RuntimeError):
        # A constructor that looks at values, directly or within Hydra; any other mistake raises again.
        model = build_model(config, datamodule)
    task = build_task(config, model)
    # Each device's part of a backward pass has its own thread, and tensors without values are for one only.
    with fake, nothing_launched(), few_tiles(), torch.autograd.set_multithreading_enabled(False):
        with trainer.precision_plugin.module_init_context():
            _settle(task, device, torch.get_default_dtype())
        for frozen in _frozen(task):
            _settle(frozen, device, next(frozen.parameters()).dtype)
        return measure_step(config, task, trainer, shape, LiveBytes(WORKSPACES))


def measure_step(
    config: DictConfig, task: LightningModule, trainer: Trainer, shape: BatchShape, watch: LiveBytes
) -> StepMemory:
    """The memory of a step of this very task, on tensors with or without values, as `watch` counts it."""
    device, plugin = trainer.strategy.root_device, trainer.precision_plugin
    kind = device.type
    with watch:
        watch.watch([list(task.parameters()), list(task.buffers())])
        static = watch.live[kind]
        watch.watch([[*frozen.parameters(), *frozen.buffers()] for frozen in _frozen(task)])
        frozen = watch.live[kind] - static
        batch = plugin.convert_input(shape.blank(device))
        with plugin.forward_context():
            loss, taught = _loss(task, batch)
        kept, forward_peak = watch.live[kind] - static - frozen, watch.peak[kind]
        loss.backward()
        del loss, taught
        backward_peak = watch.peak[kind]
        gradients = sum(x.grad.nbytes for x in task.parameters() if x.grad is not None)
        state, update_peak = _update(config, task, watch, kind)
        watch.reset_peak()
        _evaluate(task, plugin, shape, device)
    lasting = static + frozen + gradients + state
    passes = max(forward_peak + gradients + state, backward_peak + state, watch.peak[kind]) - lasting
    parts = trainer.world_size if is_sharded(trainer) else 1
    # The exchange between devices has gradients of all parameters in buffers of its own.
    copies = gradients if trainer.world_size > parts else 0
    averages = static if config.ema_decay is not None else 0
    library = _CUBLAS_WORKSPACE if kind == "cuda" else 0
    whole = _whole_at_once(task) if parts > 1 else 0
    return StepMemory(
        parameters=static // parts,
        gradients=gradients // parts + copies,
        optimizer=state // parts,
        averages=averages,
        frozen=frozen,
        activations=kept,
        transient=max(0, max(passes, (update_peak - lasting) // parts) - kept) + whole + library,
        host=0 if kind == "cpu" else watch.peak["cpu"],
        undeclared=tuple(sorted(watch.undeclared)),
    )


def _whole_at_once(task: Any) -> int:
    """Bytes that are whole on each device of a sharded run: parameters and gradients of two layers, this one
    and the next, and of all that is in no layer."""
    layers = [
        sum(parameter.nbytes for parameter in layer.parameters())
        for layer in task.model.backbone.get_submodule("layers").children()
    ]
    total = sum(parameter.nbytes for parameter in task.model.parameters())
    return 2 * (total - sum(layers)) + 4 * max(layers)


def _loss(task: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The task's own loss; where the task looks at values or at its trainer, its model's, and what a teacher
    tells of the batch, which the loss compares with until its gradient is known."""
    try:
        return task.loss(batch), None
    except RuntimeError:
        teacher = getattr(task, "teacher", None)
        taught = None if teacher is None else teacher.rehearse(batch["input_ids"])
        labels = batch.get("labels", batch["input_ids"])
        return task.model(batch["input_ids"], labels=labels, loss_only=True).loss, taught


def _frozen(task: Any) -> list[nn.Module]:
    """The model of a task's teacher, which is no part of the task."""
    model = getattr(getattr(task, "teacher", None), "model", None)
    return [] if model is None else [model]


def _update(config: DictConfig, task: LightningModule, watch: LiveBytes, kind: str) -> tuple[int, int]:
    """Bytes that the optimiser remembers, and the peak of its step."""
    partial = instantiate(config.optimizer)
    settings = partial.keywords
    groups = parameter_groups(task, lr=settings["lr"], weight_decay=settings["weight_decay"])
    optimizer = partial(groups)
    before = watch.live[kind]
    watch.reset_peak()
    optimizer.step()
    return watch.live[kind] - before, watch.peak[kind]


def _evaluate(task: LightningModule, plugin: Any, shape: BatchShape, device: torch.device) -> None:
    batch = plugin.convert_input(shape.resized(length=shape.evaluation_length).blank(device))
    task.eval()
    with torch.no_grad(), plugin.forward_context():
        task.model(batch["input_ids"], batch.get("attention_mask"))  # type: ignore[operator]


def _settle(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Put every tensor of a module on the device, in the precision of the run, without its values."""
    settled: dict[int, torch.Tensor] = {}

    def settle(x: torch.Tensor) -> torch.Tensor:
        if id(x) not in settled:
            wanted = dtype if x.is_floating_point() else x.dtype
            ready = isinstance(x, FakeTensor) and x.device.type == device.type and x.dtype == wanted
            settled[id(x)] = x if ready else torch.empty(x.shape, dtype=wanted, device=device)
        return settled[id(x)]

    for part in module.modules():
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = settle(buffer)
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = _as_parameter(settle(parameter), parameter, settled)


def _as_parameter(x: torch.Tensor, parameter: nn.Parameter, settled: dict[int, torch.Tensor]) -> nn.Parameter:
    if isinstance(x, nn.Parameter):
        return x
    fresh = nn.Parameter(x, requires_grad=parameter.requires_grad)
    if hasattr(parameter, "_optim"):
        fresh._optim = parameter._optim  # type: ignore[attr-defined]
    settled[id(parameter)] = fresh
    return fresh


def _resized(shape: tuple[int, ...], tokens: int, examples: int, length: int) -> tuple[int, ...]:
    rest = [length if axis == 0 and size == tokens else size for axis, size in enumerate(shape[1:])]
    return (examples, *rest)
