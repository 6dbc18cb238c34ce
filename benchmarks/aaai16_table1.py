"""Speed-up and compression of Q-CNN's networks: what the paper prints, what its formulas give, what was measured.

    python -m benchmarks.aaai16_table1                          # paper and formulas
    python -m benchmarks alexnet cnn_s vgg16 --weights random -o results.json
    python -m benchmarks.aaai16_table1 results.json             # and measured

The formulas are section 3.3's: one multiply-accumulate or one lookup with its addition is one operation; biases
count as bytes. "Measured" is median float by median quantized of one interleaved run, with the runtime's local response
normalization in float and with ours, and bytes of the float file by those of the quantized one.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.documents import print_of_files
from qcnn_tflite.config import Config
from qcnn_tflite.measurement.table import runs, speedup
from qcnn_tflite.models import registry
from qcnn_tflite.models.networks import Conv, Dense
from qcnn_tflite.published import PAPER
from qcnn_tflite.report import Cost, text_table, theoretical_cost


@dataclass(frozen=True)
class Formulas:
    """Sums over the layers of a network.

    Parameters
    ----------
    speedup : float
        Operations before by those after.
    bytes_before, bytes_after : int
        Of weights, codebooks, codes and biases.
    """

    speedup: float
    bytes_before: int
    bytes_after: int

    @property
    def compression(self) -> float:
        return self.bytes_before / self.bytes_after


def layer_costs(name: str) -> dict[str, Cost]:
    """Of every convolution and fully-connected layer of a named network at the published settings."""
    network = registry.get(name).network
    config = Config.load("paper")
    if name == "vgg16":  # as `qcnn_tflite.convert` does it
        config = replace(config, conv=replace(config.conv, d=6))
    found = {}
    for step, shape, output in network.trace():
        if isinstance(step, Conv):
            kind = "conv1x1" if step.kernel == 1 else "conv"
            sizes: dict[str, Any] = {
                "in_positions": shape[0] * shape[1],
                "out_positions": output[0] * output[1],
                "in_channels": shape[2],
                "out_channels": step.filters,
                "kernel": (step.kernel, step.kernel),
                "groups": step.groups,
            }
        elif isinstance(step, Dense):
            kind = "fc"
            sizes = {
                "in_positions": 1,
                "out_positions": 1,
                "in_channels": math.prod(shape),
                "out_channels": step.units or network.classes,
            }
        else:
            continue
        last = isinstance(step, Dense) and step.name == network.last
        setting = config.for_layer(step.name, kind, last_fc=last)
        per_group = sizes["in_channels"] // sizes.get("groups", 1)
        found[step.name] = theoretical_cost(**sizes, d=min(setting.d, per_group), K=setting.K)
    return found


def formulas(name: str) -> Formulas:
    """Sums of `layer_costs`."""
    costs = layer_costs(name).values()
    return Formulas(
        sum(c.ops_before for c in costs) / sum(c.ops_after for c in costs),
        sum(c.bytes_before for c in costs),
        sum(c.bytes_after for c in costs),
    )


def table(results: list[dict[str, Any]]) -> str:
    """The table; measured columns where there are results of a network."""
    rows = []
    for name, printed in PAPER.items():
        theory = formulas(name)
        measured = _measured(name, results)
        rows.append(
            [
                name,
                f"{printed.speedup:.2f}x",
                f"{theory.speedup:.2f}x",
                *measured[:2],
                f"{printed.compression:.2f}x",
                f"{theory.compression:.2f}x",
                measured[2],
                f"{theory.bytes_after / 2**20:.2f}",
            ]
        )
    head = ["network", "speed-up: paper", "formula", "measured", "our LRN in both"]
    head += ["compression: paper", "formula", "measured", "MiB by formula"]
    places = dict.fromkeys(r["machine"]["cpu"] for r in results if r["model"] in PAPER)
    notes = [f"measured on {place}, one thread" for place in places]
    return "\n".join([*text_table(head, rows, right=range(1, len(head))), *notes])


def _measured(name: str, results: list[dict[str, Any]]) -> list[str]:
    for group in runs(r for r in results if r["model"] == name and r["threads"] == 1):
        by_variant = {result["variant"]: result for result in group}
        if not {"float", "q"} <= set(by_variant):
            continue
        q = next(r for r in group if r["variant"] == "q" and r.get("lrn", "ours") == "ours")
        faster = (speedup(group, q, "float", norm) for norm in ("stock", "ours"))
        smaller = by_variant["float"]["sizes"]["file"] / q["sizes"]["file"]
        return [*("" if f is None else f"{f:.2f}x" for f in faster), f"{smaller:.2f}x"]
    return ["", "", ""]


def main() -> int:
    return print_of_files(__doc__, table)


if __name__ == "__main__":
    sys.exit(main())
