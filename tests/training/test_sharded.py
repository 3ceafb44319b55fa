"""A run whose processes have a part of the model each is the run of one process that has all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
import torch
from omegaconf import DictConfig

import genoseq
from genoseq.models import HybriDNA, LanguageModelHead, SequenceModel
from genoseq.training import train

Logged = Callable[[Path], pd.DataFrame]

SCRIPT = Path(__file__).with_name("sharded_run.py")
SHARDED = ("trainer.devices=2", "trainer.strategy._target_=genoseq.training.FullySharded")


def run(folder: Path, *overrides: str) -> int:
    """Run the script and give its exit code; nothing that it started outlives it."""
    command = [sys.executable, str(SCRIPT), f"run_dir={folder}", "trainer.max_steps=6", *overrides]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True)
    try:
        return process.wait(timeout=300)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def state_of(folder: Path, name: str = "last.ckpt") -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A model to begin with: drawn in parts it would have other first values than drawn whole."""
    torch.manual_seed(1)
    backbone = HybriDNA(
        d_model=64,
        num_layers=8,
        pattern="mmma",
        d_inner=128,
        mamba2={"d_state": 16, "headdim": 16, "chunk_size": 8},
        attention={"num_heads": 4, "num_kv_heads": 2},
        activation_checkpointing=True,
        sequence_tile=8,
    )
    return SequenceModel(backbone, LanguageModelHead(backbone)).save(tmp_path / "start")


def test_two_processes_with_a_part_each_are_one_with_the_whole(
    start: Path, tmp_path: Path, tiny_config: Callable[..., DictConfig], logged: Logged
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    config = tiny_config(f"run_dir={one}", "trainer.max_steps=6", "ema_decay=null", "test=true")
    config.model = {"_target_": "genoseq.models.load_backbone", "checkpoint": str(start)}
    train(config)
    # Stopped within the third step, which ends, and gone on with.
    stopped = run(two, f"checkpoint={start}", *SHARDED, "kill_at=5", "kill_with=SIGTERM")
    assert stopped == 128 + signal.SIGTERM
    assert torch.load(two / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3
    assert run(two, f"checkpoint={start}", *SHARDED) == 0

    metrics = [logged(folder) for folder in (one, two)]
    assert metrics[0]["train/loss"].iloc[0] > 1.2 * metrics[0]["val/loss"].min()
    pd.testing.assert_frame_equal(*metrics, rtol=1e-5)
    tables = [pd.read_parquet(folder / "predictions.parquet") for folder in (one, two)]
    assert len(tables[0]) == 13
    pd.testing.assert_frame_equal(*tables, rtol=1e-5)
    best, exported = state_of(two, "best.ckpt"), genoseq.load(two / "model").state_dict()
    assert all(torch.equal(value, best[f"model.{name}"]) for name, value in exported.items())
    for name, value in state_of(one).items():
        torch.testing.assert_close(state_of(two)[name], value, rtol=1e-3, atol=1e-4)

    for rank in range(2):
        held = json.loads((tmp_path / f"memory_{rank}.json").read_text())
        assert held["empty"], "parameters have memory only once they are in parts"
        assert held["part"] == pytest.approx(held["whole"] / 2, rel=0.01)
        assert held["peak"] < 0.65 * held["whole"]


@pytest.mark.slow
def test_in_parts_a_resumed_run_and_another_number_of_parts_change_nothing(
    tmp_path: Path, logged: Logged
) -> None:
    alone, unbroken, resumed = (tmp_path / name for name in ("alone", "unbroken", "resumed"))
    assert run(unbroken, *SHARDED) == 0
    assert run(resumed, *SHARDED, "kill_at=8", "kill_with=SIGKILL") == -signal.SIGKILL
    assert run(resumed, *SHARDED) == 0
    for name in ("last.ckpt", "best.ckpt"):
        whole, again = state_of(unbroken, name), state_of(resumed, name)
        assert all(torch.equal(value, again[key]) for key, value in whole.items())
    pd.testing.assert_frame_equal(logged(unbroken), logged(resumed), check_exact=True)
    assert (unbroken / "results.json").read_text() == (resumed / "results.json").read_text()
    # Drawn in one part or in two, first values are the same; and one process goes on from two.
    assert run(alone, *SHARDED, "trainer.devices=1") == 0
    metrics = [logged(folder) for folder in (alone, unbroken)]
    pd.testing.assert_frame_equal(*metrics, rtol=1e-5)
    assert run(unbroken, *SHARDED, "trainer.devices=1", "trainer.max_steps=8") == 0
    assert torch.load(unbroken / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 8
