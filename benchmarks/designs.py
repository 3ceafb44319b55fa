"""Are designed elements what they were designed to be? Judges say so that the design never saw.

    python benchmarks/designs.py OUT --train train.tsv.gz --test test.tsv.gz [--num 10000]
        [--methods evolution gradient] [--generator RUN --control 1] [--set KEY=VALUE ...]

cuts the training table in halves that share no 32-mer. On one half the scorer is trained (HyenaDNA, from
scratch or as `--set` says), on the other two judges: a Mamba-2 of another seed, and the k-mer logistic
regression of the baselines. `--num` sequences are then designed from random starts, under constraints (30
to 65 % GC in every 50 bases, no run above 6, no site of EcoRI or BsaI). With `--generator`, a language model
that was trained on data=conditional writes as many under the same constraints (method generation). OUT gets
the sequences, a table that is also printed, and a page with plots for each method. Trained runs and designs
that are there are not made again. Labels are 0 and 1; 1 is what is wanted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from judging import kmer_judged
from scipy.spatial.distance import jensenshannon

from genoseq.data import kmer_groups, read_table
from genoseq.inference.design import (
    METHODS,
    ModelScorer,
    Search,
    design,
    draw,
    nearest_known,
    pairwise_identity,
)
from genoseq.inference.devices import pick_device
from genoseq.models.hub import load
from genoseq.paths import configs_dir
from genoseq.report import DesignReport
from genoseq.report.plots.composition import kmer_counts
from genoseq.sequence import Constraints, encode_bases
from genoseq.sequence.feasible import Feasible

EXPERIMENT = ["experiment=umaydis", "data=labelled", "data.strand=stranded", "data.leaks=drop"]
SEARCH = {
    "evolution": Search(rounds=40, children=8),
    "sampling": Search(rounds=200, temperature=0.5),
    "gradient": Search(rounds=100, temperature=0.5, learning_rate=0.2),
}
CANDIDATES = 8
WORD = 6
REAL = "real test rows of 1"


def halves(train: str, folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """Two tables of the rows of one, no 32-mer in both."""
    table = read_table(train)
    groups = kmer_groups(table["sequence"].tolist())
    side = np.random.default_rng(seed).integers(0, 2, size=groups.max() + 1)[groups]
    paths = folder / "half_of_the_scorer.tsv", folder / "half_of_the_judges.tsv"
    for number, path in enumerate(paths):
        table[side == number].to_csv(path, sep="\t", index=False)
    return paths


def train(run: Path, half: Path, test: str, *overrides: str) -> None:
    if (run / "results.json").exists():
        return
    command = [sys.executable, "-m", "genoseq", "train", *EXPERIMENT, f"run_dir={run}", "test=true"]
    data = [f"data.train={half}", f"data.test={test}", "baselines=none"]
    subprocess.run([*command, "resume=auto", *data, *overrides], check=True)


def constraints(length: int) -> Constraints:
    return Constraints(
        length=length, gc=(0.3, 0.65), gc_window=50, max_homopolymer=6, enzymes=("EcoRI", "BsaI")
    )


def in_words(rules: Constraints) -> str:
    assert rules.gc is not None
    low, high = rules.gc
    return (
        f"{rules.length} bases, {low:.0%} to {high:.0%} GC in every {rules.gc_window}, "
        f"no run above {rules.max_homopolymer}, no site of {' or '.join(rules.enzymes)}"
    )


def random_sequences(rules: Constraints, count: int) -> list[str]:
    """Sequences drawn evenly under the constraints: what the designs would be without a scorer."""
    feasible = Feasible(rules)
    rows = (feasible.random(np.random.default_rng([1, number])) for number in range(count))
    return ["".join("ACGT"[code] for code in row) for row in rows]


def designed(
    method: str, given: argparse.Namespace, scorer: ModelScorer, rules: Constraints, device: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    table, rounds = (given.out / f"{kind}_{method}.tsv" for kind in ("designs", "rounds"))
    if not table.exists():
        began = time.perf_counter()
        if method in METHODS:
            found = design(
                scorer, rules, num_sequences=given.num, method=method, search=SEARCH[method], batch_size=512
            )
        else:
            model = load(given.generator, device=device)
            settings = {"candidates": CANDIDATES, "control": given.control, "batch_size": 2048}
            found = draw(model, scorer, rules, num_sequences=given.num, **settings)
        print(f"{method}: {given.num / (time.perf_counter() - began):.1f} designs a second", flush=True)
        found.rounds.to_csv(rounds, sep="\t", index=False)
        found.table.to_csv(table, sep="\t", index=False)
    return pd.read_table(table), pd.read_table(rounds)


def described(
    source: str, table: pd.DataFrame, rules: Constraints, real: list[str], known: list[str] | None
) -> dict[str, object]:
    """A row of the table; `known` are the scorer's training sequences, None where novelty has no meaning."""
    texts = table["sequence"].tolist()
    words = [kmer_counts([encode_bases(text) for text in side], WORD) for side in (texts, real)]
    row = {
        "source": source,
        "sequences": f"{len(texts):,}",
        "different": f"{len(set(texts)):,}",
        "hold all": f"{np.mean([not rules.violations(text) for text in texts]):.4f}",
        "score": f"{table['score'].median():.2f}",
        "judge: network": f"{table['judge_score'].median():.2f}",
        "... says 1": f"{(table['judge_score'] > 0).mean():.3f}",
        "judge: k-mers say 1": f"{(table['kmers'] == '1').mean():.3f}",
        "GC": f"{np.mean([text.count('G') + text.count('C') for text in texts]) / rules.length:.3f}",
        f"{WORD}-mers to real 1": f"{jensenshannon(*words, base=2):.3f}",
        "two of them": f"{np.median(pairwise_identity(texts)):.3f}",
    }
    if known is not None:
        identities = [found.identity for found in nearest_known(texts, known)]
        row["nearest known"] = f"{np.median(identities):.3f}, at most {max(identities):.3f}"
    return row


