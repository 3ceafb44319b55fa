"""What can a frozen or briefly tuned genome model be told before a sequence? Soft prompts, and few shots.

    python benchmarks/in_context.py run OUT hyenadna=runs/celegans_long --folder ../shared/data --parallel 8
    python benchmarks/in_context.py table OUT

    python benchmarks/in_context.py run OUT tiny=runs/tiny --folder ../shared/data \\
        --tuned GUE_prom_core_tata --held-out umaydis_splice_donors --shots 0 1 2 --prompts 0 8 \\
        --steps 60 --tuning-steps 60 --devices cpu

After HyenaDNA (Nguyen et al. 2023), whose two ways these are. A start is a run or model folder of a causal
model of single nucleotides; sets are those of `suite=open`, in `--folder`.

*Soft prompts*: vectors before the sequence learn, and a linear head, on the frozen model; 0 vectors is the
head alone. The rate of each length is chosen on validation with the first seed, then test is opened once for
each seed.

*Few shots*: the model is tuned to answer by the next token, from demonstrations of each class, on the tuned
sets together; its best checkpoint is chosen on their validation parts. It is asked about their test parts,
and about those of the held-out set, of which it sees nothing but demonstrations. Answers are the same tokens
in all episodes (fixed), or drawn for each, so that only demonstrations tell (permuted). Shots whose episodes
the model has no room for are left out, and it says so.

Beside them stands a k-mer regression: fitted on all of train, and on as many demonstrations as the model
sees, once a seed, its penalty chosen on the whole validation part. Finished runs are not repeated. `table`
writes OUT/table.tsv, OUT/in_context.md and OUT/in_context.png: means and 95 % intervals over seeds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pandas as pd
from device_jobs import Job, run_and_table, run_jobs, training
from in_context_kmers import data_settings, number_of_classes, open_task
from in_context_table import table

import genoseq
from genoseq.benchmark.suites.base import Task
from genoseq.data.tables import read_table

TUNED = ("GUE_tf_2", "GUE_mouse_0", "GUE_prom_core_tata")
HELD_OUT = "human_enhancers_iEnhancer2L"
SHOTS = (0, 1, 2, 4, 8, 16)
PROMPTS = (0, 2, 8, 32, 128)
RATES = (1e-3, 1e-2)
TUNING_RATE = 1e-3
VALIDATION = 64  # questions of each set, at each number of shots
ANSWERS = {"fixed": False, "permuted": True}


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        out: the folder of everything.
        starts: model folders by their names.
        folder: of the sets.
        tasks: the sets by their names.
        held_out: the one of them that no model is tuned on.
        shots, train_shots: demonstrations of each class, in evaluation and in tuning.
        prompts: numbers of vectors.
        seeds: how many.
        steps, tuning_steps: of each training of a prompt, and to answer.
        rates: learning rates of prompts to choose from.
        extra: settings of every training.
    """

    out: Path
    starts: Mapping[str, str]
    folder: str
    tasks: Mapping[str, Task]
    held_out: str
    shots: Sequence[int]
    train_shots: int
    prompts: Sequence[int]
    seeds: int
    steps: int
    tuning_steps: int
    rates: Sequence[float] = RATES
    extra: Sequence[str] = ()

    def candidates(self) -> list[Job]:
        """Every start with every prompt on every set, at each rate, with the first seed and without test."""
        return [self._prompted(*case, rate, seed=0) for case in self._prompt_cases() for rate in self.rates]

    def chosen(self) -> list[Job]:
        """All seeds of each at the rate that validation chose, which is written down; with test."""
        jobs, rates = [], {}
        for case in self._prompt_cases():
            scores = {rate: _best(self._prompted(*case, rate, seed=0).done.parent) for rate in self.rates}
            rate = max(scores, key=lambda rate, scores=scores: scores[rate])
            rates["/".join(map(str, case))] = rate
            jobs += [self._prompted(*case, rate, seed=seed, test=True) for seed in range(self.seeds)]
        (self.out / "chosen.json").write_text(json.dumps(rates, indent=1) + "\n")
        return jobs

    def tunings(self) -> list[Job]:
        """Every start tuned to answer, with each seed, its answers fixed and permuted."""
        given = [text for name in self.tasks if name != self.held_out for text in self._few_shot_task(name)]
        jobs = []
        for start, folder, seed in self._few_shot_cases():
            overrides = ["experiment=few_shot", *_model(self.starts[start]), *given, *self._asked(folder)]
            overrides += [f"data.train_shots={self.train_shots}", f"optimizer.lr={TUNING_RATE:g}"]
            overrides += [f"data.validation_questions={VALIDATION}", f"seed={seed}"]
            overrides += [*self._length(self.tuning_steps), "test=true"]
            jobs.append(training(folder, overrides, done="results.json"))
        return jobs

    def questions(self) -> list[Job]:
        """Every tuned model asked about the set that it was not tuned on."""
        jobs = []
        for _, folder, seed in self._few_shot_cases():
            done = folder / "held_out.json"
            command = [sys.executable, "-m", "genoseq", "evaluate", f"checkpoint={folder}", "data=few_shot"]
            command += [*self._few_shot_task(self.held_out), *self._asked(folder)]
            command += [f"seed={seed}", f"out={done}"]
            jobs.append(Job(str(done), command, done, folder.with_name(f"{folder.name}.held_out.log")))
        return jobs

    def baselines(self) -> Job:
        """A k-mer regression on each set."""
        done, script = self.out / "kmers.json", Path(__file__).with_name("in_context_kmers.py")
        command = [sys.executable, str(script), str(done), "--folder", self.folder, "--sets", *self.tasks]
        command += ["--seeds", str(self.seeds), "--shots", *map(str, self.shots)]
        return Job("k-mers", command, done, self.out / "kmers.log")

    def _prompt_cases(self) -> Iterable[tuple[str, str, int]]:
        return product(self.starts, self.tasks, self.prompts)

    def _prompted(
        self, start: str, name: str, length: int, rate: float, *, seed: int, test: bool = False
    ) -> Job:
        folder = self.out / "prompts" / start / name / f"length_{length}" / f"rate_{rate:g}" / f"seed_{seed}"
        how = ["finetuning=soft_prompt", f"finetuning.length={length}"] if length else ["finetuning=probe"]
        overrides = ["experiment=finetune", *_model(self.starts[start]), *how]
        task = self.tasks[name]
        overrides += [*data_settings("data", task), f"optimizer.lr={rate:g}", f"seed={seed}"]
        overrides += [f"head.num_outputs={number_of_classes(task.train)}", *self._length(self.steps)]
        if not test:
            return training(folder, overrides)
        return training(folder, [*overrides, "test=true"], done="results.json")

    def _few_shot_cases(self) -> Iterable[tuple[str, Path, int]]:
        return [
            (start, self.out / "few_shot" / start / answers / f"seed_{seed}", seed)
            for start in self.starts
            for answers in ANSWERS
            for seed in range(self.seeds)
        ]

    def _few_shot_task(self, name: str) -> list[str]:
        where = f"data.tasks.{name}"
        return [f"+data@{where}=labelled", *data_settings(where, self.tasks[name])]

    def _asked(self, folder: Path) -> list[str]:
        permuted = str(ANSWERS[folder.parent.name]).lower()
        return [f"data.shots=[{','.join(map(str, self.shots))}]", f"data.permute_answers={permuted}"]

    def _length(self, steps: int) -> list[str]:
        interval = max(steps // 5, 1)
        return [
            f"trainer.max_steps={steps}", f"trainer.val_check_interval={interval}", "baselines=none",
            "report=false", *self.extra,
        ]  # fmt: skip


def run(study: Study, *, devices: Sequence[str], parallel: int) -> None:
    """Train and measure everything; the longest first, for all places to end together."""
    study.out.mkdir(parents=True, exist_ok=True)
    described = {"held_out": study.held_out, "train_shots": study.train_shots}
    (study.out / "study.json").write_text(json.dumps(described) + "\n")
    places = {"devices": devices, "parallel": parallel}
    run_jobs([*study.tunings(), study.baselines(), *study.candidates()], **places)
    run_jobs([*study.questions(), *study.chosen()], **places)


def fitting(starts: Iterable[str], tasks: Sequence[Task], shots: Sequence[int]) -> list[int]:
    """The shots whose longest episodes all starts have room for."""
    # Its end, and its answer, are a token each.
    longest = max(int(read_table(task.train)["sequence"].str.len().max()) + 2 for task in tasks)
    tokens = {count: longest * (2 * count + 1) for count in shots}
    rooms = [genoseq.load(start).backbone.l_max for start in starts]
    room = min((each for each in rooms if each is not None), default=None)
    kept = [count for count in shots if room is None or tokens[count] <= room]
    for count in sorted(set(shots) - set(kept)):
        print(f"{count} shots left out: episodes of {tokens[count]:,} tokens, l_max={room:,}", flush=True)
    if not kept:
        raise SystemExit(f"no number of shots fits into l_max={room:,}: give shorter sequences.")
    return kept


def _best(folder: Path) -> float:
    """The best validation of a run."""
    return float(pd.read_csv(folder / "metrics.csv")["val/mcc"].max())


def _model(start: str) -> list[str]:
    return ["model=pretrained", f"model.checkpoint={start}"]


def main() -> None:
    parser, running = run_and_table(__doc__)
    running.add_argument("starts", nargs="+", metavar="NAME=RUN")
    running.add_argument("--folder", required=True, help="with the sets of suite=open")
    running.add_argument("--tuned", nargs="+", default=TUNED)
    running.add_argument("--held-out", default=HELD_OUT)
    running.add_argument("--shots", nargs="+", type=int, default=SHOTS, help="of each class (0 to 16)")
    running.add_argument("--train-shots", type=int, default=4, help="in tuning, at most (4)")
    running.add_argument(
        "--prompts", nargs="+", type=int, default=PROMPTS, help="numbers of vectors (0 to 128)"
    )
    running.add_argument("--seeds", type=int, default=3)
    running.add_argument("--rates", nargs="+", type=float, default=RATES, help="of prompts (1e-3, 1e-2)")
    running.add_argument("--steps", type=int, default=400, help="of each prompt (400)")
    running.add_argument("--tuning-steps", type=int, default=1200, help="of learning to answer (1200)")
    given = vars(parser.parse_args())
    if given["command"] == "run":
        starts = dict(text.split("=", 1) for text in given["starts"])
        tasks = {name: open_task(given["folder"], name) for name in (*given["tuned"], given["held_out"])}
        shots = fitting(starts.values(), list(tasks.values()), given["shots"])
        study = Study(
            out=given["out"],
            starts=starts,
            folder=given["folder"],
            tasks=tasks,
            held_out=given["held_out"],
            shots=shots,
            train_shots=min(given["train_shots"], max(shots)),
            prompts=given["prompts"],
            seeds=given["seeds"],
            steps=given["steps"],
            tuning_steps=given["tuning_steps"],
            rates=given["rates"],
            extra=given["set"],
        )
        run(study, devices=given["devices"], parallel=given["parallel"])
    table(given["out"])


if __name__ == "__main__":
    main()
