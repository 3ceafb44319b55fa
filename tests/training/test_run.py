"""What a run leaves in its folder, and what it says when it cannot go on."""

from __future__ import annotations

import errno
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from omegaconf import DictConfig

import genoseq
from genoseq.errors import CheckpointError, ConfigError, DeviceError, SequenceError, TrainingError
from genoseq.models import SequenceModel
from genoseq.training import train
from genoseq.training.checkpoint import last_checkpoint
from genoseq.training.progress import RunProgressBar

Config = Callable[..., DictConfig]


def step_of(folder: Path) -> int:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]


def test_the_folder_holds_everything(tiny_config: Config) -> None:
    config = tiny_config("test=true", "trainer.val_check_interval=3")
    folder, results = train(config)
    assert results is not None
    assert results["rows"][0]["metrics"]["bits_per_base"] > 0
    assert json.loads((folder / "results.json").read_text()) == results
    assert len(pd.read_parquet(folder / "predictions.parquet")) == 13
    metrics = pd.read_csv(folder / "metrics.csv")
    assert metrics["val/bits_per_base"].notna().sum() == 2, "every three steps, and at the end"
    validation = json.loads((folder / "validation.json").read_text())
    assert validation["val/bits_per_base"] == pytest.approx(metrics["val/bits_per_base"].min())
    performance = json.loads((folder / "performance.json").read_text())
    assert performance["tokens_per_second"] > 0
    seconds = metrics["seconds"].dropna().to_list()
    assert 0 < seconds[0] < seconds[1] == pytest.approx(performance["seconds"], abs=0.1)
    assert json.loads((folder / "environment.json").read_text())["torch"] == torch.__version__
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    exported = genoseq.load(folder / "model").state_dict()
    assert all(torch.equal(value, best[f"model.{name}"]) for name, value in exported.items())
    assert not list(folder.rglob("*.part"))


def test_the_same_command_goes_on_and_keeps_what_is_done(tiny_config: Config) -> None:
    folder, _ = train(tiny_config("trainer.max_steps=2"))
    assert step_of(folder) == 2
    train(tiny_config("trainer.max_steps=4", "test=true"))
    assert step_of(folder) == 4
    before = (folder / "results.json").read_bytes()
    _, results = train(tiny_config("trainer.max_steps=4", "test=true"))
    assert results == json.loads(before)
    assert pd.read_csv(folder / "metrics.csv")["step"].is_monotonic_increasing


