"""Groups by k-mers or by MMseqs2, which is played here by a script that groups by the first letters."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from genoseq.data.clusters import sequence_groups
from genoseq.errors import ConfigError, DataError

SEQUENCES = ["ACGTTGCAAC", "ACGGGGGTTT", "TTTTGGCCAA", "ACGTTGCAAG"]
SCRIPT = """#!{python}
import sys
command, fasta, prefix, work, *options = sys.argv[1:]
assert command == "easy-cluster" and options[options.index("--dbtype") + 1] == "2"
{what}
lines = open(fasta).read().split(">")[1:]
rows = [(part.split()[0], part.split()[1][:3]) for part in lines]
first = {{}}
with open(prefix + "_cluster.tsv", "w") as out:
    for row, letters in rows:
        out.write(first.setdefault(letters, row) + "\\t" + row + "\\n")
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, what: str = "") -> None:
    program = folder / "mmseqs"
    program.write_text(SCRIPT.format(python=sys.executable, what=what))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_kmers_need_no_program() -> None:
    groups = sequence_groups(SEQUENCES, clusters="kmers", k=8)
    assert groups[0] == groups[3]
    assert len(set(groups.tolist())) == 3


def test_mmseqs_is_asked_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    groups = sequence_groups(SEQUENCES, clusters="mmseqs2", k=8)
    assert groups.tolist() == [0, 0, 2, 0]


def test_what_goes_wrong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="is not on the PATH"):
        sequence_groups(SEQUENCES, clusters="mmseqs2", k=8)
    install(tmp_path, monkeypatch, what="print('no room', file=sys.stderr); sys.exit(1)")
    with pytest.raises(DataError, match="no room"):
        sequence_groups(SEQUENCES, clusters="mmseqs2", k=8)
