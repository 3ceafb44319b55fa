"""ssd: against its loop in float64, its gradients, the golden set, torch's own op checks, and its laws."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from genoseq_kernels import BackendUnavailable, selective_state_update, ssd
from genoseq_kernels.ssd import chunked, triton_impl
from genoseq_kernels.ssd.operators import ssd_backward, ssd_forward
from genoseq_kernels.ssd.reference import Inputs, sequential
from genoseq_kernels.testing import AWKWARD_LENGTHS, assert_close, random_normal

Tensors = dict[str, torch.Tensor]
FLOATING = ("x", "dt", "A", "B", "C", "D", "z", "dt_bias", "initial_states")
SUMMED = ("A", "D", "dt_bias")
UNLIMITED = (0.0, float("inf"))


def inputs(
    length: int, *, groups: int = 2, batch: int = 2, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> Tensors:
    """One case with everything given: 4 heads of width 3, 5 states, sequences of about 20 positions."""
    shapes = {
        "x": (batch, length, 4, 3),
        "dt": (batch, length, 4),
        "B": (batch, length, groups, 5),
        "C": (batch, length, groups, 5),
        "D": (4, 3),
        "z": (batch, length, 4, 3),
        "dt_bias": (4,),
        "initial_states": (batch, 4, 3, 5),
    }
    tensors = {
        name: random_normal(*shape, seed=seed, dtype=dtype, device=device)
        for seed, (name, shape) in enumerate(shapes.items())
    }
    tensors["A"] = -torch.tensor([1e-4, 0.1, 1.0, 8.0], dtype=dtype, device=device)
    generator = torch.Generator().manual_seed(9)
    begins = torch.randint(0, 20, (batch, length), generator=generator) == 0
    tensors["seq_idx"] = begins.cumsum(1).to(device)
    return tensors


def loop(**given: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The oracle, under the arguments of the public operator."""
    low, high = given.get("dt_limit", UNLIMITED)
    tensors = [given.get(name) for name in (*FLOATING, "seq_idx")]
    return sequential(Inputs(*tensors, given.get("dt_softplus", False), low, high))  # type: ignore[arg-type]


