"""Commands that run beside each other, several at a time on each device: what the studies share."""

from __future__ import annotations

import argparse
import os
import queue
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

LAST_LINES = 15


@dataclass(frozen=True)
class Job:
    """A command, and how one knows that it is done.

    Attributes:
        name: of the job in what is printed.
        command: its words; CUDA_VISIBLE_DEVICES names the one device that it may use.
        done: the file that it leaves at its end; a job whose file is there is not run.
        log: where everything that it prints goes.
    """

    name: str
    command: Sequence[str]
    done: Path
    log: Path


def training(folder: Path, overrides: Sequence[str], *, done: str = "performance.json") -> Job:
    """`genoseq train` into a folder, going on with what is in it.

    Args:
        folder: of the run.
        overrides: the settings.
        done: the file of the folder that is written last: `results.json` where test is opened.
    """
    command = [sys.executable, "-m", "genoseq", "train", *overrides, f"run_dir={folder}", "resume=auto"]
    return Job(str(folder), command, folder / done, folder.with_name(f"{folder.name}.log"))


def run_jobs(jobs: Iterable[Job], *, devices: Sequence[str], parallel: int) -> None:
    """Run those that are not done yet, in their order, as places become free.

    One that fails does not stop the others.

    Args:
        jobs: what is to be run.
        devices: numbers of the GPUs; `cpu` for none.
        parallel: jobs at a time on each of them. All share the processor's cores evenly, unless
            OMP_NUM_THREADS is set.

    Raises:
        SystemExit: some failed; it names them, and shows the last lines of each.
    """
    free: queue.Queue[str] = queue.Queue()
    for device in list(devices) * parallel:
        free.put(device)
    places = len(devices) * parallel
    threads = str(max(1, (os.cpu_count() or 1) // places))

    def run(job: Job) -> str | None:
        device = free.get()
        started = time.monotonic()
        visible = "" if device == "cpu" else device
        environment = {"OMP_NUM_THREADS": threads, **os.environ, "CUDA_VISIBLE_DEVICES": visible}
        job.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with job.log.open("a") as log:
                code = subprocess.run(job.command, env=environment, stdout=log, stderr=log).returncode
        finally:
            free.put(device)
        seconds = f"{time.monotonic() - started:.0f} s on {device}"
        if code == 0 and job.done.exists():
            print(f"{job.name}: done, {seconds}", flush=True)
            return None
        last = "\n".join(job.log.read_text(errors="replace").splitlines()[-LAST_LINES:])
        print(f"{job.name}: FAILED with {code}, {seconds}; {job.log} ends with\n{last}", flush=True)
        return job.name

    waiting = [job for job in jobs if not job.done.exists()]
    with ThreadPoolExecutor(places) as pool:
        failed = [name for name in pool.map(run, waiting) if name is not None]
    if failed:
        raise SystemExit(f"{len(failed)} of {len(waiting)} jobs failed: {', '.join(failed)}")


def on_the_clock(minutes: float) -> str:
    """As the days, hours, minutes and seconds of `trainer.max_time`."""
    rest, seconds = divmod(round(60 * minutes), 60)
    return f"{rest // 1440:02}:{rest // 60 % 24:02}:{rest % 60:02}:{seconds:02}"


def add_places(parser: argparse.ArgumentParser) -> None:
    """`--devices` and `--parallel`, of `run_jobs`, and `--set`, of every training."""
    parser.add_argument("--devices", nargs="+", default=["0"], help="numbers of the GPUs, or cpu (0)")
    parser.add_argument("--parallel", type=int, default=1, help="runs at a time on each of them (1)")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="further settings of every run"
    )
