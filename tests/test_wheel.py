"""The wheel, installed in another folder, is whole: configs, data and the console script come with it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    script = [sys.executable, str(installed / "bin" / "genoseq")]
    return subprocess.run([*script, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_holds_configs_data_and_all_three_packages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    homes = {"configs/": "genoseq/_configs/", "data/": "genoseq/_data/", "genoseq/": "genoseq/"}
    homes |= {"kernels/genoseq_kernels/": "genoseq_kernels/", "tasks/genoseq_tasks/": "genoseq_tasks/"}
    for home, packaged in homes.items():
        expected = {packaged + name.removeprefix(home) for name in tracked if name.startswith(home)}
        assert expected
        assert expected <= names, expected - names
    assert not any(name.startswith(("configs/", "data/", "kernels/", "tasks/", "tests/")) for name in names)


def test_trains_and_generates_from_another_folder(installed: Path, tmp_path: Path) -> None:
    info = run(installed, tmp_path, "info")
    assert info.returncode == 0, info.stderr
    assert str(installed) in info.stdout.replace("\n", ""), "another installation answered"
    small = ["trainer.max_steps=2", "global_batch_size=2", "data.length=128", "data.num_workers=0"]
    trained = run(installed, tmp_path, "train", "experiment=smoke", "run_dir=here", *small)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "here" / "model" / "model.safetensors").is_file()
    sampling = ["checkpoint=here", "num_sequences=2", "length=30", "out=designs.fa"]
    generated = run(installed, tmp_path, "generate", *sampling)
    assert generated.returncode == 0, generated.stderr
    assert (tmp_path / "designs.fa").read_text().count(">") == 2
