"""Entries of qcnn_tflite/cost_model.json for the NEON kernels, from the loops of arm_mca.py.

    python -m benchmarks.arm_cost_model --core cortex-a76 --ghz 2.2

llvm-mca counts cycles with everything in the L1 cache; the clock is an assumption. What arm_mca.py
does not simulate is left out or taken from its nearest relative: finishing an output costs what a
flush does; quantizing the inputs, finding their scale and bytes from beyond the L2 cache cost
nothing. So the times are lower bounds; a phone's own, once measured, replaces them by
`fit_cost_model`.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from benchmarks import arm_mca
from benchmarks.arm_mca import CORES, LANES, Kernels, Machine
from benchmarks.fit_cost_model import ROW_ENTRIES, WINDOWS
from benchmarks.kernel_constants import chunk_weights
from qcnn_tflite.cost_model import COEFFICIENTS
from qcnn_tflite.result_document import now


def kernel_entry(kernels: Kernels, machine: Machine, half: bool, ghz: float) -> dict[str, Any]:
    """An entry of ``cost_model.json``.

    Parameters
    ----------
    kernels : Kernels
    machine : Machine
    half : bool
        The kernel "neon_dotprod" rather than "neon".
    ghz : float
    """
    l1, l2 = CORES[machine.core]
    kernel = "neon_dotprod" if half else "neon"
    conv = {name: cycles / ghz for name, cycles in _conv_cycles(kernels, machine, half).items()}
    fc = {name: cycles / ghz for name, cycles in _fc_cycles(kernels, machine).items()}
    return {
        "machine": f"{machine.core} at {ghz:g} GHz by {machine.mca}",
        "date": now(),
        "source": "inner loops by llvm-mca, benchmarks/arm_cost_model.py; not measured",
        "l1": l1,
        "l2": l2,
        "window": list(WINDOWS[kernel]),
        "row_entries": ROW_ENTRIES[kernel],
        "chunk_weights": chunk_weights(),
        "conv": {name: float(f"{ns:.4g}") for name, ns in conv.items() if ns > 0},
        "fc": {name: float(f"{ns:.4g}") for name, ns in fc.items() if ns > 0},
    }


def _conv_cycles(kernels: Kernels, machine: Machine, half: bool) -> dict[str, float]:
    prologue, loop, epilogue = kernels.lookup_3x3(half)
    step = machine.cycles(loop)
    around = machine.cycles(prologue + loop + epilogue) - 2 * step

    def entry(d: int) -> float:
        body, entries = kernels.build(half, d)
        return machine.cycles(body) * LANES / entries

    # Four pairs of products, and three.
    pair = max(entry(8) - entry(6), 0.0)
    fixed = max(entry(8) - 4 * pair, 0.0)
    if half:  # codewords are converted for every two rows
        words, converted = kernels.convert_words()
        fixed += machine.cycles(words) / converted / 2
    flush = machine.cycles(kernels.flush(half)) / LANES
    return {
        "entry": fixed,
        "entry_pair": pair,
        "lookup": step / 6,  # three kernel columns, two rows
        "pass": around / 2,
        "finish": flush,
        "flush": flush,
    }


def _fc_cycles(kernels: Kernels, machine: Machine) -> dict[str, float]:
    cycles = {}
    # K, lookups of a pass through the loop, registers of a table, its TBL and TBX.
    for K, lookups, registers, tables in (
        (16, 128, 1, 16), (32, 64, 2, 8), (64, 64, 4, 8), (128, 64, 4, 16), (256, 64, 4, 32),
    ):  # fmt: skip
        body = kernels.fc.loop(
            "3add",
            lambda b, r=registers, t=tables: (  # type: ignore[misc]
                arm_mca.count(b, r"tb[lx]") == t and any(arm_mca.one_table(x) == r for x in b)
            ),
        )
        cycles[f"lookup_{K}"] = machine.cycles(body) / lookups
    body = kernels.fc.loop("build", lambda b: arm_mca.count(b, r"sm(ul|la)l2?\s") > 0)
    products = arm_mca.count(body, r"sm(ul|la)l2?\s") * 4
    cycles["entry_pair"] = machine.cycles(body) / (products / 2)
    return cycles


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--core", default="cortex-a76", choices=list(CORES))
    parser.add_argument("--ghz", type=float, default=2.2)
    parser.add_argument("--clang", default=arm_mca.newest("clang++"))
    parser.add_argument("--mca", default=arm_mca.newest("llvm-mca"))
    args = parser.parse_args()
    kernels, machine = Kernels(args.clang), Machine(args.mca, args.core)
    for name, half in (("neon", False), ("neon_dotprod", True)):
        entry = kernel_entry(kernels, machine, half, args.ghz)
        COEFFICIENTS.store(name, entry)
        print(f"{name}: conv {entry['conv']}, fc {entry['fc']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
