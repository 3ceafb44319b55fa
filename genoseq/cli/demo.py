"""`genoseq demo`: pretrain, compare with counting, fine-tune, generate, and one report of it all."""

from __future__ import annotations

from pathlib import Path

from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from genoseq.cli.progress import advancing
from genoseq.cli.tables import interval_text
from genoseq.inference import describe, generate
from genoseq.inference.devices import pick_device
from genoseq.inference.outputs import open_fasta, write_fasta
from genoseq.models.hub import load_sequence_model
from genoseq.paths import locate
from genoseq.report import write_report
from genoseq.sequence import decode_bases
from genoseq.training.run import RunResult, train


def run(config: DictConfig) -> None:
    """Do what `configs/demo.yaml` describes, and print one table and the path of the report."""
    folder = locate(config.out)
    console = Console(highlight=False, soft_wrap=True)

    console.rule("1 of 3: pretraining on C. elegans, then counting on the same sequence")
    settings = _settings(config, "demo_pretrain", folder / "pretraining")
    pretraining = train(settings)

    console.rule("2 of 3: fine-tuning on coding against intergenic DNA of U. maydis")
    fine_settings = _settings(config, "demo_finetune", folder / "finetuning", "model=pretrained")
    fine_settings.model.checkpoint = str(pretraining.folder)
    finetuning = train(fine_settings)

    console.rule(f"3 of 3: generating {config.num_sequences} sequences of {config.length} bases")
    _write_real_sequence(settings, pretraining.folder)
    _generate(config, pretraining.folder)
    report = write_report(
        [pretraining.folder, finetuning.folder], out=folder / "report.html", title="The genoseq demo"
    )
    console.print(_table(pretraining, finetuning))
    console.print(f"report: {report}")


def _settings(config: DictConfig, experiment: str, folder: Path, *overrides: str) -> DictConfig:
    settings = compose("train", overrides=[f"experiment={experiment}", f"seed={config.seed}", *overrides])
    settings.run_dir = str(folder)
    settings.resume = "auto"
    return settings


def _write_real_sequence(settings: DictConfig, folder: Path) -> None:
    """Real sequence for the report to hold the generated one against: the validation block."""
    regions = instantiate(settings.data).sequences("validation")
    with open_fasta(folder / "reference.fa") as file:
        write_fasta(file, [(str(interval), decode_bases(codes)) for interval, codes in regions])


def _generate(config: DictConfig, folder: Path) -> None:
    model = load_sequence_model(folder, device=str(pick_device(config.device)))
    wanted = {"length": config.length, "num_sequences": config.num_sequences}
    total = config.length * config.num_sequences
    with open_fasta(folder / "generated.fa") as file, advancing(what="bases", total=total) as advance:
        results = generate(model, **wanted, seed=config.seed, drawn=advance)
        write_fasta(file, (describe(index, result) for index, result in enumerate(results)))


def _table(*runs: RunResult) -> Table:
    table = Table(title="Test splits, each opened once")
    for column in ("", "metric"):
        table.add_column(column)
    for column in ("value", "model minus this, 95 % interval"):
        table.add_column(column, justify="right")
    for result in runs:
        assert result.results is not None, "both experiments of the demo open their test split"
        metric = result.results["metric"]
        for row in result.results["rows"]:
            value = f"{row['metrics'][metric]:.3f}"
            name = f"[bold]{row['name']}" if row["kind"] == "model" else row["name"]
            table.add_row(name, metric.replace("_", " "), value, interval_text(row["versus_model"]))
        table.add_section()
    return table
