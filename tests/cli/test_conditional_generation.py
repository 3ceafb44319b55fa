"""From labelled sequences to new ones of a wanted label: train, evaluate, generate."""

import json

import numpy as np
import pandas as pd
import pytest

from genoseq.cli import main
from genoseq.models import HyenaDNA, LanguageModelHead, SequenceModel, load
from genoseq.tokenizers import CharacterTokenizer, ControlTokenizer

TINY = [
    "model.d_model=16",
    "model.num_layers=1",
    "model.filter_order=8",
    "model.l_max=64",
    "model.embed_dropout=0",
]
RUN = [
    "trainer=cpu",
    "global_batch_size=16",
    "trainer.log_every_n_steps=1",
    "data=conditional",
    "data.labelled.strand=unstranded",
    "data.labelled.strands=augment",
]


def gc_share(sequence):
    return sum(base in "GC" for base in sequence) / len(sequence)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """120 sequences of 30 to 40 bases with one GC in ten, or nine: `label` by their source, `gc` by count."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(120):
        label, share = ("rich", 0.9) if number % 2 else ("poor", 0.1)
        odds = [(1 - share) / 2, share / 2, share / 2, (1 - share) / 2]
        sequence = "".join(generator.choice(list("ACGT"), size=30 + number % 11, p=odds))
        rows.append({"sequence": sequence, "label": label, "gc": gc_share(sequence)})
    path = tmp_path_factory.mktemp("a=b") / "x,1.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "classes"
    settings = ["optimizer.lr=2e-2", "trainer.max_steps=60", "trainer.val_check_interval=30", "test=true"]
    main(["train", *TINY, *RUN, *settings, f"data.labelled.train={table}", f"run_dir={folder}"])
    return folder


def test_each_control_gives_its_own_composition(trained, tmp_path, mistake):
    shares, lengths = {}, set()
    for control in ("poor", "rich"):
        out = tmp_path / f"{control}.fa"
        settings = [f"control={control}", "length=50", "num_sequences=40", "stop_tokens=['[SEP]']"]
        main(["generate", f"checkpoint={trained}", f"out={out}", *settings])
        headers, sequences = np.array(out.read_text().split("\n>")), []
        assert all(f" control={control} " in header.splitlines()[0] for header in headers)
        sequences = ["".join(record.splitlines()[1:]) for record in headers]
        shares[control] = np.mean([gc_share(sequence) for sequence in sequences if sequence])
        lengths |= {len(sequence) for sequence in sequences}
    assert shares["poor"] < 0.3
    assert shares["rich"] > 0.7
    assert min(lengths) < 50, "the end token was learnt too"
    message = mistake(main, ["generate", f"checkpoint={trained}", f"out={tmp_path / 'x'}", "control=1e3"])
    assert "control='1e3' is no label of this model; it has 'poor', 'rich'" in message


def test_what_the_run_leaves(trained):
    model = load(trained)
    assert model.tokenizer == ControlTokenizer(controls=["poor", "rich"])
    described = {"controls": {"labels": ["poor", "rich"], "edges": None}}
    described |= {"strand": "unstranded", "strands": "augment"}
    assert json.loads((trained / "model" / "preprocessing.json").read_text()) == described
    metrics = json.loads((trained / "results.json").read_text())["rows"][0]["metrics"]
    # Bases of these sources cost 1.47 bits each.
    assert set(metrics) == {"bits_per_base", "perplexity", "bits_per_base_poor", "bits_per_base_rich"}
    assert all(1.3 < metrics[f"bits_per_base_{name}"] < 1.75 for name in ("poor", "rich"))
    page = (trained / "report.html").read_text()
    assert "bits per base rich" in page
    assert "x,1.csv" in page


def test_evaluate_gives_the_bits_under_each_control(trained, table, tmp_path, capsys, mistake):
    arguments = ["evaluate", f"checkpoint={trained}", "data=conditional", f"data.labelled.train={table}"]
    out = tmp_path / "x.json"
    main([*arguments, f"out={out}"])
    printed = capsys.readouterr().out
    ours, runs = (json.loads(path.read_text())["rows"][0] for path in (out, trained / "results.json"))
    assert f"{ours['metrics']['bits_per_base_poor']:.4f}" in printed
    assert ours["metrics"] == pytest.approx(runs["metrics"], rel=1e-5)
    others = ["data.labelled.label_column=gc", "data.labelled.problem=regression", "data.bins=2"]
    assert "the checkpoint has {'labels': ['poor', 'rich']" in mistake(main, [*arguments, *others])


def test_more_bins_than_a_checkpoint_has_room_for(table, tmp_path):
    backbone = HyenaDNA(d_model=16, num_layers=1, l_max=64, filter_order=8)
    pretrained = SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer())
    pretrained.save(tmp_path / "pretrained")
    folder = tmp_path / "run"
    settings = [
        "model=pretrained",
        f"model.checkpoint={tmp_path / 'pretrained'}",
        f"data.labelled.train={table}",
        "data.labelled.label_column=gc",
        "data.labelled.problem=regression",
        "data.bins=6",
        "optimizer.lr=0",
        "trainer.max_steps=1",
        f"run_dir={folder}",
    ]
    main(["train", *RUN, *settings])
    model = load(folder)
    assert model.backbone.vocab_size == 24
    kept = pretrained.backbone.input_embedding.weight
    assert (model.backbone.input_embedding.weight[:16] == kept).all()
    edges = model.preprocessing["controls"]["edges"]
    assert len(edges) == 5
    assert edges == sorted(edges)
    assert "from 16 to 24 rows, for 6 control tokens after 12 others" in (folder / "train.log").read_text()
    (result,) = model.sample(length=10, control="bin_6")
    assert result.num_generated == 10


def test_data_under_controls_want_a_language_model(table, tmp_path, mistake):
    def refused(setting):
        run_dir = f"run_dir={tmp_path / setting.partition('=')[0]}"
        return mistake(main, ["train", *TINY, *RUN, f"data.labelled.train={table}", run_dir, setting])

    assert "give head=language_model" in refused("head=classification")
    assert "special_tokens=sep" in refused("tokenizer@data.labelled.tokenizer=character_bare")