def test_a_run_goes_on_with_another_accumulation(tiny_config: Config) -> None:
    # Without dropout, whose draws belong to micro-batches, the cut of a step changes rounding alone.
    still = ("model.resid_dropout=0", "model.embed_dropout=0")
    folder, _ = train(tiny_config(*still))
    whole = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    other = f"run_dir={folder.parent / 'other'}"
    with pytest.raises(SystemExit) as stopped:
        train(tiny_config(*still, other, "kill_at=5", "kill_with=SIGUSR1"))
    assert stopped.value.code == 128 + signal.SIGUSR1
    assert step_of(folder.parent / "other") == 2
    train(tiny_config(*still, other, "micro_batch_size=8"))
    cut = torch.load(folder.parent / "other" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for name, value in whole.items():
        torch.testing.assert_close(cut[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("override", ["model.d_model=16", "data.seed=4", "seed=4", "global_batch_size=4"])
def test_another_model_data_or_seed_is_no_resumption(tiny_config: Config, override: str) -> None:
    train(tiny_config("trainer.max_steps=1"))
    with pytest.raises(ConfigError, match=r"3 then, 4 now|8 then, (16|4) now"):
        train(tiny_config(override))


def test_a_replaced_file_of_the_data_is_no_resumption(tiny_config: Config, tmp_path: Path) -> None:
    genome = tmp_path / "genome.fa"
    genome.write_text(">chr1\nACGT\n")
    settings = (f"data.fasta={genome}", "trainer.max_steps=1")
    folder, _ = train(tiny_config(*settings))
    genome.touch()
    train(tiny_config(*settings))
    genome.write_text(">chr1\nACGA\n")
    with pytest.raises(ConfigError, match=r"genome\.fa changed since"):
        train(tiny_config(*settings))
    assert step_of(folder) == 1


def test_never_refuses_a_folder_that_exists(tiny_config: Config) -> None:
    folder, _ = train(tiny_config("trainer.max_steps=1", "resume=never"))
    with pytest.raises(ConfigError, match="resume=auto"):
        train(tiny_config("resume=never"))
    assert step_of(folder) == 1


@pytest.mark.parametrize(
    ("name", "settings"),
    [("StaticMarkov", []), ("KmerLogisticRegression", ["max_k=2", "penalties=[1.0]"])],
)
def test_baselines_of_other_data_are_refused_before_training(
    tiny_config: Config, name: str, settings: list[str]
) -> None:
    given = [f"baselines.other.{setting}" for setting in (f"_target_=genoseq.baselines.{name}", *settings)]
    with pytest.raises(ConfigError, match=r"TinyData .*baselines=none"):
        train(tiny_config("test=true", *given))


def test_a_start_that_failed_is_not_in_the_way(tiny_config: Config) -> None:
    with pytest.raises(ConfigError, match="micro_batch_size=3"):
        train(tiny_config("micro_batch_size=3", "model.d_inner=8", "resume=never"))
    folder, _ = train(tiny_config("trainer.max_steps=1", "resume=never"))
    assert step_of(folder) == 1


def test_a_pretraining_that_failed_at_its_start_is_not_in_the_way(tiny_config: Config) -> None:
    task = ("_target_=genoseq_tasks.CausalLM", "_partial_=true", "seed=0")
    first = (*(f"pretrain.task.{setting}" for setting in task), "resume=never", "trainer.max_steps=1")
    with pytest.raises(ConfigError, match="max_steps=0"):
        train(tiny_config(*first, "pretrain.trainer.max_steps=0"))
    folder, _ = train(tiny_config(*first, "pretrain.trainer.max_steps=2"))
    assert step_of(folder / "pretraining") == 2
    assert step_of(folder) == 1
    with pytest.raises(ConfigError, match="resume=auto"):
        train(tiny_config(*first, "pretrain.trainer.max_steps=2"))
    with pytest.raises(ConfigError, match=r"pretrain\.trainer\.max_steps: 2 then, 3 now"):
        train(tiny_config(*first, "pretrain.trainer.max_steps=3", "resume=auto"))


def test_a_folder_without_a_run_cannot_be_resumed(tiny_config: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        train(tiny_config(f"resume={tmp_path}"))


def test_a_folder_that_cannot_be_made(tiny_config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError, match="run_dir="):
        train(tiny_config(f"run_dir={tmp_path / 'file' / 'run'}"))


def test_a_disk_that_fills_up_keeps_the_last_checkpoint(
    tiny_config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    saves = 0
    save = torch.save

    def full_at_the_third(checkpoint: Any, file: Any) -> None:
        nonlocal saves
        saves += 1
        if saves < 3:
            return save(checkpoint, file)
        file.write(b"half")
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos")  # noqa: B904 - torch's writer leaves the context alone too

    monkeypatch.setattr(torch, "save", full_at_the_third)
    with pytest.raises(TrainingError, match="No space left") as caught:
        train(tiny_config())
    assert "resume=auto" in str(caught.value)
    assert step_of(tmp_path / "run") == 2
    assert not list((tmp_path / "run").rglob("*.part"))


@pytest.mark.parametrize("place", ["genoseq.models.tensor_files.save_file", "pandas.DataFrame.to_parquet"])
def test_a_disk_that_is_full_at_the_end_of_a_run(
    tiny_config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    def full(*args: Any, **settings: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(place, full)
        with pytest.raises(TrainingError, match=r"No space left.*resume=auto"):
            train(tiny_config("test=true"))
    assert step_of(tmp_path / "run") == 4
    _, results = train(tiny_config("test=true"))
    assert results is not None


def test_windows_longer_than_the_model_takes(tiny_config: Config) -> None:
    with pytest.raises(SequenceError, match="l_max=16"):
        train(tiny_config("model.l_max=16"))


def test_a_loss_that_is_not_a_number(tiny_config: Config, tmp_path: Path, monkeypatch: Any) -> None:
    forward = SequenceModel.forward
    calls = 0

    def broken_at_the_third_step(self: SequenceModel, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        output = forward(self, *args, **kwargs)
        calls += kwargs.get("labels") is not None
        if calls > 10:
            output.loss = output.loss * float("nan")
        return output

    monkeypatch.setattr(SequenceModel, "forward", broken_at_the_third_step)
    with pytest.raises(TrainingError, match="step 3"):
        train(tiny_config())
    kept = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 2
    assert all(bool(value.isfinite().all()) for value in kept["state_dict"].values())


def test_a_batch_that_does_not_fit(tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB")

    monkeypatch.setattr(SequenceModel, "forward", out_of_memory)
    with pytest.raises(DeviceError) as caught:
        train(tiny_config())
    for setting in ("micro_batch_size", "data.length", "model.activation_checkpointing"):
        assert setting in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_where_there_is_none(tiny_config: Config) -> None:
    with pytest.raises(DeviceError, match="trainer=cpu"):
        train(tiny_config("trainer.accelerator=gpu"))


def test_a_truncated_checkpoint(tiny_config: Config) -> None:
    folder, _ = train(tiny_config("trainer.max_steps=1"))
    last = last_checkpoint(folder / "checkpoints")
    assert last is not None
    last.write_bytes(last.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="truncated"):
        train(tiny_config())


def test_early_stopping_stays_stopped(tiny_config: Config) -> None:
    # The loss falls, and the callback waits for it to rise.
    stop = "_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: val/loss, mode: max, patience: 1"
    settings = (
        f"callbacks.stop={{{stop}, check_on_train_epoch_end: false}}",
        "trainer.val_check_interval=1",
        "ema_decay=null",
        "trainer.max_steps=9",
    )
    folder, _ = train(tiny_config(*settings))
    assert step_of(folder) == 2
    train(tiny_config(*settings))
    assert step_of(folder) == 2


def test_an_unknown_monitor_names_those_there_are(tiny_config: Config) -> None:
    with pytest.raises(ConfigError, match="val/perplexity"):
        train(tiny_config("callbacks.checkpoint.monitor=val/auroc"))


@pytest.mark.parametrize("metric", ["val/auroc", "test/bits_per_base"])
def test_a_sweep_looks_for_what_validation_measures(tiny_config: Config, metric: str) -> None:
    with pytest.raises(ConfigError, match=f"optimized_metric={metric} .* There are: .*val/bits_per_base"):
        train(tiny_config(f"optimized_metric={metric}"))


def test_a_run_without_an_end(tiny_config: Config) -> None:
    with pytest.raises(ConfigError, match="max_epochs"):
        train(tiny_config("trainer.max_steps=-1"))


def test_passes_over_the_data_are_steps(tiny_config: Config) -> None:
    folder, _ = train(tiny_config("trainer.max_steps=-1", "trainer.max_epochs=2"))
    assert step_of(folder) == 2 * (29 // 8)


def test_the_bar_counts_the_micro_batches_of_the_whole_run(
    tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(bar: RunProgressBar, trainer: Any, task: Any) -> None:
        rows = {row.id: row for row in bar.progress.tasks}
        row = rows[bar.train_progress_bar_id]
        seen.append((row.description.strip(), int(row.completed), row.total))

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(RunProgressBar, "on_train_end", look)
    shown = "trainer.enable_progress_bar=true"
    train(tiny_config(shown, "trainer.max_steps=2", "micro_batch_size=2"))
    train(tiny_config(shown, "trainer.max_steps=3", "micro_batch_size=2"))
    assert seen == [("Training", 8, 8), ("Training", 12, 12)]