def compared(
    designs: dict[str, pd.DataFrame], rules: Constraints, test: pd.DataFrame, num: int
) -> pd.DataFrame:
    """Designs of each method, random sequences and real ones: `source`, `sequence`."""
    groups = {f"designed by {method}": table[["sequence"]] for method, table in designs.items()}
    random = random_sequences(rules, min(num, 2000))
    groups["random, under the constraints"] = pd.DataFrame({"sequence": random})
    for label in ("0", "1"):
        groups[f"real test rows of {label}"] = test.loc[test["label"] == label, ["sequence"]]
    return pd.concat(groups, names=["source"]).reset_index("source")


def judge_all(
    everything: pd.DataFrame, scorer: ModelScorer, judge: ModelScorer, judges: Path, test: str
) -> dict[str, pd.DataFrame]:
    """Each source with `score`, `judge_score` and `kmers`, what the k-mer regression says."""
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        data = [f"data.train={judges}", f"data.test={test}"]
        real = instantiate(compose("train", overrides=[*EXPERIMENT, *data]).data)
    texts = everything["sequence"].tolist()
    # The regression wants a label, and does not look at it.
    kmers = kmer_judged(real, everything.assign(label="1"))["prediction"].to_numpy().astype(str)
    table = everything.assign(score=scorer(texts), judge_score=judge(texts), kmers=kmers)
    return dict(iter(table.groupby("source", sort=False)))


def page_of(
    method: str,
    rounds: pd.DataFrame,
    parts: dict[str, pd.DataFrame],
    *,
    known: list[str],
    rules: Constraints,
    scorer: str,
    judge: str,
) -> DesignReport:
    """The report of a method; `known` are the scorer's training sequences."""
    ours = parts[f"designed by {method}"]
    others = {name: part for name, part in parts.items() if "designed" not in name}
    designs = ours["sequence"].tolist()
    return DesignReport(
        title=f"{len(designs):,} sequences designed by {method}",
        facts={"method": method, "constraints": in_words(rules)},
        groups={"designed": ours, **others},
        scorer=scorer,
        rounds=rounds,
        judge=judge,
        novelty=np.array([found.identity for found in nearest_known(designs, known)]),
        diversity=pairwise_identity(designs),
        real=REAL,
    )


def run(given: argparse.Namespace) -> None:
    given.out.mkdir(parents=True, exist_ok=True)
    scorers, judges = halves(given.train, given.out)
    train(given.out / "scorer", scorers, given.test, *given.set)
    train(given.out / "judge", judges, given.test, f"model={given.judge_model}", "seed=1", *given.set)
    device = str(pick_device(given.device))
    torch.set_float32_matmul_precision("highest")
    scorer, judge = (
        ModelScorer(load(given.out / run, device=device), batch_size=1024) for run in ("scorer", "judge")
    )
    test, known = read_table(given.test), read_table(scorers)["sequence"].tolist()
    rules = constraints(int(test["sequence"].str.len().median()))
    methods = [*given.methods, *(["generation"] if given.generator else [])]
    found = {method: designed(method, given, scorer, rules, device) for method in methods}
    everything = compared({method: table for method, (table, _) in found.items()}, rules, test, given.num)
    parts = judge_all(everything, scorer, judge, judges, given.test)
    wanted = parts[REAL]["sequence"].tolist()
    summary = pd.DataFrame([described(source, part, rules, wanted, known) for source, part in parts.items()])
    summary.to_csv(given.out / "designs.tsv", sep="\t", index=False)
    print(summary.to_string(index=False))
    for method, (_, rounds) in found.items():
        names = {"scorer": scorer.name, "judge": judge.name}
        page = page_of(method, rounds, parts, known=known, rules=rules, **names)
        page.write(given.out / f"designs_{method}.html")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--num", type=int, default=10_000)
    parser.add_argument("--methods", nargs="+", default=["evolution", "gradient"], choices=[*METHODS])
    parser.add_argument("--generator", help="a run of data=conditional: it writes designs too")
    parser.add_argument("--control", default="1", help="the label it is asked for")
    parser.add_argument("--judge-model", default="mamba2_tiny")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of both trainings"
    )
    run(parser.parse_args())


if __name__ == "__main__":
    main()
