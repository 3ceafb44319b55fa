"""What people do with a trained model, a verb each: inspect, score, mutate, design, encode, align."""

import json

import numpy as np
import pandas as pd
import pytest

from genoseq.cli import main
from genoseq.data.fasta import Fasta
from genoseq.sequence import reverse_complement

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def test_inspect(tiny_fasta, tmp_path, capsys):
    out = tmp_path / "x.json"
    main(["inspect", f"input={tiny_fasta}", f"out={out}"])
    assert "8,000" in capsys.readouterr().out
    assert json.loads(out.read_text())["sections"]["sequence"]["bases"] == 8000


def test_score(language_model, classifier, tiny_fasta, tmp_path, mistake):
    letters = Fasta(tiny_fasta).fetch("chr1", 0, 100)
    reference, alternate = letters[50], "ACGT"["ACGT".index(letters[50]) - 1]
    vcf = tmp_path / "a,b=1.vcf"
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    vcf.write_text(f"{head}1\t51\t.\t{reference}\t{alternate}\t.\t.\t.\n")
    out = tmp_path / "out.vcf"
    source = [f"vcf={vcf}", f"fasta={tiny_fasta}", f"out={out}"]
    main(["score", f"checkpoint={language_model}", *source, "scores=[llr,distance]", "window=64"])
    info = out.read_text().splitlines()[-1].split("\t")[7]
    assert [field.partition("=")[0] for field in info.split(";")] == ["GENOSEQ_LLR", "GENOSEQ_DISTANCE"]
    main(["score", f"checkpoint={classifier}", *source, "window=64", "strands=average", "prefix=PEAK"])
    info = out.read_text().splitlines()[-1].split("\t")[7]
    assert [field.partition("=")[0] for field in info.split(";")] == ["PEAK_DELTA_NO", "PEAK_DELTA_YES"]
    vcf.write_text(f"{head}NC_000001.10\t51\t.\t{reference}\t{alternate}\t.\t.\t.\n")
    main(["score", f"checkpoint={language_model}", *source, "aliases={NC_000001.10: chr1}"])
    assert "##contig=<ID=NC_000001.10,length=5000>" in out.read_text()
    assert "aliases={NC_000001.10" in mistake(main, ["score", f"checkpoint={language_model}", *source])
    vcf.write_text(f"{head}1\t51\t.\t{alternate}\t{reference}\t.\t.\t.\n")
    said = mistake(main, ["score", f"checkpoint={language_model}", *source])
    assert f"line 3, 1:51 {alternate}>{reference}: REF is {alternate}, and the FASTA has {reference}" in said


@pytest.mark.parametrize("ending", [".tsv", ".parquet", ".npz"])
def test_mutate_with_plots(classifier, tiny_fasta, tmp_path, ending):
    bed, genes = tmp_path / "x.bed", tmp_path / "x.gtf"
    bed.write_text("chr1\t100\t110\ta/b\t0\t-\nchr1\t100\t110\ta b\n")
    genes.write_text('1\tx\texon\t90\t105\t.\t+\t.\tgene_id "g"; transcript_id "t";\n')
    out, plots = tmp_path / f"out{ending}", tmp_path / "plots=1"
    settings = [f"fasta={tiny_fasta}", f"bed={bed}", "flank=20", f"out={out}", f"plots={plots}"]
    main(["mutate", f"checkpoint={classifier}", *settings, f"annotation={genes}", "target=yes"])
    assert {path.name for path in plots.iterdir()} == {"a_b.png", "a_b_2.png"}
    if ending == ".npz":
        with np.load(out) as archive:
            table = pd.DataFrame(dict(archive))
    else:
        table = {".tsv": pd.read_table, ".parquet": pd.read_parquet}[ending](out)
    assert table["name"].tolist() == ["a/b"] * 30 + ["a b"] * 30
    assert table["genome_position"].tolist()[::3] == [*range(109, 99, -1), *range(100, 110)]
    np.testing.assert_allclose(table["delta_no"], -table["delta_yes"], atol=1e-6)


def test_mutate_by_gradients(language_model, sequences, tmp_path, mistake):
    out = tmp_path / "out.csv"
    settings = [f"checkpoint={language_model}", f"input={sequences}", f"out={out}"]
    main(["mutate", *settings, "method=input_x_gradient"])
    table = pd.read_csv(out)
    assert "".join(table["base"]) == "ACGTNACGTGGATTAACG"
    assert np.isfinite(table["attribution"]).all()
    assert "Leave it out" in mistake(main, ["mutate", *settings, "method=saliency", "scores=[llr]"])
    assert "give fasta=, bed=" in mistake(main, ["mutate", *settings, "annotation=x.gtf"])
    assert "choose one of mutagenesis, saliency" in mistake(main, ["mutate", *settings, "method=shap"])


