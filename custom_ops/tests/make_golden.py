"""Writes golden/: what the Python half of the op contract produces, for the C++ half to read.

Run it again only when the contract gains something; the bytes of version 1 never change.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qcnn_tflite.graph import (
    QuantizedLayer,
    code_bits,
    decoded_float_model,
    encode_options,
    find_layers,
    read_model,
    rewrite,
)
from qcnn_tflite.graph.ops import CONV_KEYS, FC_KEYS

GOLDEN = Path(__file__).parent / "golden"

FC = [(1, 3, 1, 10, 6, 0), (1, 5, 0, 9216, 4096, 1), (1, 8, 3, 1, 1, 0)]
CONV = [
    (1, 7, 1, 96, 256, 5, 5, 1, 1, 1, 1, 2, 0, 0, 0, 0, 0),
    (1, 8, 0, 3, 64, 11, 11, 4, 4, 1, 1, 1, 2, 2, 2, 2, 3),
    (1, 1, 2, 70000, 300, 1, 3, 2, 1, 2, 300, 100, 1, 0, 0, 0, 0),
]


def options_lines() -> list[str]:
    lines = ["# op, FlexBuffers bytes, their values; written by make_golden.py"]
    for op, keys, rows in (("QFC", FC_KEYS, FC), ("QConv", CONV_KEYS, CONV)):
        for row in rows:
            values = dict(zip(keys, row, strict=True))
            pairs = " ".join(f"{k}={v}" for k, v in sorted(values.items()))
            lines.append(f"{op} {encode_options(values).hex()} {pairs}")
    return lines


def small_model() -> bytes:
    import tensorflow as tf

    keras = tf.keras
    model = keras.Sequential(
        [
            keras.Input((9, 8, 6), batch_size=1),
            keras.layers.Conv2D(8, (3, 2), 2, "same", groups=2, activation="relu", name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(5, name="fc"),
        ]
    )
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def normalization_model() -> bytes:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 5, 20), tf.float32)])
    def normalize(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.local_response_normalization(x, 2, bias=1.0, alpha=0.1, beta=0.75)

    function = normalize.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()


def write_run(path: Path, float_model: bytes, x: np.ndarray) -> None:
    """An input, and what the stock runtime makes of it."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=float_model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    lines = [f"{v.size} " + " ".join(f"{float(n):.9g}" for n in v.ravel()) for v in (x, y)]
    path.write_text("\n".join(lines) + "\n")


def main() -> None:

    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "options.txt").write_text("\n".join(options_lines()) + "\n")
    rng = np.random.default_rng(2016)
    model = read_model(small_model())
    layers = {}
    for layer in find_layers(model):
        d, K = 2, 11
        depth = layer.in_channels // layer.groups
        M = -(-depth // d)
        layers[layer.name] = QuantizedLayer(
            codebooks=rng.normal(size=(M, K, d)).astype(np.float16),
            codes=rng.integers(0, K, (M, layer.out_channels, *layer.kernel)).astype(np.uint8),
            bias=rng.normal(size=layer.out_channels).astype(np.float32),
            scale=rng.uniform(0.5, 2, layer.out_channels).astype(np.float32),
        )
        assert code_bits(K) == 4
    data = rewrite(model, layers, {"model": "golden"})
    (GOLDEN / "small.tflite").write_bytes(data)
    x = rng.normal(size=(1, 9, 8, 6)).astype(np.float32)
    write_run(GOLDEN / "small.txt", decoded_float_model(data), x)
    data = normalization_model()
    (GOLDEN / "lrn.tflite").write_bytes(data)
    write_run(GOLDEN / "lrn.txt", data, 5 * rng.normal(size=(1, 4, 5, 20)).astype(np.float32))


if __name__ == "__main__":
    main()
