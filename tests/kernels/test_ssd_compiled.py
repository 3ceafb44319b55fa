"""The kernels of ssd as machine code for Hopper, in a process that does not interpret them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from genoseq_kernels.ssd import triton_impl

SHARED_BYTES = 232_448
KERNELS = ("chunk_states", "scan", "value_gradients", "weight_gradients", "pass_states")
POINTERS = {
    "x", "dy", "B", "C", "D", "dt", "A", "run", "states", "state_gradients", "over_chunk", "first", "last",
    "y", "dx", "ddt", "dlogs", "dD", "u", "v", "k", "result",
}  # fmt: skip
FLOATS = {"D", "dt", "A", "over_chunk", "first", "last", "ddt", "dlogs", "dD"}


@pytest.mark.slow
@pytest.mark.parametrize("config", range(len(triton_impl.CONFIGS)))
def test_every_configuration_compiles_without_spills(config: int) -> None:
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    command = [sys.executable, __file__, str(config)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")[:-1]
    assert len(lines) == 8
    for line in lines:
        *_, _, stack, shared = line.split()
        assert int(stack) == 0, line
        assert int(shared) <= SHARED_BYTES, line


def main(configs: list[int]) -> None:
    """Print kernel, direction, configuration, registers, stack and shared memory: bf16, P = 64, N = 128."""
    for index in configs:
        config = triton_impl.CONFIGS[index]
        for name in KERNELS:
            directions = [None] if name in ("scan", "value_gradients") else [False, True]
            for reverse in directions:
                print(name, reverse, *config, *compiled(name, config, reverse), flush=True)


def compiled(name: str, config: triton_impl.Config, reverse: bool | None) -> tuple[int, int, int]:
    from genoseq_kernels.compilation import compile_for_gpu
    from genoseq_kernels.ssd.triton_impl import kernels

    kernel = getattr(kernels, name)
    constants = triton_impl.constants(torch.bfloat16, 64, 128, config, True)
    constants |= {"SKIP": True, "REVERSE": reverse, "SIZE": 8192, "BLOCK": 128, "AT_ONCE": 16}
    warps = config.gradient_warps if name.endswith("_gradients") else config.warps
    signature = {argument: signature_of(argument) for argument in kernel.arg_names}
    constants = {key: value for key, value in constants.items() if key in kernel.arg_names}
    return compile_for_gpu(kernel, signature, constants, num_warps=4 if name == "pass_states" else warps)


def signature_of(argument: str) -> str:
    if argument == "run":
        return "*i64"
    if argument in POINTERS:
        return "*fp32" if argument in FLOATS else "*bf16"
    return "i64" if argument.endswith("_batch") else "i32"


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(range(len(triton_impl.CONFIGS))))
