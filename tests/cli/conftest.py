"""A tiny verb and its config, to test the grammar without a model; tiny models for the verbs there are."""

import sys
import types

import pytest
import torch
from omegaconf import OmegaConf

from genoseq.cli import main
from genoseq.cli.verbs import VERBS, Verb
from genoseq.models import HyenaDNA, LanguageModelHead, SequenceHead, SequenceModel
from genoseq.tokenizers import CharacterTokenizer

TINY = """\
# A tiny verb for the tests.
#
#   genoseq tiny out=FILE

defaults:
  - flavour: sweet
  - _self_

out: ???        # where to
prompt: null
chromosomes: []
size: 3
"""


@pytest.fixture
def tiny_configs(tmp_path):
    """A folder of configs with the verbs `tiny` and, making a run folder, `runner`."""
    folder = tmp_path / "configs"
    (folder / "flavour").mkdir(parents=True)
    (folder / "tiny.yaml").write_text(TINY)
    (folder / "runner.yaml").write_text(TINY + "run_dir: runs/x\n")
    (folder / "flavour" / "sweet.yaml").write_text("sugar: 1\n")
    (folder / "flavour" / "salty.yaml").write_text("salt: 1\n")
    return folder


@pytest.fixture
def tiny(tiny_configs, tmp_path, monkeypatch):
    """`tiny(*arguments, verb="tiny")` runs the verb in its own folder: (settings, sys.argv) of each job."""
    monkeypatch.chdir(tmp_path)
    jobs = []

    def run(config):
        jobs.append((OmegaConf.to_container(config, resolve=True), list(sys.argv)))

    monkeypatch.setitem(sys.modules, "tiny_module", types.SimpleNamespace(run=run))
    monkeypatch.setitem(VERBS, "tiny", Verb("tiny", "a tiny verb", "tiny_module"))
    monkeypatch.setitem(VERBS, "runner", Verb("runner", "a tiny verb", "tiny_module", run_folder="run_dir"))

    def call(*arguments, verb="tiny"):
        jobs.clear()
        main([verb, *arguments, "--config-dir", str(tiny_configs)])
        return list(jobs)

    return call


@pytest.fixture
def mistake(capsys):
    """`mistake(function, *arguments)`: the one message that a mistaken command line ends with."""

    def call(function, *arguments, **options):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            function(*arguments, **options)
        assert ended.value.code == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("genoseq: ")
        assert "Traceback" not in captured.err
        assert "Error executing job" not in captured.err
        return captured.err

    return call


@pytest.fixture
def refused(capsys):
    """`refused(arguments)`: as `mistake`, of a command line that says other things before its message."""

    def call(arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return said.partition("genoseq: ")[2]

    return call


def saved(folder, head, **preprocessing):
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=16, num_layers=2, l_max=256, filter_order=8, initializer_range=0.3)
    model = SequenceModel(backbone, head(backbone), CharacterTokenizer(), preprocessing)
    return model.save(folder)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("run=3,a(b)"), LanguageModelHead)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    def head(backbone):
        return SequenceHead(backbone, num_outputs=2)

    described = {"problem": "single_label", "classes": ["no", "yes"], "strand": "unstranded"}
    return saved(tmp_path_factory.mktemp("classifier"), head, **described)


@pytest.fixture
def sequences(tmp_path):
    path = tmp_path / "a,b=1.fa"
    path.write_text(">second half\nACGTNACGT\n>first\nggatta\n>third\nACG\n")
    return path


@pytest.fixture
def in_an_empty_folder(tmp_path, monkeypatch):
    """Where a verb runs that writes nothing but `out`."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert list(folder.iterdir()) == []
