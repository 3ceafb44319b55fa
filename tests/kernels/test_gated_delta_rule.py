"""gated_delta_rule: against its loop in float64, its gradients, torch's own op checks, its laws, and fla."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from genoseq_kernels import BackendUnavailable, gated_delta_rule, gated_delta_rule_update, ssd
from genoseq_kernels.gated_delta_rule import chunked, fla_impl
from genoseq_kernels.gated_delta_rule.operators import gated_delta_rule_backward, gated_delta_rule_forward
from genoseq_kernels.gated_delta_rule.reference import Inputs, sequential
from genoseq_kernels.live_bytes import LiveBytes
from genoseq_kernels.testing import AWKWARD_LENGTHS, assert_close, random_normal

Tensors = dict[str, torch.Tensor]
FLOATING = ("q", "k", "v", "g", "beta", "initial_state")
ALONG = FLOATING[:5]


def inputs(
    length: int,
    *,
    groups: int = 2,
    batch: int = 2,
    widths: tuple[int, int] = (5, 3),
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Tensors:
    """One case with everything given: 4 heads, which forget fast or not at all, sequences of about 20."""
    key, value = widths
    shapes = {
        "q": (batch, length, groups, key),
        "k": (batch, length, groups, key),
        "v": (batch, length, 4, value),
        "g": (batch, length, 4),
        "beta": (batch, length, 4),
        "initial_state": (batch, 4, key, value),
    }
    tensors = {
        name: random_normal(*shape, seed=seed, dtype=dtype, device=device)
        for seed, (name, shape) in enumerate(shapes.items())
    }
    rates = torch.tensor([0.0, 1e-3, 0.3, 8.0], dtype=dtype, device=device)
    tensors["g"] = -tensors["g"].abs() * rates
    tensors["beta"] = tensors["beta"].sigmoid()
    generator = torch.Generator().manual_seed(9)
    begins = torch.randint(0, 20, (batch, length), generator=generator) == 0
    tensors["seq_idx"] = begins.cumsum(1).to(device)
    return tensors


def loop(**given: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The oracle, under the arguments of the public operator."""
    tensors = [given.get(name) for name in (*FLOATING, "seq_idx")]
    scale = given.get("scale") or given["k"].shape[-1] ** -0.5
    return sequential(Inputs(*tensors, scale, given.get("use_qk_l2norm_in_kernel", False)))  # type: ignore[arg-type]


