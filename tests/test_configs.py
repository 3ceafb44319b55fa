"""Every YAML composes, says exactly what its constructor takes, and instantiates."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import get_method, instantiate
from omegaconf import OmegaConf

from genoseq.paths import configs_dir

FILES = sorted(path.relative_to(configs_dir()).as_posix() for path in configs_dir().rglob("*.yaml"))
VERBS = [name for name in FILES if "/" not in name]
EXPERIMENTS = [Path(name).stem for name in FILES if name.startswith("experiment/")]
MODELS = [Path(name).stem for name in FILES if name.startswith("model/") and "pretrained" not in name]


def components(node: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with a `_target_`, with the path that leads to it."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield where, node
        for key, value in node.items():
            yield from components(value, f"{where}.{key}" if where else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from components(value, f"{where}[{index}]")


def defaulted_groups(document: dict[str, Any]) -> set[str]:
    """Keys that the file's defaults list fills in: `/tokenizer@tokenizer: character` fills `tokenizer`."""
    entries = [entry for entry in document.get("defaults", []) if isinstance(entry, dict)]
    return {key.split("@")[-1].split("/")[-1] for entry in entries for key in entry}


def check_component(where: str, node: dict[str, Any], filled_in: set[str]) -> None:
    target = get_method(node["_target_"])
    given = {key for key in node if key not in ("_target_", "_partial_", "defaults")} | filled_in
    parameters = inspect.signature(target).parameters
    sink = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if not node["_target_"].startswith("genoseq"):
        assert sink or given <= set(parameters), f"{where}: {sorted(given - set(parameters))} do not exist"
        return
    assert not sink, f"{where}: {node['_target_']} has a **kwargs sink"
    accepted = {name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}
    # What `_partial_` leaves open is given by the code that completes the call.
    optional = accepted if node.get("_partial_") else set()
    assert given <= accepted, f"{where}: {sorted(given - accepted)} do not exist"
    assert accepted <= given | optional, f"{where}: {sorted(accepted - given)} are left unsaid"


@pytest.mark.parametrize("name", FILES)
def test_component_keys_are_the_constructors(name: str) -> None:
    document = yaml.safe_load((configs_dir() / name).read_text()) or {}
    for where, node in components(document):
        check_component(f"{name}:{where}", node, defaulted_groups(document) if not where else set())


@pytest.mark.parametrize("name", FILES)
def test_first_line_says_what_the_file_is_for(name: str) -> None:
    first = next(
        line for line in (configs_dir() / name).read_text().splitlines() if not line.startswith("# @package")
    )
    assert first.startswith("# ")
    assert len(first) > 10


def composed(verb: str, *overrides: str) -> Any:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return compose(verb, overrides=list(overrides))


@pytest.mark.parametrize("name", VERBS)
def test_verbs_compose(name: str) -> None:
    assert composed(Path(name).stem)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiments_compose_to_components_that_exist(experiment: str) -> None:
    config = composed("train", f"experiment={experiment}")
    found = list(components(OmegaConf.to_container(config, resolve=False)))
    assert found
    for where, node in found:
        check_component(f"{experiment}:{where}", node, set())


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_goes_without_baselines(experiment: str) -> None:
    assert composed("train", f"experiment={experiment}", "baselines=none").baselines == {}


@pytest.mark.parametrize("model", MODELS)
def test_model_presets_instantiate(model: str) -> None:
    # On no device: some have billions of parameters. The least is a linear forecaster.
    with torch.device("meta"):
        backbone = instantiate(composed("train", f"model={model}").model)
    assert sum(parameter.numel() for parameter in backbone.parameters()) > 10_000