def test_design(classifier, language_model, tmp_path, mistake):
    out, table, page = tmp_path / "a,b.fa", tmp_path / "x.tsv", tmp_path / "x.html"
    known = tmp_path / "known.fa"
    generator = np.random.default_rng(3)
    known.write_text("".join(f">{n}\n{''.join(generator.choice(list('ACGT'), 60))}\n" for n in range(8)))
    rules = ["constraints.gc=[0.3,0.7]", "constraints.enzymes=[EcoRI,BsaI]", "constraints.fixed={5: TATAAA}"]
    settings = [f"checkpoint={classifier}", f"out={out}", "rounds=4", "num_sequences=3", *rules]
    judged = [f"judge={classifier}", "judge_target=no", f"reference={known}"]
    main(["design", *settings, *judged, f"starts={known}", f"table={table}", f"page={page}"])
    fasta, rows = Fasta(out), pd.read_table(table)
    assert [fasta.fetch(name, 0, 60) for name in fasta.names] == rows["sequence"].tolist()
    assert all(text[5:11] == "TATAAA" for text in rows["sequence"])
    np.testing.assert_allclose(rows["judge_score"], -rows["score"], atol=1e-3)
    assert rows["identity_to_known"].between(0.5, 1).all()
    assert (rows["score"] >= rows["start_score"]).all()
    text = page.read_text()
    for words in (
        "3 designed sequences",
        "log-odds of yes",
        "An independent judge",
        "Novelty",
        "constraint: GC",
        "30% to 70%",
        "TATAAA at 5",
        "Distance to real sequence",
    ):
        assert words in text
    assert "protein start" not in text, "no protein was asked for"
    alone = tmp_path / "alone.html"
    main(["design", *settings, "length=40", f"page={alone}"])
    assert "real sequence" not in alone.read_text(), "none is known"
    main(["design", *settings, "length=40", "constraints.enzymes=EcoRI", "constraints.forbidden=CCWGG"])
    cut = Fasta(out)
    assert not any("GAATTC" in cut.fetch(name, 0, 40) for name in cut.names), (
        "one enzyme is no list of letters"
    )
    markdown = tmp_path / "x.md"
    generation = ["method=generation", f"generator={language_model}", "length=50", "candidates=4"]
    main(["design", *settings, *generation, f"page={markdown}"])
    assert "| designed | 3 | 3 |" in markdown.read_text()
    call = ["design", *settings]
    assert "length=null" in mistake(main, call)
    assert "length='abc': give a whole number" in mistake(main, [*call, "length=abc"])
    assert "rounds='x': give a whole number" in mistake(main, [*call, "length=50", "rounds=x"])
    assert "gc=[0.5]: give two shares" in mistake(main, [*call, "length=50", "constraints.gc=0.5"])
    alien = tmp_path / "protein.fa"
    alien.write_text(">p\nMKVLLE\n")
    assert "p: 'L' at position 3" in mistake(main, [*call, "length=50", f"reference={alien}"])
    long, unread = tmp_path / "long.fa", ["length=50", "rounds=1000000", f"page={tmp_path / 'y.html'}"]
    long.write_text(f">long\n{'ACGTT' * 100}\n")
    assert "takes at most" in mistake(main, [*call, *unread, f"reference={long}"]), "told before designing"
    assert "contradict" in mistake(main, [*call, "length=50", "constraints.forbidden=[TATAAA]"])
    assert "method=generation" in mistake(main, [*call, "length=50", "control=1"])
    assert "places and letters" in mistake(main, [*call[:-1], "length=50", "constraints.fixed=TATA"])
    assert "page=x.pdf" in mistake(main, [*call, "length=50", "page=x.pdf"])


def test_codec_there_and_back(tmp_path, mistake):
    source, fasta, back = tmp_path / "a.bin", tmp_path / "a.fa", tmp_path / "b.bin"
    source.write_bytes(bytes(range(256)) * 5)
    main(["codec", "action=encode", f"input={source}", f"out={fasta}", "block_bytes=60"])
    main(["codec", "action=decode", f"input={fasta}", f"out={back}"])
    assert back.read_bytes() == source.read_bytes()
    assert "action='both'" in mistake(main, ["codec", "action=both", f"input={source}", f"out={fasta}"])
    assert "does not exist" in mistake(main, ["codec", "action=encode", "input=none", f"out={fasta}"])


def test_align_after_training_an_encoder(tiny_fasta, tmp_path, mistake):
    run, reads = tmp_path / "run", tmp_path / "reads.fa"
    tiny = ["model.d_model=16", "model.num_layers=1", "model.filter_order=8", "trainer=cpu", "report=false"]
    length = ["data.window_length=150", "data.read_length=100", "data.examples_per_epoch=64"]
    steps = ["trainer.max_steps=4", "trainer.val_check_interval=2", "data.evaluation_examples=16"]
    batch = ["global_batch_size=16", f"data.fasta={tiny_fasta}", f"run_dir={run}"]
    main(["train", "experiment=reads", *tiny, *length, *steps, *batch])
    fasta = Fasta(tiny_fasta)
    text = fasta.fetch("chr1", 400, 500)
    reads.write_text(f">one\n{text}\n>two\n{reverse_complement(text)}\n")
    call = ["align", f"checkpoint={run}", f"fasta={tiny_fasta}", f"input={reads}", "candidates=100"]
    windows, index = ["window_length=150", "stride=50"], tmp_path / "x.npz"
    for out, store in (("x.paf", "exact"), ("y.paf", "faiss")):
        main([*call, *windows, f"index={index}", f"store={store}", f"out={tmp_path / out}"])
        rows = [line.split("\t") for line in (tmp_path / out).read_text().splitlines()]
        assert [row[:9] for row in rows] == [
            [name, "100", "0", "100", strand, "chr1", "5000", "400", "500"]
            for name, strand in (("one", "+"), ("two", "-"))
        ]
    out = f"out={tmp_path / 'z.sam'}"
    assert "windows of 150 bases every 50" in mistake(main, [*call, f"index={index}", out])
    assert ".paf, .sam or .bam" in mistake(main, [*call, f"out={tmp_path / 'z.cram'}"])
    main([*call, *windows, f"index={index}", f"out={tmp_path / 'z.bam'}"])
    assert {path.name for path in tmp_path.glob("z.*")} == {"z.bam", "z.bam.bai"}
