"""The run of `tiny_run.py` with a small HybriDNA, whose processes say what they hold: `sharded_run.py
KEY=VALUE...`.

Each writes `memory_RANK.json` into the folder of `run_dir`: whether all parameters were in parts and without
memory before they got values, and bytes.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from tiny_run import CONFIG
from torch.distributed.tensor import DTensor

MODEL = """
_target_: genoseq.models.HybriDNA
d_model: 64
num_layers: 8
pattern: mmma
d_inner: 128
mamba2: {d_state: 16, headdim: 16, chunk_size: 8}
attention: {num_heads: 4, num_kv_heads: 2}
"""


def config_of(arguments: list[str]) -> DictConfig:
    """The settings of a run: `checkpoint=DIR` begins with that backbone."""
    config: Any = OmegaConf.create(CONFIG)
    config.module, config.model, config.ema_decay = "tiny_run", OmegaConf.create(MODEL), None
    overrides = OmegaConf.from_dotlist(arguments)
    if "checkpoint" in overrides:
        config.model = {"_target_": "genoseq.models.load_backbone", "checkpoint": overrides.pop("checkpoint")}
    return OmegaConf.merge(config, overrides)  # type: ignore[return-value]


def watched(materialize: Any, report: Path) -> Any:
    """`materialize`, with a note of what it was given, what it made, and the most that it held."""
    from genoseq_kernels.live_bytes import LiveBytes

    class OfParts(LiveBytes):
        """Of a tensor in parts, counts the part."""

        def _add(self, tensor: torch.Tensor) -> None:
            super()._add(tensor.to_local() if isinstance(tensor, DTensor) else tensor)

    def call(module: Any, device: torch.device, **settings: Any) -> None:
        empty = all(isinstance(x, DTensor) and x.to_local().is_meta for x in module.parameters())
        with OfParts() as watch:
            materialize(module, device, **settings)
        parameters = list(module.parameters())
        held = {
            "empty": empty,
            "whole": sum(x.nbytes for x in parameters),
            "part": sum(x.to_local().nbytes for x in parameters),
            "peak": watch.peak["cpu"],
        }
        report.write_text(json.dumps(held))

    return call


if __name__ == "__main__":
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    from genoseq.training import train
    from genoseq_tasks import base

    config = config_of(sys.argv[1:])
    report = Path(config.run_dir).parent / f"memory_{os.environ.get('LOCAL_RANK', 0)}.json"
    base.materialize = watched(base.materialize, report)
    train(config)
