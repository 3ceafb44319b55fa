"""The memory of a run, predicted: as a step on real tensors, a process and a GPU have it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from genoseq.cli import main
from genoseq.models import DNABERT2, MaskedLanguageModelHead, SequenceModel
from genoseq.paths import configs_dir
from genoseq.tokenizers import KmerTokenizer
from genoseq.training import plan as plan_module
from genoseq.training.assembly import build_model, build_task
from genoseq.training.plan import largest_batch, plan
from genoseq.training.plan_advice import attempts
from genoseq.training.plan_trace import BatchShape, StepMemory, measure_step, trace_step
from genoseq.training.trainer import build_trainer
from genoseq_kernels.live_bytes import LiveBytes
from genoseq_kernels.workspaces import WORKSPACES

SMALL = ("model.d_model=16", "model.num_layers=1", "model.filter_order=8", "trainer=cpu", "model.l_max=4096")
GENOME = ("data=genome", "data.length=2048", "data.examples_per_epoch=16", "global_batch_size=4")


@pytest.fixture
def small(tiny_fasta: Path, tmp_path: Path) -> Callable[..., DictConfig]:
    """The settings of a small run on a genome, with overrides."""

    def make(*overrides: str) -> DictConfig:
        fixed = [*SMALL, *GENOME, f"data.fasta={tiny_fasta}", f"run_dir={tmp_path / 'run'}", *overrides]
        with initialize_config_dir(str(configs_dir()), version_base="1.3"):
            return compose("train", overrides=fixed)

    return make


MODES = {
    "plain": (),
    "tiles": (
        "model.activation_checkpointing=offload",
        "model.sequence_tile=300",
        "model.mixer_tile=300",
        "head.loss_tile=300",
    ),
    "bf16-mixed": ("trainer.precision=bf16-mixed", "model.activation_checkpointing=true"),
    "float64": ("trainer.precision=64-true", "ema_decay=0.9", "head.tied=false", "micro_batch_size=1"),
}


@pytest.mark.parametrize("mode", MODES)
def test_as_the_same_step_on_real_tensors(small: Callable[..., DictConfig], mode: str) -> None:
    config = small(*MODES[mode])
    datamodule = instantiate(config.data)
    trainer = build_trainer(config, datamodule, run_dir=config.run_dir)
    shape = largest_batch(datamodule, trainer.world_size)
    task = trainer.precision_plugin.convert_module(build_task(config, build_model(config, datamodule)))
    real = measure_step(config, task, trainer, shape, LiveBytes(WORKSPACES))
    faked = trace_step(config, datamodule, trainer, shape)
    assert real.activations > 100_000
    for name in ("parameters", "gradients", "optimizer", "averages", "activations", "total"):
        # Metrics of the task are no part of its parameters on fakes alone.
        assert getattr(faked, name) == pytest.approx(getattr(real, name), rel=0.01, abs=2048), name
    assert (faked.averages > 0) == (mode == "float64")


def test_a_sharded_run_takes_parts(tiny_fasta: Path, tmp_path: Path) -> None:
    def memory(*overrides: str) -> StepMemory:
        fixed = [*GENOME, "model=hybridna_tiny", "model.l_max=4096", "micro_batch_size=1", *overrides]
        fixed += [f"data.fasta={tiny_fasta}", f"run_dir={tmp_path / 'run'}"]
        with initialize_config_dir(str(configs_dir()), version_base="1.3"):
            return plan(compose("train", overrides=fixed)).memory

    alone = memory("trainer=cpu")
    parts = memory("trainer=fsdp2", "trainer.accelerator=cpu", "trainer.devices=4")
    for name in ("parameters", "gradients", "optimizer"):
        assert getattr(parts, name) == getattr(alone, name) // 4, name
    assert parts.activations == alone.activations
    # Of eight layers two are whole at once, with their gradients.
    assert alone.transient < parts.transient < alone.transient + 0.7 * alone.parameters


def test_what_is_planned_is_the_longest_batch(tiny_config, small) -> None:
    shape = plan(tiny_config("micro_batch_size=2")).shape
    assert (shape.examples, shape.length) == (2, 24)
    warm = small(
        "data.length=256",
        "+data.length_schedule=[[0,128],[2,1024],[3,256]]",
    )
    shape = largest_batch(instantiate(warm.data), 1)
    assert (shape.examples, shape.length) == (4, 1024)


def test_lessons_are_of_all_lengths_and_tests_longer() -> None:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=["data=ability_passkey", "data.length=64", "global_batch_size=4"])
    shape = largest_batch(instantiate(config.data), 1)
    assert (shape.examples, shape.length, shape.evaluation_length) == (4, 64, 2048)


def test_longer_sequences_take_more_in_a_straight_line(small: Callable[..., DictConfig]) -> None:
    config = small("model.l_max=100000")
    datamodule = instantiate(config.data)
    trainer = build_trainer(config, datamodule, run_dir=config.run_dir)
    shape = largest_batch(datamodule, 1)
    totals = [
        trace_step(config, datamodule, trainer, shape.resized(length=length)).total
        for length in (16384, 32768, 65536)
    ]
    assert (totals[2] - totals[1]) / (totals[1] - totals[0]) == pytest.approx(2, rel=0.02)


def test_eight_million_tokens_are_planned_without_their_memory(small: Callable[..., DictConfig]) -> None:
    tiles = ("model.sequence_tile=65536", "model.mixer_tile=65536")
    config = small("model.l_max=8388608", *tiles, "trainer.precision=bf16-mixed")
    datamodule = instantiate(config.data)
    trainer = build_trainer(config, datamodule, run_dir=config.run_dir)
    shape = largest_batch(datamodule, 1).resized(examples=1, length=8388608)
    assert trace_step(config, datamodule, trainer, shape).total > 4 * 8388608 * 32


def memory_of(settings: DictConfig, shape: BatchShape) -> StepMemory:
    """As if each setting halved what an example takes."""
    model = settings.model
    kept = shape.examples * shape.length * 1024
    kept >>= {False: 0, True: 1, "offload": 2}[model.activation_checkpointing]
    kept >>= model.sequence_tile is not None
    kept >>= model.mixer_tile is not None
    return StepMemory(2**20, 0, 0, 0, 0, kept, 0, 0, ())


EIGHT_BY_8192 = BatchShape({"input_ids": ((8, 8192), torch.int64)}, 8192)


@pytest.mark.parametrize(
    ("mebibytes", "device", "settings"),
    [
        (40, "cpu", ["micro_batch_size=4"]),
        (6, "cuda", ["micro_batch_size=1", "model.activation_checkpointing=true"]),
        (
            4,
            "cuda",
            ["micro_batch_size=1", "model.activation_checkpointing=true", "model.sequence_tile=1024"],
        ),
        (
            2,
            "cuda",
            [
                "micro_batch_size=1",
                "model.activation_checkpointing=true",
                "model.sequence_tile=1024",
                "model.mixer_tile=1024",
            ],
        ),
        (
            1.5,
            "cuda",
            [
                "micro_batch_size=1",
                "model.activation_checkpointing=offload",
                "model.sequence_tile=1024",
                "model.mixer_tile=1024",
            ],
        ),
    ],
)
def test_advice_is_the_cheapest_that_fits(small, mebibytes: float, device: str, settings: list[str]) -> None:
    tried = attempts(small(), EIGHT_BY_8192, memory_of, int(mebibytes * 2**20), device)
    assert list(tried[-1].settings) == settings
    assert tried[-1].total <= mebibytes * 2**20
    assert all(attempt.total > mebibytes * 2**20 for attempt in tried[:-1])


def test_advice_of_shorter_sequences_comes_last(small: Callable[..., DictConfig]) -> None:
    tried = attempts(small(), EIGHT_BY_8192, memory_of, 2**20 + 150_000, "cpu")
    assert tried[-1].settings[-1] == "data.length=1024"
    assert tried[-2].settings[-1] == "data.length=2048"
    hopeless = attempts(small(), EIGHT_BY_8192, memory_of, 2**19, "cuda")
    assert hopeless[-1].settings[-1] == "data.length=1"


def test_a_classifier_is_planned_too(tmp_path: Path) -> None:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        overrides = [*SMALL, "experiment=umaydis", f"run_dir={tmp_path / 'run'}", "global_batch_size=2"]
        predicted = plan(compose("train", overrides=overrides))
    assert predicted.fits
    assert predicted.shape.length >= 300


def test_a_task_that_looks_at_values_is_planned_too(tmp_path: Path) -> None:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        overrides = ["experiment=celegans_masked", "trainer=cpu", "global_batch_size=2"]
        predicted = plan(compose("train", overrides=[*overrides, f"run_dir={tmp_path / 'run'}"]))
    assert predicted.memory.activations > predicted.memory.parameters


def test_what_scans_take_inside_is_counted(tiny_fasta: Path, tmp_path: Path) -> None:
    fixed = [
        *GENOME,
        "data.length=512",
        "trainer=cpu",
        "model=hybridna_tiny",
        "model.pattern=msl",
        "model.l_max=4096",
    ]
    fixed += ["model.num_layers=3"]
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose(
            "train", overrides=[*fixed, f"data.fasta={tiny_fasta}", f"run_dir={tmp_path / 'run'}"]
        )
    memory = plan(config).memory
    assert memory.undeclared == ()
    assert memory.transient > 0


def test_a_teacher_takes_memory_too(tiny_fasta: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    words = KmerTokenizer(k=6, overlapping=False)
    backbone = DNABERT2(vocab_size=words.vocab_size, d_model=64, num_layers=2, num_heads=4, d_inner=128)
    learnt = SequenceModel(backbone, MaskedLanguageModelHead(backbone), words)
    folder = learnt.save(tmp_path / "teacher")
    fixed = [f"data.fasta={tiny_fasta}", f"run_dir={tmp_path / 'run'}", "trainer=cpu", "global_batch_size=2"]
    fixed += ["data=genome", "data.length=510", "data.examples_per_epoch=16"]
    small = ["model.num_layers=1", "model.d_model=16", "model.num_heads=2"]
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=["experiment=had", *fixed, *small, f"task.teacher={folder}"])
        alone = compose("train", overrides=["experiment=celegans_masked", "model=had", *fixed, *small])
    with_teacher, without = plan(config).memory, plan(alone).memory
    weights = sum(parameter.nbytes for parameter in backbone.parameters())
    assert with_teacher.frozen == pytest.approx(weights, rel=0.01)
    assert without.frozen == 0
    features = 2 * 510 // 6 * 64 * 4
    assert with_teacher.total - without.total >= weights + features


def test_the_verb_writes_nothing(tiny_fasta, tmp_path, capsys, monkeypatch) -> None:
    run = tmp_path / "run"
    words = ["train", *SMALL, *GENOME, f"data.fasta={tiny_fasta}", f"run_dir={run}", "plan=true"]
    main(words)
    page = capsys.readouterr().out
    assert "4 x 2,048 tokens in 32-true" in page
    for row in ("parameters", "gradients", "optimiser", "averages", "activations", "transient", "total"):
        assert row in page
    monkeypatch.setattr(plan_module, "_available", lambda device: 12 * 2**20)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "micro_batch_size=2: " in error
    assert "does not fit" in error
    assert not run.exists()


def test_shapes_of_labels_follow() -> None:
    fields = {
        "input_ids": ((1, 300), torch.int64),
        "labels": ((1, 300, 2), torch.float32),
        "index": ((1,), torch.int64),
    }
    resized = BatchShape(fields, 300).resized(examples=3, length=100)
    assert resized.fields["labels"][0] == (3, 100, 2)
    assert resized.fields["index"][0] == (3,)
    assert resized.evaluation_length == 100


def measured(*overrides: str) -> float:
    """The predicted peak of a step over that of the process that takes it."""
    script = Path(__file__).with_name("memory_step.py")
    command = [sys.executable, str(script), *overrides]
    # Memory that is let go returns to the system at once: the process grows by what is alive.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    predicted, peak = (int(number) for number in done.stdout.split()[-2:])
    assert peak > 500e6
    return predicted / peak


SCANS = ("model=hybridna_tiny", "model.pattern=ms", "model.d_model=128", "model.d_inner=384")
LONG = ("data.length=32768", "data.examples_per_epoch=4", "global_batch_size=1", "model.l_max=32768")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["false", "true"])
@pytest.mark.parametrize("model", [(), SCANS], ids=["hyena", "scans"])
def test_as_the_process_grows(model: tuple[str, ...], mode: str) -> None:
    settings = ("trainer=cpu", "model.num_layers=4", f"model.activation_checkpointing={mode}")
    assert measured(*model, *LONG, *settings) == pytest.approx(1, abs=0.15)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("trainer.precision=32-true",),
        ("model.activation_checkpointing=true",),
        SCANS,
        ("model.activation_checkpointing=offload", "model.sequence_tile=16384", "model.mixer_tile=16384"),
    ],
)
def test_as_a_gpu_measures(settings: tuple[str, ...]) -> None:
    longer = ("model.d_model=256", "model.num_layers=4", "data.length=262144", "model.l_max=262144")
    assert measured(*LONG, "trainer=gpu", *longer, *settings) == pytest.approx(1, abs=0.15)
