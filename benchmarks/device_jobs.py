"""Jobs of a study, beside each other on devices, those that are done left out: what the studies share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from genoseq.benchmark import job_queue

FINISHED = "performance.json"
"""What a run folder has when its training is over."""


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


def training(folder: Path, overrides: Sequence[str], *, done: str = FINISHED) -> Job:
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
    waiting = {job.name: job for job in jobs if not job.done.exists()}
    gpus = tuple(device for device in devices if device != "cpu")
    places = job_queue.Places(gpus, per_device=parallel, processes=parallel)

    def say(job: job_queue.Job, well: bool) -> None:
        print(f"{job.name}: {'done' if well and waiting[job.name].done.exists() else 'FAILED'}", flush=True)

    queued = [job_queue.Job(job.name, tuple(job.command), job.log) for job in waiting.values()]
    outcome = job_queue.run_jobs(queued, places, on_end=say)
    for failure in outcome.failed:
        print(f"{failure.job.log} ends, with status {failure.status}, with\n{failure.last_lines}", flush=True)
    ended_badly = {failure.job.name for failure in outcome.failed}
    failed = [name for name, job in waiting.items() if name in ended_badly or not job.done.exists()]
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


def run_and_table(description: str | None) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The parser of a study with the commands `run OUT` and `table OUT`, and that of `run`, to add to.

    Args:
        description: of the study, printed as it is.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    for command in (running, commands.add_parser("table")):
        command.add_argument("out", type=Path)
    add_places(running)
    return parser, running
