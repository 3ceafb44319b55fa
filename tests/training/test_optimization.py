"""Groups of parameters, schedules, and the average of weights."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader

from genoseq.errors import ConfigError
from genoseq.models import HybriDNA, HyenaDNA, LanguageModelHead, SequenceModel
from genoseq.training import (
    ExponentialMovingAverage,
    constant_warmup,
    cosine_warmup,
    halving,
    linear_warmup,
    parameter_groups,
    staged_cosine,
)


def test_groups_of_the_hyena_recipe() -> None:
    backbone = HyenaDNA(d_model=8, num_layers=1, d_inner=16, l_max=16)
    model = SequenceModel(backbone, LanguageModelHead(backbone))
    groups = parameter_groups(model, lr=0.5, weight_decay=0.25)
    settings = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in groups
        for parameter in group["params"]
    }
    assert len(settings) == sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        lr, weight_decay = settings[id(parameter)]
        if hasattr(parameter, "_optim"):
            assert (lr, weight_decay) == (
                parameter._optim.get("lr", 0.5),
                parameter._optim["weight_decay"],
            ), name
        else:
            still = parameter.ndim < 2 or "embeddings" in name
            assert (lr, weight_decay) == (0.5, 0.0 if still else 0.25), name
    assert any(hasattr(parameter, "_optim") for parameter in model.parameters())


def test_of_a_hybrid_matrices_alone_decay() -> None:
    backbone = HybriDNA(
        d_model=16, num_layers=2, pattern="ma", d_inner=16, mamba2={"headdim": 8}, attention={"num_heads": 2}
    )
    model = SequenceModel(backbone, LanguageModelHead(backbone))
    still, decaying = ([], [])
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in parameter_groups(model, lr=0.5, weight_decay=0.25):
        assert group["lr"] == 0.5
        (decaying if group["weight_decay"] else still).extend(names[id(x)] for x in group["params"])
    assert {name.split(".", 3)[-1] for name in decaying} == {
        *("mixer.in_proj.weight", "mixer.out_proj.weight", "mixer.conv1d.weight"),
        *("mlp.fc1.weight", "mlp.fc2.weight"),
    }
    for left in ("embedding.weight", "norm.weight", "A_log", "mixer.D", "dt_bias", "conv1d.bias"):
        assert any(name.endswith(left) for name in still), left


def test_frozen_parameters_are_in_no_group() -> None:
    model = nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    groups = parameter_groups(model, lr=0.1, weight_decay=0.1)
    assert [group["params"] for group in groups] == [[model.bias]]


def rates(schedule: object, steps: int = 100, **settings: Any) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = schedule(optimizer, total_steps=steps, **settings)  # type: ignore[operator]
    found = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return found


def test_halving_keeps_the_rate_for_two_parts() -> None:
    found = rates(halving, warmup_fraction=0.0, parts=5)
    assert found[::20] == pytest.approx([2.0, 2.0, 1.0, 0.5, 0.25])
    assert found[59] == pytest.approx(1.0)
    assert found[-1] == pytest.approx(0.25)
    with pytest.raises(ConfigError, match="give 1 or more"):
        rates(halving, warmup_fraction=0.0, parts=0)


@pytest.mark.parametrize("schedule", [cosine_warmup, linear_warmup])
def test_schedules_rise_to_the_rate_and_fall_to_its_part(schedule: object) -> None:
    found = rates(schedule, warmup_fraction=0.1, final_fraction=0.25)
    assert 0 < found[0] < found[5] < found[10] == 2.0
    assert found[10:] == sorted(found[10:], reverse=True)
    assert found[-1] == pytest.approx(0.5, abs=0.03)


def test_each_stage_has_a_warm_up_and_a_fall_of_its_own() -> None:
    fractions = {"warmup_fraction": 0.1, "final_fraction": 0.1}
    found = rates(staged_cosine, stages=[[0, 1.0], [60, 0.5], [80, 0.25]], **fractions)
    for start, end, most in ((0, 60, 2.0), (60, 80, 1.0), (80, 100, 0.5)):
        alone = rates(cosine_warmup, steps=end - start, **fractions)
        assert found[start:end] == pytest.approx([most / 2.0 * rate for rate in alone])
    # A run that ends before its last stage is one of the others.
    short = rates(staged_cosine, steps=10, stages=[[0, 1.0], [60, 0.5]], **fractions)
    assert short == rates(cosine_warmup, steps=10, **fractions)
    for wrong in ([[5, 1.0]], [[0]], {0: 1.0}, [[0, 1.0], [-1, 1.0]]):
        with pytest.raises(ConfigError, match="the first of step 0"):
            rates(staged_cosine, stages=wrong, **fractions)


def test_a_constant_rate_stays() -> None:
    found = rates(constant_warmup, warmup_fraction=0.1)
    assert set(found[10:]) == {2.0}


def test_a_warm_up_as_long_as_the_run() -> None:
    with pytest.raises(ConfigError, match="part of the run"):
        rates(constant_warmup, warmup_fraction=100)


class Doubling(LightningModule):
    """Its weight, a float64, is twice the last after each step; beside it a counter and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.register_buffer("counter", torch.tensor(0))
        self.register_buffer("constant", torch.tensor(0.1))

    def training_step(self, batch: torch.Tensor) -> torch.Tensor:
        self.counter += 1
        return -0.5 * self.weight**2

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def averaged(steps: int, decay: float) -> Doubling:
    """Train and average; at the end the model is the average."""
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        callbacks=[ExponentialMovingAverage(decay=decay)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Doubling()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(does not have many workers|LeafSpec).*")
        trainer.fit(model, DataLoader(torch.zeros(100, 1)))
    return model


def expected_average(steps: int, decay: float) -> float:
    average = 2.0
    for count in range(1, steps):
        average += (1 - min(decay, (1 + count) / (10 + count))) * (2.0 ** (count + 1) - average)
    return average


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999])
def test_the_average_forgets_its_start_first(decay: float) -> None:
    model = averaged(12, decay)
    assert model.weight.item() == pytest.approx(expected_average(12, decay), rel=1e-9)
    assert model.counter == 12
    assert torch.equal(model.constant, torch.tensor(0.1))


@pytest.mark.parametrize("decay", [-0.1, 1.5])
def test_a_decay_is_a_part(decay: float) -> None:
    with pytest.raises(ConfigError, match="ema_decay"):
        ExponentialMovingAverage(decay=decay)
