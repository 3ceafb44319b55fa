"""One training step of HyenaDNA (8 x 256) on long sequences: its time, its memory, and what the plan says.

    python benchmarks/long_steps.py --out FOLDER
    python benchmarks/long_steps.py --lengths 1000002 --rows auto model.sequence_tile=null

A row of ours is the step that `genoseq train` takes: model, loss, precision, clipping and optimiser of
`experiment=hyenadna_large_1m`, beyond a million tokens of `experiment=hyenadna_8m`, with any settings given,
batch 1, random bases; the memory planned is that of `plan=true`. There is one row a backend of the operators
(`auto`, `triton`, `reference`). `plain` is the same model as the released code has it, plainly in torch and
checkpointed, in the same precision.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning.pytorch import Trainer
from omegaconf import DictConfig
from plain_hyenadna import PlainHyenaDNA
from steps import Table, clear, failure, hyena_operators, measure, random_bases
from torch import nn

from genoseq.data.datamodule import SequenceDataModule
from genoseq.models import HyenaDNA, StreamingBackbone
from genoseq.paths import configs_dir
from genoseq.training.assembly import build_model, build_task
from genoseq.training.optimizers import parameter_groups
from genoseq.training.plan import largest_batch
from genoseq.training.plan_trace import BatchShape, trace_step
from genoseq.training.trainer import build_trainer
from genoseq_kernels import Backend

LENGTHS = {"gpu": (450_002, 1_000_002, 1_048_576, 8_388_608), "tiny": (512, 1500)}
TINY = (
    "model.d_model=8",
    "model.num_layers=1",
    "model.filter_order=8",
    "model.sequence_tile=400",
    "model.mixer_tile=400",
)
PLAIN = "plain"
ROWS = ("auto", "reference", "triton", PLAIN)
COLUMNS = (
    "tokens", "row", "ms", "steps", "million tokens/s", "peak GiB", "planned GiB", "planned/peak", "note"
)  # fmt: skip
GIB = 2**30
Result = TypeVar("Result")


@dataclass(frozen=True)
class Run:
    """What `genoseq train` makes of its settings, for batches of one sequence.

    Attributes:
        config: the settings.
        datamodule: with the tokenizer; no base is read of its genome.
        trainer: with the device and the precision.
        shape: of the batch.
    """

    config: DictConfig
    datamodule: SequenceDataModule
    trainer: Trainer
    shape: BatchShape

    @classmethod
    def of(cls, length: int, overrides: Sequence[str]) -> Run:
        """The run of an experiment, which the overrides name, at a length."""
        # Windows of the shipped genome tell what a batch is made of; it has none of eight million.
        data = ("data=celegans", "data.length=256", "micro_batch_size=1", "global_batch_size=1")
        fixed = [*data, f"model.l_max={length}"]
        with initialize_config_dir(str(configs_dir()), version_base="1.3"):
            config = compose("train", overrides=[*fixed, *overrides])
        config.callbacks = {}
        datamodule = instantiate(config.data)
        trainer = build_trainer(config, datamodule, run_dir=config.run_dir)
        return cls(config, datamodule, trainer, largest_batch(datamodule, 1).resized(length=length))

    @property
    def device(self) -> torch.device:
        """That the run is on."""
        return self.trainer.strategy.root_device

    def planned(self) -> int:
        """Bytes at the peak, as `plan=true` predicts them."""
        return trace_step(self.config, self.datamodule, self.trainer, self.shape).total

    def step_of_ours(self) -> Callable[[], torch.Tensor]:
        """The product's own step."""
        task: Any = build_task(self.config, build_model(self.config, self.datamodule)).to(self.device)
        batch = self.shape.blank(self.device) | {"input_ids": self._tokens()}
        return self._step(task.model.train(), lambda: task.loss(batch))

    def forward_of_ours(self, chunk: int | None) -> Callable[[], torch.Tensor]:
        """Logits without gradients: of all tokens at once, or of chunks with the state carried on."""
        model = build_model(self.config, self.datamodule).to(self.device).eval()
        backbone, tokens = model.backbone, self._tokens()
        assert isinstance(backbone, StreamingBackbone)

        @torch.inference_mode()
        def forward() -> torch.Tensor:
            with self.trainer.precision_plugin.forward_context():
                if chunk is None:
                    return model(tokens).logits[0, -1].sum()
                state = backbone.init_state(1, max_length=self.shape.length)
                for part in tokens.split(chunk, dim=1):
                    logits = model.head(backbone.forward_chunk(part, state))
                return logits[0, -1].sum()

        return forward

    def step_of_plain(self) -> Callable[[], torch.Tensor]:
        """The step of the model as released."""
        ours = instantiate(self.config.model)
        assert isinstance(ours, HyenaDNA)
        model = PlainHyenaDNA.like(ours, checkpointing=True).to(self.device)
        tokens = self._tokens()
        return self._step(model, lambda: model(tokens))

    def _tokens(self) -> torch.Tensor:
        return random_bases(self.datamodule.tokenizer, (1, self.shape.length), self.device)

    def _step(self, model: nn.Module, loss_of: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        partial_optimizer = instantiate(self.config.optimizer)
        settings = partial_optimizer.keywords
        groups = parameter_groups(model, lr=settings["lr"], weight_decay=settings["weight_decay"])
        optimizer = partial_optimizer(groups)
        clip = self.config.trainer.gradient_clip_val

        def step() -> torch.Tensor:
            with self.trainer.precision_plugin.forward_context():
                loss = loss_of()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            return loss.detach()

        return step


def add_row(table: Table, run: Run, row: str, budget: float) -> None:
    """Measure a step and plan it; the row says what happened where there is none."""
    notes: list[str] = []
    plain = row == PLAIN
    with nullcontext() if plain else hyena_operators(cast(Backend, row)):
        step = run.step_of_plain if plain else run.step_of_ours
        measured = tried(lambda: measure(step(), run.device, budget=budget), notes)
        clear(run.device)
        planned = None if plain else tried(run.planned, notes)
    clear(run.device)
    peak = None if measured is None else measured.peak
    table.add(
        **{
            "tokens": run.shape.length,
            "row": row,
            "ms": None if measured is None else 1e3 * measured.seconds,
            "steps": None if measured is None else measured.steps,
            "million tokens/s": None if measured is None else run.shape.length / measured.seconds / 1e6,
            "peak GiB": None if peak is None else peak / GIB,
            "planned GiB": None if planned is None else planned / GIB,
            "planned/peak": None if peak is None or planned is None else planned / peak,
            "note": "; ".join(notes),
        }
    )


def tried(function: Callable[[], Result], notes: list[str]) -> Result | None:
    """What the function gives, or None and a note: the other rows still run."""
    try:
        return function()
    except Exception as error:
        notes.append(failure(error))
        return None


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Print the table, and give its rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of `genoseq train`")
    parser.add_argument("--size", choices=tuple(LENGTHS), help="default: what the machine is")
    parser.add_argument("--lengths", help="tokens of the sequence, with commas between")
    parser.add_argument("--rows", default=f"auto,{PLAIN}", help=f"of {', '.join(ROWS)} (auto,plain)")
    parser.add_argument("--longest-plain", type=int, default=2**20, help="no plain row beyond (1,048,576)")
    parser.add_argument("--budget", type=float, default=5.0, help="seconds of timed steps a row (5)")
    parser.add_argument("--out", type=Path, help="folder for JSON and Markdown")
    options = parser.parse_args(arguments)
    size = options.size or ("gpu" if torch.cuda.is_available() else "tiny")
    # Which devices there are not, and advertisements.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    overrides = [*(TINY if size == "tiny" else ()), *options.overrides]
    table: Table | None = None
    rows = options.rows.split(",")
    if set(rows) - set(ROWS):
        parser.error(f"--rows {options.rows}: choose of {', '.join(ROWS)}")
    for length in map(int, options.lengths.split(",")) if options.lengths else LENGTHS[size]:
        experiment = "hyenadna_8m" if length > 2**20 else "hyenadna_large_1m"
        run = Run.of(length, [f"experiment={experiment}", *overrides])
        table = table or Table("long_steps", COLUMNS, run.device, options.out)
        for row in rows:
            if row != PLAIN or length <= options.longest_plain:
                add_row(table, run, row, options.budget)
    assert table is not None
    return table.rows


if __name__ == "__main__":
    main()
