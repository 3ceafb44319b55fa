"""The grammar of every verb: settings, choices, options, multirun, mistakes, and the traps of Hydra."""

import os
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from genoseq.cli import main
from genoseq.cli.verbs import VERBS
from genoseq.errors import DataError


def test_settings_and_choices_reach_the_verb(tiny):
    [(settings, _)] = tiny("out=x", "size=5", "flavour=salty")
    assert settings == {"flavour": {"salt": 1}, "out": "x", "prompt": None, "chromosomes": [], "size": 5}


def test_texts_reach_the_verb_as_typed(tiny):
    [(settings, _)] = tiny("out=/data/run=3/a(b),c.fa", "prompt=NAN", "chromosomes=[1,2,X]")
    assert settings["out"] == "/data/run=3/a(b),c.fa"
    assert settings["prompt"] == "NAN"
    assert settings["chromosomes"] == ["1", "2", "X"]


def test_options_and_settings_mix(tiny):
    assert len(tiny("size=1,2", "-m", "out=x")) == 2


def test_multirun_runs_each_combination(tiny):
    jobs = tiny("-m", "out=a=1,b(c)", "size=1,2")
    assert [(settings["out"], settings["size"]) for settings, _ in jobs] == [
        ("a=1", 1),
        ("a=1", 2),
        ("b(c)", 1),
        ("b(c)", 2),
    ]


def test_each_run_of_a_multirun_has_its_own_folder(tiny, tmp_path):
    jobs = tiny("-m", "out=x", "size=1,2", verb="runner")
    assert [settings["run_dir"] for settings, _ in jobs] == ["runs/x/0", "runs/x/1"]
    assert (tmp_path / "runs" / "x" / "multirun.yaml").is_file()


def test_sys_argv_names_the_verb_and_this_job_only(tiny, tiny_configs):
    before = list(sys.argv)
    [_, (_, argv)] = tiny("-m", "out=a,b=1", verb="runner")
    assert argv[1:] == ["runner", "out='b=1'", "run_dir='runs/x/1'", "--config-dir", str(tiny_configs)]
    assert sys.argv == before


def test_sys_argv_composes_to_the_same_settings(tiny):
    [(settings, argv)] = tiny("out=/run=3/a,b", "prompt=NAN", "chromosomes=[1,X]", "size=4")
    [(again, _)] = tiny(*argv[2:-2])
    assert again == settings


@pytest.mark.parametrize("arguments", [["out=x"], ["-m", "size=1,2", "out=x"]])
def test_nothing_is_written(tiny, tmp_path, monkeypatch, arguments):
    folder = tmp_path / "unwritable"
    folder.mkdir()
    folder.chmod(0o555)
    monkeypatch.chdir(folder)
    tiny(*arguments)
    assert list(folder.iterdir()) == []


def test_cfg_prints_the_settings(tiny, capsys):
    assert tiny("--cfg", "job", "size=9") == []
    assert "size: 9" in capsys.readouterr().out


def test_help_shows_comments_defaults_and_choices(tiny, capsys):
    assert tiny("--help") == []
    page = capsys.readouterr().out
    for text in ("A tiny verb for the tests.", "out: ???", "# where to", "salty, sweet", "--multirun"):
        assert text in page


def test_overview_names_every_verb(capsys):
    main([])
    page = capsys.readouterr().out
    for verb in VERBS.values():
        assert verb.name in page
        assert verb.summary in page


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["oot=3"], "Did you mean out?"),
        (["flavour.suga=3"], "Did you mean flavour.sugar"),
        (["sugar=3"], "Did you mean flavour.sugar?"),
        (["flavor=salty"], "Did you mean flavour"),
        (["flavour=salti"], "Did you mean salty? There are: salty, sweet."),
        (["~sise"], "Did you mean size?"),
        (["--multrun"], "Did you mean --multirun?"),
        (["--cfg", "jobs"], "invalid choice"),
        (["out"], "key=value"),
        (["size=(("], "size=((: this value cannot be read"),
        (["size=1,2"], "--multirun"),
        (["size=${siz}"], "siz"),
        (["prompt=ACGT"], "out= has to be given"),
    ],
)
def test_mistakes_are_told_once(tiny, mistake, arguments, expected):
    assert expected in mistake(tiny, *arguments)


def test_mistyped_verb(mistake):
    assert "Did you mean generate?" in mistake(main, ["genrate"])


def test_errors_of_a_verb_are_told_once(tiny, mistake, monkeypatch):
    def run(config):
        raise DataError(f"{config.out}: does not exist.")

    monkeypatch.setattr(sys.modules["tiny_module"], "run", run)
    assert mistake(tiny, "out=here") == "genoseq: here: does not exist.\n"


def test_full_error_shows_the_stack(tiny, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="oot"):
        tiny("oot=3")


def test_bugs_keep_their_stack(tiny, monkeypatch, capsys):
    def run(config):
        assert config.size == 4, "a bug"

    monkeypatch.setattr(sys.modules["tiny_module"], "run", run)
    with pytest.raises(AssertionError, match="a bug"):
        tiny("out=x")


def test_interrupt_is_no_stack_trace(tiny, monkeypatch):
    def run(config):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["tiny_module"], "run", run)
    with pytest.raises(SystemExit) as ended:
        tiny("out=x")
    assert ended.value.code == 130


def test_the_command_line_imports_no_torch():
    code = "import sys, genoseq.cli; genoseq.cli.main(['--help']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ, stdout=subprocess.DEVNULL)


@pytest.fixture
def saved_run(tmp_path):
    folder = tmp_path / "runs" / "a=1(b)"
    folder.mkdir(parents=True)
    saved = {"flavour": {"salt": 5}, "out": "there", "size": 30, "run_dir": "runs/x", "resume": "auto"}
    OmegaConf.save(saved, folder / "config.yaml")
    return folder


def test_resume_composes_the_saved_settings_first(tiny, saved_run):
    [(settings, argv)] = tiny(f"resume={saved_run}", "out=here", verb="runner")
    assert settings["flavour"] == {"salt": 5}
    assert (settings["size"], settings["out"], settings["resume"]) == (30, "here", str(saved_run))
    [(again, _)] = tiny(*argv[2:-2], verb="runner")
    assert again == settings


def test_a_resumed_run_keeps_its_components(tiny, saved_run, tiny_configs, mistake):
    (saved_run / "flavour").symlink_to(tiny_configs / "flavour")
    assert "keeps the flavour it was begun with" in mistake(
        tiny, f"resume={saved_run}", "flavour=sweet", verb="runner"
    )


def test_only_a_verb_with_a_run_folder_resumes(tiny, saved_run, mistake):
    assert "no such setting" in mistake(tiny, f"resume={saved_run}", "out=here")


def test_verbs_that_train_nothing_do_not_wait_for_what_trains():
    verbs = "align codec convert design embed generate info inspect mutate predict push score stream".split()  # noqa: SIM905
    code = (
        f"import sys; [__import__(f'genoseq.cli.{{verb}}') for verb in {verbs}]; "
        "assert not {'lightning', 'torchmetrics', 'transformers', 'mne'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
