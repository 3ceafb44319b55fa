"""Jobs over devices: as many as there are places, none twice, and a failure that stops no other."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (
    "import os, sys, pathlib; pathlib.Path(sys.argv[1]).write_text(os.environ['CUDA_VISIBLE_DEVICES']); "
    "print('ran'); sys.exit(int(sys.argv[2]))"
)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.delitem(sys.modules, "device_jobs", raising=False)
    return importlib.import_module("device_jobs")


def test_a_failure_is_named_and_stops_no_other(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def job(name: str, code: int) -> object:
        done = tmp_path / name
        command = [sys.executable, "-c", PROGRAM, str(done), str(code)]
        return script.Job(name, command, done, tmp_path / "logs" / name)

    jobs = [job("bad", 3), *(job(f"good{number}", 0) for number in range(3))]
    with pytest.raises(SystemExit, match=r"1 of 4 jobs failed: bad$"):
        script.run_jobs(jobs, devices=["0", "cpu"], parallel=1)
    assert {(tmp_path / f"good{number}").read_text() for number in range(3)} <= {"", "0"}
    printed = capsys.readouterr().out
    assert "bad: FAILED" in printed
    assert "with status 3, with\nran" in printed
    (tmp_path / "bad").unlink()
    with pytest.raises(SystemExit, match="1 of 1 jobs failed"):
        script.run_jobs(jobs, devices=["0"], parallel=2)
    assert [(tmp_path / "logs" / name).read_text() for name in ("bad", "good0")] == ["ran\n" * 2, "ran\n"]


def test_a_job_that_leaves_nothing_has_failed(script: ModuleType, tmp_path: Path) -> None:
    job = script.Job("empty", [sys.executable, "-c", ""], tmp_path / "nothing", tmp_path / "log")
    with pytest.raises(SystemExit, match="empty"):
        script.run_jobs([job], devices=["cpu"], parallel=1)


def test_minutes_on_the_clock(script: ModuleType) -> None:
    assert [script.on_the_clock(minutes) for minutes in (0.5, 90, 1501)] == [
        "00:00:00:30",
        "00:01:30:00",
        "01:01:01:00",
    ]
