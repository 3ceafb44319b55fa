"""Jobs over places: several at a time, failures told, time that runs out, no place shared."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from genoseq.benchmark.job_queue import Job, Places, run_jobs
from genoseq.errors import ConfigError


def job(folder: Path, name: str, code: str, *, on_device: bool = True) -> Job:
    return Job(name, (sys.executable, "-S", "-c", code), folder / f"{name}.log", on_device)


def test_every_job_runs_once_on_a_place_of_its_kind(tmp_path: Path) -> None:
    say = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    jobs = [job(tmp_path, f"job{i}", say, on_device=i < 4) for i in range(6)]
    ended = []
    places = Places(devices=("3", "5"), per_device=1, processes=2)
    outcome = run_jobs(jobs, places, on_end=lambda one, well: ended.append((one.name, well)))
    assert sorted(ended) == [(f"job{i}", True) for i in range(6)]
    assert len(outcome.done) == 6
    said = [(tmp_path / f"job{i}.log").read_text().strip() for i in range(6)]
    assert set(said[:4]) <= {"3", "5"}
    assert said[4:] == ["", ""]


def test_without_devices_all_are_on_the_cpu_and_no_more_at_a_time_than_asked(tmp_path: Path) -> None:
    # Each job fails where another is at work.
    code = (
        f"import os, time; path = {str(tmp_path / 'busy')!r}\n"
        "os.close(os.open(path, os.O_CREAT | os.O_EXCL)); time.sleep(0.05); os.remove(path)"
    )
    outcome = run_jobs([job(tmp_path, f"job{i}", code) for i in range(4)], Places(processes=1))
    assert [one.name for one in outcome.done] == [f"job{i}" for i in range(4)]


def test_a_failure_is_told_with_its_last_lines_and_stops_no_other(tmp_path: Path) -> None:
    jobs = [job(tmp_path, "bad", "print('what went wrong'); raise SystemExit(3)"), job(tmp_path, "good", "")]
    outcome = run_jobs(jobs, Places())
    assert [one.name for one in outcome.done] == ["good"]
    (failure,) = outcome.failed
    assert (failure.job.name, failure.status) == ("bad", 3)
    assert "what went wrong" in failure.last_lines


def test_when_time_is_over_what_runs_is_asked_to_stop_and_nothing_is_begun(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "def end(*_): print('wrote a checkpoint', flush=True); sys.exit(1)\n"
        "signal.signal(signal.SIGTERM, end); print('began', flush=True); time.sleep(60)"
    )
    jobs = [job(tmp_path, "long", code), job(tmp_path, "later", "print('ran')")]
    began = time.monotonic()
    outcome = run_jobs(jobs, Places(), seconds=4.0)
    assert time.monotonic() - began < 40
    assert sorted(one.name for one in outcome.stopped) == ["later", "long"]
    assert not outcome.done
    assert not outcome.failed
    assert "wrote a checkpoint" in (tmp_path / "long.log").read_text()
    assert not (tmp_path / "later.log").exists()


def test_sigterm_ends_the_jobs_before_the_process(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "def end(*_): open('ended', 'w').close(); sys.exit(1)\n"
        "signal.signal(signal.SIGTERM, end); open('began', 'w').close(); time.sleep(60)"
    )
    outer = (
        "import sys, pathlib\n"
        "from genoseq.benchmark.job_queue import Job, Places, run_jobs\n"
        f"run_jobs([Job('job', (sys.executable, '-S', '-c', {code!r}), pathlib.Path('log'))], Places())"
    )
    with subprocess.Popen([sys.executable, "-c", outer], cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while not (tmp_path / "began").exists() and time.monotonic() < until:
            time.sleep(0.05)
        process.terminate()
        assert process.wait(60) != 0
    assert (tmp_path / "ended").exists()


def test_places_have_to_be_some() -> None:
    with pytest.raises(ConfigError, match="processes=0"):
        Places(processes=0)
