import json
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest

from genoseq.errors import DataError
from genoseq.report import write_report

_VOID = {"meta", "link", "br", "img", "hr", "input"}
_MARKS = {
    "results.json": "model − baseline",
    "metrics.csv": "Learning curves",
    "predictions.parquet": "ROC curve",
    "performance.json": "Speed and memory",
    "environment.json": "Versions, device",
    "config.yaml": "The whole configuration",
}
"""Words that only the section of this file has."""


class _Balanced(HTMLParser):
    """Collects ids, addresses and text, and fails on a tag that is closed out of turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self.handle_startendtag(tag, attributes)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        self.addresses += [str(given[key]) for key in ("href", "src", "xlink:href") if given.get(key)]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _read(report: Path) -> _Balanced:
    parser = _Balanced()
    parser.feed(report.read_text(encoding="utf-8"))
    assert not parser.open
    return parser


def test_two_runs_make_one_offline_page(
    language_model_run: Path, classifier_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "demo.html"
    assert write_report([language_model_run, classifier_run], out=out, title="Genomes <first>") == out
    page, html = _read(out), out.read_text()
    text = " ".join(" ".join(page.text).split())
    assert "Genomes <first>" in text
    assert "falls behind adaptive counter" in text
    assert "HyenaDNA, pretrained beats both baselines on the test split: 0.898 accuracy" in text
    assert "−0.012 [−0.018, −0.006]" in text
    assert "no clear difference" in text
    for section in (
        "ROC curve",
        "Bits per base along chrX",
        "GC content",
        "Learning rate",
        "tokens per second",
        "9f2c9f2c",
    ):
        assert section in text
    # Offline: nothing is fetched, every address is inside the page.
    assert "<script" not in html
    assert not re.search(r"url\((?!#|data:)", html)
    anchors = [address for address in page.addresses if not address.startswith("data:")]
    assert anchors
    assert all(address.startswith("#") for address in anchors)
    assert {address[1:] for address in anchors} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)), "two figures share an id"


def test_plots_are_written_and_take_their_colours_from_the_page(classifier_run: Path) -> None:
    html = write_report(classifier_run).read_text()
    names = {path.stem for path in (classifier_run / "plots").iterdir()}
    assert {"comparison", "confusion_matrix", "roc", "precision_recall", "reliability", "curve_loss"} <= names
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in (classifier_run / "plots").iterdir())
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == len(names)
    assert all("var(--plot-" in drawing for drawing in drawings)
    # A colour outside the palette would stay as it is on a dark page.
    assert not {colour for drawing in drawings for colour in re.findall(r"#[0-9a-f]{6}\b", drawing)}
    assert not list(classifier_run.glob(".*partial"))


def test_global_matplotlib_state_is_left_alone(classifier_run: Path) -> None:
    before = dict(matplotlib.rcParams)
    write_report(classifier_run)
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("missing", _MARKS)
def test_a_missing_file_is_a_section_left_out(bare_run: Path, missing: str) -> None:
    (bare_run / missing).unlink()
    html = write_report(bare_run).read_text()
    assert {file for file, mark in _MARKS.items() if mark not in html} == {missing}


def test_an_empty_folder_still_gives_a_page(tmp_path: Path) -> None:
    folder = tmp_path / "nothing"
    folder.mkdir()
    assert "nothing" in " ".join(_read(write_report(folder)).text)


def test_names_from_files_cannot_become_markup(bare_run: Path) -> None:
    content = json.loads((bare_run / "results.json").read_text())
    content["rows"][0]["name"] = "<script>alert(1)</script>"
    content["rows"][1]["name"] = "a <b> & $c$"
    (bare_run / "results.json").write_text(json.dumps(content))
    report = write_report(bare_run)
    assert "<script" not in report.read_text()
    assert any("a <b> & $c$" in text for text in _read(report).text)


@pytest.mark.parametrize("file", ["results.json", "predictions.parquet", "config.yaml"])
def test_a_broken_file_is_named(bare_run: Path, file: str) -> None:
    (bare_run / file).write_text('{"rows": [')
    with pytest.raises(DataError, match=file):
        write_report(bare_run)
    assert not (bare_run / "report.html").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        write_report(tmp_path / "absent")
    with pytest.raises(DataError, match="no run was given"):
        write_report([])


def test_a_report_that_cannot_be_written_says_so(bare_run: Path) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        write_report(bare_run, out=bare_run / "absent" / "report.html")


def test_people_are_told_apart_by_unit(bare_run: Path) -> None:
    def estimate(mean: float, low: float | None, high: float | None) -> dict[str, object]:
        return {"mean": mean, "low": low, "high": high, "n": 20, "unit": "subject", "p_value": 0.012}

    file = bare_run / "results.json"
    results = json.loads(file.read_text())
    results["by_unit"] = [
        {
            "unit": unit,
            "n": n,
            "num_subjects": 20,
            "balanced_accuracy": estimate(0.75, 0.612, 0.9),
            "auroc": estimate(0.8, None, None),
        }
        for unit, n in (("window", 1984), ("subject", 20))
    ]
    file.write_text(json.dumps(results))
    text = " ".join(" ".join(_read(write_report(bare_run)).text).split())
    assert "By unit: 95 % intervals and p-values over 20 subjects" in text
    assert "1,984 windows 0.750 [0.612, 0.900] 0.012 0.800 [–, –] 0.012 20 subjects" in text
