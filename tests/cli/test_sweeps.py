"""Sweeps: a grid, and a search by Optuna, over what a verb gives back."""

import json
import sys
import types

import pytest
from omegaconf import OmegaConf

from genoseq.cli import main
from genoseq.errors import ConfigError

SEARCH = """\
# A search.
defaults:
  - override /hydra/sweeper: optuna
hydra:
  sweeper:
    n_trials: 6
    n_jobs: 1
    sampler: {seed: 0}
    params: {size: "interval(0,100)"}
"""


@pytest.fixture
def searched(tiny, tiny_configs, monkeypatch):
    """`searched(found, *arguments)` searches for the smallest `found(size)`: the sizes that were tried."""
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install .[sweep]")
    runner = tiny_configs / "runner.yaml"
    runner.write_text(runner.read_text().replace("  - _self_\n", "  - _self_\n  - hparams_search: null\n"))
    (tiny_configs / "hparams_search").mkdir()
    (tiny_configs / "hparams_search" / "tiny.yaml").write_text("# @package _global_\n" + SEARCH)

    def call(found, *arguments):
        sizes = []

        def run(config):
            sizes.append(config["size"])
            return found(config["size"])

        monkeypatch.setitem(sys.modules, "tiny_module", types.SimpleNamespace(run=run))
        main(["runner", "-m", "hparams_search=tiny", "out=x", *arguments, "--config-dir", str(tiny_configs)])
        return sizes

    return call


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_optuna_keeps_the_best_of_its_trials(searched, tmp_path):
    sizes = searched(lambda size: abs(size - 70.0))
    assert len(set(sizes)) == 6
    found = OmegaConf.load(tmp_path / "runs" / "x" / "optimization_results.yaml")
    assert found.best_params.size == min(sizes, key=lambda size: abs(size - 70))
    assert found.best_value == min(abs(size - 70.0) for size in sizes)
    largest = searched(lambda size: size, "run_dir=runs/y", "hydra.sweeper.direction=maximize")
    assert OmegaConf.load(tmp_path / "runs" / "y" / "optimization_results.yaml").best_value == max(largest)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_trial_that_fails_ends_the_search_with_its_message(searched, capsys):
    def refused(size):
        raise ConfigError(f"size={size} is no size.")

    with pytest.raises(SystemExit) as ended:
        searched(refused)
    assert ended.value.code == 2
    assert "is no size." in capsys.readouterr().err.splitlines()[-1]


def test_what_is_not_installed_is_named(refused, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = refused(["train", "-m", "hydra/launcher=submitit_slurm"])
    assert said.strip() == (
        "hydra/launcher=submitit_slurm has to be installed: pip install 'genoseq[slurm]'."
    )


def test_train_gives_back_what_a_sweep_compares(tiny_fasta, tmp_path):
    from hydra import compose, initialize_config_dir

    from genoseq.cli.train import run
    from genoseq.paths import configs_dir

    settings = ["experiment=smoke", f"data.fasta={tiny_fasta}", "trainer=cpu", "report=false"]
    settings += ["trainer.max_steps=2", "trainer.val_check_interval=1"]
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        configs = [
            compose(
                "train", overrides=[*settings, f"run_dir={tmp_path}/{number}", f"optimized_metric={metric}"]
            )
            for number, metric in enumerate(["null", "val/accuracy"])
        ]
    found = [run(config) for config in configs]
    measured = [json.loads((tmp_path / name / "validation.json").read_text()) for name in ("0", "1")]
    assert found == [measured[0]["val/loss"], measured[1]["val/accuracy"]]
