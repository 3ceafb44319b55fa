"""selective_scan: every CPU path against the loop in float64, the golden set, states, packing, bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from genoseq_kernels import BackendUnavailable, selective_scan, selective_state_update
from genoseq_kernels.selective_scan import compiled, loops, reference
from genoseq_kernels.selective_scan.operators import selective_scan_backward, selective_scan_forward
from genoseq_kernels.selective_scan.reference import Inputs
from genoseq_kernels.testing import AWKWARD_LENGTHS, assert_close, random_normal

Tensors = dict[str, torch.Tensor]
Scan = Callable[..., tuple[torch.Tensor, torch.Tensor]]
OPTIONAL = ("D", "z", "delta_bias", "initial_state")
BATCH, CHANNELS, STATES = 2, 6, 5


def inputs(
    length: int, *, dtype: torch.dtype = torch.float32, groups: int | None = None, states: int = STATES
) -> Tensors:
    """Leaves of one case: a batch of 2, 6 channels."""
    wide = (BATCH, CHANNELS, length)
    weights = (BATCH, states, length) if groups is None else (BATCH, groups, states, length)
    shapes = {
        "u": wide,
        "delta": wide,
        "A": (CHANNELS, states),
        "B": weights,
        "C": weights,
        "D": (CHANNELS,),
        "z": wide,
        "delta_bias": (CHANNELS,),
        "initial_state": (BATCH, CHANNELS, states),
    }
    made = {
        name: random_normal(*shape, seed=seed, dtype=dtype)
        for seed, (name, shape) in enumerate(shapes.items())
    }
    made["A"] = -torch.exp(made["A"])
    return made


def sequences(length: int) -> torch.Tensor:
    """Packed sequences of several lengths, one position among them, another split in each row."""
    edges = torch.tensor([[1, 2, 40, 63, 64, 500], [3, 31, 32, 128, 129, 900]])
    return (torch.arange(length) >= edges.unsqueeze(-1)).sum(1).int()


def loop(
    u: torch.Tensor, delta: torch.Tensor, A: torch.Tensor, B: torch.Tensor, C: torch.Tensor, **rest: Any
) -> Any:
    """The oracle, differentiable."""
    B, C = (w.unsqueeze(1) if w.dim() == 3 else w for w in (B, C))
    given = {name: rest.get(name) for name in (*OPTIONAL, "seq_idx")}
    return reference.sequential(
        Inputs(u, delta, A, B, C, **given, delta_softplus=rest.get("delta_softplus", False))
    )


def run(scan: Scan, tensors: Tensors, **options: Any) -> Tensors:
    """Result, last state and gradients of all inputs, the last state's among what is differentiated."""
    given = {name: x.detach().clone().requires_grad_() for name, x in tensors.items()}
    y, last = scan(**given, **options)
    torch.autograd.backward([y, last], [upstream(y), upstream(last)])
    grads = {f"grad {name}": x.grad for name, x in given.items() if x.grad is not None}
    assert len(grads) == len(given)
    return {"y": y.detach(), "last": last.detach()} | grads


def check(scan: Scan, tensors: Tensors, **options: Any) -> None:
    """Against the loop in float64."""
    wide = {name: x.to(torch.complex128 if x.is_complex() else torch.float64) for name, x in tensors.items()}
    expected = run(loop, wide, **options)
    for what, result in run(scan, tensors, **options).items():
        if result.is_complex():
            result, expected[what] = torch.view_as_real(result), torch.view_as_real(expected[what])
        assert_close(result, expected[what], what=what)


def upstream(x: torch.Tensor) -> torch.Tensor:
    """A gradient that every precision holds."""
    return random_normal(*x.shape, seed=x.dim()).bfloat16().to(x)


ours: Scan = partial(selective_scan, return_last_state=True)


