"""`genoseq design`: sequences that a model scores well and that hold constraints."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from genoseq.cli.progress import counted
from genoseq.errors import ConfigError, require_choice
from genoseq.inference import read_records
from genoseq.inference.design import (
    METHODS,
    Designs,
    ModelScorer,
    Search,
    design,
    draw,
    nearest_known,
    pairwise_identity,
)
from genoseq.inference.devices import pick_device
from genoseq.inference.outputs import atomic_file, open_fasta, open_table, write_fasta
from genoseq.inference.records import Record, naming
from genoseq.models.chunks import require_bases
from genoseq.models.hub import load
from genoseq.paths import locate
from genoseq.report import DesignReport
from genoseq.sequence import Constraints, encode_bases

log = logging.getLogger(__name__)
_GENERATION = "generation"


def run(config: DictConfig) -> None:
    """Write `out`, and `table` and `page` where they are given, as `configs/design.yaml` describes them."""
    require_choice("method", config.method, (*METHODS, _GENERATION))
    with ExitStack() as files:
        # Opened before any work is done: where they cannot be written, nothing is begun.
        fasta = files.enter_context(open_fasta(config.out))
        table = None
        if config.table is not None:
            formats = (".tsv", ".csv", ".parquet")
            table = files.enter_context(open_table(config.table, formats=formats))
        page = None if config.page is None else files.enter_context(_page(config.page))
        starts, known = _texts(config, "starts"), _texts(config, "reference")
        constraints = _constraints(config, starts)
        scorer = ModelScorer(_model(config, "checkpoint"), target=config.target, passes=config.passes)
        judge = None
        if config.judge is not None:
            if locate(config.judge) == locate(config.checkpoint):
                log.warning("judge=%s is the scorer itself: it is no independent one", config.judge)
            judge = ModelScorer(_model(config, "judge"), target=config.judge_target)
        # Scored first: what a model cannot read is told before any work is done.
        known_rows = None if page is None or known is None else _scored(known, scorer, judge)
        designs = _designs(config, scorer, constraints, starts)
        rows = _described(designs.table, judge, known)
        write_fasta(fasta, (Record(_header(number, row), row["sequence"]) for number, row in rows.iterrows()))
        if table is not None:
            table.write(rows)
        if page is not None:
            groups = _groups(rows, known_rows)
            _report(config, groups, designs.rounds, scorer, judge).write(page)
    log.info("%s designs in %s", len(rows), config.out)


def _model(config: DictConfig, setting: str) -> Any:
    return load(locate(config[setting]), device=str(pick_device(config.device)))


def _page(path: str) -> Any:
    if not path.lower().endswith((".html", ".md")):
        raise ConfigError(f"page={path}: the name has to end in .html or .md, which says the format.")
    return atomic_file(path)


def _texts(config: DictConfig, setting: str) -> list[str] | None:
    if config[setting] is None:
        return None
    texts = []
    for record in read_records(config[setting], sequence_column=config.sequence_column):
        with naming(record):
            require_bases(record.sequence)
            encode_bases(record.sequence[:])
        texts.append(record.sequence[:].upper())
    return texts


def _constraints(config: DictConfig, starts: Sequence[str] | None) -> Constraints:
    given: dict[str, Any] = OmegaConf.to_container(config.constraints, resolve=True)  # type: ignore[assignment]
    length = config.length
    if length is None:
        if not starts:
            raise ConfigError("length=null: give the bases of each sequence, or starts= of one length.")
        length = len(starts[0])
    fixed = given.pop("fixed") or {}
    if not isinstance(fixed, dict) or not all(str(place).isdecimal() for place in fixed):
        raise ConfigError(f"constraints.fixed={fixed}: give places and letters, such as {{20: TATAAA}}.")
    gc = given.pop("gc")
    return Constraints(
        length=length,
        gc=None if gc is None else tuple(gc) if isinstance(gc, list) else (gc,),
        forbidden=_several(given.pop("forbidden")),
        enzymes=_several(given.pop("enzymes")),
        fixed={int(place): str(letters) for place, letters in fixed.items()},
        **given,
    )


def _several(given: Any) -> tuple[str, ...]:
    """A list, or one alone, as words: a single motif is no list of its letters."""
    return tuple(map(str, given if isinstance(given, list) else [given]))


def _designs(
    config: DictConfig, scorer: ModelScorer, constraints: Constraints, starts: Sequence[str] | None
) -> Designs:
    shared: dict[str, Any] = {
        "num_sequences": config.num_sequences,
        "direction": config.direction,
        "seed": config.seed,
        "batch_size": config.batch_size,
        "progress": partial(counted, what="designs", total=config.num_sequences),
    }
    if config.method == _GENERATION:
        if starts is not None:
            raise ConfigError("method=generation begins from nothing: leave starts= out.")
        generator = _model(config, "checkpoint" if config.generator is None else "generator")
        return draw(
            generator,
            scorer,
            constraints,
            candidates=config.candidates,
            control=config.control,
            sweeps=config.sweeps,
            **shared,
        )
    unused = [name for name in ("generator", "control") if config[name] is not None]
    if unused:
        raise ConfigError(f"{', '.join(unused)}: leave out, or give method=generation.")
    names = ("rounds", "children", "mutations", "temperature", "learning_rate")
    search = Search(**{name: config[name] for name in names})
    return design(scorer, constraints, method=config.method, search=search, starts=starts, **shared)


def _described(table: pd.DataFrame, judge: ModelScorer | None, known: Sequence[str] | None) -> pd.DataFrame:
    """The table with names, what the judge says, and the nearest known sequence."""
    rows = table.copy()
    rows.insert(0, "name", [f"design_{number}" for number in range(len(rows))])
    if judge is not None:
        for column, texts in (("judge_score", "sequence"), ("judge_start_score", "start")):
            rows[column] = judge(list(rows[texts]))
    if known is not None:
        nearest = nearest_known(list(rows["sequence"]), known)
        rows["nearest_known"] = [found.number for found in nearest]
        rows["identity_to_known"] = [found.identity for found in nearest]
    return rows


def _header(number: Any, row: pd.Series) -> str:
    words = [row["name"], f"score={row['score']:.4f}", f"start_score={row['start_score']:.4f}"]
    if "judge_score" in row:
        words.append(f"judge_score={row['judge_score']:.4f}")
    if "identity_to_known" in row:
        words.append(f"identity_to_known={row['identity_to_known']:.4f}")
    return " ".join(words)


def _scored(texts: Sequence[str], scorer: ModelScorer, judge: ModelScorer | None) -> pd.DataFrame:
    columns: dict[str, Any] = {"sequence": texts, "score": scorer(texts)}
    if judge is not None:
        columns["judge_score"] = judge(texts)
    return pd.DataFrame(columns)


def _groups(rows: pd.DataFrame, known: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    """Designs, what they began as, and known sequences, each with its scores."""
    began = rows[["start", "start_score"]].set_axis(["sequence", "score"], axis=1)
    if "judge_start_score" in rows:
        began["judge_score"] = rows["judge_start_score"]
    groups = {"designed": rows, "where they began": began}
    return groups if known is None else groups | {"known": known}


def _report(
    config: DictConfig,
    groups: dict[str, pd.DataFrame],
    rounds: pd.DataFrame,
    scorer: ModelScorer,
    judge: ModelScorer | None,
) -> DesignReport:
    designed = groups["designed"]
    rules = {f"constraint: {name.replace('_', ' ')}": text for name, text in _rules(config).items()}
    facts = {"method": config.method, "direction": config.direction, "seed": str(config.seed), **rules}
    facts["constraints held"] = f"by all {len(designed):,}, verified by other means"
    several = len(designed) > 1
    return DesignReport(
        title=f"{len(designed):,} designed sequences",
        facts=facts,
        groups=groups,
        scorer=scorer.name,
        rounds=rounds,
        judge=None if judge is None else judge.name,
        novelty=np.array(designed["identity_to_known"]) if "identity_to_known" in designed else None,
        diversity=pairwise_identity(list(designed["sequence"])) if several else None,
        real="known" if "known" in groups else None,
        higher_is_better=config.direction == "maximise",
    )


def _rules(config: DictConfig) -> dict[str, str]:
    """The constraints that were asked for, in words; what says how one is read only where that is there."""
    given: dict[str, Any] = OmegaConf.to_container(config.constraints, resolve=True)  # type: ignore[assignment]
    reading = set() if given["protein"] else {"protein_start", "code"}
    if not (given["forbidden"] or given["enzymes"]):
        reading.add("both_strands")
    return {
        name.replace("gc", "GC"): _in_words(name, value)
        for name, value in given.items()
        if value not in (None, []) and name not in reading
    }


def _in_words(name: str, value: Any) -> str:
    if name == "gc":
        return f"{value[0]:.0%} to {value[1]:.0%}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{letters} at {place}" for place, letters in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
