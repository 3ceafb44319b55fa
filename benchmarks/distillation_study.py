"""What does a teacher give? HAD's student, distilled and not, for equal time; then coding DNA of U. maydis.

    python benchmarks/distillation_study.py data runs/had/data
    genoseq train experiment=had run_dir=runs/had/teacher $(cat runs/had/data/overrides) \\
        trainer.max_steps=6000 task=masked_lm callbacks.checkpoint.monitor=val/loss \\
        model.d_model=384 model.num_layers=9 model.num_heads=6 model.head_dim=64 model.d_inner=768
    python benchmarks/distillation_study.py students runs/had --teachers large=runs/had/teacher --minutes 5
    python benchmarks/distillation_study.py finetune runs/had --seeds 5
    python benchmarks/distillation_study.py embeddings runs/had --teachers large=runs/had/teacher

`data` writes the training sequences of the fine-tuning set as a genome without labels: nothing of its test
chromosomes is ever seen. `students` measures the steps that each way of learning takes in `--minutes` (of
training, the teacher's share included), then trains a student by masked language modelling and one from each
teacher for as long, and prints what it took. `finetune` is `finetuning_study.py` on these students and on one
that was never trained. `embeddings` draws the embeddings of test sequences by label (t-SNE), and prints how a
logistic regression on those of the training sequences does, also on a student that was never trained.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import finetuning_study
import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler

import genoseq
from genoseq.models import SequenceModel
from genoseq.paths import configs_dir, data_dir
from genoseq.report.style import PNG_DPI
from genoseq.tokenizers import CharacterTokenizer

LABELLED = data_dir() / "labelled" / "umaydis_coding_vs_intergenic"
WIDTH = 300
HELD_OUT = 400
TRIAL_STEPS = (100, 200)
BATCH = 64
LABELS = {0: "intergenic", 1: "coding"}


def write_data(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sequences = pd.read_csv(LABELLED / "train.tsv.gz", sep="\t")["sequence"]
    with (folder / "train.fa").open("w") as handle:
        handle.writelines(f">row{number}\n{text}\n" for number, text in enumerate(sequences))
    order = np.random.default_rng(0).permutation(len(sequences))
    parts = {
        "test": order[:HELD_OUT],
        "validation": order[HELD_OUT : 2 * HELD_OUT],
        "train": order[2 * HELD_OUT :],
    }
    for name, rows in parts.items():
        lines = (f"row{number}\t0\t{len(sequences[number])}\n" for number in sorted(rows))
        (folder / f"{name}.bed").write_text("".join(lines))
    overrides = [
        f"data.fasta={folder / 'train.fa'}",
        f"data.length={WIDTH}",
        "data/split=intervals",
    ]
    overrides += [f"data.split.{name}={folder / name}.bed" for name in parts]
    (folder / "overrides").write_text(" ".join(overrides) + "\n")


def train_students(out: Path, teachers: Sequence[str], *, minutes: float, extra: Sequence[str]) -> None:
    data = (out / "data" / "overrides").read_text().split()
    ways = {"masked": ["task=masked_lm", "callbacks.checkpoint.monitor=val/loss"]}
    for teacher in teachers:
        name, _, folder = teacher.partition("=")
        ways[f"distilled_{name}"] = [f"task.teacher={folder}"]
    rows = []
    for name, settings in ways.items():
        common = [*data, *settings, *extra]
        steps = max(1, round(60 * minutes / _seconds_a_step(out / "trials" / name, common)))
        interval = f"trainer.val_check_interval={max(1, steps // 10)}"
        _train(out / "students" / name, [*common, f"trainer.max_steps={steps}", interval])
        bits = pd.read_csv(out / "students" / name / "metrics.csv")["val/bits_per_base"].min()
        seconds = _performance(out / "students" / name)["seconds"]
        rows.append(
            {"student": name, "steps": steps, "seconds": round(seconds), "bits a hidden base": round(bits, 4)}
        )
    frame = pd.DataFrame(rows)
    frame.to_csv(out / "students.tsv", sep="\t", index=False)
    print(frame.to_string(index=False))


def _seconds_a_step(folder: Path, overrides: Sequence[str]) -> float:
    """From two short runs, whose difference has no start in it."""
    seconds = []
    for steps in TRIAL_STEPS:
        trial = folder / str(steps)
        _train(trial, [*overrides, f"trainer.max_steps={steps}", "trainer.limit_val_batches=1"])
        seconds.append(_performance(trial)["seconds"])
    return (seconds[1] - seconds[0]) / (TRIAL_STEPS[1] - TRIAL_STEPS[0])


def _train(folder: Path, overrides: Sequence[str]) -> None:
    command = [sys.executable, "-m", "genoseq", "train", "experiment=had", "report=false", "resume=auto"]
    subprocess.run([*command, f"run_dir={folder}", *overrides], check=True)


def _performance(folder: Path) -> dict[str, float]:
    return json.loads((folder / "performance.json").read_text())


def finetune(out: Path, *, seeds: int, parallel: int, extra: Sequence[str]) -> None:
    starts = [
        "untrained=had",
        *(f"{folder.name}={folder}" for folder in sorted((out / "students").iterdir())),
    ]
    (out / "finetuned").mkdir(exist_ok=True)
    finetuning_study.run(out / "finetuned", starts, seeds=seeds, parallel=parallel, extra=extra)
    finetuning_study.table(out / "finetuned")


def draw_embeddings(out: Path, teachers: Sequence[str], *, count: int, device: str) -> None:
    folders = {folder.name: folder for folder in sorted((out / "students").iterdir())}
    named = (teacher.partition("=") for teacher in teachers)
    models: dict[str, Path | None] = {f"teacher {name}": Path(folder) for name, _, folder in named}
    models |= {"untrained": None, **folders}
    parts = {part: pd.read_csv(LABELLED / f"{part}.tsv.gz", sep="\t") for part in ("train", "test")}
    generator = np.random.default_rng(0)
    shown = np.sort(generator.choice(len(parts["test"]), size=min(count, len(parts["test"])), replace=False))
    learned = np.sort(
        generator.choice(len(parts["train"]), size=min(4 * count, len(parts["train"])), replace=False)
    )
    train, test = parts["train"].iloc[learned], parts["test"].iloc[shown]
    figure = Figure(figsize=(3.4 * len(models), 3.6), layout="constrained")
    rows = []
    for number, (name, folder) in enumerate(models.items()):
        model = _untrained().to(device) if folder is None else genoseq.load(folder, device=device)
        scaler = StandardScaler().fit(known := _embed(model, train["sequence"]))
        known, vectors = scaler.transform(known), scaler.transform(_embed(model, test["sequence"]))
        probe = LogisticRegression(max_iter=2000).fit(known, train["label"])
        accuracy = float(probe.score(vectors, test["label"]))
        rows.append({"model": name, "width": vectors.shape[1], "probe accuracy": round(accuracy, 3)})
        places = TSNE(random_state=0, init="pca", perplexity=30).fit_transform(vectors)
        axes = figure.add_subplot(1, len(models), number + 1)
        for (label, text), colour in zip(LABELS.items(), ("#0072B2", "#D55E00"), strict=True):
            of = places[(test["label"] == label).to_numpy()]
            axes.scatter(*of.T, s=4, c=colour, alpha=0.6, linewidths=0, label=text)
        axes.set(title=f"{name.replace('_', ', ')}\nprobe {accuracy:.3f}", xticks=[], yticks=[])
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, markerscale=3, frameon=False
    )
    figure.savefig(out / "embeddings.png", dpi=PNG_DPI)
    frame = pd.DataFrame(rows)
    frame.to_csv(out / "embeddings.tsv", sep="\t", index=False)
    print(frame.to_string(index=False))


def _untrained() -> SequenceModel:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=["experiment=had", "task.teacher=none"])
    torch.manual_seed(0)
    backbone = instantiate(config.model)
    return SequenceModel(backbone, instantiate(config.head)(backbone), CharacterTokenizer()).eval()


def _embed(model: SequenceModel, sequences: pd.Series) -> np.ndarray:
    texts = sequences.tolist()
    parts = [model.embed(texts[start : start + BATCH]).cpu() for start in range(0, len(texts), BATCH)]
    return torch.cat(parts).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("data").add_argument("folder", type=Path)
    students, finetuning, embeddings = (
        commands.add_parser(name) for name in ("students", "finetune", "embeddings")
    )
    for command in (students, finetuning, embeddings):
        command.add_argument("out", type=Path)
    for command in (students, embeddings):
        command.add_argument("--teachers", nargs="+", required=True, metavar="NAME=FOLDER")
    for command in (students, finetuning):
        command.add_argument(
            "--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of every run"
        )
    students.add_argument("--minutes", type=float, default=5.0)
    finetuning.add_argument("--seeds", type=int, default=5)
    finetuning.add_argument("--parallel", type=int, default=1, help="runs at a time")
    embeddings.add_argument(
        "--count", type=int, default=1000, help="test sequences; four times as many to learn on"
    )
    embeddings.add_argument("--device", default="cpu")
    given = parser.parse_args()
    if given.command == "data":
        write_data(given.folder)
    elif given.command == "students":
        train_students(given.out, given.teachers, minutes=given.minutes, extra=given.set)
    elif given.command == "finetune":
        finetune(given.out, seeds=given.seeds, parallel=given.parallel, extra=given.set)
    else:
        draw_embeddings(given.out, given.teachers, count=given.count, device=given.device)


if __name__ == "__main__":
    main()
