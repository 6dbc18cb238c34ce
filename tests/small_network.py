"""A small convolutional network of every kind of layer, with random weights, and images for it."""

from __future__ import annotations

import numpy as np

from qcnn_tflite.models.assemble import assemble
from qcnn_tflite.models.networks import Conv, Dense, Network, Norm, Pool
from qcnn_tflite.models.weights import random_weights

NETWORK = Network(
    (20, 20, 3),
    (
        Conv("conv1", 24, 3, stride=2, pad=1),
        Norm(),
        Conv("conv2", 32, 3, pad=1, groups=2),
        Pool(2, 2),
        Conv("point", 48, 1),
        Conv("conv3", 32, 3),
        Dense("fc1", 64),
        Dense("fc2"),
    ),
    classes=10,
)


def float_model(seed: int = 0) -> bytes:
    """The float `.tflite`; input (1, 20, 20, 3), output (1, 10) after a softmax."""
    return assemble(NETWORK, random_weights(NETWORK, seed), name="small")


def images(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random images, shape (count, 20, 20, 3), float32."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 6, 6, 3))
    fine = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2)[:, :20, :20]
    return (fine + 0.3 * rng.normal(size=fine.shape)).astype(np.float32)


def logits(model: bytes, data: np.ndarray) -> np.ndarray:
    """Log of the outputs of a float model, shape (n, 10)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]
    out = []
    for image in data:
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        out.append(interpreter.get_tensor(target)[0])
    return np.log(np.maximum(np.array(out), 1e-30))
