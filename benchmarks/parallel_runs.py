"""Many training runs, several at a time on each device; those that are finished are not repeated."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CPU = "cpu"


def run_all(
    jobs: Mapping[Path, Sequence[str]],
    *,
    devices: Sequence[str],
    parallel: int,
    done: str = "performance.json",
) -> None:
    """Train, with `resume=auto`, in the folder of each job.

    Args:
        jobs: run folder -> settings.
        devices: numbers of the GPUs, or `cpu`.
        parallel: runs at a time on each of them.
        done: file of a run folder that its run leaves behind last.

    Raises:
        CalledProcessError: a run failed; what was written stays, and the same call goes on from it.
    """
    free: queue.Queue[str] = queue.Queue()
    for device in list(devices) * parallel:
        free.put(device)

    def train(job: tuple[Path, Sequence[str]]) -> None:
        folder, settings = job
        if (folder / done).exists():
            return
        device = free.get()
        try:
            own = [f"run_dir={folder}", "resume=auto", "report=false"]
            command = [sys.executable, "-m", "genoseq", "train", *settings, *own]
            visible = "" if device == CPU else device
            subprocess.run(command, check=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": visible})
        finally:
            free.put(device)
        print(f"{folder}: done", flush=True)

    with ThreadPoolExecutor(len(devices) * parallel) as pool:
        list(pool.map(train, jobs.items()))
