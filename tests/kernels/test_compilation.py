"""The compiler of kernels on a machine without a GPU, in a process that does not interpret them."""

from __future__ import annotations

import os
import subprocess
import sys

import triton
import triton.language as tl


@triton.jit
def _double(source, target, size, block: tl.constexpr):  # type: ignore[no-untyped-def]
    index = tl.program_id(0) * block + tl.arange(0, block)
    tl.store(target + index, 2 * tl.load(source + index, index < size), index < size)


def test_a_kernel_compiles_to_machine_code_without_a_gpu() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    registers, stack, shared = map(int, done.stdout.split())
    assert 8 <= registers <= 64
    assert (stack, shared) == (0, 0)


def main() -> None:
    """Print registers, stack and shared memory of the kernel above."""
    from genoseq_kernels.compilation import compile_for_gpu

    signature = {"source": "*fp32", "target": "*fp32", "size": "i64"}
    print(*compile_for_gpu(_double, signature, {"block": 1024}, num_warps=4))


if __name__ == "__main__":
    main()
