"""Two steps of training in a process of its own: prints the predicted and the measured peak, in bytes.

`memory_step.py KEY=VALUE...`, settings of `genoseq train`. On a GPU the peak is the allocator's; on the CPU
the growth of the process, to which the weights, there from the start, are added.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from genoseq.paths import configs_dir
from genoseq.training.assembly import build_model, build_task
from genoseq.training.optimizers import parameter_groups
from genoseq.training.plan import plan


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=sys.argv[1:])
    predicted = plan(config)
    cuda = predicted.device.startswith("cuda")
    device = torch.device("cuda" if cuda else "cpu")
    task = build_task(config, build_model(config, instantiate(config.data))).to(device)
    groups = parameter_groups(task, lr=1e-3, weight_decay=0.1)
    optimizer = instantiate(config.optimizer)(groups)
    batch = predicted.shape.blank(device)
    weights = sum(x.nbytes for x in [*task.parameters(), *task.buffers()])
    before = resident()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        with torch.autocast(device.type, torch.bfloat16, enabled=predicted.precision == "bf16-mixed"):
            loss = task.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        del loss
        optimizer.step()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    measured = torch.cuda.max_memory_allocated() if cuda else grown + weights
    print(predicted.memory.total, measured)


if __name__ == "__main__":
    main()