@pytest.fixture
def in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The public function without the compiled loops."""
    monkeypatch.setattr(compiled, "runs", lambda *_: False)


@pytest.mark.parametrize("length", AWKWARD_LENGTHS)
@pytest.mark.parametrize("softplus", [True, False])
def test_compiled_loops(length: int, softplus: bool) -> None:
    tensors = inputs(length)
    if not softplus:
        tensors |= {"delta": tensors["delta"].abs(), "delta_bias": tensors["delta_bias"].abs()}
    check(ours, tensors, delta_softplus=softplus)


@pytest.mark.parametrize("length", AWKWARD_LENGTHS)
@pytest.mark.usefixtures("in_torch")
def test_in_torch(length: int) -> None:
    check(ours, inputs(length, groups=2), delta_softplus=True)


@pytest.mark.parametrize("left_out", OPTIONAL)
@pytest.mark.parametrize("path", ["loops", "torch"])
def test_without_what_is_optional(left_out: str, path: str, request: pytest.FixtureRequest) -> None:
    if path == "torch":
        request.getfixturevalue("in_torch")
    tensors = inputs(70)
    del tensors[left_out]
    check(ours, tensors, delta_softplus=True)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("states", [1, 8, 17])
def test_groups_and_numbers_of_states(groups: int, states: int) -> None:
    check(ours, inputs(67, groups=groups, states=states), delta_softplus=True)


def test_b_and_c_in_different_groups() -> None:
    tensors = inputs(67, groups=2)
    check(ours, tensors | {"C": random_normal(BATCH, 3, STATES, 67, seed=60)}, delta_softplus=True)


@pytest.mark.parametrize("length", [1, 63, 1000])
@pytest.mark.parametrize("path", ["loops", "torch"])
def test_packed_sequences(length: int, path: str, request: pytest.FixtureRequest) -> None:
    if path == "torch":
        request.getfixturevalue("in_torch")
    check(ours, inputs(length), delta_softplus=True, seq_idx=sequences(length))


def test_packed_is_the_same_as_separate() -> None:
    tensors = {name: x for name, x in inputs(100).items() if name != "initial_state"}
    seq_idx = torch.tensor([[0] * 37 + [4] * 1 + [2] * 62] * BATCH)
    packed = selective_scan(**tensors, delta_softplus=True, seq_idx=seq_idx)
    for a, b in ((0, 37), (37, 38), (38, 100)):
        alone = {name: x[..., a:b] if x.shape[-1] == 100 else x for name, x in tensors.items()}
        torch.testing.assert_close(packed[..., a:b], selective_scan(**alone, delta_softplus=True))


def test_longer_than_a_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_STRETCH", 2 * compiled.CHUNK)
    check(ours, inputs(300), delta_softplus=True, seq_idx=sequences(300))


@pytest.mark.parametrize("threads", [2, 3, 64])
def test_threads_share_the_rows(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_LEAST_WORK", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    check(ours, inputs(200, groups=3), delta_softplus=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("path", ["loops", "torch"])
def test_half_precision_rounds_only_at_the_ends(
    dtype: torch.dtype, path: str, request: pytest.FixtureRequest
) -> None:
    if path == "torch":
        request.getfixturevalue("in_torch")
    tensors = {name: x.to(dtype) for name, x in inputs(200).items()}
    y, last = ours(**tensors)
    assert (y.dtype, last.dtype) == (dtype, torch.float32)
    check(ours, tensors, delta_softplus=True)


def test_weights_may_be_more_precise_than_the_sequence() -> None:
    tensors = inputs(70)
    half = tensors | {name: tensors[name].bfloat16() for name in ("u", "delta", "B", "C", "z")}
    check(ours, half, delta_softplus=True)


@pytest.mark.parametrize("constant", [("B",), ("C",), ("B", "C")])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_the_same_weights_at_all_positions(constant: tuple[str, ...], kind: str) -> None:
    tensors = inputs(150)
    for seed, name in enumerate(constant):
        tensors[name] = random_normal(CHANNELS, STATES, seed=30 + seed)
    if kind == "complex":
        for seed, name in enumerate(("A", "B", "C", "initial_state")):
            tensors[name] = torch.complex(tensors[name], random_normal(*tensors[name].shape, seed=40 + seed))
    check(ours, tensors, delta_softplus=True)


def test_decays_that_underflow_or_stand_still() -> None:
    tensors = inputs(130)
    tensors["delta"] = 300 * random_normal(BATCH, CHANNELS, 130, seed=50)
    tensors["delta_bias"] = torch.zeros(CHANNELS)
    check(ours, tensors, delta_softplus=True)
    still = selective_scan(
        **tensors | {"delta": torch.full((BATCH, CHANNELS, 130), -1e4)},
        delta_softplus=True,
        return_last_state=True,
    )[1]
    assert torch.equal(still, tensors["initial_state"])


@pytest.mark.parametrize("chunk", [1, 64, 65, 150])
def test_chunks_with_the_carried_state_equal_the_whole(chunk: int) -> None:
    tensors = inputs(200)
    y, last = ours(**tensors, delta_softplus=True)
    state, pieces = tensors["initial_state"], []
    for a in range(0, 200, chunk):
        piece = {name: x[..., a : a + chunk] if x.shape[-1] == 200 else x for name, x in tensors.items()}
        out, state = ours(**piece | {"initial_state": state}, delta_softplus=True)
        pieces.append(out)
    torch.testing.assert_close(torch.cat(pieces, dim=-1), y)
    torch.testing.assert_close(state, last)


def test_one_step_after_another_equals_the_whole() -> None:
    tensors = inputs(50)
    y, last = ours(**tensors, delta_softplus=True)
    state = tensors["initial_state"].clone()
    for t in range(50):
        at = {name: tensors[name][..., t] for name in ("u", "delta", "B", "C", "z")}
        step = selective_state_update(
            state, at["u"], at["delta"], tensors["A"], at["B"], at["C"], tensors["D"], at["z"],
            tensors["delta_bias"], dt_softplus=True,
        )  # fmt: skip
        torch.testing.assert_close(step, y[..., t])
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_one_step_of_heads_is_that_of_their_channels(groups: int) -> None:
    heads, width = 4, 3
    shapes = {"state": (2, heads, width, STATES), "x": (2, heads, width), "dt": (2, heads, width)}
    shapes |= {"A": (heads, width, STATES), "B": (2, groups, STATES), "C": (2, groups, STATES)}
    given = {name: random_normal(*shape, seed=seed) for seed, (name, shape) in enumerate(shapes.items())}
    state = given.pop("state")
    flat_state = state.flatten(1, 2).clone()
    y = selective_state_update(state, **given)
    for head in range(heads):
        rows = slice(head * width, (head + 1) * width)
        group = head // (heads // groups)
        alone = flat_state[:, rows].clone()
        expected = selective_state_update(
            alone,
            given["x"][:, head],
            given["dt"][:, head],
            given["A"][head],
            given["B"][:, group],
            given["C"][:, group],
        )
        torch.testing.assert_close(y[:, head], expected)
        torch.testing.assert_close(state[:, head], alone)


def test_a_half_precision_state_is_updated_in_place() -> None:
    state = random_normal(2, 3, 4, dtype=torch.bfloat16)
    before, kept = state.clone(), state.data_ptr()
    x, dt, A, B = (
        random_normal(2, 3),
        random_normal(2, 3).abs(),
        -random_normal(3, 4).abs(),
        random_normal(2, 4),
    )
    y = selective_state_update(state, x.bfloat16(), dt.bfloat16(), A, B, B)
    assert (y.dtype, state.dtype, state.data_ptr()) == (torch.bfloat16, torch.bfloat16, kept)
    wide = before.double()
    selective_state_update(
        wide, x.bfloat16().double(), dt.bfloat16().double(), A.double(), B.double(), B.double()
    )
    assert_close(state, wide)


@pytest.mark.parametrize("constant", [True, False])
def test_gradcheck(constant: bool) -> None:
    tensors = inputs(7, dtype=torch.float64, states=2)
    if constant:
        tensors["B"] = random_normal(CHANNELS, 2, seed=2, dtype=torch.float64)
    leaves = {name: x[:1] if x.shape[0] == BATCH else x for name, x in tensors.items()}
    leaves = {name: x.clone().requires_grad_() for name, x in leaves.items()}
    names = tuple(leaves)
    assert torch.autograd.gradcheck(
        lambda *x: ours(**dict(zip(names, x, strict=True)), delta_softplus=True), tuple(leaves.values())
    )


@pytest.mark.parametrize("backend", ["reference", "compiled"])
@pytest.mark.parametrize("bare", [True, False])
def test_operators_keep_torchs_rules(backend: str, bare: bool) -> None:
    tensors = {name: x.requires_grad_() for name, x in inputs(10, groups=2).items()}
    optional = [None if bare else tensors[name] for name in OPTIONAL]
    seq_idx = None if bare else sequences(10)
    given = [*(tensors[name] for name in ("u", "delta", "A", "B", "C")), *optional, seq_idx]
    torch.library.opcheck(selective_scan_forward, (*given, True, backend))
    y, last, starts = selective_scan_forward(*given, True, backend)
    saved = [None if x is None else x.detach() for x in (y, last, *given, starts)]
    torch.library.opcheck(selective_scan_backward, (*saved, True, backend))


def test_under_compile() -> None:
    tensors = inputs(33)
    compiled_scan = torch.compile(ours, fullgraph=True, backend="aot_eager")
    expected = run(ours, tensors, delta_softplus=True)
    for what, result in run(compiled_scan, tensors, delta_softplus=True).items():
        torch.testing.assert_close(result, expected[what], msg=what)


def test_power_of_two() -> None:
    x = np.linspace(-125, 5, 2001, dtype=np.float32)
    power = np.array([loops.power_of_two(value) for value in x])
    assert np.abs(power / np.exp2(x.astype(np.float64)) - 1).max() < 1.2e-7
    assert loops.power_of_two(0.0) == 1
    assert loops.power_of_two(-1e30) < 1.2e-38


def test_loops_compile_where_nothing_is_writable(tmp_path: Path) -> None:
    package = tmp_path / "genoseq_kernels/selective_scan"
    package.mkdir(parents=True)
    source = Path(loops.__file__).read_text()
    # One small function tells; all of them would take a minute.
    (package / "few.py").write_text(source[: source.index('@_compiled("void')] + "print(power_of_two(3.0))\n")
    tmp_path.chmod(0o555)
    package.chmod(0o555)
    environment = os.environ | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": ""}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        [sys.executable, package / "few.py"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["8.0"]


@pytest.fixture(scope="module")
def case(shared: Path) -> Tensors:
    """The released reference functions' input and output."""
    return load_file(shared / "golden/ssm_ops/cases.safetensors")


