"""fft_conv by Triton, compiled for a GPU on a machine that has none: every kernel of every configuration.

`TRITON_INTERPRET=0 python tests/kernels/test_fft_conv_triton_compiled.py [LENGTH ...]` prints them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

LARGEST_SHARED_BYTES = 232_448
Row = dict[str, Any]


def compiled(length: int, only: str = "") -> list[Row]:
    """Resources of all kernels of a length, or of one dtype with the configuration that it takes."""
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    command = [sys.executable, __file__, "--json", f"--only={only}", str(length)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(rows: list[Row]) -> None:
    assert rows
    for row in rows:
        assert row["shared"] <= LARGEST_SHARED_BYTES, row
        assert row["registers"] <= 255, row


def test_kernels_of_16_bits_compile_with_few_spills() -> None:
    """Of strides whose alignment is not known, as of this length."""
    rows = compiled(65_537, only="bfloat16")
    check(rows)
    assert all(row["stack"] <= 64 for row in rows), rows


def test_kernels_of_middle_lengths_fit() -> None:
    rows = compiled(8191, only="bfloat16")
    check(rows)
    # Twiddles and addresses that the compiler keeps beyond the registers are read as a table would be.
    assert all(row["stack"] <= 1792 for row in rows), rows


def test_the_longest_of_the_short_kernel_fits() -> None:
    """Its matrices are the largest: in float32, of two parts each, they are what decides."""
    check(compiled(2048, only="float32"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "length", [1, 1000, 2048, 2049, 8192, 8193, 65_537, 160_002, 450_002, 2**20, 2**23, 2**24]
)
def test_all_kernels_compile(length: int) -> None:
    check(compiled(length))


def resources(length: int, dtype_name: str, only: str) -> Iterator[Row]:
    """Compile all that a length may launch, bidirectional with both gates: the most that a kernel does; rows
    for one batch entry and for several."""
    import torch

    from genoseq_kernels.compilation import compile_for_gpu
    from genoseq_kernels.fft_conv.triton_impl import (
        column_kernels,
        middle_kernels,
        row_kernels,
        short_kernels,
    )
    from genoseq_kernels.fft_conv.triton_impl.long_launch import (
        column_back_options,
        column_options,
        row_options,
        sequence_back_options,
    )
    from genoseq_kernels.fft_conv.triton_impl.middle_launch import middle_options
    from genoseq_kernels.fft_conv.triton_impl.plan import chosen, configurations, make_plan
    from genoseq_kernels.fft_conv.triton_impl.short_launch import short_options

    each = (False, True)
    short = [(name, short_options, True) for name in ("short_spectrum", "short_forward", "short_backward")]
    spectrum = [("filter_columns", column_options, False), ("filter_rows", row_options, False)]
    names = ("middle_forward", "middle_backward")
    middle = [*spectrum, *((name, middle_options, several) for name in names for several in each)]
    long = [*spectrum, ("sequence_columns", column_options, False)]
    long += [("sequence_columns_back", sequence_back_options, False)]
    long += [("filter_columns_back", column_back_options, False)]
    names = ("sequence_rows", "gradient_rows")
    long += [(name, row_options, several) for name in names for several in each]
    modules = (column_kernels, middle_kernels, row_kernels, short_kernels)
    dtype = getattr(torch, dtype_name)
    for configuration in [chosen(torch.empty(1, length, dtype=dtype))] if only else configurations(dtype):
        plan = make_plan(length, configuration)
        for name, options_of, several in short if plan.short else middle if plan.whole else long:
            gradient = name in ("short_backward", "middle_backward", "gradient_rows")
            plan = make_plan(length, configuration, gradient=gradient, several=several)
            kernel = next(getattr(module, name) for module in modules if hasattr(module, name))
            constants = dict(options_of(plan))
            launch = {option: constants.pop(option) for option in ("num_warps", "num_stages", "maxnreg")}
            flags = {"WRAPPED": True, "ROOM": True, "ALONE": not several}
            constants |= {flag: value for flag, value in flags.items() if flag in kernel.arg_names}
            if "entries" in kernel.arg_names and not several:
                constants["entries"] = 1  # a constant, as every integer that is 1 in a launch
            signature = signature_of(kernel.arg_names, dtype_name)
            if dtype_name == "float32":
                constants |= {name: None for name, kind in signature.items() if "scales" in name}
            if name in ("short_forward", "middle_forward", "sequence_rows"):
                constants["spectrum"] = None
            found = compile_for_gpu(kernel, signature, constants, **launch)
            yield {
                "length": length, "dtype": dtype_name, "kernel": name,
                "tile": [x for key, x in constants.items() if key in ("A", "C", "B", "P", "BLOCK", "Q")],
                "warps": launch["num_warps"], "registers": found.registers, "stack": found.stack_bytes,
                "shared": found.shared_bytes,
            }  # fmt: skip


def signature_of(names: list[str], dtype_name: str) -> dict[str, str]:
    """Triton types of a kernel's arguments."""
    data = {"float32": "*fp32", "bfloat16": "*bf16"}[dtype_name]
    scratch = "*fp32" if dtype_name == "float32" else "*fp16"
    kinds = dict.fromkeys(("column", "left", "right"), "*fp16")
    kinds |= dict.fromkeys(("spectrum", "skip", "k", "near", "far"), "*fp32")
    kinds |= dict.fromkeys(("scratch", "gradients", "filters"), scratch)
    kinds |= dict.fromkeys(
        ("source", "gate", "target", "second", "factor", "u", "grad", "gate_in", "gate_out", "y", "convolved",
         "grad_u", "grad_gate_in"), data,
    )  # fmt: skip
    return {name: "*fp32" if "scales" in name else kinds.get(name, "i32") for name in names}


def main() -> None:
    """Print a line of resources for each kernel."""
    parser = argparse.ArgumentParser()
    parser.add_argument("lengths", nargs="*", type=int, default=[1000, 1_048_576])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="dtype to compile, with the configuration that it takes")
    options = parser.parse_args()
    for length in options.lengths:
        for dtype_name in (options.only,) if options.only else ("float32", "bfloat16"):
            for row in resources(length, dtype_name, options.only):
                print(json.dumps(row) if options.json else " ".join(map(str, row.values())), flush=True)


if __name__ == "__main__":
    main()
