"""`genoseq push`: a model to the Hugging Face hub, with its card."""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

import genoseq
from genoseq.cli.models import open_model
from genoseq.errors import CheckpointError, ConfigError, DataError
from genoseq.inference.outputs import atomic_folder
from genoseq.paths import locate

log = logging.getLogger(__name__)

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_SHOWN = ("accuracy", "mcc", "f1", "auroc", "auprc", "mse", "pearson", "spearman", "bits_per_base")


def run(config: DictConfig) -> None:
    """Write the model's folder and send it, as `configs/push.yaml` describes it.

    Raises:
        ConfigError: the repository is no USER/NAME.
        CheckpointError: the model cannot be read, or the hub refuses it; says why.
        DataError: `out` is there already.
    """
    if not _REPOSITORY.fullmatch(config.repository):
        raise ConfigError(f"repository={config.repository}: give USER/NAME, such as jane/coding-or-not.")
    model = open_model(config)
    with tempfile.TemporaryDirectory(prefix="genoseq-push-") as temporary:
        folder = model.save(Path(temporary) / "model")
        card = folder / "README.md"
        text = card.read_text(encoding="utf-8").replace("path/to/this/folder", config.repository)
        text = text.replace("---\nlibrary_name", f"---\nlicense: {config.licence}\nlibrary_name", 1)
        card.write_text(text + _results(locate(config.checkpoint)), encoding="utf-8")
        _print(config, folder)
        if config.out is not None:
            with atomic_folder(config.out) as kept:
                shutil.copytree(folder, kept, dirs_exist_ok=True)
        if not config.dry_run:
            log.info("%s", _send(config, folder))


def _results(folder: Path) -> str:
    """The card's section on the run's test split; nothing for a model that has none."""
    path = folder / "results.json"
    if not path.is_file():
        return ""
    try:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} cannot be read: {error}. Write the run's results again.") from error
    names = [name for name in _SHOWN if name in results["rows"][0]["metrics"]]
    lines = ["", "## Results", "", f"On the {results['split']} split, which was opened once:", ""]
    lines += ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for rows, words in (("rows", ""), ("leak_free_rows", ", rows that share nothing with train")):
        for row in results.get(rows) or []:
            values = [row["metrics"].get(name) for name in names]
            cells = ["–" if value is None else f"{value:.4f}" for value in values]
            lines.append(f"| {row['name']}{words} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _print(config: DictConfig, folder: Path) -> None:
    title = f"{config.repository}: {'nothing is sent' if config.dry_run else 'to be sent'}"
    table = Table(title=title, box=None)
    table.add_column("file")
    table.add_column("bytes", justify="right")
    for path in sorted(folder.iterdir()):
        table.add_row(path.name, f"{path.stat().st_size:,}")
    Console(highlight=False, soft_wrap=True).print(table)


def _send(config: DictConfig, folder: Path) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    api = HfApi()
    try:
        api.create_repo(config.repository, private=config.private, exist_ok=True)
        message = config.message or f"written by genoseq {genoseq.__version__}"
        sent = api.upload_folder(repo_id=config.repository, folder_path=folder, commit_message=message)
    except (HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise CheckpointError(
            f"{config.repository} could not be written on the Hugging Face hub: {error} Log in with `hf auth "
            "login`, see to the network, or keep the folder with dry_run=true out=FOLDER."
        ) from error
    return str(sent)