def golden(case: Tensors, folder: str, *names: str) -> Tensors:
    return {name: case[f"{folder}/{name}"].clone() for name in names}


def close(actual: torch.Tensor, expected: torch.Tensor) -> bool:
    return bool((actual - expected).abs().max() <= 2e-5)


def test_golden_scan(case: Tensors) -> None:
    names = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")
    leaves = {name: x.requires_grad_() for name, x in golden(case, "scan1/in", *names).items()}
    y, last = ours(**leaves, delta_softplus=True)
    y.backward(case["scan1/grad_out"])
    assert close(y, case["scan1/out/y"])
    assert close(last, case["scan1/out/last_state"])
    for name, leaf in leaves.items():
        assert leaf.grad is not None
        assert close(leaf.grad, case[f"scan1/grad/{name}"]), name


def test_golden_state_in_the_middle(case: Tensors) -> None:
    names = ("u", "delta", "B", "C")
    begin = {name: x[..., :20] for name, x in golden(case, "scan1/in", *names).items()}
    _, last = ours(**begin, **golden(case, "scan1/in", "A", "delta_bias"), delta_softplus=True)
    assert close(last, case["scan1/out/state_at_20"])


def test_golden_groups(case: Tensors) -> None:
    given = golden(case, "scan1/in", "u", "delta", "A", "D", "delta_bias") | golden(
        case, "scan_grouped/in", "B", "C"
    )
    assert close(selective_scan(**given, delta_softplus=True), case["scan_grouped/out/y"])


