"""The processes that prepare batches: how they are started, and what does not end them."""

from __future__ import annotations

import multiprocessing
import signal
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What asks a training run to end with a checkpoint."""

_SERVER = "genoseq.data.worker_server"


def worker_arguments(num_workers: int) -> dict[str, Any]:
    """The arguments of a torch DataLoader that say how its workers are made.

    They come from a fork server, a process without threads: one that is forked from a training process can
    hang for ever, on a lock that a thread of torch.distributed held at that moment. So a dataset has to be
    picklable, and of a class that can be imported.
    """
    if num_workers == 0:
        return {"num_workers": 0}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_SERVER])
    return {
        "num_workers": num_workers,
        "multiprocessing_context": context,
        "worker_init_fn": leave_stop_signals,
    }


def leave_stop_signals(worker: int | None = None) -> None:
    """Let STOP_SIGNALS pass in a process that works for a training process.

    SLURM sends them to every process of a job. The training process still needs batches to finish its step;
    it ends its workers itself.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
