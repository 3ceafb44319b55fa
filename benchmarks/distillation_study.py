"""What does a teacher give? HAD's student, distilled and not, for equal time; then coding DNA of U. maydis.

    python benchmarks/distillation_study.py run OUT --minutes 3 --teacher-minutes 4 --devices 0 1 --parallel 4
    python benchmarks/distillation_study.py table OUT

`run` writes the training sequences of the fine-tuning set as a genome without labels (nothing of its test
chromosomes is ever seen); trains a teacher on it, an encoder of Life-Code's shape seven times as large, by
masked language modelling, unless `--teacher` names one; and then, beside each other and for the same time, a
student by masked language modelling and one from the teacher, whose share of the time counts, for each seed.
The rate is constant after its warm-up and the weights are averaged, so that each is as good as its time.

These students, and one that was never trained, are fine-tuned as `finetuning_study.py` does, and probed: a
logistic regression on the embeddings of labelled training sequences, measured on those of test, which are
drawn by label (t-SNE). `table` writes OUT/distillation.md from what there is: means and 95 % intervals over
seeds; OUT/finetuned/table.tsv has more.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import finetuning_study
import numpy as np
import pandas as pd
import torch
from device_jobs import Job, add_places, on_the_clock, run_jobs, training
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
from genoseq.statistics import mean_interval
from genoseq.tokenizers import CharacterTokenizer

LABELLED = data_dir() / "labelled" / "umaydis_coding_vs_intergenic"
WIDTH = 300
HELD_OUT = 400
BATCH = 64
LABELS = {0: "intergenic", 1: "coding"}
RECIPE = (
    "experiment=had",
    "global_batch_size=128",
    "ema_decay=0.995",
    "schedule=constant_warmup",
    "schedule.warmup_fraction=0.001",
    "trainer.max_steps=100000",
    "trainer.val_check_interval=100",
    "report=false",
)
MASKED = ("task=masked_lm", "callbacks.checkpoint.monitor=val/loss")
TEACHER = ("model=lifecode_small", "model.pattern=mmma", "model.resid_dropout=0.1", "optimizer.lr=1e-3")
WORDS = {"teacher": "teacher", "untrained": "untrained", "masked": "from scratch", "distilled": "distilled"}
STUDENTS = ("masked", "distilled")


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


def run(
    out: Path,
    teacher: Path | None,
    *,
    minutes: float,
    teacher_minutes: float,
    seeds: int,
    devices: Sequence[str],
    parallel: int,
    steps: int,
    count: int,
    extra: Sequence[str],
    teacher_extra: Sequence[str],
) -> None:
    """Train the teacher, the students and what is fine-tuned from them, and draw the embeddings."""
    places = {"devices": devices, "parallel": parallel}
    write_data(out / "data")
    common = [*RECIPE, *(out / "data" / "overrides").read_text().split()]
    if teacher is None:
        teacher = out / "teacher"
        clock = f"+trainer.max_time='{on_the_clock(teacher_minutes)}'"
        run_jobs([training(teacher, [*common, *MASKED, *TEACHER, clock, *teacher_extra])], **places)
    (out / "teacher.json").write_text(json.dumps(str(teacher)) + "\n")
    ways = {"masked": MASKED, "distilled": (f"task.teacher={teacher}",)}
    clock = f"+trainer.max_time='{on_the_clock(minutes)}'"
    # Both ways on each of two devices, so that neither has one for itself.
    students = [
        training(out / "students" / f"{way}_{seed}", [*common, *ways[way], clock, f"seed={seed}", *extra])
        for seed in range(seeds)
        for way in sorted(STUDENTS, reverse=seed % 2 == 1)
    ]
    run_jobs(students, **places)
    device = "cpu" if set(devices) == {"cpu"} else "cuda"
    asked = [str(out), "--count", str(count), "--device", device]
    command = [sys.executable, __file__, "embeddings", *asked]
    drawing = Job("embeddings", command, out / "embeddings.tsv", out / "embeddings.log")
    starts = ["untrained=had", *(f"{way}={out / 'students' / way}_{{seed}}" for way in STUDENTS)]
    what = (out / "finetuned", starts, ["umaydis"])
    tuning = {"extra": [f"trainer.max_steps={steps}"]}
    try:
        run_jobs([drawing, *finetuning_study.candidates(*what, **tuning)], **places)
    finally:  # a drawing that failed is no reason to do without the rest
        run_jobs(finetuning_study.chosen(*what, seeds=seeds, **tuning), **places)


def table(out: Path) -> pd.DataFrame:
    """Print and write what there is: a row a model."""
    rows: dict[str, dict[str, str]] = {name: {"model": words} for name, words in WORDS.items()}
    for way in STUDENTS:
        folders = sorted((out / "students").glob(f"{way}_*/performance.json"))
        logs = [pd.read_csv(file.with_name("metrics.csv")) for file in folders]
        if logs:
            bits = [log["val/bits_per_base"].min() for log in logs]
            rows[way]["steps"] = f"{np.mean([log['step'].max() + 1 for log in logs]):,.0f}"
            rows[way]["bits a hidden base, validation"] = _estimate(bits)
    if (out / "embeddings.tsv").exists():
        probes = pd.read_csv(out / "embeddings.tsv", sep="\t")
        for name, found in probes.groupby("model")["probe accuracy"]:
            rows[str(name)]["probe of its embeddings, accuracy"] = _estimate(found)
    if (out / "finetuned" / "chosen.json").exists():
        tuned = finetuning_study.results(out / "finetuned")
        tuned = tuned[tuned["metric"].isin(["accuracy", "mcc"])]
        for (name, metric, part), found in tuned.groupby(["start", "metric", "rows"], sort=False)["value"]:
            row = rows.setdefault(str(name), {"model": str(name)})
            row[f"fine-tuned, {metric}" if part == "all" else f"fine-tuned, {metric}, {part}"] = _estimate(
                found
            )
    frame = pd.DataFrame(rows.values()).fillna("")
    heads = " | ".join(frame.columns)
    lines = [f"| {heads} |", "|---" * len(frame.columns) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in frame.itertuples(index=False, name=None)]
    text = "\n".join(lines)
    (out / "distillation.md").write_text(text + "\n")
    print(text)
    return frame


def _estimate(values: Sequence[float] | pd.Series) -> str:
    found = mean_interval(values)
    return f"{found.mean:.3f}" + (f" [{found.low:.3f}, {found.high:.3f}]" if found.n > 1 else "")


def draw_embeddings(out: Path, *, count: int, device: str) -> None:
    """Probe the embeddings of every model, and draw those of the first seed of each kind."""
    teacher = json.loads((out / "teacher.json").read_text())
    models: dict[str, Path | None] = {"teacher": Path(teacher), "untrained": None}
    models |= {folder.name: folder for folder in sorted((out / "students").iterdir()) if folder.is_dir()}
    parts = {part: pd.read_csv(LABELLED / f"{part}.tsv.gz", sep="\t") for part in ("train", "test")}
    generator = np.random.default_rng(0)
    test, train = (
        parts[part].iloc[np.sort(generator.choice(len(parts[part]), min(size, len(parts[part])), False))]
        for part, size in (("test", count), ("train", 4 * count))
    )
    figure = Figure(figsize=(3.4 * len(WORDS), 3.6), layout="constrained")
    rows = []
    for name, folder in models.items():
        model = _untrained().to(device) if folder is None else genoseq.load(folder, device=device)
        scaler = StandardScaler().fit(known := _embed(model, train["sequence"]))
        known, vectors = scaler.transform(known), scaler.transform(_embed(model, test["sequence"]))
        probe = LogisticRegression(max_iter=2000).fit(known, train["label"])
        accuracy = float(probe.score(vectors, test["label"]))
        kind, _, seed = name.partition("_")
        row = {"model": kind, "seed": seed or "0", "width": vectors.shape[1]}
        rows.append(row | {"probe accuracy": round(accuracy, 4)})
        if rows[-1]["seed"] == "0":
            title = f"{WORDS[kind]}\nprobe {accuracy:.3f}"
            _draw(figure, list(WORDS).index(kind), vectors, test["label"].to_numpy(), title)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        markerscale=3,
        frameon=False,
    )
    figure.savefig(out / "embeddings.png", dpi=PNG_DPI)
    frame = pd.DataFrame(rows)
    print(frame.to_string(index=False))
    frame.to_csv(out / "embeddings.tsv", sep="\t", index=False)


def _draw(figure: Figure, place: int, vectors: np.ndarray, labels: np.ndarray, title: str) -> None:
    """One panel: t-SNE of the vectors (N, D), coloured by label (N,)."""
    places = TSNE(random_state=0, init="pca", perplexity=30).fit_transform(vectors)
    axes = figure.add_subplot(1, len(WORDS), place + 1)
    for (label, text), colour in zip(LABELS.items(), ("#0072B2", "#D55E00"), strict=True):
        axes.scatter(*places[labels == label].T, s=4, c=colour, alpha=0.6, linewidths=0, label=text)
    axes.set(title=title, xticks=[], yticks=[])


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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    drawing = commands.add_parser("embeddings", help="probe and draw them; `run` asks for it")
    for command in (running, drawing, commands.add_parser("table")):
        command.add_argument("out", type=Path)
    running.add_argument("--teacher", type=Path, help="its folder; else one is trained")
    running.add_argument("--teacher-minutes", type=float, default=4.0, help="of its training (4)")
    running.add_argument("--minutes", type=float, default=3.0, help="of each student's training (3)")
    running.add_argument("--seeds", type=int, default=3)
    running.add_argument("--steps", type=int, default=600, help="of each fine-tuning (600)")
    running.add_argument("--set-teacher", nargs="*", default=[], metavar="KEY=VALUE", help="of its training")
    add_places(running)
    for command in (running, drawing):
        command.add_argument(
            "--count", type=int, default=1000, help="test sequences; four times as many to learn on"
        )
    drawing.add_argument("--device", default="cpu")
    given = vars(parser.parse_args())
    command = given.pop("command")
    if command == "embeddings":
        draw_embeddings(**given)
        return
    try:
        if command == "run":
            extra, teacher_extra = given.pop("set"), given.pop("set_teacher")
            run(**given, extra=extra, teacher_extra=teacher_extra)
    finally:
        table(given["out"])


if __name__ == "__main__":
    main()
