"""The benchmarks of whole models, at the smallest size: what their tables, files and plots say."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from genoseq.models import HybriDNA, HyenaDNA, LanguageModelHead, SequenceModel
from genoseq.nn import hyena
from genoseq.paths import configs_dir
from genoseq.tokenizers import CharacterTokenizer

ROOT = Path(__file__).resolve().parents[2]
OURS = (
    "plain_hyenadna",
    "steps",
    "long_steps",
    "hybrid_steps",
    "decoding",
    "hyena_against_attention",
    "partial_and_sparse",
    "pretraining_floors",
    "compare_models",
    "context_plot",
    "curves",
    "device_jobs",
    "scaling",
)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A script of the folder, imported as when it runs, and nothing of it left behind."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in OURS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=8, num_layers=1, l_max=64, filter_order=8, initializer_range=0.5)
    model = SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer())
    return model.save(tmp_path / "model")


def test_a_slow_step_is_timed_once(script: Callable[[str], ModuleType]) -> None:
    steps = script("steps")
    calls: list[float] = []

    def step(seconds: float, loss: float = 1.0) -> torch.Tensor:
        time.sleep(seconds)
        calls.append(loss)
        return torch.tensor(loss)

    slow = steps.measure(lambda: step(0.02), torch.device("cpu"), budget=0.01)
    assert (slow.steps, len(calls), slow.peak) == (1, 2, None)
    assert slow.seconds >= 0.02
    calls.clear()
    fast = steps.measure(lambda: step(0.0), torch.device("cpu"), most=7)
    assert (fast.steps, len(calls)) == (7, 9)
    with pytest.raises(ArithmeticError, match="not finite"):
        steps.measure(lambda: step(0.0, float("nan")), torch.device("cpu"))


def test_long_steps(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    before = hyena.fft_conv
    arguments = ["--size", "tiny", "--budget", "0", "--rows", "auto,plain", "--out", str(tmp_path)]
    rows = script("long_steps").main([*arguments, "trainer=cpu", "model.activation_checkpointing=offload"])
    assert [(row["tokens"], row["row"]) for row in rows] == [
        (length, name) for length in (512, 1500) for name in ("auto", "plain")
    ]
    assert all(row["ms"] > 0 and not row["note"] for row in rows)
    planned = [row["planned GiB"] for row in rows if row["row"] == "auto"]
    assert 0 < planned[0] < planned[1]
    assert json.loads((tmp_path / "long_steps.json").read_text())["rows"] == rows
    assert (tmp_path / "long_steps.md").read_text().count("\n| ") == 2 + len(rows)
    assert hyena.fft_conv is before


def test_a_row_that_cannot_be_says_so(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    arguments = ["--size", "tiny", "--budget", "0", "--lengths", "300", "--rows", "triton,reference"]
    triton, reference = script("long_steps").main([*arguments, "trainer=cpu"])
    assert triton["note"].startswith("BackendUnavailable")
    assert triton["ms"] is None
    assert reference["ms"] > 0


def test_the_plain_model_is_the_same_function(script: Callable[[str], ModuleType]) -> None:
    torch.manual_seed(0)
    ours = HyenaDNA(d_model=8, num_layers=2, l_max=64, filter_order=8, initializer_range=0.3).eval()
    plain = script("plain_hyenadna").PlainHyenaDNA.like(ours, checkpointing=True).eval()
    tokens = torch.randint(7, 11, (2, 50))
    loss = SequenceModel(ours, LanguageModelHead(ours))(tokens, labels=tokens).loss
    torch.testing.assert_close(plain(tokens), loss)


def test_hyena_against_attention(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    module = script("hyena_against_attention")
    rows = module.main(["--size", "tiny", "--budget", "0", "--longest", "128", "--out", str(tmp_path)])
    assert [(row["length"], row["batch"]) for row in rows[::3]] == [(64, 4), (128, 2)]
    assert (tmp_path / "hyena_against_attention.png").stat().st_size > 10_000
    made = {"length": 64, "attention / Hyena": 3.0}, {"length": 64, "attention / Hyena": 2.0}, {"length": 64}
    assert module.fastest_ratios(made) == {64: 2.0}
    attention, hyenas = (module.make_model(name, 64) for name in ("attention, FlashAttention", "Hyena"))
    assert {type(layer.mixer).__name__ for layer in attention.backbone.layers} == {"Attention"}
    assert {type(layer.mixer).__name__ for layer in hyenas.backbone.layers} == {"HyenaMixer"}


def test_partial_and_sparse(
    script: Callable[[str], ModuleType], checkpoint: Path, tiny_fasta: Path, tmp_path: Path
) -> None:
    module = script("partial_and_sparse")
    times = tmp_path / "fft_sparse.json"
    times.write_text(json.dumps({"rows": [timed("partial K=L/2 D=1", 3.0), timed("sparse 0.53 D=1", 2.0)]}))
    arguments = [str(checkpoint), "--fasta", str(tiny_fasta), "--longest", "256", "--windows", "8"]
    rows = module.main([*arguments, "--times", str(times), "--out", str(tmp_path)])
    settings: dict[str, list[Any]] = {kind: [] for kind in ("partial", "longer", "sparse")}
    for row in rows:
        settings[row["kind"]].append(row["setting"])
    assert settings["partial"] == [64, 32, 16]
    assert settings["longer"] == [64, 128, 256]
    assert settings["sparse"] == pytest.approx([0, 0.25, 0.5, 0.75, 0.9], abs=0.04)
    assert {row["bases"] for row in rows if row["kind"] != "sparse"} == {1000}
    assert all(1 < row["bits per base"] < 8 for row in rows)
    assert (tmp_path / "partial_and_sparse.png").stat().st_size > 10_000


def timed(case: str, milliseconds: float) -> dict[str, Any]:
    return {"case": case, "contestant": "ours", "both": {"median": milliseconds}}


def test_bits_of_windows_and_of_last_bases_agree(
    script: Callable[[str], ModuleType], checkpoint: Path, tiny_fasta: Path
) -> None:
    """A base that a window ends with is scored alike by both readings."""
    module = script("partial_and_sparse")
    device = torch.device("cpu")
    held = module.read(str(tiny_fasta), 0.2)
    model = module.load(str(checkpoint), device)
    lasts = module.last_bits(model, held, 63, 5)
    places = np.linspace(len(held.sequence) - held.bases, len(held.sequence) - 1, 5).astype(int)
    expected = [
        -model.log_prob(held.sequence[place - 63 : place + 1])["log_prob"].iloc[-1] / np.log(2)
        for place in places
    ]
    np.testing.assert_allclose(lasts, expected, rtol=1e-5)
    whole = module.window_bits(module.load(str(checkpoint), device, extended_l_max=5000), held, 5000)
    together = model_bits(module.load(str(checkpoint), device, extended_l_max=5000), held.sequence)
    np.testing.assert_allclose(whole, together[-held.bases :], rtol=1e-4)


def test_rows_that_are_none(script: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script("long_steps").main(["--rows", "auto,fast"])
    assert "choose of auto, reference, triton, plain" in capsys.readouterr().err


def model_bits(model: SequenceModel, sequence: str) -> np.ndarray:
    return -model.log_prob(sequence)["log_prob"].to_numpy() / np.log(2)


def test_hybrid_steps(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    arguments = ["--size", "tiny", "--budget", "0", "--out", str(tmp_path), "trainer=cpu"]
    train, chunks, whole = script("hybrid_steps").main(arguments)
    assert [(row["tokens"], row["row"]) for row in (train, chunks, whole)] == [
        (128, "train"),
        (256, "chunks"),
        (256, "whole"),
    ]
    assert all(row["ms"] > 0 and row["of measured"] > 0 and not row["note"] for row in (train, chunks, whole))
    assert train["planned GiB"] > 0
    assert chunks["TFLOP"] < whole["TFLOP"], "attention sees less in its window"
    assert len(json.loads((tmp_path / "hybrid_steps.json").read_text())["rows"]) == 3


def test_operations_of_a_hybrid(script: Callable[[str], ModuleType]) -> None:
    module = script("hybrid_steps")
    for length, window in ((7, 3), (5, 5), (4, 9), (0, 2)):
        distance = np.subtract.outer(np.arange(length), np.arange(length))
        assert module.pairs_within(length, window) == ((distance >= 0) & (distance < window)).sum()
    mixers = {
        "a": {"attention": {"num_heads": 2, "num_kv_heads": 1}},
        "m": {"mamba2": {"d_state": 4, "headdim": 8, "chunk_size": 4}},
        "l": {"linear": {"num_heads": 2, "head_dim": 8, "expand_v": 2}},
    }
    models = {
        kind: HybriDNA(d_model=16, num_layers=1, pattern=kind, d_inner=32, **own)
        for kind, own in mixers.items()
    }
    mlp, length = 3 * 16 * 32, 10
    # Queries, one head of keys and one of values, and the way out; 55 pairs, of 16 channels each, twice.
    attention = 2 * length * (mlp + 16 * 32 + 16 * 16) + 2 * 2 * 16 * 55
    assert module.forward_operations(models["a"], length) == attention
    # Inner width 32: z, x, B and C of 4 each, 4 steps, and out; chunks of 4, 4 and 2.
    scan = (
        2 * length * (mlp + 16 * (2 * 32 + 2 * 4 + 4) + 32 * 16) + 2 * (4 + 32) * 23 + 2 * 2 * 32 * 4 * length
    )
    assert module.forward_operations(models["m"], length) == scan
    with pytest.raises(ValueError, match="LinearAttention are not counted"):
        module.forward_operations(models["l"], length)


def test_decoding(script: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--contexts", "5", "40", "--window", "8", "--steps", "2"]
    script("decoding").main(["--model", "hybridna_micro", *sizes])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:18] for line in lines[3::3]] == ["a token after 40 t"] * 2


def leave_run(command: list[str]) -> DictConfig:
    """What a run of these settings leaves behind; gives its config."""
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=command[4:])
    folder = Path(config.run_dir)
    folder.mkdir(parents=True)
    OmegaConf.save(config, folder / "config.yaml")
    logged = {"step": [49, 60, 99], "seconds": [30, None, 60], "val/bits_per_base": [1.95, None, 1.9]}
    pd.DataFrame(logged).to_csv(folder / "metrics.csv", index=False)
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in instantiate(config.model).parameters())
    (folder / "performance.json").write_text(json.dumps({"parameters": size}))
    row = {"name": "ours", "kind": "model", "metrics": {"bits_per_base": 1.88}, "versus_model": None}
    results = {"problem": "language_model", "split": "test", "metric": "bits_per_base", "rows": [row]}
    (folder / "results.json").write_text(json.dumps(results | {"higher_is_better": False}))
    return config


def leave_runs(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> list[DictConfig]:
    """The configs of the runs that studies ask for, as they do; nothing is trained."""
    asked: list[DictConfig] = []

    def run_jobs(jobs: Iterable[Any], *, devices: Sequence[str], parallel: int) -> None:
        asked.extend(leave_run(job.command) for job in jobs if not job.done.exists())

    # The studies, imported after it, take this one.
    monkeypatch.setattr(script("device_jobs"), "run_jobs", run_jobs)
    return asked


def test_compare_models(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = leave_runs(script, monkeypatch)
    module = script("compare_models")
    arguments = [str(tmp_path), "worm=worm.fa", "--minutes", "1.5", "--devices", "0", "1"]
    module.main(["run", *arguments])
    assert all(config.trainer.max_time == "00:00:01:30" for config in runs)
    module.main(["run", *arguments])
    assert len(runs) == 4, "finished runs are not repeated"
    floors = {"static Markov": {"validation": 1.92, "test": 1.91}, "adaptive counter": {"validation": 1.8}}
    (tmp_path / "worm" / "floors.json").write_text(json.dumps(floors))
    table = module.table(tmp_path)
    assert table["model"].to_list() == [*module.MODELS, *floors]
    sizes = table["parameters"].dropna()
    assert sizes.max() < 1.01 * sizes.min()
    hybrid = table.iloc[0]
    assert (hybrid["validation"], hybrid["test"], hybrid["minutes"]) == (1.9, 1.88, 1)
    assert hybrid["tokens/s"] == 100 * 64 * 1024 / 60
    assert (tmp_path / "compare_models.png").stat().st_size > 10_000


def test_scaling(
    script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = leave_runs(script, monkeypatch)
    module = script("scaling")
    with pytest.raises(SystemExit, match="no run of"):
        module.table(tmp_path)
    module.main(["run", str(tmp_path), "a.fa", "b.fa", "--steps", "100", "--devices", "cpu"])
    widths = [config.model.d_model for config in runs]
    assert widths == [512, 256, 128, 64]
    assert [config.optimizer.lr * width for config, width in zip(runs, widths, strict=True)] == [0.256] * 4
    for width in widths:
        results = json.loads((tmp_path / str(width) / "results.json").read_text())
        results["rows"][0]["metrics"]["bits_per_base"] = 2.0 * width**-0.05
        (tmp_path / str(width) / "results.json").write_text(json.dumps(results))
    table = module.table(tmp_path)
    assert table["parameters"].is_monotonic_increasing
    assert (table["million tokens"] == 100 * 64 * 1024 / 1e6).all()
    # Parameters grow with the square of the width, or nearly.
    line = module.Line(**json.loads((tmp_path / "lines.json").read_text())["parameters"])
    assert line.slope == pytest.approx(-0.025, abs=0.002)
    assert "fewer bits" in capsys.readouterr().out
    assert (tmp_path / "scaling.png").stat().st_size > 10_000


def test_a_line_through_powers(script: Callable[[str], ModuleType]) -> None:
    x = pd.Series([1e5, 1e6, 1e8])
    line = script("scaling").Line.through(x, 3.0 * x**-0.04)
    assert (line.slope, line.factor, line.r2) == pytest.approx((-0.04, 3.0, 1.0))
    np.testing.assert_allclose(line.at(x.to_numpy()), 3.0 * x**-0.04)


def test_context_plot(
    script: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def row(name: str, bits: float, difference: float | None) -> dict[str, Any]:
        versus = None if difference is None else {"mean": difference, "low": -0.2, "high": 0.3}
        return {"name": name, "metrics": {"bits_per_base": bits}, "versus_model": versus}

    for context, bits in ((8192, 1.75), (1024, 1.8)):
        rows = [row("HybriDNA", bits, None), row("in view", bits + 0.02, -0.02), row("all", 1.7, bits - 1.7)]
        result = {"split": "test", "rows": rows}
        (tmp_path / f"{context}.json").write_text(json.dumps(result))
    module = script("context_plot")
    assert module.bits(module.read(tmp_path))["in view"] == {1024: 1.82, 8192: 1.77}
    module.main(str(tmp_path / "context.png"), f"worm={tmp_path}")
    assert (tmp_path / "context.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert printed.index("1,024 tokens  1.8000") < printed.index("8,192 tokens  1.7500")
    assert "1.8200 in view; model minus this -0.020 [-0.200, +0.300]" in printed
