"""Compile Triton kernels for a GPU on a machine that has none: does it compile, and what does it need?

Triton ships its own assembler, so that every configuration can be checked, and its registers, spills and
shared memory seen, before the first second on a GPU.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import triton
from triton.backends import nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

HOPPER = 90
_WARP_SIZE = 32


class Resources(NamedTuple):
    """What one program of a compiled kernel takes.

    Attributes:
        registers: a thread; 255 are the most.
        stack_bytes: a thread; above zero where registers were spilled or arrays indexed at run time.
        shared_bytes: a block; a Hopper block has at most 232,448.
    """

    registers: int
    stack_bytes: int
    shared_bytes: int


def compile_for_gpu(
    kernel: Any,
    signature: Mapping[str, str],
    constants: Mapping[str, Any],
    *,
    num_warps: int = 4,
    num_stages: int = 3,
    capability: int = HOPPER,
    divisible: Collection[str] = (),
) -> Resources:
    """Compile one configuration of a `triton.jit` kernel down to machine code.

    Args:
        kernel: the kernel; not decorated under `TRITON_INTERPRET`, which leaves nothing to compile.
        signature: Triton type of each run-time argument, such as `*fp32`, `*bf16`, `i32`, `i64`. Pointers are
            taken as 16-byte aligned.
        constants: value of each `tl.constexpr` argument.
        num_warps, num_stages: launch options of the configuration.
        capability: of the device, 90 for Hopper.
        divisible: integer arguments taken as multiples of 16, which strides mostly are: Triton compiles such
            calls apart, and loads wide only there.

    Raises:
        triton.CompilationError, RuntimeError: what the compiler or its assembler said.
    """
    names = list(kernel.arg_names)
    types = {name: "constexpr" if name in constants else signature[name] for name in names}
    aligned = {
        (index,): [["tt.divisibility", 16]]
        for index, name in enumerate(names)
        if types[name].startswith("*") or name in divisible
    }
    source = ASTSource(kernel, signature=types, constexprs=dict(constants), attrs=aligned)
    compiled = triton.compile(
        source,
        target=GPUTarget("cuda", capability, _WARP_SIZE),
        options={"num_warps": num_warps, "num_stages": num_stages},
    )
    registers, stack = _resource_usage(compiled.asm["cubin"])
    return Resources(registers=registers, stack_bytes=stack, shared_bytes=compiled.metadata.shared)


def _resource_usage(machine_code: bytes) -> tuple[int, int]:
    tool = Path(nvidia.__file__).parent / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(machine_code)
        file.flush()
        done = subprocess.run(
            [tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True
        )
    found = re.search(r"REG:(\d+) STACK:(\d+)", done.stdout)
    assert found, f"cuobjdump said {done.stdout!r}"
    return int(found[1]), int(found[2])
