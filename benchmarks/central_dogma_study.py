"""Life-Code against the same encoder of single nucleotides, on every task of the three omics.

    python benchmarks/central_dogma_study.py run OUT --pairs PAIRS --minutes 5 --devices 0 1 --parallel 4
    python benchmarks/central_dogma_study.py table OUT

PAIRS is the table of `three_omics.py`. Three arms are trained for equal time on its genes of train, three
seeds each, beside an encoder that was never trained:

- Life-Code: half of its windows say the places of bases in codons; hidden bases and codons, translation, and
  the properties of residues as a teacher's states;
- single nucleotides: the same encoder, windows and hidden bases, without frames, translation and teacher;
- untrained: its first values.

All are asked for the tasks of `three_omics.py` (probes of frozen states, and what their heads say; Life-Code
also as plain DNA, without being told the frame), and are fine-tuned on coding against intergenic DNA, on
splice donors and acceptors and on half-lives, as `finetuning_study.py` does, two learning rates to choose
from. The rate is constant after its warm-up and the weights are averaged, so that what a run has reached does
not hang on how long it was meant to be. Everything runs beside everything else over the devices, and what is
finished is not repeated. `table` writes OUT/central_dogma.tsv, with each estimate, and OUT/central_dogma.md:
means over seeds with 95 % intervals, the difference of the first two arms, paired by seed, and baselines.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import finetuning_study
import torch
from central_dogma_table import table
from device_jobs import Job, on_the_clock, run_and_table, run_jobs, training
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

import genoseq
from genoseq.models import MaskedLanguageModelHead, SequenceModel
from genoseq.paths import configs_dir
from genoseq.tokenizers import CharacterTokenizer

# Mamba-2 rather than gated delta nets: its kernels run on every GPU, also with gradients.
ENCODER = ("model.pattern=mmma", "model.resid_dropout=0.1")
PRETRAINING = (
    "experiment=lifecode",
    "data.code=11",
    "data.validation_fraction=0.05",
    "data.test_fraction=0.01",
    "ema_decay=0.995",
    "schedule=constant_warmup",
    "schedule.warmup_fraction=0.001",
    "trainer.max_steps=100000",
    "trainer.val_check_interval=50",
    "report=false",
)
PLAIN = (
    "data.framed_fraction=0",
    "task.teacher=null",
    "head.teacher_width=null",
    "task.translation_weight=0",
    "task.codon_weight=0",
)
TRAINED = {"lifecode": (), "nucleotides": PLAIN}
ARMS = (*TRAINED, "untrained")
UNFRAMED = "lifecode_unframed"
EXPERIMENTS = ("umaydis", "umaydis_splice_donors", "umaydis_splice_acceptors", "pombe_halflife")
RATES = (3e-4, 1e-3)


def run(
    out: Path,
    pairs: Path,
    *,
    minutes: float,
    seeds: int,
    devices: Sequence[str],
    parallel: int,
    experiments: Sequence[str],
    steps: int,
    probed: int,
    batch_size: int,
    extra: Sequence[str],
) -> None:
    """Train, fine-tune and measure everything."""
    out.mkdir(parents=True, exist_ok=True)
    places = {"devices": devices, "parallel": parallel}
    genes = out / "train_genes.tsv"
    measure = [sys.executable, str(Path(__file__).with_name("three_omics.py")), str(pairs)]
    run_jobs([Job("genes", [*measure, "--train-genes", str(genes)], genes, out / "genes.log")], **places)
    given = [*ENCODER, f"data.table={genes}", *extra]
    clock = [*PRETRAINING, f"+trainer.max_time='{on_the_clock(minutes)}'"]
    # Both arms on each of two devices, so that neither has one for itself.
    pretraining = [
        training(out / "runs" / f"{arm}_{seed}", [*clock, *given, *TRAINED[arm], f"seed={seed}"])
        for seed in range(seeds)
        for arm in sorted(TRAINED, reverse=seed % 2 == 1)
    ]
    run_jobs(pretraining, **places)
    write_models(out, seeds, given)
    device = "cpu" if set(devices) == {"cpu"} else "cuda"
    asked = ["--probed", str(probed), "--batch-size", str(batch_size), "--device", device]
    measuring = [_measured(out, "baselines", [*measure, *asked])]
    measuring += [
        _measured(out, name, [*measure, f"{name}={out / 'models' / name}", *asked, "--no-baselines"])
        for name in (f"{arm}_{seed}" for arm in (*ARMS, UNFRAMED) for seed in range(seeds))
    ]
    starts = [f"{arm}={out / 'models' / arm}_{{seed}}" for arm in ARMS]
    tuning = {"rates": RATES, "extra": [f"trainer.max_steps={steps}"]}
    tuned = (out / "finetuned", starts, experiments)
    try:
        run_jobs([*measuring, *finetuning_study.candidates(*tuned, **tuning)], **places)
    finally:  # one measurement that failed is no reason to do without the rest
        run_jobs(finetuning_study.chosen(*tuned, seeds=seeds, **tuning), **places)


def write_models(out: Path, seeds: int, given: Sequence[str]) -> None:
    """Folders of all arms, each with the tokens that it knows and the head that it has learnt."""
    plain = CharacterTokenizer(special_tokens="none", padding_side="right")
    for seed in range(seeds):
        own = genoseq.load(out / "runs" / f"lifecode_{seed}")
        own.save(out / "models" / f"lifecode_{seed}")
        own.tokenizer = plain
        own.save(out / "models" / f"{UNFRAMED}_{seed}")
        other = genoseq.load(out / "runs" / f"nucleotides_{seed}")
        first = untrained(given, seed)
        for name, model in (("nucleotides", other), ("untrained", first)):
            head = MaskedLanguageModelHead(model.backbone, transform=True)
            wanted = head.state_dict()
            head.load_state_dict(
                {key: value for key, value in model.head.state_dict().items() if key in wanted}
            )
            SequenceModel(model.backbone, head, plain).save(out / "models" / f"{name}_{seed}")


def untrained(given: Sequence[str], seed: int) -> SequenceModel:
    """A model of the settings with its first values."""
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=[PRETRAINING[0], *given])
    torch.manual_seed(seed)
    backbone = instantiate(config.model)
    return SequenceModel(backbone, instantiate(config.head)(backbone))


def _measured(out: Path, name: str, command: Sequence[str]) -> Job:
    folder = out / "genes" / name
    return Job(
        f"genes: {name}",
        [*command, "--out", str(folder)],
        folder / "three_omics.json",
        folder.with_suffix(".log"),
    )


def main() -> None:
    parser, running = run_and_table(__doc__)
    running.add_argument("--pairs", type=Path, required=True)
    running.add_argument("--minutes", type=float, default=5.0, help="of each pretraining (5)")
    running.add_argument("--seeds", type=int, default=3)
    running.add_argument("--experiments", nargs="*", default=EXPERIMENTS, help="of fine-tuning (all four)")
    running.add_argument("--steps", type=int, default=600, help="of each fine-tuning (600)")
    running.add_argument("--probed", type=int, default=200, help="genes that probes are fitted on (200)")
    running.add_argument("--batch-size", type=int, default=32, help="sequences at a time, measuring (32)")
    given = vars(parser.parse_args())
    command, extra = given.pop("command"), given.pop("set", [])
    try:
        if command == "run":
            run(**given, extra=extra)
    finally:
        if (given["out"] / "genes").is_dir():
            table(given["out"])


if __name__ == "__main__":
    main()
