"""`genoseq score` killed at work, and run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from genoseq.data import Fasta
from genoseq.models import HyenaDNA, LanguageModelHead, SequenceModel
from genoseq.tokenizers import CharacterTokenizer


@pytest.mark.slow
def test_a_killed_run_gives_the_same_file(tiny_fasta: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=16, num_layers=2, l_max=258, filter_order=8, initializer_range=0.3)
    model = SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer()).save(
        tmp_path / "model"
    )
    letters = Fasta(tiny_fasta).fetch("chr1", 0, 5000)
    vcf = tmp_path / "in.vcf"
    with vcf.open("w") as file:
        file.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for place, base in enumerate(letters[:600]):
            others = ",".join(other for other in "ACGT" if other != base)
            file.write(f"chr1\t{place + 1}\t.\t{base}\t{others}\t.\t.\t.\n")

    def command(out: Path) -> list[str]:
        settings = [f"checkpoint={model}", f"vcf={vcf}", f"fasta={tiny_fasta}", f"out={out}", "device=cpu"]
        return [sys.executable, "-m", "genoseq", "score", *settings]

    out, whole = tmp_path / "out.vcf.gz", tmp_path / "whole.vcf.gz"
    scores = tmp_path / ".out.vcf.gz.scoring" / "scores.f32"
    process = subprocess.Popen(command(out), env=os.environ)
    deadline = time.monotonic() + 300
    while not (scores.exists() and scores.stat().st_size > 4 * 16 * 2):
        assert process.poll() is None, "it is still at work"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    again = subprocess.run(command(out), capture_output=True, text=True, check=True)
    assert "going on after" in again.stderr
    subprocess.run(command(whole), check=True)
    assert out.read_bytes() == whole.read_bytes()
    assert Path(f"{out}.tbi").exists()
    assert sorted(path.name for path in tmp_path.glob(".*")) == []
