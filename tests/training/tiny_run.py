"""A run small enough to be killed and resumed many times: `tiny_run.py KEY=VALUE...`, in one process or more.

`kill_at=N kill_with=SIGNAL` ends the run inside micro-batch N, in the midst of whatever else is going on.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback
from omegaconf import OmegaConf

from genoseq.data.datamodule import SequenceDataModule
from genoseq.data.loading import ExampleKey

CONFIG = """
module: __main__
name: tiny
run_dir: ???
resume: auto
seed: 3
global_batch_size: 8
micro_batch_size: 2
ema_decay: 0.9
test: true
kill_at: -1
kill_with: SIGKILL
num_workers: 0
model:
  _target_: genoseq.models.HyenaDNA
  d_model: 8
  num_layers: 1
  d_inner: 16
  l_max: 24
  resid_dropout: 0.1
  embed_dropout: 0.1
head: {_target_: genoseq.models.LanguageModelHead, _partial_: true}
task: {_target_: genoseq_tasks.CausalLM, _partial_: true, seed: "${seed}"}
data:
  _target_: ${module}.TinyData
  fasta: null
  tokenizer: {_target_: genoseq.tokenizers.CharacterTokenizer}
  global_batch_size: ${global_batch_size}
  micro_batch_size: ${micro_batch_size}
  num_workers: ${num_workers}
  pin_memory: false
  seed: ${seed}
optimizer: {_target_: torch.optim.AdamW, _partial_: true, lr: 0.01, weight_decay: 0.1}
schedule:
  _target_: genoseq.training.cosine_warmup
  _partial_: true
  warmup_fraction: 0.2
  final_fraction: 0.1
trainer:
  _target_: lightning.pytorch.Trainer
  accelerator: cpu
  devices: 1
  strategy: auto
  precision: auto
  max_steps: 14
  max_epochs: -1
  val_check_interval: 5
  gradient_clip_val: 1.0
  log_every_n_steps: 2
  enable_progress_bar: false
  enable_model_summary: false
  num_sanity_val_steps: 0
callbacks:
  checkpoint:
    _target_: genoseq.training.RunCheckpoint
    folder: ${run_dir}/checkpoints
    monitor: val/bits_per_base
    mode: min
    every_minutes: 0
  learning_rate: {_target_: lightning.pytorch.callbacks.LearningRateMonitor, logging_interval: step}
  killer: {_target_: "${module}.Killer", at: "${kill_at}", signal_name: "${kill_with}"}
logger: {_target_: genoseq.training.CsvLogger, folder: "${run_dir}"}
baselines: {}
"""


class TinySequences:
    """Random sequences with a repeated half, each a function of (seed, epoch, index)."""

    strand = "stranded"

    def __init__(self, tokenizer: Any, size: int, seed: int) -> None:
        self.tokenizer = tokenizer
        self.size = size
        self.seed = seed

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        generator = np.random.default_rng([self.seed, key.epoch, key.index])
        half = generator.integers(0, 4, 12, dtype=np.uint8)
        ids = self.tokenizer.encode_codes(np.concatenate([half, half]))
        return {"input_ids": ids, "index": key.index, "counted": key.counted}


class TinyData(SequenceDataModule):
    """29 sequences to train on: an epoch is three global batches of 8, with a rest."""

    def __init__(self, *, fasta: str | None, **settings: Any) -> None:
        # No base is read of it: it stands for a file that the data are made of.
        super().__init__(**settings)
        self.fasta = fasta

    def build(self, split: str) -> Any:
        sizes = {"train": 29, "validation": 11, "test": 13}
        return TinySequences(self.tokenizer, sizes[split], self.seed + len(split))

    def tiles(self, split: str) -> pd.DataFrame:
        starts = np.arange(self.num_examples("test")) * 24
        return pd.DataFrame({"chromosome": "chr1", "start": starts, "end": starts + 24})


class Killer(Callback):
    """Send a signal in the midst of a micro-batch: SIGKILL to this process, others as SLURM does, to all
    processes of the run."""

    def __init__(self, at: int, signal_name: str) -> None:
        self.at = at
        self.number = signal.Signals[signal_name]

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: torch.Tensor) -> None:
        if trainer.is_global_zero and trainer.fit_loop.total_batch_idx == self.at:
            # In a test's own process the group is whoever runs the tests.
            alone = self.number == signal.SIGKILL or os.getpgrp() != os.getpid()
            os.kill(os.getpid() if alone else -os.getpgrp(), self.number)


if __name__ == "__main__":
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    from genoseq.training import train

    config = OmegaConf.merge(OmegaConf.create(CONFIG), OmegaConf.from_dotlist(sys.argv[1:]))
    train(config)
    assert "wandb" not in sys.modules, "nobody asked for it"
