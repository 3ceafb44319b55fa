"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

# Read when a kernel is decorated: without a GPU, the tests run Triton kernels through its interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# A busy machine must not fail a property test, and a failure must come back with the same example.
hypothesis.settings.register_profile("genoseq", deadline=None, derandomize=True)
hypothesis.settings.load_profile("genoseq")

ROOT = Path(__file__).resolve().parent.parent


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`gpu` is the one mark of what needs a GPU: asked for where there is none, such a test is skipped."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden outputs and real data, read in place.

    Skips only where no such folder is declared or present; where it is, a set missing inside is a failure.
    """
    declared = os.environ.get("GENOSEQ_SHARED")
    folder = Path(declared) if declared else ROOT.parent / "shared"
    if declared:
        assert folder.is_dir(), f"GENOSEQ_SHARED={declared} is no folder"
    elif not folder.is_dir():
        pytest.skip("no shared folder beside the checkout; set GENOSEQ_SHARED to run this test")
    return folder


@pytest.fixture
def tiny_fasta(tmp_path: Path) -> Path:
    """Two chromosomes of random bases, 5,000 and 3,000 bp, in one plain FASTA."""
    generator = np.random.default_rng(7)
    path = tmp_path / "tiny.fa"
    with path.open("w") as handle:
        for name, length in (("chr1", 5000), ("chr2", 3000)):
            sequence = "".join(generator.choice(list("ACGT"), size=length))
            lines = "\n".join(sequence[start : start + 60] for start in range(0, length, 60))
            handle.write(f">{name}\n{lines}\n")
    return path
