"""The benchmark harness: what its tables say of contestants that run, err, fail and are missing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The harness as its scripts import it, and nothing of it left behind."""
    monkeypatch.syspath_prepend(ROOT / "kernels/bench")
    import harness  # type: ignore[import-not-found]

    yield harness
    for name in ("harness", "measure"):
        sys.modules.pop(name, None)


def make_inputs(device: str) -> dict[str, Any]:
    x = torch.randn(4, 50, generator=torch.Generator().manual_seed(0)).to(device)
    return {"x": x.requires_grad_(), "power": 2}


def square(x: torch.Tensor, power: int) -> torch.Tensor:
    return x**power


def fails(x: torch.Tensor, power: int) -> torch.Tensor:
    raise RuntimeError("no such\nkernel")


def wrong(x: torch.Tensor, power: int) -> tuple[torch.Tensor]:
    return (x**power * 1.5,)


def test_every_contestant_has_a_row(harness: ModuleType, tmp_path: Path) -> None:
    def missing(case: Any) -> Callable[..., Any]:
        import package_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401

        raise AssertionError

    def refuses(case: Any) -> Callable[..., Any]:
        raise harness.DoesNotApply(f"not {case.options['shape']}")

    case = harness.Case("4 x 50", make_inputs, harness.Work((1600, 3200)), options={"shape": "square"})
    other = harness.Case("other", make_inputs, harness.Work((1600, 3200)))
    contestants = [
        harness.Contestant("good", lambda case: square),
        harness.Contestant("missing", missing),
        harness.Contestant("refuses", refuses),
        harness.Contestant("fails", lambda case: fails),
        harness.Contestant("wrong", lambda case: wrong),
    ]
    arguments = ["--size", "tiny", "--out", str(tmp_path / "out"), "--cases", "4 X"]
    rows = harness.main("square", lambda size: [case, other], contestants, square, arguments)
    by_name = {row.contestant: row for row in rows}
    assert [row.contestant for row in rows] == ["floor", "missing", "refuses", "fails", "good", "wrong"]

    assert by_name["floor"].both.median == pytest.approx(2 * by_name["floor"].forward.median)
    assert by_name["good"].forward.median > by_name["floor"].forward.median > 0
    assert by_name["good"].forward.calls >= 5
    assert by_name["good"].forward.processor > 0
    assert by_name["good"].error < 1e-6
    assert by_name["good"].gradient_error < 1e-6
    assert by_name["wrong"].error == pytest.approx(0.5)
    assert by_name["wrong"].gradient_error == pytest.approx(0.5)
    assert by_name["missing"].note == "not installed: No module named 'package_that_nobody_has'"
    assert by_name["refuses"].note == "does not apply: not square"
    assert by_name["fails"].note == "RuntimeError: no such kernel"
    assert by_name["fails"].forward is None

    written = json.loads((tmp_path / "out/square.json").read_text())
    assert [row["contestant"] for row in written["rows"]] == [row.contestant for row in rows]
    assert float(written["copied_bytes_per_second"]) > 0
    table = (tmp_path / "out/square.md").read_text()
    assert "| 4 x 50 | fails |  |  |  |  |  |  | RuntimeError: no such kernel |" in table


def test_a_script_does_not_hide_the_peer_of_its_name(harness: ModuleType) -> None:
    assert str(ROOT / "kernels/bench") not in sys.path


def test_a_table_from_the_command_line(tmp_path: Path) -> None:
    script = ROOT / "kernels/bench/causal_conv1d.py"
    command = [sys.executable, script, "--size", "tiny", "--contestants", "reference", "--out", tmp_path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == (tmp_path / "causal_conv1d.md").read_text()
    rows = json.loads((tmp_path / "causal_conv1d.json").read_text())["rows"]
    assert [row["contestant"] for row in rows] == ["floor", "genoseq reference"] * 2
    assert all(row["error"] < 1e-6 for row in rows if row["contestant"] != "floor")