def operator(**given: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return ssd(**given, return_final_states=True)


def run(function: Any, tensors: Tensors, **options: Any) -> Tensors:
    """Results and gradients by name."""
    leaves = {name: x.detach().clone().requires_grad_() for name, x in tensors.items() if name in FLOATING}
    others = {name: x for name, x in tensors.items() if name not in FLOATING}
    y, state = function(**leaves, **others, **options)
    weights = [
        random_normal(*result.shape, seed=11 + index, dtype=torch.float64, device=result.device.type)
        for index, result in enumerate((y, state))
    ]
    total = (y.double() * weights[0]).sum() + (state.double() * weights[1]).sum()
    gradients = torch.autograd.grad(total, list(leaves.values()))
    return {"y": y.detach(), "state": state.detach()} | dict(zip(leaves, gradients, strict=True))


def compare(
    tensors: Tensors, *, function: Any = operator, coarse: torch.dtype | None = None, **options: Any
) -> None:
    """With the loop in float64; `coarse` is the precision to expect of all where it is not that of each."""
    precise = {name: x.double() if x.is_floating_point() else x for name, x in tensors.items()}
    check_results(run(function, tensors, **options), run(loop, precise, **options), coarse)


def check_results(actual: Tensors, expected: Tensors, coarse: torch.dtype | None) -> None:
    """Sums over all positions cancel: coarse terms leave them coarser."""
    for what, result in actual.items():
        assert result.is_contiguous(), what
        if coarse is torch.bfloat16 and what in SUMMED:
            error, size = (result - expected[what]).norm(), expected[what].norm()
            # Not as a ratio: where nothing acts on anything, zero is expected, and nothing else will do.
            assert error <= 2e-2 * size, f"{what}: error {error} of {size}"
        else:
            assert_close(result if coarse is None else result.to(coarse), expected[what], what=what)


def only(tensors: Tensors, *names: str) -> Tensors:
    return {name: x for name, x in tensors.items() if name in ("x", "dt", "A", "B", "C", *names)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", AWKWARD_LENGTHS)
def test_values_and_gradients(length: int, dtype: torch.dtype) -> None:
    tensors = inputs(length, dtype=dtype)
    compare(tensors, dt_softplus=True, dt_limit=(0.1, 2.0))
    del tensors["seq_idx"]
    compare(tensors, dt_softplus=True)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(
    "names", [(), ("D",), ("z",), ("seq_idx",), ("initial_states", "dt_bias"), ("D", "z")]
)
def test_any_of_the_optional_inputs(names: tuple[str, ...], groups: int) -> None:
    compare(only(inputs(70, groups=groups, dtype=torch.float64), *names), dt_softplus=True)


def test_one_skip_weight_a_head_and_limits_without_softplus() -> None:
    tensors = inputs(65, dtype=torch.float64)
    tensors["D"] = tensors["D"][:, 0].clone()
    compare(tensors, dt_limit=(-0.5, 0.5))
    assert (tensors["dt"] < 0).any()
    compare(tensors)


def test_half_precision_keeps_states_in_float32() -> None:
    """The gradient that comes in is rounded with y, so that all gradients are as coarse."""
    tensors = inputs(997)
    half = {name: x.bfloat16() if name in ("x", "B", "C", "z") else x for name, x in tensors.items()}
    compare(half, coarse=torch.bfloat16, dt_softplus=True)
    y, state = operator(**half, dt_softplus=True)
    assert (y.dtype, state.dtype) == (torch.bfloat16, torch.float32)


def test_autocast_leaves_the_precision_alone() -> None:
    tensors = inputs(70)
    with torch.autocast("cpu", torch.bfloat16):
        compare(tensors, dt_softplus=True)


@pytest.mark.parametrize("chunk", [1, 7, 64, 200])
@pytest.mark.parametrize("elements", [1, 10**5])
def test_any_chunk_and_block(chunk: int, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked, "CHUNK", chunk)
    monkeypatch.setattr(chunked, "BLOCK_ELEMENTS", elements)
    compare(inputs(150, dtype=torch.float64), dt_softplus=True)


@pytest.mark.parametrize("chunk_size", [1, 64, 256, 1000])
def test_chunk_size_does_not_matter(chunk_size: int) -> None:
    tensors = inputs(130)
    torch.testing.assert_close(ssd(**tensors, chunk_size=chunk_size), ssd(**tensors))


def test_decays_that_underflow_and_those_that_stay() -> None:
    """A state of which nothing is left after one position, beside one that never decays."""
    tensors = only(inputs(300, dtype=torch.float64), "initial_states")
    tensors["A"] = torch.tensor([-1e4, -30.0, -1e-9, 0.0], dtype=torch.float64)
    compare(tensors, dt_softplus=True)


def test_gradcheck() -> None:
    tensors = inputs(9, batch=1, dtype=torch.float64)
    seq_idx = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 2, 2]])
    leaves = [tensors[name].requires_grad_() for name in FLOATING]

    def function(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        named = dict(zip(FLOATING, given, strict=True))
        return operator(**named, seq_idx=seq_idx, dt_softplus=True, dt_limit=(0.2, 3.0))

    assert torch.autograd.gradcheck(function, leaves)


@pytest.mark.parametrize(("backend", "length"), [("reference", 70), ("triton", 35)])
@pytest.mark.parametrize("names", [(), ("D", "z", "dt_bias", "initial_states", "seq_idx")])
def test_operators_keep_torchs_rules(names: tuple[str, ...], backend: str, length: int) -> None:
    tensors = only(inputs(length), *names)
    given = [tensors.get(name) for name in (*FLOATING, "seq_idx")]
    options = (True, 0.1, 2.0, backend)
    leaves = [None if x is None else x.detach().clone().requires_grad_(x.is_floating_point()) for x in given]
    torch.library.opcheck(ssd_forward, (*leaves, *options))
    y, state, saved = ssd_forward(*given, *options)
    torch.library.opcheck(ssd_backward, (y, state, *given, saved, *options))


def test_under_compile() -> None:
    tensors = inputs(70)
    compiled = torch.compile(operator, fullgraph=True, backend="aot_eager")
    expected = run(operator, tensors, dt_softplus=True)
    for what, result in run(compiled, tensors, dt_softplus=True).items():
        torch.testing.assert_close(result, expected[what], msg=what)


def test_strided_input_gives_contiguous_output() -> None:
    packed = random_normal(2, 100, 32, seed=1)
    x, B, C = packed.split([12, 10, 10], dim=-1)
    tensors = inputs(100) | {
        "x": x.unflatten(-1, (4, 3)),
        "B": B.unflatten(-1, (2, 5)),
        "C": C.unflatten(-1, (2, 5)),
    }
    y = ssd(**tensors)
    assert y.is_contiguous()
    assert torch.equal(y, ssd(**{name: tensor.contiguous() for name, tensor in tensors.items()}))


@pytest.mark.parametrize("cuts", [(1,), (64,), (63, 64, 200)])
def test_chunks_with_the_carried_state_equal_the_whole(cuts: tuple[int, ...]) -> None:
    tensors = inputs(250, dtype=torch.float64)
    del tensors["seq_idx"]
    whole, last = operator(**tensors, dt_softplus=True)
    state, parts = tensors["initial_states"], []
    for start, stop in zip((0, *cuts), (*cuts, 250), strict=True):
        along = {name: tensors[name][:, start:stop] for name in ("x", "dt", "B", "C", "z")}
        y, state = operator(**(tensors | along | {"initial_states": state}), dt_softplus=True)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    torch.testing.assert_close(state, last)


def test_one_step_updates_equal_the_whole() -> None:
    tensors = inputs(40)
    del tensors["seq_idx"]
    expected, last = operator(**tensors, dt_softplus=True)
    state = tensors["initial_states"].clone()
    spread = {
        "A": tensors["A"][:, None, None].expand(4, 3, 5),
        "D": tensors["D"],
        "dt_bias": tensors["dt_bias"][:, None].expand(4, 3),
    }
    for t in range(40):
        now = {name: tensors[name][:, t] for name in ("x", "B", "C", "z")}
        dt = tensors["dt"][:, t, :, None].expand(2, 4, 3)
        y = selective_state_update(state, dt=dt, **now, **spread, dt_softplus=True)
        torch.testing.assert_close(y, expected[:, t], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, last, atol=1e-5, rtol=1e-5)


def test_packed_equals_separate() -> None:
    tensors = only(inputs(200, batch=1, dtype=torch.float64), "D", "z", "dt_bias")
    bounds = [0, 1, 64, 65, 130, 200]
    packed, last = operator(**tensors, cu_seqlens=torch.tensor(bounds), dt_softplus=True)
    parts = []
    for start, stop in pairwise(bounds):
        along = {name: tensors[name][:, start:stop] for name in ("x", "dt", "B", "C", "z")}
        y, state = operator(**(tensors | along), dt_softplus=True)
        parts.append(y)
    torch.testing.assert_close(packed, torch.cat(parts, 1))
    torch.testing.assert_close(last, state)


def test_a_sequence_that_comes_back_starts_again() -> None:
    tensors = only(inputs(6, batch=1))
    returning = ssd(**tensors, seq_idx=torch.tensor([[3, 3, 0, 0, 3, 3]]))
    torch.testing.assert_close(returning, ssd(**tensors, seq_idx=torch.tensor([[0, 0, 1, 1, 2, 2]])))


def by_triton(**given: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return ssd(**given, return_final_states=True, backend="triton")


@pytest.mark.parametrize("length", [1, 63, 64, 130])
def test_triton(length: int) -> None:
    compare(inputs(length, batch=1), function=by_triton, dt_softplus=True, dt_limit=(0.1, 2.0))


@pytest.mark.parametrize(("programs", "part_bytes"), [(1, 2**31), (16, 1)])
def test_triton_in_one_segment_and_in_parts(
    programs: int, part_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All chunks walked by one program; and the gradient segment by segment, two chunks each."""
    monkeypatch.setattr(triton_impl, "_PROGRAMS", programs)
    monkeypatch.setattr(triton_impl, "_PART_BYTES", part_bytes)
    compare(inputs(230, batch=2, groups=1), function=by_triton, dt_softplus=True)


@pytest.mark.parametrize("groups", [1, 4])
def test_triton_without_the_optional_inputs(groups: int) -> None:
    compare(only(inputs(70, groups=groups, batch=1)), function=by_triton)


def test_triton_at_a_position_without_a_state_before_it() -> None:
    """There is nothing to decay: the gradient of A is zero."""
    tensors = only(inputs(1))
    half = {name: x.bfloat16() if name in ("x", "B", "C") else x for name, x in tensors.items()}
    compare(half, function=by_triton, coarse=torch.bfloat16, dt_softplus=True)


def test_triton_half_precision_over_many_chunks() -> None:
    """Two steps of the pass over states, which are bfloat16 in memory."""
    tensors = inputs(1100, batch=1, groups=1)
    one_head = {name: tensors[name][:, :, :1] for name in ("x", "dt", "z", "B", "C")}
    one_head |= {name: tensors[name][:1] for name in ("D", "dt_bias")}
    one_head |= {"A": tensors["A"][1:2], "initial_states": tensors["initial_states"][:, :1]}
    half = {name: x.bfloat16() if name in ("x", "B", "C", "z") else x for name, x in one_head.items()}
    compare(half, function=by_triton, coarse=torch.bfloat16, dt_softplus=True)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", AWKWARD_LENGTHS)
def test_triton_on_cuda(length: int, dtype: torch.dtype) -> None:
    tensors = inputs(length, device="cuda")
    rounded = {name: x.to(dtype) if name in ("x", "B", "C", "z") else x for name, x in tensors.items()}
    compare(rounded, function=by_triton, coarse=dtype, dt_softplus=True)
    compare(only(rounded), function=by_triton, coarse=dtype, dt_softplus=True)


@pytest.mark.gpu
@pytest.mark.parametrize("width", [64, 128])
def test_triton_on_cuda_with_the_tiles_of_real_models(width: int) -> None:
    """N = 128, where matrix units and their layouts come in, against the torch path in float64."""
    tensors = wide_inputs(1000, heads=4, width=width)
    precise = {name: x.double() for name, x in tensors.items()}
    expected = run(operator, precise, dt_softplus=True)
    check_results(run(by_triton, tensors, dt_softplus=True), expected, torch.bfloat16)


@pytest.mark.gpu
@pytest.mark.slow
def test_triton_above_2_to_the_31_elements() -> None:
    """The last positions of 2.2e9 numbers, and their gradient, are those of the end alone: the state has
    forgotten the rest."""
    tensors = wide_inputs(2**20 + 30_000, heads=32)
    assert tensors["x"].numel() > 2**31
    tail = {name: x[:, -4000:].clone() if name in ("x", "dt", "B", "C") else x for name, x in tensors.items()}
    results = []
    for given, backend in ((tensors, "triton"), (tail, "reference")):
        given["x"].requires_grad_()
        y = ssd(**given, backend=backend, dt_softplus=True)  # type: ignore[arg-type]
        weight = random_normal(1, 1000, 32, 64, dtype=torch.bfloat16, device="cuda")
        (dx,) = torch.autograd.grad((y[:, -1000:] * weight).sum(), given["x"])
        results.append((y.detach()[:, -1000:], dx[:, -1000:]))
    for actual, expected in zip(*results, strict=True):
        assert_close(actual, expected)


def wide_inputs(length: int, *, heads: int, width: int = 64) -> Tensors:
    """On CUDA in bfloat16: one group of 128 states, which soon forget."""
    generator = torch.Generator("cuda").manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device="cuda", dtype=torch.bfloat16)

    tensors = {
        "x": normal(1, length, heads, width),
        "dt": normal(1, length, heads),
        "B": normal(1, length, 1, 128),
        "C": normal(1, length, 1, 128),
    }
    return tensors | {"A": -torch.linspace(0.1, 2.0, heads, device="cuda")}


@pytest.fixture(scope="module")
def case(shared: Path) -> Tensors:
    """The released reference functions' input and output."""
    return load_file(shared / "golden/ssm_ops/cases.safetensors")


def golden(case: Tensors, name: str, part: str = "in") -> Tensors:
    start = f"{name}/{part}/"
    return {key.removeprefix(start): x for key, x in case.items() if key.startswith(start)}


def check(actual: torch.Tensor, expected: torch.Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


def test_golden_states(case: Tensors) -> None:
    given, expected = golden(case, "ssd"), golden(case, "ssd", "out")
    first = given.pop("initial_states")
    for extra, suffix in (({}, ""), ({"initial_states": first}, "_init")):
        y, state = operator(**given, **extra)
        check(y, expected[f"y{suffix}"])
        check(state, expected[f"final_state{suffix}"])


@pytest.mark.parametrize(("limit", "name"), [(UNLIMITED, "y"), ((0.1, 0.9), "y_dtlimit")])
def test_golden_everything_at_an_odd_length(case: Tensors, limit: tuple[float, float], name: str) -> None:
    y = ssd(**golden(case, "ssd_odd"), dt_softplus=True, dt_limit=limit)
    check(y, case[f"ssd_odd/out/{name}"])


def test_golden_stress(case: Tensors) -> None:
    """The published float32 result is itself 3e-5 away from float64, at values of 136."""
    y, state = operator(**golden(case, "ssd_stress"))
    check(y, case["ssd_stress/out/y"], atol=1e-4)
    check(state, case["ssd_stress/out/final_state"], atol=1e-4)


def test_backend_that_is_not_there() -> None:
    tensors = only(inputs(5))
    assert torch.equal(ssd(**tensors, backend="reference"), ssd(**tensors))
    with pytest.raises(BackendUnavailable, match=r"'triton'.*cpu.*float64.*\(2, 5, 4, 3\)"):
        ssd(**{name: x.double() for name, x in tensors.items()}, backend="triton")
    with pytest.raises(ValueError, match="backend='cuda'"):
        ssd(**tensors, backend="cuda")  # type: ignore[arg-type]


@pytest.mark.parametrize(("width", "states"), [(3, 257), (257, 5), (129, 128)])
def test_states_that_shared_memory_does_not_hold(width: int, states: int) -> None:
    tensors = only(inputs(5))
    shapes = {"x": (2, 5, 4, width), "B": (2, 5, 2, states), "C": (2, 5, 2, states)}
    large = tensors | {name: random_normal(*shape) for name, shape in shapes.items()}
    with pytest.raises(BackendUnavailable, match="'triton'"):
        ssd(**large, backend="triton")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": (2, 5, 12)}, r"wanted \(B, L, H, P\)"),
        ({"x": (2, 0, 4, 3), "dt": (2, 0, 4)}, "none of them zero"),
        ({"dt": (2, 5, 3)}, "dt"),
        ({"A": (3,)}, "one number a head"),
        ({"B": (2, 5, 2, 6)}, r"two \(2, 5, G, N\)"),
        ({"B": (2, 4, 2, 5), "C": (2, 4, 2, 5)}, r"two \(2, 5, G, N\)"),
        ({"B": (2, 5, 3, 5), "C": (2, 5, 3, 5)}, "3 groups of B and C do not divide 4 heads"),
        ({"D": (3,)}, r"D \(3,\)"),
        ({"z": (2, 5, 4)}, "z"),
        ({"dt_bias": (3,)}, "dt_bias"),
        ({"initial_states": (2, 4, 5, 3)}, r"initial_states.*wanted \(2, 4, 3, 5\)"),
    ],
)
def test_shapes_that_do_not_fit(change: dict[str, tuple[int, ...]], words: str) -> None:
    changed = {name: random_normal(*shape) for name, shape in change.items()}
    with pytest.raises(ValueError, match=words):
        ssd(**(only(inputs(5)) | changed))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"chunk_size": 0}, "chunk_size=0"),
        ({"dt_limit": (2.0, 1.0)}, "smaller number first"),
        ({"seq_idx": torch.zeros(2, 4, dtype=torch.int32)}, r"wanted integers \(2, 5\)"),
        ({"seq_idx": torch.zeros(2, 5)}, "float32"),
        ({"cu_seqlens": torch.tensor([0, 5])}, "for a batch of 1"),
        (
            {"seq_idx": torch.zeros(2, 5, dtype=torch.int32), "cu_seqlens": torch.tensor([0, 5])},
            "give one of them",
        ),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ssd(**only(inputs(5)), **options)
