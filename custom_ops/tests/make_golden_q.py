"""Writes golden/q/: a small converted model of every kind, an input, and what it must answer for ever.

A file that exists is never written again: version 1 of the op contract is on disk for ever. To cover
something that the contract gains, add a case and run

    python custom_ops/tests/make_golden_q.py

Beside each ``NAME.tflite`` stands ``NAME.txt``: a line of its input, a line of its answer, each a count
and that many numbers, which `golden_answers.py` computes in double precision from the text of the
contract. ``refused/`` holds models of a future that this version must refuse. ``SHA256SUMS`` lists all.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
GOLDEN = HERE / "golden" / "q"
for folder in ("graph", "runtime"):
    sys.path.insert(0, str(HERE.parents[1] / "tests" / folder))

from golden_answers import answer  # noqa: E402
from graph_builders import OPS, ModelBuilder, random_constants, run, schema, weights  # noqa: E402
from runtime_models import Conv, Fc, add_pooling, convert  # noqa: E402

from qcnn_tflite.graph import (  # noqa: E402
    decode_options,
    decoded_float_model,
    encode_options,
    find_layers,
    read_model,
    rewrite,
)
from qcnn_tflite.graph.ops import CONV_KEYS, FC_KEYS  # noqa: E402

# Small, and odd where it costs nothing.
SIZE, CHANNELS, OUTPUTS = (5, 4), 6, 7
WIDTHS = {1: 2, 2: 3, 3: 8, 4: 11, 5: 32, 6: 33, 7: 100, 8: 256}


def conv(**changes: Any) -> Conv:
    return Conv(**{"size": SIZE, "channels": CHANNELS, "outputs": OUTPUTS, **changes})


def fc(**changes: Any) -> Fc:
    return Fc(**{"outputs": OUTPUTS, **changes})


PALETTE = {"d": 1, "codebooks": "shared", "dtype": "float16"}
LAYERS: dict[str, tuple[Conv | Fc, dict[str, Any]]] = {
    **{f"conv-{b}-bits": (conv(), {"K": K, "d": 3}) for b, K in WIDTHS.items()},
    **{f"fc-{b}-bits": (fc(), {"K": K, "d": 5}) for b, K in WIDTHS.items()},
    "conv-1-codeword": (conv(), {"K": 1}),
    **{
        f"{op}-palette-{b}-bits": (layer, {"K": 2**b, **PALETTE})
        for b in (1, 2, 4, 8)
        for op, layer in (("conv", conv()), ("fc", fc()))
    },
    **{
        f"{op}-{dtype}": (layer, {"dtype": dtype})
        for dtype in ("float16", "int8")
        for op, layer in (("conv", conv()), ("fc", fc()))
    },
    "conv-int8-shared-scale": (
        conv(),
        {"dtype": "int8", "codebooks": "shared", "d": 2, "scale": True},
    ),
    "conv-shared": (conv(), {"d": 2, "codebooks": "shared"}),
    "fc-shared": (fc(), {"d": 2, "codebooks": "shared"}),
    "conv-shared-uneven": (conv(channels=7), {"d": 4, "codebooks": "shared"}),
    "conv-scale": (conv(), {"scale": True}),
    "fc-scale": (fc(), {"scale": True}),
    "conv-scale-no-bias": (conv(), {"scale": True, "bias": False}),
    "conv-no-bias": (conv(), {"bias": False}),
    "fc-no-bias": (fc(with_bias=False), {}),
    "conv-uneven-d": (conv(channels=7), {"d": 4}),
    "fc-uneven-d": (fc(), {"d": 4}),
    "conv-d-over-channels": (conv(channels=3), {"d": 8}),
    "conv-groups": (conv(channels=8, outputs=6, groups=2), {"d": 2}),
    "conv-groups-uneven-d": (conv(channels=10, outputs=6, groups=2), {"d": 3}),
    "conv-groups-of-their-own": (
        conv(channels=10, outputs=6, groups=2),
        {"d": 3, "codebooks": "per_group", "K": 5},
    ),
    "conv-groups-of-their-own-int8": (
        conv(channels=8, outputs=6, groups=2),
        {"d": 2, "codebooks": "per_group", "dtype": "int8"},
    ),
    "conv-groups-shared": (
        conv(channels=8, outputs=6, groups=2),
        {"d": 2, "codebooks": "shared"},
    ),
    "conv-depthwise": (conv(channels=4, outputs=8, groups=4), {"d": 1}),
    "conv-1x1": (conv(kernel=(1, 1)), {"d": 2}),
    "conv-2x3": (conv(kernel=(2, 3)), {}),
    "conv-same": (conv(options={"padding": "SAME"}), {}),
    "conv-same-even-kernel": (conv(kernel=(2, 4), options={"padding": "SAME"}), {}),
    "conv-same-stride": (conv(options={"padding": "SAME", "stride": (2, 3)}), {}),
    "conv-same-dilation": (conv(options={"padding": "SAME", "dilation": (2, 1)}), {}),
    "conv-valid-stride": (conv(size=(7, 6), options={"stride": (2, 3)}), {}),
    "conv-valid-dilation": (conv(size=(7, 7), options={"dilation": (2, 3)}), {}),
    "conv-explicit": (conv(pads=(1, 2, 3, 0)), {}),
    "conv-explicit-stride": (conv(pads=(2, 2, 2, 2), options={"stride": (2, 2)}), {}),
    **{
        f"{op}-{name}": (layer(options={"activation": n}), {"scale": True})
        for n, name in enumerate(("relu", "relu-n1-to-1", "relu6"), 1)
        for op, layer in (("conv", conv), ("fc", fc))
    },
    "fc-rows": (fc(input_shape=(5, 14)), {}),
    "fc-of-an-image": (fc(input_shape=(1, 3, 2, 4), channels=24), {}),
    "fc-keep-num-dims": (fc(input_shape=(1, 3, 14), options={"keep_num_dims": True}), {}),
    # Full vectors of the widest kernels, and rests behind them.
    "conv-wide": (conv(size=(6, 7), channels=18, outputs=37), {"d": 8, "K": 32, "dtype": "float16"}),
    "fc-wide": (fc(input_shape=(1, 70), channels=70, outputs=131), {"K": 32, "dtype": "float16"}),
}  # fmt: skip


def layer_model(layer: Conv | Fc, constants: dict[str, Any]) -> bytes:
    builder = ModelBuilder()
    layer.add(builder.graph())
    model = read_model(builder.bytes())
    (found,) = find_layers(model)
    return rewrite(model, {found.name: random_constants(found, **{"d": 3, "K": 11, **constants})})


def network_model() -> bytes:
    """QConv, LRN, a grouped QConv, a sum, pooling and two QFC, with all that a converted model brings."""
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor("x", (1, 6, 6, 3))
    a = g.conv(x, g.tensor("a/w", data=weights((4, 3, 3, 3))), None, (1, 6, 6, 4), "a",
               padding="SAME", activation=1)  # fmt: skip
    normalized = g.tensor("lrn", (1, 6, 6, 4))
    lrn = schema.LocalResponseNormalizationOptionsT()
    lrn.radius, lrn.bias, lrn.alpha, lrn.beta = 2, 1.0, 0.1, 0.75
    g.op(OPS.LOCAL_RESPONSE_NORMALIZATION, [a], [normalized], lrn)
    b = g.conv(normalized, g.tensor("b/w", data=weights((4, 3, 3, 2))), None, (1, 6, 6, 4), "b",
               padding="SAME")  # fmt: skip
    added = g.tensor("added", (1, 6, 6, 4))
    g.op(OPS.ADD, [normalized, b], [added], schema.AddOptionsT())
    pooled = g.tensor("pooled", (1, 3, 3, 4))
    pool = schema.Pool2DOptionsT()
    pool.padding, pool.strideH, pool.strideW, pool.filterHeight, pool.filterWidth = 1, 2, 2, 2, 2
    g.op(OPS.MAX_POOL_2D, [added], [pooled], pool)
    hidden = g.fc(pooled, g.tensor("c/w", data=weights((9, 36))), None, (1, 9), "c", activation=1)
    bias = g.tensor("d/b", data=weights((5,), 1))
    g.ends([x], [g.fc(hidden, g.tensor("d/w", data=weights((5, 9))), bias, (1, 5), "d")])
    builder.signature("serve", {"x": x}, {"y": g.subgraph.outputs[0]})
    model = read_model(builder.bytes())
    quantized = {
        layer.name: random_constants(layer, d=2, K=12, dtype="float16", scale=True, seed=i)
        for i, layer in enumerate(find_layers(model))
    }
    metadata = json.loads((GOLDEN / "network.json").read_text())
    mean = np.arange(6 * 6 * 3, dtype=np.float32).reshape(6, 6, 3) / 4
    return rewrite(model, quantized, metadata, mean)


def with_options(data: bytes, **values: int) -> bytes:
    """The same model with options added to its only Q layer, or changed."""
    model = read_model(data)
    operator = model.subgraph.operators[0]
    raw = bytes(operator.customOptions)
    options = decode_options(raw, CONV_KEYS if b"kernel_h" in raw else FC_KEYS)
    operator.customOptions = np.frombuffer(encode_options({**options, **values}), np.uint8)
    return model.to_bytes()


def text(x: np.ndarray, y: np.ndarray) -> bytes:
    lines = [f"{v.size} " + " ".join(f"{float(n):.8g}" for n in v.ravel()) for v in (x, y)]
    return ("\n".join(lines) + "\n").encode()


def write(name: str, make: Callable[[], bytes]) -> None:
    path = GOLDEN / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make())
        print(f"wrote {path.relative_to(HERE)}")


def write_model(name: str, data: Callable[[], bytes], seed: int) -> None:
    write(f"{name}.tflite", data)

    def values() -> bytes:
        model = (GOLDEN / f"{name}.tflite").read_bytes()
        shape = read_model(model).subgraph.tensors[0].shape
        # Two decimals: short text, and the same float32 wherever it is read.
        x = np.random.default_rng(seed).standard_normal(shape).round(2).astype(np.float32)
        several = name in ("network", "pooling")
        y = run(decoded_float_model(model), x)[0] if several else answer(model, x)
        # The stock runtime agrees with the double sums, or one of the two is wrong.
        (stock,) = run(decoded_float_model(model), x)
        assert np.linalg.norm(stock - y) <= 1e-5 * np.linalg.norm(y), name
        return text(x, y)

    write(f"{name}.txt", values)


def main() -> None:
    for seed, (name, (layer, constants)) in enumerate(LAYERS.items()):
        write_model(name, lambda a=layer, b=constants: layer_model(a, b), seed)
    write_model("network", network_model, 2016)
    write_model("pooling", lambda: convert(add_pooling, d=2, K=11), 2017)
    small = layer_model(*LAYERS["fc-3-bits"])
    write_model("fc-annotated", lambda: with_options(small, x_seed=7, x_error=3), 1)
    image = layer_model(*LAYERS["conv-3-bits"])
    for op, data in (("fc", small), ("conv", image)):
        write(f"refused/{op}-version-2.tflite", lambda d=data: with_options(d, version=2))
        write(f"refused/{op}-unknown-option.tflite", lambda d=data: with_options(d, colour=1))
    files = sorted(p for p in GOLDEN.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    sums = (f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(GOLDEN)}" for p in files)
    (GOLDEN / "SHA256SUMS").write_text("\n".join(sums) + "\n")


if __name__ == "__main__":
    main()
