"""S4, S4D and S5 are the published functions; first values, irregular samples, rates of learning."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from genoseq.errors import ConfigError, SequenceError
from genoseq.nn import BidirectionalS5, MambaMixer, Mixer, MixerContext, S4DMixer, S4Mixer, S5Mixer
from genoseq.nn.materialize import materialize, reset_children
from genoseq.nn.ssm_init import (
    Modes,
    diagonal_modes,
    diagonalised,
    hippo_legs,
    normal_modes,
    perturbed_modes,
)
from genoseq.nn.state_space import growth
from genoseq.training.optimizers import parameter_groups

ATOL, GRADIENT_TOLERANCE = 1e-4, 5e-5


class Golden(NamedTuple):
    tensors: dict[str, torch.Tensor]
    weights: dict[str, torch.Tensor]
    config: dict[str, Any]

    def complex(self, name: str) -> torch.Tensor:
        return torch.view_as_complex(self.tensors[name].double())


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], Golden]:
    def read(name: str) -> Golden:
        folder = shared / "golden" / name
        made = folder / "model"
        weights = load_file(made / "model.safetensors") if made.is_dir() else {}
        config = json.loads((made / "config.json").read_text()) if made.is_dir() else {}
        return Golden(load_file(folder / "cases.safetensors"), weights, config)

    return read


def compare_gradients(mixer: Mixer, golden: Golden, ours: Callable[[str], str]) -> None:
    gradients = {name: parameter.grad for name, parameter in mixer.named_parameters()}
    expected = {name[9:]: x for name, x in golden.tensors.items() if name.startswith("fwd/grad/")}
    assert len(expected) >= 6
    for name, gradient in expected.items():
        found = gradients[ours(name)].reshape(gradient.shape)
        assert (found - gradient).norm() / gradient.norm() <= GRADIENT_TOLERANCE, name


def s4d_name(name: str) -> str:
    return name.replace("kernel.", "").replace("output_linear.0.", "output.linear.")


def test_s4d_is_the_released_function(golden: Callable[[str], Golden]) -> None:
    reference = golden("s4d")
    mixer = S4DMixer(d_model=reference.config["d_model"], d_state=reference.config["d_state"])
    own = mixer.state_dict()
    mixer.load_state_dict(
        {s4d_name(name): x.reshape(own[s4d_name(name)].shape) for name, x in reference.weights.items()}
    )
    tensors = reference.tensors
    u = tensors["fwd/in/u"].transpose(1, 2)
    torch.testing.assert_close(mixer.kernel(75), tensors["fwd/out/kernel"], rtol=0, atol=ATOL)
    state = mixer.init_state(2, max_length=75, device="cpu", dtype=torch.float32)
    for y in (mixer(u), mixer(u, state=state, return_state=True)[0]):
        torch.testing.assert_close(y.transpose(1, 2), tensors["fwd/out/y"], rtol=0, atol=ATOL)
    expected = reference.complex("fwd/out/final_state_f64rec.re_im")
    # Theirs has no input matrix, which is in C.
    found = state.ssm / mixer.system().B
    torch.testing.assert_close(found.to(expected.dtype), expected, rtol=0, atol=ATOL)
    mixer(u).backward(tensors["fwd/grad_out"].transpose(1, 2))
    compare_gradients(mixer, reference, s4d_name)
    for name in ("log_A_real", "A_imag"):
        first = getattr(S4DMixer(d_model=12, d_state=16), name)
        torch.testing.assert_close(first.detach(), tensors[f"init/kernel.{name}"])


@pytest.mark.parametrize("name", ["s5", "s5_full", "s5_bidir"])
def test_s5_is_the_released_function(golden: Callable[[str], Golden], name: str) -> None:
    reference = golden(name)
    config, tensors = reference.config, reference.tensors
    mixer = (BidirectionalS5 if config["bidirectional"] else S5Mixer)(
        d_model=config["H"],
        d_state=config["P"] * (2 if config["conj_sym"] else 1),
        conjugate=config["conj_sym"],
        clip=config["clip_eigs"],
        step_rescale=config["step_rescale"],
        activation="none",
    )
    mixer.load_state_dict(reference.weights)
    u = tensors["fwd/in/u"].unsqueeze(0)
    torch.testing.assert_close(mixer(u)[0], tensors["fwd/out/y"], rtol=0, atol=ATOL)
    decay = reference.complex("fwd/out/Lambda_bar.re_im")
    torch.testing.assert_close(mixer.decay().to(decay.dtype), decay, rtol=0, atol=ATOL)
    if mixer.streams:
        state = mixer.init_state(1, max_length=60, device="cpu", dtype=torch.float32)
        mixer(u, state=state)
        expected = reference.complex("fwd/out/final_state.re_im")
        torch.testing.assert_close(state.ssm[0].to(expected.dtype), expected, rtol=0, atol=ATOL)
    mixer(u)[0].backward(tensors["fwd/grad_out"])
    compare_gradients(mixer, reference, str)


def transfer(A: torch.Tensor, B: torch.Tensor, C: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """C (i w - A)^-1 B."""
    A, B, C = (x.to(torch.complex128) for x in (A, B, C))
    one = torch.eye(len(A), dtype=A.dtype)
    return torch.stack([C @ torch.linalg.solve(1j * w * one - A, B) for w in frequencies.double()])


def close(found: torch.Tensor, expected: torch.Tensor, *, scale: float = 1.0) -> None:
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=0, atol=ATOL * scale)


def test_hippo_and_its_normal_part(golden: Callable[[str], Golden]) -> None:
    reference = golden("ssm_init_ptd")
    tensors, frequencies = reference.tensors, reference.tensors["ptd/freqs_imag"]
    for size in (4, 8, 32, 64):
        hippo = hippo_legs(size)
        for name in "ABP":
            close(getattr(hippo, name), tensors[f"hippo_legs/{size}/{name}"])
        modes = normal_modes(size)
        found = modes.eigenvalues
        close(found, reference.complex(f"hippo_n/{size}/Lambda.re_im"), scale=size)
        close((modes.vectors * found) @ modes.inverse, hippo.normal)
    ones = torch.ones(64)
    close(transfer(hippo.A, hippo.B, ones, frequencies), reference.complex("legs/transfer_ones_C.re_im"))
    # As S4D-LegS has it: with half of B.
    normal = transfer(hippo.normal, hippo.B / 2, ones, frequencies)
    close(normal, reference.complex("s4d_legs_normal/transfer_ones_C.re_im"))


def test_perturb_then_diagonalise_as_released(golden: Callable[[str], Golden]) -> None:
    """Given their perturbation, ours are the released eigenvalues, transfer function and kernel."""
    reference = golden("ssm_init_ptd")
    hippo = hippo_legs(64)
    modes = diagonalised(hippo.A - reference.complex("s4ptd/P.re_im"))
    order = modes.eigenvalues.imag.argsort()
    expected = reference.complex("s4ptd/lambda_sorted_by_imag.re_im")
    assert (modes.eigenvalues[order] - expected).abs().max() < 1e-3 * expected.abs().max()
    B = modes.inverse @ hippo.B.to(torch.complex128)
    C = torch.ones(64, dtype=torch.complex128) @ modes.vectors
    frequencies = reference.tensors["ptd/freqs_imag"].double()
    found = (C * B / (1j * frequencies.unsqueeze(-1) - modes.eigenvalues)).sum(-1)
    close(found, reference.complex("s4ptd/transfer_ones_C.re_im"))
    rates = 0.01 * modes.eigenvalues
    taps = torch.exp(rates.unsqueeze(-1) * torch.arange(200)) * (
        C * B * growth(rates) / modes.eigenvalues
    ).unsqueeze(-1)
    close(taps.sum(0), reference.complex("s4ptd/kernel_onesC_dt0.01_L200.re_im"))


@pytest.mark.parametrize("size", [8, 16, 32])
def test_our_perturbation_is_as_good_as_the_released(golden: Callable[[str], Golden], size: int) -> None:
    reference = golden("ssm_init_ptd")
    hippo = hippo_legs(size).A

    def quality(modes: Modes) -> tuple[float, float]:
        back = (modes.vectors * modes.eigenvalues) @ modes.inverse
        distance = torch.linalg.matrix_norm(back - hippo, 2) / torch.linalg.matrix_norm(hippo, 2)
        return float(torch.linalg.cond(modes.vectors)), float(distance)

    theirs = Modes(*(reference.complex(f"s5ptd/{size}/{name}.re_im") for name in ("Lambda", "V", "Vinv")))
    # What is released is as the set says it is; ours is better conditioned at a distance of a tenth.
    condition, distance = quality(theirs)
    assert 5 < condition < 9
    assert distance < 0.1
    ours, ours_distance = quality(perturbed_modes(size))
    assert ours < condition
    assert ours_distance < 0.105
    assert (perturbed_modes(size).eigenvalues.real < 0).all()


@pytest.mark.parametrize("kind", ["lin", "inv", "legs", "ptd"])
def test_first_modes_decay(kind: Any) -> None:
    modes = diagonal_modes(kind, 16)
    eigenvalues = modes.eigenvalues if isinstance(modes, Modes) else modes
    assert eigenvalues.shape == (16,)
    assert (eigenvalues.real < 0).all()
    if kind in ("lin", "legs"):
        assert (eigenvalues.imag >= 0).all()


def test_s4_is_legs_under_the_bilinear_rule() -> None:
    """The layer's kernel is that of the dense matrix, stepped in float64."""
    mixer = S4Mixer(d_model=3, d_state=16).double()
    hippo, modes = hippo_legs(16), normal_modes(16)
    C = torch.randn(3, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        turned = (C.to(torch.complex128) @ modes.vectors)[:, 8:]
        mixer.C.copy_(torch.view_as_real(turned))
    kernel = mixer.kernel(300)
    for channel in range(3):
        step = mixer.log_dt[channel].exp()
        one = torch.eye(16, dtype=torch.float64)
        left = torch.linalg.inv(one - step / 2 * hippo.A)
        A, x = left @ (one + step / 2 * hippo.A), left @ (step * hippo.B)
        taps = []
        for _ in range(300):
            taps.append(C[channel] @ x)
            x = A @ x
        torch.testing.assert_close(kernel[channel], torch.stack(taps), rtol=1e-5, atol=1e-6)


def test_s4_in_float32_is_near_float64() -> None:
    torch.manual_seed(0)
    mixer = S4Mixer(d_model=4, d_state=64)
    kernel = mixer.kernel(4096).double()
    exact = mixer.double().kernel(4096)
    assert (kernel - exact).abs().max() < 1e-4 * exact.abs().max()


CONTINUOUS = {
    "s4d": lambda: S4DMixer(d_model=4, d_state=8),
    "s5": lambda: S5Mixer(d_model=4, d_state=8),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_step_of_two_is_two_steps_of_held_input(name: str) -> None:
    """Zero-order hold: a sample held twice as long is the sample twice."""
    torch.manual_seed(0)
    mixer = CONTINUOUS[name]().double()
    x = torch.randn(2, 300, 4, dtype=torch.float64)
    steps = torch.where(torch.arange(300) % 3 == 0, 2.0, 1.0).double().expand(2, -1)
    repeats = steps[0].long()
    regular = mixer(x.repeat_interleave(repeats, dim=1))
    irregular = mixer(x, MixerContext(time_step=steps))
    torch.testing.assert_close(irregular, regular[:, repeats.cumsum(0) - 1])
    torch.testing.assert_close(mixer(x, MixerContext(time_step=torch.ones_like(steps))), mixer(x))


@pytest.mark.parametrize("name", CONTINUOUS)
def test_irregular_chunks_padding_and_packing(name: str) -> None:
    torch.manual_seed(0)
    mixer = CONTINUOUS[name]().double()
    x, steps = torch.randn(2, 40, 4, dtype=torch.float64), 0.5 + torch.rand(2, 40, dtype=torch.float64)
    whole = mixer(x, MixerContext(time_step=steps))
    state, parts = mixer.init_state(2, max_length=40, device="cpu", dtype=torch.float64), []
    for part, part_steps in zip(x.split(13, 1), steps.split(13, 1), strict=True):
        parts.append(mixer(part, MixerContext(time_step=part_steps), state=state))
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    padded, padded_steps = (
        torch.nn.functional.pad(t, (0,) * (2 * t.dim() - 4) + (5, 3), value=7.0) for t in (x, steps)
    )
    mask = torch.zeros(2, 48, dtype=torch.bool)
    mask[:, 5:45] = True
    y = mixer(padded, MixerContext(mask=mask, time_step=padded_steps))
    torch.testing.assert_close(y[:, 5:45], whole)
    segments = (torch.arange(40) >= 11).long().expand(2, -1)
    packed = mixer(x, MixerContext(segment_ids=segments, time_step=steps))
    torch.testing.assert_close(packed[:, 11:], mixer(x[:, 11:], MixerContext(time_step=steps[:, 11:])))


@pytest.mark.parametrize("mixer", [S4Mixer(d_model=4, d_state=4), BidirectionalS5(d_model=4, d_state=4)])
def test_layers_of_one_time_step_say_so(mixer: Mixer) -> None:
    with pytest.raises(SequenceError, match="time step"):
        mixer(torch.zeros(1, 5, 4), MixerContext(time_step=torch.ones(1, 5)))
    assert not MambaMixer.continuous


def test_rates_and_decay_of_the_optimiser() -> None:
    mixer = S4DMixer(d_model=4, d_state=8, ssm_lr=1e-4)
    groups = parameter_groups(mixer, lr=1e-2, weight_decay=0.1)
    settings = {
        name: (group["lr"], group["weight_decay"])
        for name, parameter in mixer.named_parameters()
        for group in groups
        if any(parameter is member for member in group["params"])
    }
    assert {name for name, (lr, _) in settings.items() if lr == 1e-4} == {"log_dt", "log_A_real", "A_imag"}
    assert {name for name, (_, decay) in settings.items() if decay > 0} == {"output.linear.weight"}


class Layers(nn.Sequential):
    """Asks the layers in it for their first values, as a backbone does."""

    def reset_parameters(self) -> None:
        reset_children(self)


@pytest.mark.parametrize("make", [S4DMixer, S5Mixer])
def test_perturbed_first_values_of_layers_without_memory(make: Any) -> None:
    perturbed_modes.cache_clear()
    with torch.device("meta"):
        mixer = make(d_model=4, d_state=8, init="ptd")
    materialize(Layers(mixer), torch.device("cpu"), seed=0)
    torch.manual_seed(0)
    whole = make(d_model=4, d_state=8, init="ptd")
    assert torch.isfinite(mixer(torch.randn(1, 5, 4))).all()
    for name, parameter in whole.named_parameters():
        if name in ("log_A_real", "A_imag", "Lambda_re", "Lambda_im"):
            assert torch.equal(parameter, mixer.get_parameter(name)), name


def test_bad_settings() -> None:
    with pytest.raises(ConfigError, match="even"):
        S4DMixer(d_model=4, d_state=3)
    with pytest.raises(ConfigError, match="init"):
        S4DMixer(d_model=4, init="other")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="multiple of 4"):
        S5Mixer(d_model=4, d_state=6, blocks=2)
    with pytest.raises(ConfigError, match="activation"):
        S5Mixer(d_model=4, activation="tanh")  # type: ignore[arg-type]
