"""What was run, on what, how fast: short label and value pairs from the files of a run."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf

from genoseq.report.folder import RunFolder
from genoseq.report.words import PROBLEMS, count, duration, memory

_SETTINGS = (
    ("Starts from", "model.checkpoint"),
    ("Layers", "model.num_layers"),
    ("Width", "model.d_model"),
    ("Window (tokens)", "data.length"),
    ("Global batch", "global_batch_size"),
    ("Steps", "trainer.max_steps"),
    ("Epochs", "trainer.max_epochs"),
    ("Learning rate", "optimizer.lr"),
    ("Seed", "seed"),
)
_NO_LIMIT = -1
_DATA_KEYS = (
    "data.fasta",
    *(f"{data}.{part}" for data in ("data", "data.labelled") for part in ("train", "validation", "test")),
)
_VERSIONS = ("genoseq", "git", "torch", "lightning", "python", "platform", "device")


def settings(run: RunFolder) -> list[tuple[str, str]]:
    """The few settings that a reader asks for first; the whole config is folded away below."""
    facts = []
    if run.results:
        facts.append(("Task", PROBLEMS.get(run.results.problem, run.results.problem.replace("_", " "))))
    if run.config is None:
        return facts
    target = str(OmegaConf.select(run.config, "model._target_") or "").rsplit(".", 1)[-1]
    if target[:1].isupper():
        facts.append(("Model", target))
    for label, key in _SETTINGS:
        value = OmegaConf.select(run.config, key)
        if value is not None and value != _NO_LIMIT:
            facts.append((label, _short(value)))
    files = [OmegaConf.select(run.config, key) for key in _DATA_KEYS]
    names = [_tail(file) for entry in files if entry is not None for file in _listed(entry)]
    if names:
        facts.append(("Data", ", ".join(dict.fromkeys(names))))
    return facts


def performance(run: RunFolder) -> list[tuple[str, str]]:
    """Speed, memory, time and size."""
    measured = run.performance or {}
    shown = (
        ("tokens_per_second", "tokens per second", lambda value: f"{value:,.0f}"),
        ("peak_memory_bytes", "peak memory", memory),
        ("seconds", "training time", duration),
        ("parameters", "parameters", count),
    )
    return [(label, form(measured[key])) for key, label, form in shown if measured.get(key) is not None]


def environment(run: RunFolder) -> list[tuple[str, str]]:
    """Versions and device first, then every data file with its SHA-256."""
    recorded = {name: value for name, value in (run.environment or {}).items() if value is not None}
    hashes = recorded.pop("data", None) or {}
    known = {name: recorded.pop(name) for name in _VERSIONS if name in recorded}
    versions = [(name, _short(value)) for name, value in (known | recorded).items()]
    return versions + [(str(path), f"sha256 {digest}") for path, digest in hashes.items()]


def config_text(run: RunFolder) -> str:
    """The resolved configuration as YAML, empty where it was not kept."""
    return OmegaConf.to_yaml(run.config) if run.config is not None else ""


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def _tail(path: Any) -> str:
    """Folder and file, which tell `a/train.tsv` from `b/train.tsv` and leave the rest of a long path out."""
    return "/".join(str(path).removeprefix("genoseq:").split("/")[-2:])


def _listed(entry: Any) -> list[Any]:
    return list(entry) if OmegaConf.is_list(entry) else [entry]
