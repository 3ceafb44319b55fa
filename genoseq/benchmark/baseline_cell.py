"""Fill the cell of a baseline: `python -m genoseq.benchmark.baseline_cell FOLDER`, with its config.yaml."""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import cast

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from genoseq.benchmark.cells import PREDICTIONS, RESULTS
from genoseq.errors import GenoseqError
from genoseq.inference.outputs import atomic_file
from genoseq.training.environment import describe_environment
from genoseq.training.results import baseline_predictions, compare, describe_rows


def fill(folder: Path) -> None:
    """Fit on train, choose on validation, predict test; write what a run folder has, `results.json` last.

    Raises:
        GenoseqError: the baseline is not for these data, or they cannot be read.
    """
    config = cast(DictConfig, OmegaConf.load(folder / "config.yaml"))
    began = time.monotonic()
    data = instantiate(config.data)
    with warnings.catch_warnings():
        # What scikit-learn says of a fit that stops at its limit of steps is in its score.
        warnings.filterwarnings("ignore", ".*failed to converge.*")
        _, _, predicted = next(iter(baseline_predictions({"baseline": config.baseline}, data, "test")))
    table = predicted if "leaked" in predicted else describe_rows(predicted, data, "test")
    results = compare(data.judged_as, "test", config.name, table, {})
    environment = describe_environment(config, torch.device("cpu"))
    with atomic_file(folder / PREDICTIONS) as path:
        table.to_parquet(path)
    for name, content in (
        ("environment.json", environment),
        ("performance.json", {"seconds": time.monotonic() - began}),
        (RESULTS, results),
    ):
        with atomic_file(folder / name) as path:
            path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Read the command line; a mistake of the user is one message and exit status 2."""
    try:
        fill(Path(sys.argv[1]))
    except GenoseqError as error:
        print(f"genoseq: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
