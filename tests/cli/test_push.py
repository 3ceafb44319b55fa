"""`genoseq push`: what would be sent, what is sent, and what the hub refuses."""

from __future__ import annotations

import json

import huggingface_hub
import pytest
import torch

from genoseq.cli import main
from genoseq.models import HyenaDNA, SequenceHead, SequenceModel, load
from genoseq.tokenizers import CharacterTokenizer


@pytest.fixture
def run_folder(tmp_path):
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=8, num_layers=1, l_max=40, filter_order=8)
    described = {"problem": "single_label", "classes": ["no", "yes"], "strand": "stranded"}
    head = SequenceHead(backbone, num_outputs=2)
    folder = tmp_path / "run=1"
    SequenceModel(backbone, head, CharacterTokenizer(), described).save(folder / "model")
    row = {"name": "HyenaDNA", "kind": "model", "metrics": {"accuracy": 0.75, "auroc": None}}
    results = {"split": "test", "rows": [row], "leak_free_rows": [row]}
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "predictions.parquet").write_text("not to be sent")
    return folder


@pytest.fixture
def hub(monkeypatch):
    """The calls that reach the hub, with the files of a folder at that time."""
    calls = []

    class Hub:
        def create_repo(self, repository, *, private, exist_ok):
            calls.append(("create", repository, private, exist_ok))

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            files = {path.name: path.read_bytes() for path in folder_path.iterdir()}
            calls.append(("upload", repo_id, files, commit_message))
            return f"https://hub/{repo_id}"

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    return calls


def test_a_dry_run_writes_the_folder_and_sends_nothing(run_folder, hub, tmp_path, capsys):
    out = tmp_path / "folder"
    settings = [f"checkpoint={run_folder}", "repository=jane/model-1", f"out={out}", "dry_run=true"]
    main(["push", *settings])
    assert hub == []
    assert "nothing is sent" in capsys.readouterr().out
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert 'genoseq.load("jane/model-1")' in card
    assert "| HyenaDNA | 0.7500 | – |" in card
    assert "| HyenaDNA, rows that share nothing with train | 0.7500 | – |" in card
    before, after = load(run_folder), load(out)
    assert torch.equal(before.head.score.weight, after.head.score.weight)


def test_what_is_sent_is_the_model_alone(run_folder, hub):
    main(["push", f"checkpoint={run_folder}", "repository=jane/model", "private=false", "message=first"])
    (created, uploaded) = hub
    assert created == ("create", "jane/model", False, True)
    assert uploaded[3] == "first"
    wanted = {"config.json", "model.safetensors", "tokenizer.json", "preprocessing.json", "README.md"}
    assert set(uploaded[2]) == wanted


def test_mistakes(run_folder, hub, tmp_path, mistake, monkeypatch):
    assert "give USER/NAME" in mistake(main, ["push", f"checkpoint={run_folder}", "repository=model"])
    asked = [f"checkpoint={run_folder}", "repository=jane/model"]
    assert "is there already" in mistake(main, ["push", *asked, f"out={run_folder}", "dry_run=true"])

    class Refusing:
        def create_repo(self, *args, **kwargs):
            raise OSError("no route to host.")

    monkeypatch.setattr(huggingface_hub, "HfApi", Refusing)
    assert "no route to host. Log in with" in mistake(main, ["push", *asked]).partition("genoseq: ")[2]