def test_golden_constant_weights(case: Tensors) -> None:
    given = golden(case, "scan1/in", "u", "delta", "A", "D") | golden(case, "scan_constBC/in", "B", "C")
    given["delta"] = F.softplus(given["delta"])
    assert close(selective_scan(**given), case["scan_constBC/out/y"])


def test_golden_complex(case: Tensors) -> None:
    weights = {name: torch.view_as_complex(case[f"scan_complex/in/{name}.re_im"]) for name in "ABC"}
    given = golden(case, "scan1/in", "u", "delta", "D") | weights
    given["delta"] = 0.3 * F.softplus(given["delta"])
    assert close(selective_scan(**given), case["scan_complex/out/y"])


def test_golden_long(case: Tensors) -> None:
    y, last = ours(**golden(case, "scan_long/in", "u", "delta", "A", "B", "C"))
    assert close(y, case["scan_long/out/y"])
    assert close(last, case["scan_long/out/last_state"])


def test_golden_update(case: Tensors) -> None:
    given = golden(case, "update/in", "state", "x", "dt", "A", "B", "C", "D", "z", "dt_bias")
    y = selective_state_update(**given, dt_softplus=True)
    assert close(y, case["update/out/y"])
    assert close(given["state"], case["update/out/state"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"u": (2, 6, 0), "delta": (2, 6, 0)}, "none of them zero"),
        ({"u": (2, 6)}, r"wanted two \(B, D, L\)"),
        ({"delta": (2, 6, 8)}, r"delta \(2, 6, 8\)"),
        ({"A": (5, 5)}, r"A \(5, 5\)"),
        ({"B": (2, 4, 9)}, r"B \(2, 1, 4, 9\); wanted \(2, 5, 9\)"),
        ({"C": (2, 5, 8)}, "C "),
        ({"B": (2, 4, 5, 9)}, "4 groups, which do not divide 6 channels"),
        ({"C": (2, 0, 5, 9)}, "0 groups"),
        ({"B": (5, 6)}, r"it is as A, \(6, 5\)"),
        ({"C": (5,)}, r"C \(5,\)"),
        ({"D": (5,)}, "D .*one number a channel"),
        ({"delta_bias": (6, 1)}, "delta_bias"),
        ({"z": (2, 6, 8)}, "z .*the shape of u"),
        ({"initial_state": (2, 5, 6)}, r"initial_state \(2, 5, 6\); wanted \(2, 6, 5\)"),
    ],
)
def test_shapes_that_do_not_fit(change: dict[str, tuple[int, ...]], words: str) -> None:
    tensors = inputs(9) | {name: torch.zeros(shape) for name, shape in change.items()}
    with pytest.raises(ValueError, match=words):
        selective_scan(**tensors)