def operator(**given: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return gated_delta_rule(**{"output_final_state": True, "use_qk_l2norm_in_kernel": True, **given})


def by_fla(**given: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return operator(**given, backend="fla")


def run(function: Any, tensors: Tensors, **options: Any) -> Tensors:
    """Results and gradients by name."""
    leaves = {name: x.detach().clone().requires_grad_() for name, x in tensors.items() if name in FLOATING}
    others = {name: x for name, x in tensors.items() if name not in FLOATING}
    o, state = function(**leaves, **others, **options)
    weights = [
        random_normal(*result.shape, seed=11 + index, dtype=torch.float64, device=result.device.type)
        for index, result in enumerate((o, state))
    ]
    total = (o.double() * weights[0]).sum() + (state.double() * weights[1]).sum()
    gradients = torch.autograd.grad(total, list(leaves.values()))
    return {"o": o.detach(), "state": state.detach()} | dict(zip(leaves, gradients, strict=True))


def compare(tensors: Tensors, *, function: Any = operator, coarse: torch.dtype | None = None) -> None:
    """With the loop in float64; `coarse` is the precision to expect of all where it is not that of each."""
    precise = {name: x.double() if x.is_floating_point() else x for name, x in tensors.items()}
    expected = run(loop, precise, use_qk_l2norm_in_kernel=True)
    for what, result in run(function, tensors).items():
        assert_close(result if coarse is None else result.to(coarse), expected[what], what=what)


def only(tensors: Tensors, *names: str) -> Tensors:
    return {name: x for name, x in tensors.items() if name in (*ALONG, *names)}


def cut(tensors: Tensors, start: int, stop: int) -> Tensors:
    return {name: tensors[name][:, start:stop] for name in ALONG}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", AWKWARD_LENGTHS)
def test_values_and_gradients(length: int, dtype: torch.dtype) -> None:
    tensors = inputs(length, dtype=dtype)
    compare(tensors)
    compare(only(tensors, "initial_state"))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("names", [(), ("seq_idx",), ("initial_state",)])
def test_any_of_the_optional_inputs(names: tuple[str, ...], groups: int) -> None:
    compare(only(inputs(70, groups=groups, dtype=torch.float64), *names))


def test_keys_as_they_are_and_another_scale() -> None:
    tensors = inputs(130, dtype=torch.float64)
    tensors["k"] = tensors["k"] / tensors["k"].norm(dim=-1, keepdim=True)
    options = {"use_qk_l2norm_in_kernel": False, "scale": 0.3}
    expected = run(loop, tensors, **options)
    for what, result in run(operator, tensors, **options).items():
        assert_close(result, expected[what], what=what)


def test_keys_of_no_length() -> None:
    tensors = inputs(70, dtype=torch.float64)
    tensors["k"][:, 3:60:4], tensors["q"][:, 2:50:4] = 0, 0
    compare(tensors)


def test_beta_up_to_two() -> None:
    """Where a state is turned round under its keys."""
    tensors = inputs(200, dtype=torch.float64)
    compare(tensors | {"beta": 2 * tensors["beta"]})


def test_half_precision_keeps_states_in_float32() -> None:
    tensors = inputs(997)
    half = {name: x.bfloat16() if name in ("q", "k", "v") else x for name, x in tensors.items()}
    compare(half, coarse=torch.bfloat16)
    o, state = operator(**half)
    assert (o.dtype, state.dtype) == (torch.bfloat16, torch.float32)


def test_autocast_leaves_the_precision_alone() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        compare(inputs(70))


@pytest.mark.parametrize("chunk", [1, 7, 64, 200])
@pytest.mark.parametrize("elements", [1, 10**5])
def test_any_chunk_and_block(chunk: int, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked, "CHUNK", chunk)
    monkeypatch.setattr(chunked, "BLOCK_ELEMENTS", elements)
    compare(inputs(150, dtype=torch.float64))


def test_decays_that_underflow() -> None:
    tensors = only(inputs(300, dtype=torch.float64), "initial_state")
    tensors["g"] = tensors["g"] * torch.tensor([0.0, 1e3, 1e5, 1e7], dtype=torch.float64)
    compare(tensors)


def test_gradcheck() -> None:
    tensors = inputs(9, batch=1, dtype=torch.float64)
    seq_idx = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 2, 2]])
    leaves = [tensors[name].requires_grad_() for name in FLOATING]

    def function(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return operator(**dict(zip(FLOATING, given, strict=True)), seq_idx=seq_idx)

    assert torch.autograd.gradcheck(function, leaves)


@pytest.mark.parametrize("names", [(), ("initial_state", "seq_idx")])
def test_operators_keep_torchs_rules(names: tuple[str, ...]) -> None:
    tensors = only(inputs(70), *names)
    given = [tensors.get(name) for name in (*FLOATING, "seq_idx")]
    options = (0.5, True)
    leaves = [None if x is None else x.detach().clone().requires_grad_(x.is_floating_point()) for x in given]
    torch.library.opcheck(gated_delta_rule_forward, (*leaves, *options))
    o, state, saved = gated_delta_rule_forward(*given, *options)
    torch.library.opcheck(gated_delta_rule_backward, (o, state, *given, saved, *options))


def test_under_compile() -> None:
    tensors = inputs(70)
    compiled = torch.compile(operator, fullgraph=True, backend="aot_eager")
    expected = run(operator, tensors)
    for what, result in run(compiled, tensors).items():
        torch.testing.assert_close(result, expected[what], msg=what)


@pytest.mark.parametrize("cuts", [(1,), (64,), (63, 64, 200)])
def test_chunks_with_the_carried_state_equal_the_whole(cuts: tuple[int, ...]) -> None:
    tensors = only(inputs(250, dtype=torch.float64), "initial_state")
    whole, last = operator(**tensors)
    state, parts = tensors["initial_state"], []
    for start, stop in pairwise((0, *cuts, 250)):
        o, state = operator(**cut(tensors, start, stop), initial_state=state)
        parts.append(o)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("normalised", [True, False])
def test_one_step_updates_equal_the_whole(normalised: bool) -> None:
    tensors = only(inputs(40, dtype=torch.float64), "initial_state")
    tensors["k"] = tensors["k"] / 3
    options = {"scale": 0.7, "use_qk_l2norm_in_kernel": normalised}
    expected, last = operator(**tensors, **options)
    state = tensors["initial_state"].clone()
    for t in range(40):
        now = {name: tensors[name][:, t] for name in ALONG}
        torch.testing.assert_close(gated_delta_rule_update(state, **now, **options), expected[:, t])
    torch.testing.assert_close(state, last)


def test_packed_equals_separate() -> None:
    tensors = only(inputs(200, batch=1, dtype=torch.float64))
    bounds = [0, 1, 64, 65, 130, 200]
    lengths = torch.tensor([stop - start for start, stop in pairwise(bounds)])
    # A sequence whose number comes back starts again.
    seq_idx = torch.tensor([4, 7, 4, 7, 0]).repeat_interleave(lengths).unsqueeze(0)
    packed, last = operator(**tensors, seq_idx=seq_idx)
    parts = [operator(**cut(tensors, start, stop)) for start, stop in pairwise(bounds)]
    torch.testing.assert_close(packed, torch.cat([o for o, _ in parts], 1))
    torch.testing.assert_close(last, parts[-1][1])


def test_without_the_delta_it_is_ssd() -> None:
    """Where every key is orthogonal to those before, there is nothing to replace."""
    tensors = inputs(4, groups=4, widths=(4, 3), dtype=torch.float64)
    k = torch.eye(4, dtype=torch.float64)[:, None].expand(2, 4, 4, 4)
    decay = torch.tensor([-0.3, -0.2, -1.0, 0.0], dtype=torch.float64)
    g, one = decay.expand(2, 4, 4), torch.ones(2, 4, 4, dtype=torch.float64)
    o = gated_delta_rule(tensors["q"], k, tensors["v"], g, one, scale=1.0)
    torch.testing.assert_close(o, ssd(tensors["v"], one, decay, k, tensors["q"]))


def test_memory_does_not_grow_with_a_state_a_chunk() -> None:
    """States are kept for the square root of the chunks."""

    def kept(length: int) -> int:
        tensors = [torch.zeros(1, length, 1, width) for width in (64, 64, 128)]
        given = Inputs(*tensors, tensors[0][..., 0], tensors[0][..., 0], None, None, 1.0, True)
        return chunked.saved_like(given).numel() // (64 * 128)

    assert kept(2**20) <= 2**7 + 2
    tensors = only(inputs(64 * 256, batch=1, widths=(64, 64)))
    peaks = []
    for length in (64 * 64, 64 * 256):
        given = {name: x[:, :length].clone().requires_grad_() for name, x in tensors.items()}
        with LiveBytes() as watch:
            gated_delta_rule(**given).sum().backward()
        peaks.append(watch.peak["cpu"] - watch.live["cpu"])
    assert peaks[1] < 4 * peaks[0]


def test_fla_takes_packed_rows_as_one() -> None:
    starts, first, last = fla_impl._sequences(
        torch.tensor([[3, 3, 0, 0, 3], [3, 3, 3, 3, 3], [1, 2, 2, 2, 2]])
    )
    assert starts.tolist() == [0, 2, 4, 5, 10, 11, 15]
    assert first.tolist() == [0, 3, 4]
    assert last.tolist() == [2, 3, 5]


@pytest.mark.parametrize("names", [(), ("seq_idx",), ("initial_state",), ("initial_state", "seq_idx")])
def test_rows_that_fla_is_given(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in that has fla's contract: one long row, and a state of every sequence."""

    def kernels(*, initial_state: Any, cu_seqlens: torch.Tensor | None = None, **given: Any) -> Any:
        if cu_seqlens is None:
            return gated_delta_rule(**given, initial_state=initial_state)
        options = {name: x for name, x in given.items() if name not in ALONG}
        results = []
        for number, (start, stop) in enumerate(pairwise(cu_seqlens.tolist())):
            state = None if initial_state is None else initial_state[number : number + 1]
            results.append(gated_delta_rule(**cut(given, start, stop), initial_state=state, **options))
        return torch.cat([o for o, _ in results], 1), torch.cat([state for _, state in results])

    monkeypatch.setattr(fla_impl, "_chunk_gated_delta_rule", lambda: kernels)
    tensors = only(inputs(90), *names)
    given = [tensors.get(name) for name in (*FLOATING, "seq_idx")]
    actual = fla_impl.forward(Inputs(*given, 0.4, True))  # type: ignore[arg-type]
    for result, expected in zip(actual, operator(**tensors, scale=0.4), strict=True):
        torch.testing.assert_close(result, expected)


@pytest.mark.parametrize(
    ("capability", "triton", "change", "learned", "expected"),
    [
        ((9, 0), False, {}, True, True),
        ((9, 0), True, {}, False, True),
        ((9, 0), True, {}, True, False),
        ((8, 0), True, {}, True, True),
        ((7, 5), False, {}, False, False),
        ((9, 0), False, {"dtype": torch.float32}, False, False),
        ((9, 0), False, {"widths": (258, 4)}, False, False),
        ((9, 0), False, {"widths": (4, 5)}, False, False),
    ],
)
def test_where_fla_runs(
    capability: tuple[int, int],
    triton: bool,
    change: Any,
    learned: bool,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if it were installed, and there were a GPU."""
    monkeypatch.setattr(fla_impl, "_chunk_gated_delta_rule", lambda: loop)
    monkeypatch.setattr(fla_impl, "_triton_miscompiles", lambda: triton)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    tensors = inputs(3, **{"dtype": torch.bfloat16, "widths": (4, 4), **change})
    given = Inputs(*(tensors[name] for name in ALONG), None, None, 1.0, True)
    assert fla_impl.supports(given, with_gradient=learned) == expected


def test_auto_takes_fla_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """On tensors without content, which get the shapes of the operator in torch."""
    monkeypatch.setattr(fla_impl, "_chunk_gated_delta_rule", lambda: loop)
    monkeypatch.setattr(fla_impl, "_triton_miscompiles", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    with FakeTensorMode():
        q = torch.empty(2, 70, 4, 16, device="cuda", dtype=torch.bfloat16)
        g = torch.empty(2, 70, 4, device="cuda")
        o, state = operator(q=q, k=q, v=q, g=g, beta=g, backend="fla")
        assert (o.shape, o.dtype) == (q.shape, q.dtype)
        assert (state.shape, state.dtype) == ((2, 4, 16, 16), torch.float32)
        learned = {"q": q, "k": q, "v": q, "g": g, "beta": g.clone().requires_grad_()}
        with pytest.raises(BackendUnavailable, match="available here: reference"):
            operator(**learned, backend="fla")
        with torch.no_grad():
            operator(**learned, backend="fla")


needs_fla = pytest.mark.skipif(fla_impl._chunk_gated_delta_rule() is None, reason="needs fla-core")


def on_cuda(length: int) -> Tensors:
    tensors = inputs(length, widths=(64, 128), device="cuda")
    return {name: x.bfloat16() if name in ("q", "k", "v") else x for name, x in tensors.items()}


@pytest.mark.gpu
@needs_fla
@pytest.mark.parametrize("names", [("initial_state",), ("seq_idx",), ("initial_state", "seq_idx")])
@pytest.mark.parametrize("length", AWKWARD_LENGTHS)
def test_fla_on_cuda(length: int, names: tuple[str, ...]) -> None:
    """The kernels round within chunks: 2e-2 of the largest value."""
    tensors = only(on_cuda(length), *names)
    expected = loop(**{name: x.double() if x.is_floating_point() else x for name, x in tensors.items()},
                    use_qk_l2norm_in_kernel=True)  # fmt: skip
    for actual, wanted in zip(by_fla(**tensors), expected, strict=True):
        assert (actual - wanted).abs().max() <= 2e-2 * wanted.abs().max()


@pytest.mark.gpu
@needs_fla
@pytest.mark.parametrize("length", AWKWARD_LENGTHS)
def test_gradients_of_fla_on_cuda(length: int) -> None:
    tensors = on_cuda(length)
    try:
        actual = run(by_fla, tensors)
    except BackendUnavailable:
        pytest.skip("fla refuses gated gradients on Hopper with Triton 3.4 to 3.7.0, which miscompile them")
    precise = {name: x.double() if x.is_floating_point() else x for name, x in tensors.items()}
    expected = run(loop, precise, use_qk_l2norm_in_kernel=True)
    for what, result in actual.items():
        error = (result - expected[what]).norm()
        assert error <= 2e-2 * expected[what].norm(), f"{what}: {error}"


@pytest.mark.gpu
@pytest.mark.parametrize("length", AWKWARD_LENGTHS)
def test_reference_on_cuda(length: int) -> None:
    compare(inputs(length, device="cuda"))


def test_backend_that_is_not_there() -> None:
    tensors = only(inputs(5))
    reference = gated_delta_rule(**tensors, backend="reference")
    assert torch.equal(reference, gated_delta_rule(**tensors))
    for backend in ("fla", "triton"):
        with pytest.raises(BackendUnavailable, match=rf"'{backend}'.*cpu.*float32.*\(2, 5, 4, 3\)"):
            gated_delta_rule(**tensors, backend=backend)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="backend='cuda'"):
        gated_delta_rule(**tensors, backend="cuda")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"v": (2, 5, 12)}, r"wanted \(B, L, H, V\)"),
        ({"v": (2, 0, 4, 3), "g": (2, 0, 4), "beta": (2, 0, 4)}, "none of them zero"),
        ({"beta": (2, 5, 3)}, "beta"),
        ({"k": (2, 5, 2, 6)}, r"two \(2, 5, G, K\)"),
        ({"q": (2, 5, 3, 5), "k": (2, 5, 3, 5)}, "3 groups of q and k do not divide 4 heads"),
        ({"initial_state": (2, 4, 3, 5)}, r"state.*wanted \(2, 4, 5, 3\)"),
        ({"seq_idx": (2, 5)}, "wanted integers"),
    ],
)
def test_shapes_that_do_not_fit(change: dict[str, tuple[int, ...]], words: str) -> None:
    changed = {name: random_normal(*shape) for name, shape in change.items()}
    with pytest.raises(ValueError, match=words):
        gated_delta_rule(**(only(inputs(5)) | changed))
