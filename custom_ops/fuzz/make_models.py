"""Writes models/, what the fuzz target `tflite` changes, and corpus/options/, what `options` begins with.

Every field stands in these files, defaults too, and options have room to grow, so that any value can be
changed in place. Needs the packages of the extra `test`; run it from the project's root.
"""

from __future__ import annotations

import sys
from pathlib import Path

import flatbuffers
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "runtime"), str(ROOT / "tests" / "graph")]

from runtime_models import Conv, Fc, add_pooling, convert, network  # noqa: E402

import qcnn_tflite.graph.model as graph_model  # noqa: E402
from qcnn_tflite.graph import read_model  # noqa: E402

OUT = Path(__file__).parent / "models"
ROOM = 512  # bytes before an op's options; offsets in FlexBuffers point backwards


class Builder(flatbuffers.Builder):
    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.ForceDefaults(True)


def write(name: str, data: bytes) -> None:
    model = read_model(data)
    for operator in model.subgraph.operators:
        if operator.customOptions is not None and len(operator.customOptions):
            room = np.zeros(ROOM, np.uint8)
            operator.customOptions = np.concatenate([room, operator.customOptions])
    plain = graph_model.flatbuffers.Builder
    graph_model.flatbuffers.Builder = Builder
    try:
        (OUT / f"{name}.tflite").write_bytes(model.to_bytes())
    finally:
        graph_model.flatbuffers.Builder = plain


def write_options() -> None:
    """The golden bytes of both halves of the op contract."""
    folder = Path(__file__).parent / "corpus" / "options"
    folder.mkdir(parents=True, exist_ok=True)
    lines = (ROOT / "custom_ops/tests/golden/options.txt").read_text().splitlines()[1:]
    for i, line in enumerate(lines):
        op, data, *_ = line.split()
        (folder / f"{op}-{i}").write_bytes(bytes.fromhex(data))


def main() -> None:
    OUT.mkdir(exist_ok=True)
    write_options()
    conv = Conv(size=(5, 6), outputs=5, options={"padding": "SAME", "stride": (1, 2)})
    write("conv", convert(conv.add, d=4, K=11, scale=True))
    write("int8", convert(Conv(size=(5, 6), outputs=5).add, d=4, K=11, dtype="int8"))
    write("fc", convert(Fc(with_bias=True).add, d=4, K=11, scale=True))
    write("network", network())
    write("pooling", convert(add_pooling, d=2, K=11))
    write("lrn", (ROOT / "custom_ops/tests/golden/lrn.tflite").read_bytes())


if __name__ == "__main__":
    main()
