"""How fast the ARM kernels' inner loops are by the models of llvm-mca, and what that makes of layers.

The kernels are compiled as they are shipped (clang, -O3, no -mcpu), their loops cut out of the
assembly and simulated for several cores, everything in the L1 cache; beside them loops of a float
and an int8 matrix product (custom_ops/bench/arm). Prints Markdown, which docs/performance.md holds.

    apt-get install clang-22 llvm-22 g++-aarch64-linux-gnu
    python benchmarks/arm_mca.py
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.kernel_constants import chunk_weights

ROOT = Path(__file__).resolve().parent.parent / "custom_ops"
TARGET = "aarch64-linux-gnu"

# Core model of LLVM: L1 and L2 bytes that a thread can count on (as custom_ops/core/cpu.cc would).
CORES = {
    "cortex-a55": (32 << 10, 128 << 10),
    "cortex-a76": (64 << 10, 256 << 10),
    "neoverse-n1": (64 << 10, 256 << 10),  # A76 in servers; with a model of its own
    "neoverse-n2": (64 << 10, 512 << 10),
    "apple-m1": (64 << 10, 1 << 20),
}

LANES = 32


def newest(tool: str) -> str:
    """`tool-22` rather than `tool-16` rather than `tool`."""
    for version in range(40, 13, -1):
        if shutil.which(f"{tool}-{version}"):
            return f"{tool}-{version}"
    return tool


class Assembly:
    """One C++ file as clang compiles it."""

    def __init__(self, clang: str, source: Path, march: str) -> None:
        command = [clang, f"--target={TARGET}", "-std=c++17", "-O3", f"-march={march}"]
        command += [f"-I{ROOT}", "-S", str(source), "-o", "-"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        self.lines = [line.split("//")[0].strip() for line in text.splitlines()]
        self.comments = [line.strip() for line in text.splitlines()]

    @staticmethod
    def is_code(line: str) -> bool:
        return bool(line) and not line.startswith((".", "#")) and not line.endswith(":")

    def loops(self, function: str) -> list[list[str]]:
        """Basic blocks of a function (a part of its mangled name) that jump to themselves."""
        found, inside, label, body = [], False, "", list[str]()
        for line in self.lines:
            if name := re.match(r"([A-Za-z_][\w.$]*):", line):
                inside, label, body = function in name[1], "", []
            elif name := re.match(r"(\.L\w+):", line):
                label, body = name[1], []
            elif inside and self.is_code(line):
                body.append(line)
                if line.startswith(("b", "cb", "tb")) and line.split()[-1] == label:
                    found.append(list(body))
        return found

    def loop(self, function: str, wanted: Callable[[list[str]], bool]) -> list[str]:
        matches = [body for body in self.loops(function) if wanted(body)]
        if not matches:
            raise SystemExit(f"no such loop in {function}: the kernel or the compiler has changed")
        return min(matches, key=len)

    def inline_assembly(self, around: str) -> tuple[list[str], list[str], list[str]]:
        """What comes before, in and after the loop of the inline assembly that says `around`."""
        for part in "\n".join(self.comments).split("//APP")[1:]:
            text = part.split("//NO_APP")[0]
            if around not in text:
                continue
            pieces: list[list[str]] = [[], [], []]
            at = 0
            for line in text.splitlines():
                if re.match(r"(1|\.Ltmp\d+):", line) and at == 0:
                    at = 1
                elif self.is_code(line):
                    if line.startswith("b.ne"):
                        at = 2
                    elif not line.startswith("b."):
                        pieces[at].append(line)
            return pieces[0], pieces[1], pieces[2]
        raise SystemExit(f"no inline assembly with {around}")


def count(body: list[str], pattern: str) -> int:
    return sum(bool(re.match(pattern, line)) for line in body)


def stored(body: list[str]) -> int:
    """Vector registers that a loop stores."""
    return count(body, r"st(r|ur)\s+q") + 2 * count(body, r"stp\s+q")


@dataclass
class Machine:
    mca: str
    core: str

    def cycles(self, body: list[str]) -> float:
        """Cycles of one pass through a loop body, of many in a row."""
        return simulate(self.mca, self.core, tuple(body))

    def loads(self, body: list[str]) -> float:
        """The same with the loads alone."""
        return self.cycles([line for line in body if re.match(r"ld", line)])


@cache
def simulate(mca: str, core: str, body: tuple[str, ...]) -> float:
    passes = 100
    text = ".Lloop:\n" + "\n".join(re.sub(r"\.L\w+", ".Lloop", line) for line in body) + "\n"
    command = [mca, f"-mtriple={TARGET}", f"-mcpu={core}", "-mattr=+fullfp16,+dotprod"]
    command += [f"-iterations={passes}", "-resource-pressure=0", "-instruction-info=0"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    total = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    if total is None:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return int(total[1]) / passes


class Kernels:
    """The loops of one set of files, with and without half precision."""

    def __init__(self, clang: str) -> None:
        base, full = "armv8-a", "armv8.2-a+fp16+dotprod"
        self.neon = Assembly(clang, ROOT / "core/qconv_neon.cc", base)
        self.half = Assembly(clang, ROOT / "core/qconv_neon_dotprod.cc", full)
        self.fc = Assembly(clang, ROOT / "core/qfc_neon.cc", base)
        self.gemm = Assembly(clang, ROOT / "bench/arm/gemm_tiles.cc", full)

    def conv(self, half: bool) -> Assembly:
        return self.half if half else self.neon

    def lookup_3x3(self, half: bool) -> tuple[list[str], list[str], list[str]]:
        return self.conv(half).inline_assembly("v31.8h")

    def lookup(self, half: bool, adds: int) -> list[str]:
        return self.conv(half).loop(
            "add", lambda b: count(b, r"f?add\s+v") == adds and count(b, r"ldp\s+x") < 4
        )

    def build(self, half: bool, d: int) -> tuple[list[str], int]:
        """Loop, and codewords in all 32 lanes that one pass makes, times 32 / lanes."""
        if half:
            body = self.half.loop(
                "build",
                lambda b: count(b, r"fml?[au]") + 0 == 8 * d and stored(b) == 8,
            )
        else:
            body = self.neon.loop(
                "build", lambda b: count(b, r"sm(ul|la)l2?\s") == 8 * d and stored(b) == 4
            )
        return body, stored(body) * 8

    def convert_words(self) -> tuple[list[str], int]:
        body = self.half.loop(
            "build", lambda b: count(b, r"scvtf\s+v.*8h") > 0 and count(b, r"fml") == 0
        )
        return body, count(body, r"scvtf")

    def flush(self, half: bool) -> list[str]:
        return self.conv(half).loop("flush", lambda b: count(b, r"fmla") == LANES // 4)


def share(x: float) -> str:
    return f"{100 * x:.0f} %"


def inner_loops(kernels: Kernels, machines: list[Machine]) -> None:
    print(
        "| inner loop, multiply-accumulates a cycle | "
        + " | ".join(m.core for m in machines)
        + " |"
    )
    print("|---" * (len(machines) + 1) + "|")

    def row(name: str, cells: list[str]) -> None:
        print(f"| {name} | " + " | ".join(cells) + " |")

    def rate(name: str, body: list[str], work: float) -> None:
        row(name, [f"{work / m.cycles(body):.1f}" for m in machines])

    for half in (False, True):
        body = kernels.lookup_3x3(half)[1]
        kind = "float16" if half else "int16"
        rate(f"lookups 3x3, two rows, {kind} table, d=8", body, 6 * LANES * 8)
    body = kernels.lookup_3x3(False)[1]
    row(
        "… cycles of a step (6 lookups), of its loads alone",
        [f"{m.cycles(body):.1f}, {m.loads(body):.1f}" for m in machines],
    )
    rate("lookups, five columns, one row, d=8", kernels.lookup(False, 20), 5 * LANES * 8)
    for d in (8, 6):
        for half in (False, True):
            body, entries = kernels.build(half, d)
            by = "float16 FMLA" if half else "SMLAL"
            rate(f"table building, {by}, d={d}", body, entries * d)
    sdot = kernels.gemm.loop("sdot_table", lambda b: count(b, "sdot") > 8)
    rate(
        "table building, SDOT on two planes (int8 codebooks only), d=8", sdot, stored(sdot) * 8 * 8
    )
    rate("float matrix product, FMA 6x16", kernels.gemm.loop("fma_6x16", bool), 96)
    rate("float matrix product, FMA 8x12", kernels.gemm.loop("fma_8x12", bool), 96)
    rate("int8 matrix product, SDOT 8x8", kernels.gemm.loop("sdot_8x8", bool), 256)
    print()
    print("| fully-connected, lookups a cycle | " + " | ".join(m.core for m in machines) + " |")
    print("|---" * (len(machines) + 1) + "|")
    for K, lookups, registers, tables in ((16, 128, 1, 16), (32, 64, 2, 8), (256, 64, 4, 32)):
        body = kernels.fc.loop(
            "3add",
            lambda b, r=registers, t=tables: (  # type: ignore[misc]
                count(b, r"tb[lx]") == t and any(one_table(line) == r for line in b)
            ),
        )
        rate(f"K={K}, {'two codes' if K == 16 else 'a code'} in a byte", body, lookups)
    print()


def one_table(line: str) -> int:
    """Registers of the table that a TBL reads."""
    braces = re.match(r"tb[lx]\s.*\{(.*)\}", line)
    if braces is None:
        return 0
    if "-" in braces[1]:
        first, last = re.findall(r"v(\d+)", braces[1])
        return int(last) - int(first) + 1
    return braces[1].count("v")


@dataclass(frozen=True)
class Layer:
    name: str
    size: int  # of input and output
    channels: int  # of a group
    outputs: int  # of a group
    groups: int
    d: int
    K: int = 128


LAYERS = [
    Layer(f"VGG-16 {name}", size, channels, outputs, 1, d)
    for d in (8, 6)
    for name, size, channels, outputs in (
        ("conv2_2", 112, 128, 128),
        ("conv3_1", 56, 128, 256),
        ("conv3_2, 3_3", 56, 256, 256),
        ("conv4_1", 28, 256, 512),
        ("conv4_2, 4_3", 28, 512, 512),
        ("conv5", 14, 512, 512),
    )
] + [
    Layer("AlexNet conv3", 13, 256, 384, 1, 8),
    Layer("AlexNet conv4", 13, 192, 192, 2, 8),
    Layer("AlexNet conv5", 13, 192, 128, 2, 8),
]


def layer_cycles(
    kernels: Kernels, machine: Machine, layer: Layer, half: bool
) -> tuple[float, float]:
    """Cycles of a 3x3 layer and the part of them that builds tables.

    The plan is that of custom_ops/core/qconv.cc: chunks of subspaces that share a scale, blocks of
    them whose tables fit in L1, columns of rows of 32 lanes. Left out: quantizing the inputs, which
    is done once for all outputs, and the last pass (bias, activation, transposition).
    """
    l1, l2 = CORES[machine.core]
    subspaces = math.ceil(layer.channels / layer.d)
    chunks = math.ceil(subspaces / int(chunk_weights()[0] / math.sqrt(layer.d) / 9))
    row = layer.K * LANES * 2
    window = min(max(l1 * 2 // 3 // row - 2, 1), 2)
    planes = max(1, l1 // 2 // (row * (window + 2)))

    # Sums of one output and two rows over the subspaces, block by block; one row, where the number
    # of rows is odd, takes the compiler's loop.
    prologue, loop, epilogue = kernels.lookup_3x3(half)
    around = machine.cycles(prologue + loop + epilogue) - 2 * machine.cycles(loop)
    one_row = 3 * subspaces * machine.cycles(kernels.lookup(half, 12))
    lookups = 0.0
    for chunk in range(chunks):
        left = subspaces * (chunk + 1) // chunks - subspaces * chunk // chunks
        while left > 0:
            steps = 3 * min(planes, left)
            lookups += machine.cycles(prologue + loop * (steps - 1) + epilogue)
            one_row += around / 2
            left -= planes
    flush = machine.cycles(kernels.flush(half))
    output_row = layer.outputs * (lookups / 2 + chunks * flush)
    last_row = layer.outputs * (one_row + chunks * flush)
    if window == 1:
        output_row = last_row

    body, entries = kernels.build(half, layer.d)
    table_row = subspaces * machine.cycles(body) * layer.K * LANES / entries
    if half:  # codewords are converted for every window
        words, converted = kernels.convert_words()
        table_row += subspaces * machine.cycles(words) * layer.K / converted / window

    tile = LANES * (6 if chunks > 1 else 2)
    row_bytes = math.ceil(subspaces / chunks) * math.ceil(layer.d / 2) * LANES * 4
    room = l2 * 3 // 4 - (window + 2) * planes * row
    best = math.inf, 0.0
    parts = 1
    while parts <= layer.outputs:
        outputs = layer.outputs // parts
        rows = max(1, (room - 2 * row_bytes) // (row_bytes + outputs * tile))
        cost = cover(layer.size, rows, output_row / parts, last_row / parts, table_row)
        best = min(best, (cost[0] * parts, cost[1] * parts))
        parts *= 2
    return best[0] * layer.groups, best[1] * layer.groups


def cover(
    size: int, most: int, output_row: float, last_row: float, table_row: float
) -> tuple[float, float]:
    """As in custom_ops/core/conv_geometry.cc: cost of the columns, and of their tables."""
    best = math.inf, 0.0
    for segments in range(1, size + 1):
        width = math.ceil(size / segments)
        if width + 2 > LANES:
            continue
        if width + 2 < LANES // 4:
            break
        beside = LANES // (width + 2)
        least = math.ceil(size / most)
        for runs in range(least, min(size, least + 2 * beside + 1) + 1):
            rows = math.ceil(size / runs)
            strips = math.ceil(size / width) * math.ceil(size / rows)
            columns = math.ceil(strips / beside)
            tables = columns * (rows + 2) * table_row
            sums = columns * (rows // 2 * 2 * output_row + rows % 2 * last_row)
            best = min(best, (sums + tables, tables))
    return best


def layers(kernels: Kernels, machines: list[Machine]) -> None:
    print(
        "| layer, K=128: times the FMA / the SDOT kernel (of it building tables) | "
        + " | ".join(m.core for m in machines)
        + " |"
    )
    print("|---" * (len(machines) + 1) + "|")
    for layer in LAYERS:
        multiplications = layer.size**2 * 9 * layer.channels * layer.outputs * layer.groups
        cells = []
        for m in machines:
            total, tables = layer_cycles(kernels, m, layer, True)
            ours = multiplications / total
            fma = max(96 / m.cycles(kernels.gemm.loop(f, bool)) for f in ("fma_6x16", "fma_8x12"))
            sdot = 256 / m.cycles(kernels.gemm.loop("sdot_8x8", bool))
            cells.append(f"{ours / fma:.1f} / {ours / sdot:.2f} ({share(tables / total)})")
        print(f"| {layer.name}, d={layer.d} | " + " | ".join(cells) + " |")
    print()


def main() -> int:
    parser = argparse.ArgumentParser(description="Inner loops of the ARM kernels by llvm-mca.")
    parser.add_argument("--clang", default=newest("clang++"))
    parser.add_argument("--mca", default=newest("llvm-mca"))
    parser.add_argument("--cores", nargs="+", default=list(CORES), choices=list(CORES))
    options = parser.parse_args()
    for tool in (options.clang, options.mca):
        if shutil.which(tool) is None:
            print(f"{tool} is missing (Debian: clang-22, llvm-22)", file=sys.stderr)
            return 2
    version = subprocess.run([options.mca, "--version"], capture_output=True, text=True).stdout
    print(f"By {options.mca}, {re.search(r'LLVM version .*', version)[0]}.\n")  # type: ignore[index]
    kernels = Kernels(options.clang)
    machines = [Machine(options.mca, core) for core in options.cores]
    inner_loops(kernels, machines)
    layers(kernels, machines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
