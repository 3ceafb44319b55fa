"""The recipe of longer and longer windows: a run that is killed within a stage ends with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback
from omegaconf import DictConfig

from genoseq.errors import ConfigError
from genoseq.paths import configs_dir
from genoseq.training import train, trainer

# Of 12 steps the first 5 are in windows of 32 bases, 3 of 64 and 4 of 128.
SCHEDULE = "[[0,32],[5,64],[8,128]]"
MICRO_BATCHES = 2


class PowerCutError(Exception):
    """What ends a run without a last word."""


class Watch(Callback):
    """Note the shape of every micro-batch, and end the run in the midst of one."""

    def __init__(self, shapes: list[tuple[int, ...]], cut_at: int) -> None:
        self.shapes = shapes
        self.cut_at = cut_at

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: torch.Tensor) -> None:
        if trainer.fit_loop.total_batch_idx == self.cut_at:
            raise PowerCutError

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.shapes.append(tuple(batch["input_ids"].shape))


def settings(folder: Path) -> DictConfig:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return compose(
            "train",
            overrides=[
                "experiment=hybridna_stages",
                f"run_dir={folder}",
                "resume=auto",
                "trainer=cpu",
                "trainer.max_steps=12",
                "trainer.val_check_interval=4",
                "trainer.log_every_n_steps=1",
                "trainer.enable_progress_bar=false",
                "callbacks.checkpoint.every_minutes=0",
                "model.d_model=16",
                "model.num_layers=2",
                "model.pattern=ma",
                "model.d_inner=16",
                "data.fasta=genoseq:genomes/phiX174_x6.fa.gz",
                "data.length=128",
                f"data.length_schedule={SCHEDULE}",
                "schedule.stages=[[0,1.0],[5,0.5],[8,0.25]]",
                "data.examples_per_epoch=64",
                "data.stride=null",
                "micro_batch_size=8",
            ],
        )


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *, cut_at: int = -1) -> list[tuple[int, ...]]:
    """Train, and give the shapes of the micro-batches."""
    shapes: list[tuple[int, ...]] = []
    callbacks = trainer._callbacks
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_callbacks", lambda *given: [*callbacks(*given), Watch(shapes, cut_at)])
        train(settings(folder))
    return shapes


def test_killed_in_the_second_stage_it_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: Callable[[Path], pd.DataFrame]
) -> None:
    unbroken, resumed = tmp_path / "unbroken", tmp_path / "resumed"
    whole = run(unbroken, monkeypatch)
    assert whole == [(8, 32)] * 10 + [(4, 64)] * 6 + [(2, 128)] * 8
    cut_at = 6 * MICRO_BATCHES + 1
    with pytest.raises(PowerCutError):
        run(resumed, monkeypatch, cut_at=cut_at)
    step = torch.load(resumed / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert 5 < step <= 6
    assert run(resumed, monkeypatch) == whole[step * MICRO_BATCHES :]
    for name in ("last.ckpt", "best.ckpt"):
        states = [torch.load(run / "checkpoints" / name, weights_only=True) for run in (unbroken, resumed)]
        for part in ("state_dict", "optimizer_states", "lr_schedulers"):
            left, right = (torch.utils._pytree.tree_flatten(state[part]) for state in states)
            assert left[1] == right[1]
            for a, b in zip(left[0], right[0], strict=True):
                assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    metrics = logged(unbroken)
    pd.testing.assert_frame_equal(metrics, logged(resumed), check_exact=True)

    rates = metrics.filter(like="lr-").dropna().iloc[:, 0].to_numpy()
    assert rates.max() == pytest.approx(2e-3)
    assert rates[5:8].max() == pytest.approx(1e-3)
    assert rates[8:].max() == pytest.approx(0.5e-3)
    # 4 steps an epoch of 64 windows, then 8, then 16; a stage begins an epoch.
    epochs = metrics.dropna(subset="train/loss")["epoch"].to_numpy()
    assert epochs[3:9] == pytest.approx([1, 2, 2 + 1 / 8, 2 + 2 / 8, 3, 3 + 1 / 16])


def test_micro_batches_that_cannot_shrink_are_refused(tmp_path: Path) -> None:
    config = settings(tmp_path / "run")
    config.micro_batch_size = 2
    with pytest.raises(ConfigError, match="give micro_batch_size=4"):
        train(config)
