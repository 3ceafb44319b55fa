"""Which recipe of fine-tuning does a benchmark take? Chosen on validation; no test split is opened.

    python benchmarks/finetuning_recipes.py run OUT --folder ../shared/data --devices 0 --parallel 8
    python benchmarks/finetuning_recipes.py table OUT

`run` trains each model by each recipe on five sets of the suite `open`, those of GUE, with one seed, and fits
k-mer counts beside them. `table` has the best MCC of validation of each, and how many sets a recipe wins
against them. What is chosen so is then the benchmark's, `genoseq benchmark experiment=finetune_words ...`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from device_jobs import run_and_table, run_jobs, training
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from genoseq.baselines import KmerLogisticRegression
from genoseq.benchmark.cells import data_overrides
from genoseq.paths import configs_dir
from genoseq.training.results import metrics

TASKS = ("GUE_tf_2", "GUE_mouse_0", "GUE_mouse_4", "GUE_prom_core_tata", "GUE_prom_300_tata")
# Words are thousands of embeddings for thousands of sequences: models that can hide half of them in training.
MODELS = {
    "hyenadna_tiny_1k": ("model.embed_dropout=0.5",),
    "hybridna_tiny": ("model.embed_dropout=0.5",),
    "caduceus_ph_1k": ("head.dropout=0.3",),
}
_FAST = ("global_batch_size=32", "optimizer.lr=3e-3")
RECIPES = {
    "bases": ("experiment=finetune", "trainer.max_steps=1000"),
    "bases_largest": ("experiment=finetune", "head.pooling=max", *_FAST),
    "words_of_4_largest": (
        "experiment=finetune_words",
        "data.tokenizer.k=4",
        "model.vocab_size=261",
        "head.pooling=max",
        "optimizer.lr=2e-3",
    ),
    "words_of_6": ("experiment=finetune_words",),
    "words_of_6_largest": ("experiment=finetune_words", "head.pooling=max"),
}
COUNTS = "counts.json"
LEAK_K = 32


def data_of(folder: str, names: tuple[str, ...] = TASKS) -> dict[str, list[str]]:
    """The settings of the data of each task."""
    suite = instantiate(_composed("benchmark", ["suite=open", "models=[]", f"suite.folder={folder}"]).suite)
    found = {task.name: data_overrides(task, LEAK_K) for task in suite.tasks() if task.name in names}
    assert set(found) == set(names), f"{set(names) - set(found)} is not in the suite"
    return found


def settings_of(model: str, recipe: str) -> list[str]:
    """Those of `genoseq train` for a model by a recipe."""
    of_words = MODELS[model] if recipe.startswith("words") else ()
    return [*RECIPES[recipe], f"model={model}", *of_words, "baselines=none", "report=false"]


def write_counts(out: Path, data: dict[str, list[str]]) -> None:
    """Fit k-mer counts on train, as the benchmark does, and write their MCC on validation."""
    found = {}
    for task, overrides in data.items():
        module = instantiate(_composed("train", ["experiment=finetune", *overrides]).data)
        rows = KmerLogisticRegression().predict(module, "validation")
        found[task] = metrics(module.judged_as, rows)["mcc"]
    out.mkdir(parents=True, exist_ok=True)
    (out / COUNTS).write_text(json.dumps(found, indent=1) + "\n")


def table(out: Path) -> pd.DataFrame:
    """Print the best MCC of validation of each model by each recipe, and the sets it wins."""
    counts = json.loads((out / COUNTS).read_text())
    found = [{"model": "k-mer counts", "recipe": "", **counts}]
    for model in MODELS:
        for recipe in RECIPES:
            files = {task: out / task / model / recipe / "metrics.csv" for task in counts}
            best = {t: pd.read_csv(file)["val/mcc"].max() for t, file in files.items() if file.is_file()}
            won = sum(best[task] > counts[task] for task in best)
            found.append({"model": model, "recipe": recipe, **best, "won": f"{won} of {len(best)}"})
    frame = pd.DataFrame(found)
    frame.to_csv(out / "table.tsv", sep="\t", index=False)
    print(frame.to_string(index=False, float_format="%.3f", na_rep=""))
    return frame


def _composed(name: str, overrides: list[str]) -> DictConfig:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return compose(name, overrides=overrides)


def main() -> None:
    parser, running = run_and_table(__doc__)
    running.add_argument("--folder", required=True, help="what holds bench/labelled")
    given = parser.parse_args()
    if given.command == "run":
        data = data_of(given.folder)
        jobs = [
            training(given.out / task / model / recipe, [*overrides, *settings_of(model, recipe), *given.set])
            for task, overrides in data.items()
            for model in MODELS
            for recipe in RECIPES
        ]
        write_counts(given.out, data)
        run_jobs(jobs, devices=given.devices, parallel=given.parallel)
    table(given.out)


if __name__ == "__main__":
    main()