def test_other_bad_input() -> None:
    tensors = inputs(9)
    for seq_idx in (torch.zeros(2, 8, dtype=torch.int32), torch.zeros(2, 9)):
        with pytest.raises(ValueError, match="seq_idx"):
            selective_scan(**tensors, seq_idx=seq_idx)
    with pytest.raises(ValueError, match="B is complex and A is not"):
        selective_scan(**tensors | {"B": tensors["B"].to(torch.complex64)})
    with pytest.raises(ValueError, match="backend='cuda'"):
        selective_scan(**tensors, backend="cuda")  # type: ignore[arg-type]
    complex_tensors = tensors | {"A": tensors["A"].to(torch.complex64)}
    with pytest.raises(BackendUnavailable, match="triton"):
        selective_scan(**complex_tensors, backend="triton")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": (2, 6)}, r"state \(2, 6\)"),
        ({"state": (2, 5, 6)}, r"x \(2, 6\).*wants \(2, 5\)"),
        ({"dt": (2, 1)}, "dt"),
        ({"A": (6, 4)}, "A "),
        ({"B": (2, 1, 5)}, r"B \(2, 1, 5\).*wants \(2, 5\)"),
        ({"D": (2, 6)}, "D "),
        ({"z": (6,)}, "z "),
        ({"dt_bias": (5,)}, "dt_bias"),
        (
            {"state": (2, 6, 1, 5), "x": (2, 6, 1), "dt": (2, 6, 1), "A": (6, 1, 5), "B": (2, 4, 5)},
            "G dividing 6",
        ),
    ],
)
def test_one_step_shapes_that_do_not_fit(change: dict[str, tuple[int, ...]], words: str) -> None:
    shapes: dict[str, tuple[int, ...]] = {"state": (2, 6, 5), "x": (2, 6), "dt": (2, 6), "A": (6, 5)}
    shapes |= {"B": (2, 5), "C": (2, 5)} | change
    with pytest.raises(ValueError, match=words):
        selective_state_update(**{name: torch.zeros(shape) for name, shape in shapes.items()})
