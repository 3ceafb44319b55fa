"""A run that is killed and resumed ends with the bits of a run that is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from genoseq.models import DNABERT2, MaskedLanguageModelHead, SequenceModel
from genoseq.tokenizers import KmerTokenizer

Logged = Callable[[Path], pd.DataFrame]
SCRIPT = Path(__file__).with_name("tiny_run.py")
TWO_PROCESSES = ("trainer.devices=2", "trainer.strategy=ddp")
STEPS, ACCUMULATION = 14, 4


def run(folder: Path, *overrides: str) -> int:
    """Run the script and give its exit code; nothing that it started outlives it."""
    command = [sys.executable, "-X", "faulthandler", str(SCRIPT), f"run_dir={folder}", *overrides]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    log = folder.parent / "output.txt"
    with log.open("a") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        return process.wait(timeout=300)
    except subprocess.TimeoutExpired:
        # Makes faulthandler say where each process of the run hangs.
        signal_group(process.pid, signal.SIGABRT)
        process.wait()
        pytest.fail(f"{command} hangs:\n{log.read_text()}")
    finally:
        signal_group(process.pid, signal.SIGKILL)


def signal_group(leader: int, number: int) -> None:
    """Signal also the ranks and workers that a killed main process leaves behind."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return


def assert_same(a: Any, b: Any, place: str = "checkpoint") -> None:
    """Two checkpoints agree in every bit."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), place
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), place
        for key in a:
            assert_same(a[key], b[key], f"{place}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), place
        for number, pair in enumerate(zip(a, b, strict=True)):
            assert_same(*pair, f"{place}/{number}")
    else:
        assert a == b, place


def assert_same_runs(unbroken: Path, resumed: Path, logged: Logged) -> None:
    """Weights, their average, optimiser, schedule, metrics and predictions are the same."""
    for name in ("last.ckpt", "best.ckpt"):
        pair = [torch.load(run / "checkpoints" / name, weights_only=True) for run in (unbroken, resumed)]
        for checkpoint in pair:
            # Lightning's count of validation batches, and the seconds on the clock.
            del checkpoint["loops"], checkpoint["callbacks"]["Throughput"]
        assert pair[0]["global_step"] > 0
        assert "current_model_state" in pair[0]
        # The decay of the average depends on it, all along a run of so few steps.
        assert pair[0]["averaging_state"]["n_averaged"] == pair[0]["global_step"]
        assert_same(*pair)
    pd.testing.assert_frame_equal(logged(unbroken), logged(resumed), check_exact=True)
    assert (unbroken / "results.json").read_text() == (resumed / "results.json").read_text()


def test_killed_in_mid_accumulation_then_stopped_by_a_signal(tmp_path: Path, logged: Logged) -> None:
    workers = "num_workers=2"
    assert run(tmp_path / "unbroken") == 0
    resumed = tmp_path / "resumed"
    assert run(resumed, workers, "kill_at=22") == -signal.SIGKILL
    assert run(resumed, workers, "kill_at=37", "kill_with=SIGTERM") == 128 + signal.SIGTERM
    stopped = torch.load(resumed / "checkpoints" / "last.ckpt", weights_only=True)
    assert stopped["global_step"] == 37 // ACCUMULATION + 1, "the step that was going on is finished"
    assert run(resumed, workers) == 0
    assert_same_runs(tmp_path / "unbroken", resumed, logged)


PRETRAINED = (
    "pretrain.task._target_=genoseq_tasks.CausalLM",
    "pretrain.task._partial_=true",
    "pretrain.task.seed=5",
    "pretrain.trainer.max_steps=5",
    "trainer.max_steps=4",
)


def test_killed_while_it_pretrains(tmp_path: Path, logged: Logged) -> None:
    unbroken, resumed = tmp_path / "unbroken", tmp_path / "resumed"
    assert run(unbroken, *PRETRAINED) == 0
    assert run(resumed, *PRETRAINED, "kill_at=13") == -signal.SIGKILL
    assert (resumed / "pretraining" / "checkpoints" / "last.ckpt").exists()
    assert not list((resumed / "checkpoints").iterdir())
    # Pretrained to its end, and killed in what follows.
    assert (
        run(resumed, *PRETRAINED, "callbacks.killer.at=9", "pretrain.callbacks.killer.at=-1")
        == -signal.SIGKILL
    )
    written = (resumed / "pretraining" / "model" / "model.safetensors").stat().st_mtime_ns
    assert run(resumed, *PRETRAINED) == 0
    assert (resumed / "pretraining" / "model" / "model.safetensors").stat().st_mtime_ns == written
    assert_same_runs(unbroken, resumed, logged)
    metrics = [logged(path / "pretraining") for path in (unbroken, resumed)]
    pd.testing.assert_frame_equal(*metrics, check_exact=True)


@pytest.mark.slow
def test_two_processes_pretrain_as_one_does(tmp_path: Path, logged: Logged) -> None:
    settings = (*PRETRAINED, "model.resid_dropout=0", "model.embed_dropout=0")
    assert run(tmp_path / "one", *settings) == 0
    assert run(tmp_path / "two", *settings, *TWO_PROCESSES) == 0
    for place in (".", "pretraining"):
        metrics = [logged(tmp_path / name / place) for name in ("one", "two")]
        pd.testing.assert_frame_equal(*metrics, rtol=1e-5)


@pytest.mark.slow
def test_a_student_goes_on_with_its_teacher(tmp_path: Path, logged: Logged) -> None:
    words = KmerTokenizer(k=3)
    backbone = DNABERT2(d_model=12, num_layers=1, num_heads=2, d_inner=12, vocab_size=words.vocab_size)
    SequenceModel(backbone, MaskedLanguageModelHead(backbone), words).save(tmp_path / "teacher")
    settings = (
        "head._target_=genoseq.models.MaskedLanguageModelHead",
        "task._target_=genoseq_tasks.Distillation",
        f"task.teacher={tmp_path / 'teacher'}",
        "task.hidden_fraction=0.4",
        "callbacks.checkpoint.monitor=val/objective",
        "trainer.max_steps=5",
        "trainer.val_check_interval=2",
    )
    assert run(tmp_path / "unbroken", *settings) == 0
    assert run(tmp_path / "resumed", *settings, "kill_at=13") == -signal.SIGKILL
    assert run(tmp_path / "resumed", *settings) == 0
    assert_same_runs(tmp_path / "unbroken", tmp_path / "resumed", logged)


def test_two_processes_have_the_metrics_of_one(tmp_path: Path, logged: Logged) -> None:
    # Dropout is drawn by each rank for itself, so only without it are the numbers comparable.
    settings = ("model.resid_dropout=0", "model.embed_dropout=0", "trainer.max_steps=6")
    assert run(tmp_path / "one", *settings) == 0
    assert run(tmp_path / "two", *settings, *TWO_PROCESSES) == 0
    metrics = [logged(tmp_path / name) for name in ("one", "two")]
    pd.testing.assert_frame_equal(*metrics, rtol=1e-5)
    tables = [pd.read_parquet(tmp_path / name / "predictions.parquet") for name in ("one", "two")]
    assert len(tables[0]) == 13
    pd.testing.assert_frame_equal(*tables, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("processes", [(), TWO_PROCESSES], ids=["one process", "two processes"])
def test_ten_random_steps(tmp_path: Path, processes: tuple[str, ...], logged: Logged) -> None:
    settings = (*processes, "num_workers=1")
    assert run(tmp_path / "unbroken", *settings) == 0
    micro_batches = STEPS * ACCUMULATION // (2 if processes else 1)
    generator = np.random.default_rng(11)
    for number, place in enumerate(generator.choice(micro_batches, size=10, replace=False)):
        name = ("SIGKILL", "SIGTERM")[number % 2]
        resumed = tmp_path / f"resumed{number}"
        # Not every step is saved, so that a kill loses some.
        broken = run(
            resumed,
            *settings,
            f"kill_at={place}",
            f"kill_with={name}",
            "callbacks.checkpoint.every_minutes=0.0005",
        )
        # A signal within the last step lets it end as it would have.
        last_step = place >= micro_batches - micro_batches // STEPS
        stopped = {"SIGKILL": -9, "SIGTERM": 0 if last_step else 143}[name]
        assert broken == stopped
        assert run(resumed, *settings) == 0
        assert_same_runs(tmp_path / "unbroken", resumed, logged)
