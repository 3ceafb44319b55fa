"""The kernels of ssd as machine code for Hopper, in a process that does not interpret them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from genoseq_kernels.ssd.triton_impl import launches

CASES = (
    ("bfloat16", "64", "128"),
    ("float32", "64", "128"),
    ("bfloat16", "128", "128"),
    ("bfloat16", "32", "256"),
    ("bfloat16", "256", "32"),
)
"""Dtype, width of a head and states: a real model's, the largest that there may be, and the longest."""
SHARED_BYTES = 232_448
STACK_BYTES = {"walk": 16, "scan": 32, "value_gradients": 96, "pair_gradients": 64}
"""Spills a thread that are taken, of packed sequences with D: about 1 instruction in 30. No others."""
KERNELS = {
    "walk": ({"REVERSE": False, "STORE": False},),
    "similarities": ({},),
    "scan": ({"GATE": False},),
    "walk_back": (
        {"REVERSE": True, "STORE": False},
        {"REVERSE": False, "STORE": True},
        {"REVERSE": True, "STORE": True},
    ),
    "pair_gradients": ({},),
    "value_gradients": ({},),
    "weight_gradients": ({"REVERSE": False}, {"REVERSE": True}),
    "pass_segments": ({"REVERSE": False},),
    "make_steps": ({},),
    "step_gradients": ({"HALVES": True},),
}
FLOATS = {
    "D", "steps", "edges", "overs", "known", "given", "taken", "met", "alike", "dD", "edge", "through",
    "seen", "gone",
    "bias", "rates", "A", "dA", "dbias",
}  # fmt: skip
POINTERS = {
    "x", "dt", "dy", "B", "C", "z", "y", "dx", "u", "v", "k", "own", "states", "after", "before", "pairs",
    "result", "similar",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_every_kernel_compiles_and_fits(case: tuple[str, str, str]) -> None:
    """Without spills that matter, where it is meant to be fast."""
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    done = subprocess.run([sys.executable, __file__, *case], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")[:-1]
    assert len(lines) == sum(map(len, KERNELS.values()))
    for line in lines:
        name, *_, stack, shared = line.split()
        assert int(shared) <= SHARED_BYTES, line
        assert case != CASES[0] or int(stack) <= STACK_BYTES.get(name, 0), line


def main(dtype: str, width: str, size: str) -> None:
    """Print kernel, options, registers, stack and shared memory, of packed sequences with D."""
    for name, variants in KERNELS.items():
        for options in variants:
            resources = compiled(name, getattr(torch, dtype), int(width), int(size), options)
            print(name, *options.values(), *resources, flush=True)


def compiled(
    name: str, dtype: torch.dtype, width: int, size: int, options: dict[str, Any]
) -> tuple[int, int, int]:
    from genoseq_kernels.compilation import compile_for_gpu
    from genoseq_kernels.ssd.triton_impl import kernels, steps

    kernel = getattr(steps if "step" in name else kernels, name.removesuffix("_back"))
    config = launches.CONFIGS[dtype]
    back = name.endswith(("_back", "_gradients"))
    launch = "weight_gradients_back" if name == "weight_gradients" and options["REVERSE"] else name
    launched = getattr(config, launch).options(width, size) if hasattr(config, launch) else {}
    chunk = config.gradient_chunk if back else config.chunk
    constants = launches.constants(dtype, width, size, chunk, True) | options
    constants |= {"SKIP": True, "SIZE": width * size, "BLOCK": 256, "TILE": config.tile, "HEADS": 16}
    constants |= {"WHOLE": False, "BY_WIDTH": False, "HAS_BIAS": True, "SOFTPLUS": True, "LIMITED": True}
    constants = {key: value for key, value in constants.items() if key in kernel.arg_names}
    signature = {argument: signature_of(argument, dtype) for argument in kernel.arg_names}
    strides = [argument for argument in kernel.arg_names if argument.endswith(("_row", "_batch"))]
    return compile_for_gpu(
        kernel,
        signature,
        constants,
        multiples=[*strides, "padded", "span"],
        **launched,
    )


def signature_of(argument: str, dtype: torch.dtype) -> str:
    if argument == "run":
        return "*i32"
    if argument == "logs":
        return "*fp64" if dtype == torch.float32 else "*fp32"
    if argument in FLOATS:
        return "*fp32"
    if argument in POINTERS:
        return "*fp32" if dtype == torch.float32 else "*bf16"
    if argument in ("low", "high"):
        return "fp32"
    return "i64" if argument.endswith("_batch") else "i32"


if __name__ == "__main__":
    main(*(sys.argv[1:] or CASES[0]))
