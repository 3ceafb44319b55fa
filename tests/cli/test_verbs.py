"""Each verb from its command line to its file."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from genoseq.cli import main
from genoseq.data.fasta import Fasta
from genoseq.models import Sampling, load
from genoseq.paths import configs_dir
from genoseq.sequence import decode_bases, reverse_complement
from genoseq.tokenizers import BpeTokenizer, load_tokenizer

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def composed(verb, *overrides):
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return compose(verb, overrides=list(overrides))


def test_generate(language_model, tmp_path, capsys):
    out = tmp_path / "new,1.fa"
    settings = [f"out={out}", "prompt=ACGTN", "num_sequences=3", "length=50"]
    main(["generate", f"checkpoint={language_model}", *settings])
    fasta = Fasta(out)
    assert fasta.names == ("generated_0", "generated_1", "generated_2")
    expected = load(language_model).generate("ACGTN", length=50, num_sequences=3)
    assert [fasta.fetch(name, 0, 50) for name in fasta.names] == expected
    headers = [line for line in out.read_text().splitlines() if line.startswith(">")]
    assert all(header.split()[1] == "length=50" and "log_likelihood=-" in header for header in headers)
    capsys.readouterr()
    main(["generate", f"checkpoint={language_model}", *settings, "out=-"])
    assert capsys.readouterr().out == out.read_text()


def test_generate_with_every_control(language_model, tmp_path):
    out = tmp_path / "new.fa"
    controls = {
        "min_p": 0.01,
        "no_repeat_ngram_size": 6,
        "repetition_penalty": 1.5,
        "repetition_ngram_size": 4,
        "repetition_window": 30,
    }
    settings = [f"{name}={value}" for name, value in controls.items()]
    settings += ["stop_tokens=['[SEP]']", "length=120", "num_sequences=4", "batch_size=3", f"out={out}"]
    main(["generate", f"checkpoint={language_model}", *settings])
    sampling = Sampling(**controls, stop_tokens=("[SEP]",))
    expected = load(language_model).sample(length=120, num_sequences=4, sampling=sampling)
    fasta = Fasta(out)
    lengths = [fasta.lengths[name] for name in fasta.names]
    assert lengths == [len(result.sequence) for result in expected]


def test_embed_to_parquet(language_model, sequences, tmp_path):
    out = tmp_path / "x.parquet"
    main(
        [
            "embed",
            f"checkpoint={language_model}",
            f"input={sequences}",
            f"out={out}",
            "layer=1",
            "batch_size=2",
        ]
    )
    table = pd.read_parquet(out)
    assert table["name"].tolist() == ["second", "first", "third"]
    expected = load(language_model).embed(["ACGTNACGT", "GGATTA", "ACG"], layer=1)
    np.testing.assert_allclose(np.stack(table["embedding"].tolist()), expected.numpy(), atol=1e-5)


def test_embed_draws_a_map(language_model, tiny_fasta, tmp_path, mistake):
    table = tmp_path / "x.tsv"
    rows = "".join(f"{'ACGT' * 5 + 'A' * n}\t{n % 2}\n" for n in range(6))
    table.write_text(f"sequence\tkind\n{rows}")
    call = ["embed", f"checkpoint={language_model}", f"out={tmp_path / 'x.npz'}"]
    drawn, input_ = [f"plot={tmp_path / 'map.png'}", "projection=pca"], f"input={table}"
    main([*call, input_, *drawn, "colour_column=kind"])
    main([*call, f"fasta={tiny_fasta}", "window=1000", "chunk_length=100", "context=50", *drawn])
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.glob("*.png")} == {"map.png"}
    assert "end in .png" in mistake(main, [*call, input_, f"plot={tmp_path / 'map.pdf'}"])
    assert "projection='mds'" in mistake(main, [*call, input_, *drawn, "projection=mds"])
    assert "has no column 'colour'" in mistake(main, [*call, input_, *drawn, "colour_column=colour"])
    windows = [f"fasta={tiny_fasta}", "colour_column=kind"]
    assert "is a column of a table" in mistake(main, [*call, *windows, *drawn])


def test_embed_intervals_to_npz(language_model, tiny_fasta, tmp_path):
    bed = tmp_path / "peaks.bed"
    bed.write_text("chr2\t10\t40\tpeak\t0\t-\nchr1\t0\t100\n")
    out = tmp_path / "x.npz"
    settings = [f"fasta={tiny_fasta}", f"bed={bed}", f"out={out}", "pooling=max"]
    main(["embed", f"checkpoint={language_model}", *settings])
    with np.load(out) as archive:
        assert archive["names"].tolist() == ["peak", "chr1:0-100(.)"]
        assert archive["embeddings"].shape == (2, 16)


@pytest.mark.parametrize("ending", [".tsv", ".csv", ".parquet"])
def test_predict(classifier, tmp_path, ending):
    table = tmp_path / "x.tsv"
    table.write_text("id\tseq\nb\tACGTACGT\na\tGGGTTT\n")
    out = tmp_path / f"out{ending}"
    columns = ["sequence_column=seq", "name_column=id", "strands=average"]
    main(["predict", f"checkpoint={classifier}", f"input={table}", f"out={out}", *columns])
    readers = {".tsv": pd.read_table, ".csv": pd.read_csv, ".parquet": pd.read_parquet}
    predictions = readers[ending](out)
    assert predictions.columns.tolist() == ["name", "prediction", "probability_no", "probability_yes"]
    assert predictions["name"].tolist() == ["b", "a"]


def test_predict_the_bases(language_model, sequences, tmp_path):
    bases, bits = tmp_path / "bases.tsv", tmp_path / "bits.csv"
    arguments = ["predict", f"checkpoint={language_model}", f"input={sequences}", "batch_size=2"]
    main([*arguments, f"out={bases}"])
    main([*arguments, f"out={bits}", "summary=true"])
    table = pd.read_table(bases)
    assert "".join(table["base"]) == "ACGTNACGTGGATTAACG"
    assert table["name"].unique().tolist() == ["second", "first", "third"]
    expected = load(language_model).log_prob("ACGTNACGT")["log_prob"]
    np.testing.assert_allclose(table["log_prob"][:9], expected, atol=1e-5)
    summary = pd.read_csv(bits)
    assert summary["num_scored"].tolist() == [7, 5, 2]
    assert summary["bits_per_base"][0] == pytest.approx(-expected.mean() / np.log(2), abs=1e-5)


@pytest.mark.parametrize("reading", [["chunk_length=17"], ["chunk_length=17", "context=239"]])
def test_predict_the_bases_of_intervals_in_chunks(language_model, tiny_fasta, tmp_path, reading, capsys):
    bed = tmp_path / "genes.bed"
    bed.write_text("chr2\t10\t266\tgene\t0\t-\nchr1\t0\t100\n")
    out = tmp_path / "x.parquet"
    source = [f"fasta={tiny_fasta}", f"bed={bed}", f"out={out}"]
    main(["predict", f"checkpoint={language_model}", *source, *reading])
    table = pd.read_parquet(out)
    assert table["name"].tolist() == ["gene"] * 256 + ["chr1:0-100(.)"] * 100
    assert table["position"].tolist() == [*range(256), *range(100)]
    gene = reverse_complement(Fasta(tiny_fasta).fetch("chr2", 10, 266))
    pd.testing.assert_frame_equal(
        table[:256].drop(columns="name"), load(language_model).log_prob(gene), atol=1e-5
    )
    told = pq.read_schema(out).metadata[b"reading"].decode()
    assert told.startswith("chunks of 17 bases")
    assert ("sees 239 bases before it or more" in told) == (len(reading) == 2)
    assert told in capsys.readouterr().err


def test_embed_windows_of_a_chromosome(language_model, tiny_fasta, tmp_path):
    out = tmp_path / "x.npz"
    reading = ["chunk_length=100", "context=50", "window=250", "pooling=max"]
    main(["embed", f"checkpoint={language_model}", f"fasta={tiny_fasta}", f"out={out}", *reading])
    with np.load(out) as archive:
        assert archive["names"].tolist() == ["chr1"] * 20 + ["chr2"] * 12
        assert archive["starts"].tolist() == [*range(0, 5000, 250), *range(0, 3000, 250)]
        assert archive["embeddings"].shape == (32, 16)
        assert "approximation" in str(archive["reading"])


@pytest.mark.parametrize("layout", ["original", "hf"])
def test_convert_there_and_back(language_model, tmp_path, layout):
    there, back = tmp_path / "there", tmp_path / "back=1"
    main(["convert", f"checkpoint={language_model}", f"out={there}", f"layout={layout}"])
    main(["convert", f"checkpoint={there}", f"out={back}"])
    before, after = load(language_model).state_dict(), load(back).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_evaluate_asks_for_its_folder_before_the_work(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", f"checkpoint={tmp_path / 'none'}", f"out={tmp_path / 'no' / 'x.json'}"])
    assert f"the folder {tmp_path / 'no'} does not exist" in capsys.readouterr().err


def test_evaluate_a_language_model(language_model, tiny_fasta, tmp_path, capsys):
    data = ["data=genome", f"data.fasta={tiny_fasta}", "data.length=128", "global_batch_size=4"]
    metrics, tiles = tmp_path / "x.json", tmp_path / "x.parquet"
    for out in (metrics, tiles):
        main(["evaluate", f"checkpoint={language_model}", *data, "split=validation", f"out={out}"])
    assert "bits per base" in capsys.readouterr().out
    values = json.loads(metrics.read_text())["rows"][0]["metrics"]
    table = pd.read_parquet(tiles)
    assert values["bits_per_base"] == pytest.approx(table["bits"].sum() / table["num_bases"].sum())
    assert table["num_bases"].sum() == pytest.approx(0.1 * 8000, abs=2)


def test_evaluate_with_other_arguments(language_model, tiny_fasta, tmp_path, mistake):
    data = ["data=genome", f"data.fasta={tiny_fasta}", "split=validation"]
    words = ["evaluate", f"checkpoint={language_model}", *data]
    out, longer = tmp_path / "x.json", tmp_path / "y.json"
    main([*words, "data.length=256", f"out={out}"])
    main([*words, "data.length=400", "arguments={extended_l_max: 400, max_taps: 3}", f"out={longer}"])
    bits = [json.loads(path.read_text())["rows"][0]["metrics"]["bits_per_base"] for path in (out, longer)]
    assert abs(bits[0] - bits[1]) > 1e-3
    assert "l_max=256" in mistake(main, [*words, "data.length=400"])
    assert "names and values" in mistake(main, [*words, "data.length=256", "arguments=3"])
    assert "no lmax" in mistake(main, [*words, "data.length=256", "arguments={lmax: 3}"])


def test_evaluate_beside_a_baseline(language_model, tiny_fasta, tmp_path, capsys):
    data = ["data=genome", f"data.fasta={tiny_fasta}", "data.length=128", "split=validation"]
    markov = "baselines={m: {_target_: genoseq.baselines.StaticMarkov, max_order: 2}}"
    out = tmp_path / "x.json"
    main(["evaluate", f"checkpoint={language_model}", *data, f"+{markov}", f"out={out}"])
    model, baseline = json.loads(out.read_text())["rows"]
    assert baseline["name"].startswith("static Markov")
    difference = model["metrics"]["bits_per_base"] - baseline["metrics"]["bits_per_base"]
    assert baseline["versus_model"]["mean"] == pytest.approx(difference)
    assert f"{difference:+.3f}" in capsys.readouterr().out


def test_evaluate_several_as_one(language_model, tiny_fasta, tmp_path):
    data = ["data=genome", f"data.fasta={tiny_fasta}", "data.length=128", "split=validation"]
    alone, together = tmp_path / "x.json", tmp_path / "y.json"
    main(["evaluate", f"checkpoint={language_model}", *data, f"out={alone}"])
    # A path with a comma in it is one path only in quotes.
    twice = f"checkpoint=['{language_model}','{language_model}']"
    main(["evaluate", twice, *data, f"out={together}"])
    one, both = (json.loads(path.read_text()) for path in (alone, together))
    assert both["checkpoint"] == [str(language_model)] * 2
    assert both["rows"][0]["name"] == "HyenaDNA, 2 averaged"
    bits = [results["rows"][0]["metrics"]["bits_per_base"] for results in (one, both)]
    assert bits[0] == pytest.approx(bits[1], abs=1e-6)


def test_evaluate_a_classifier(classifier, tmp_path):
    generator = np.random.default_rng(5)
    for name, rows in (("train", 40), ("test", 12)):
        sequences = ["".join(generator.choice(list("ACGT"), size=80)) for _ in range(rows)]
        table = pd.DataFrame({"sequence": sequences, "label": ["no", "yes"] * (rows // 2)})
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    data = ["data=labelled", f"data.train={tmp_path / 'train.tsv'}", f"data.test={tmp_path / 'test.tsv'}"]
    out, again = tmp_path / "x.tsv", tmp_path / "y.tsv"
    strands = ["data.strand=unstranded", "strands=average"]
    main(["evaluate", f"checkpoint={classifier}", *data, *strands, f"out={out}"])
    arguments = [f"input={tmp_path / 'test.tsv'}", "strands=average", f"out={again}"]
    main(["predict", f"checkpoint={classifier}", *arguments])
    evaluated, predicted = pd.read_table(out), pd.read_table(again)
    assert evaluated["label"].tolist() == ["no", "yes"] * 6
    assert evaluated["prediction"].tolist() == predicted["prediction"].tolist()
    np.testing.assert_allclose(evaluated["probability_yes"], predicted["probability_yes"], atol=1e-5)


@pytest.mark.parametrize("setting", ["summary=True", "chunk_length=9", "context=9"])
def test_only_language_models_are_read_in_chunks(classifier, sequences, tmp_path, mistake, setting):
    arguments = [f"checkpoint={classifier}", f"input={sequences}", f"out={tmp_path / 'x.tsv'}", setting]
    assert f"{setting}: for causal language models" in mistake(main, ["predict", *arguments])


def test_data_of_another_kind_are_refused(classifier, tiny_fasta, mistake):
    data = ["data=genome", f"data.fasta={tiny_fasta}", "data.length=128"]
    message = mistake(main, ["evaluate", f"checkpoint={classifier}", *data])
    assert "language_model" in message
    assert "single_label" in message


def test_words_of_a_genome(tiny_fasta, tmp_path, mistake):
    out = tmp_path / "words"
    settings = ["tokenizer", "data=genome", f"data.fasta={tiny_fasta}", "vocab_size=40", f"out={out}"]
    main(settings)
    learnt = load_tokenizer(out)
    assert (learnt.vocab_size, learnt.settings["special_tokens"]) == (40, "none")
    # Of both strands, and of the training split alone.
    data = instantiate(composed("tokenizer", *settings[1:3]).data)
    forward = [decode_bases(codes) for _, codes in data.sequences("train")]
    both = [strand for text in forward for strand in (text, reverse_complement(text))]
    expected = BpeTokenizer.train(both, vocab_size=40, special_tokens="none", padding_side="left")
    assert learnt == expected
    assert "is there already" in mistake(main, settings)
    assert "from a genome" in mistake(main, ["tokenizer", "data=labelled", "data.train=x", f"out={out}2"])


def test_info(capsys, tmp_path):
    out = tmp_path / "info.json"
    main(["info", f"out={out}"])
    page = capsys.readouterr().out
    for text in ("versions", torch.__version__, "cpu", "fft_conv", "reference"):
        assert text in page
    operators = json.loads(out.read_text())["operators"]
    assert set(operators) == {
        "fft_conv",
        "causal_conv1d",
        "selective_scan",
        "ssd",
        "gated_delta_rule",
        "layer_norm",
    }
    # The delta rule has no kernels of ours.
    assert all(found.endswith("reference") for found in operators.pop("gated_delta_rule").values())
    first = "triton" if torch.cuda.is_available() else "reference"
    for backends in operators.values():
        assert all(found.startswith(first) for found in backends.values())


@pytest.mark.parametrize(
    ("verb", "arguments", "expected"),
    [
        ("embed", ["out=x.txt"], ".parquet or .npz"),
        ("embed", ["out=nowhere/x.npz"], "nowhere"),
        ("embed", ["out={out}", "device=cuda:7"], "device=cuda:7"),
        ("embed", ["out={out}", "input=no.fa"], "no.fa"),
        ("embed", ["out={out}", "layer=9"], "layer=9"),
        ("embed", ["out={out}", "window=0"], "window=0"),
        ("embed", ["out={out}", "context=5"], "give chunk_length= too"),
        ("predict", ["out=x.tsv", "chunk_length=0"], "chunk_length=0"),
        ("predict", ["out=x.tsv", "chunk_length=200", "context=100"], "windows of 300 tokens"),
        ("predict", ["out=x.tsv", "strands=average"], "strands=none"),
        ("embed", ["out={out}", "chunk_length=5", "strands=repeat"], "read at once"),
        ("predict", ["out=x.tsv", "checkpoint=nowhere"], "nowhere"),
        ("generate", ["out=x.fa", "length=9999"], "256"),
        ("generate", ["out=x.fa", "prompt=ACGX"], "X"),
        ("generate", ["out=x.fa", "checkpoint=[a,b]"], "give one"),
        ("evaluate", ["checkpoint=[]"], "names none"),
        ("convert", ["out=x", "layout=other"], "other"),
        ("evaluate", ["out=x.txt"], ".json"),
        ("evaluate", ["split=tset"], "split=tset"),
    ],
)
def test_mistakes_leave_nothing(language_model, sequences, tmp_path, mistake, verb, arguments, expected):
    given = {"checkpoint": f"checkpoint={language_model}"}
    if verb in ("embed", "predict"):
        given["input"] = f"input={sequences}"
    given |= {text.partition("=")[0]: text.format(out=tmp_path / "x.npz") for text in arguments}
    before = sorted(tmp_path.iterdir())
    assert expected in mistake(main, [verb, *given.values()])
    assert sorted(tmp_path.iterdir()) == before
