"""Command lines run several at a time, over GPUs and processes: one queue for studies and benchmarks."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from genoseq.errors import ConfigError

_LAST_LINES = 12
_LOOKS_EVERY = 0.1  # seconds
_PATIENCE = 60.0  # seconds that a job has to write its checkpoint, once it is asked to stop


@dataclass(frozen=True)
class Job:
    """One command line.

    Attributes:
        name: what people call it.
        command: program and arguments.
        log: file that everything it says goes to, after what is there.
        on_device: it wants a GPU, where there is one.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    on_device: bool = True


@dataclass(frozen=True)
class Failure:
    """A job that did not end well: its exit status and the last lines of its log."""

    job: Job
    status: int
    last_lines: str


@dataclass(frozen=True)
class Outcome:
    """What became of the jobs; those that time ran out for are `stopped`, whether begun or not."""

    done: list[Job] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    stopped: list[Job] = field(default_factory=list)


@dataclass(frozen=True)
class Places:
    """Where jobs run.

    Attributes:
        devices: numbers of the GPUs, as CUDA_VISIBLE_DEVICES takes them; none: everything is on the CPU.
        per_device: jobs at a time on each GPU.
        processes: jobs at a time on the CPU.

    Raises:
        ConfigError: there is no place at all.
    """

    devices: tuple[str, ...] = ()
    per_device: int = 1
    processes: int = 1

    def __post_init__(self) -> None:
        if self.per_device < 1 or self.processes < 1:
            raise ConfigError(
                f"per_device={self.per_device}, processes={self.processes}: give 1 or more of each."
            )

    @property
    def environments(self) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        """What is set for each job at a time on GPUs, and for each on the CPU."""
        on_devices = list(self.devices) * self.per_device
        at_once = len(on_devices) + self.processes
        threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // at_once))}
        threads = {} if "OMP_NUM_THREADS" in os.environ else threads
        device_places = [threads | {"CUDA_VISIBLE_DEVICES": device} for device in on_devices]
        return device_places, [threads | {"CUDA_VISIBLE_DEVICES": ""} for _ in range(self.processes)]


def run_jobs(
    jobs: Sequence[Job],
    places: Places,
    *,
    seconds: float | None = None,
    on_end: Callable[[Job, bool], None] = lambda job, well: None,
) -> Outcome:
    """Run every job once, in order, as places become free; one that fails stops no other.

    Args:
        jobs: those that want a device wait for one; without devices all are on the CPU.
        places: how many at a time, and where.
        seconds: after that time nothing is begun, and what runs is sent SIGTERM: a training run then writes
            its checkpoint, from which it goes on the next time. None for no limit.
        on_end: called from any thread after each job, with whether it ended well.

    Raises:
        KeyboardInterrupt: the user did, or SIGTERM came; the jobs that ran were sent SIGTERM and have ended.
    """
    stop = threading.Event()
    outcome = Outcome()
    deadline = None if seconds is None else time.monotonic() + seconds
    device_places, cpu_places = places.environments
    wanted: dict[bool, list[Job]] = {False: list(jobs)}
    if device_places:
        wanted = {kind: [job for job in jobs if job.on_device == kind] for kind in (True, False)}
    slots = {True: device_places, False: cpu_places}
    pools = {kind: ThreadPoolExecutor(len(slots[kind])) for kind in wanted}
    with _interrupted_by_sigterm():
        try:
            futures = [
                future
                for kind, pool in pools.items()
                for future in _submit(pool, wanted[kind], slots[kind], deadline, stop, outcome, on_end)
            ]
            for future in futures:
                future.result()
        finally:
            stop.set()
            for pool in pools.values():
                pool.shutdown(cancel_futures=True)
    return outcome


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM, as a scheduler sends it, ends this process as Ctrl-C does: not before its jobs have ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _submit(
    pool: ThreadPoolExecutor,
    jobs: Sequence[Job],
    slots: Sequence[Mapping[str, str]],
    deadline: float | None,
    stop: threading.Event,
    outcome: Outcome,
    on_end: Callable[[Job, bool], None],
) -> list[Future[None]]:
    free: queue.Queue[Mapping[str, str]] = queue.Queue()
    for slot in slots:
        free.put(slot)

    def work(job: Job) -> None:
        if stop.is_set() or _is_over(deadline):
            outcome.stopped.append(job)
            return
        slot = free.get()
        try:
            status = _run(job, slot, deadline, stop)
        finally:
            free.put(slot)
        if status is None:
            outcome.stopped.append(job)
            return
        if status:
            outcome.failed.append(Failure(job, status, _tail(job.log)))
        else:
            outcome.done.append(job)
        on_end(job, not status)

    return [pool.submit(work, job) for job in jobs]


def _run(
    job: Job, environment: Mapping[str, str], deadline: float | None, stop: threading.Event
) -> int | None:
    """The exit status; None for a job that was told to stop."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with (
        job.log.open("a", encoding="utf-8") as log,
        subprocess.Popen(
            job.command,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
        ) as process,
    ):
        while process.poll() is None:
            if stop.is_set() or _is_over(deadline):
                _end(process)
                return None
            time.sleep(_LOOKS_EVERY)
        return process.returncode


def _end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-_LAST_LINES:])
