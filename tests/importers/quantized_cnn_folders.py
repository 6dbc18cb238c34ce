"""Folders in the format of the Quantized-CNN program, with random contents."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from qcnn_tflite.importers.bin_files import write_cbn

# As published: number of the layer, outputs, kernel, subspaces, codewords, length, bits.
ALEXNET = {
    "conv1": (1, 96, 11, 1, 128, 8, 7), "conv2": (5, 256, 5, 6, 128, 8, 7),
    "conv3": (9, 384, 3, 32, 128, 8, 7), "conv4": (11, 384, 3, 24, 128, 8, 7),
    "conv5": (13, 256, 3, 24, 128, 8, 7), "fc6": (16, 4096, 0, 2304, 32, 4, 5),
    "fc7": (19, 4096, 0, 1024, 32, 4, 5), "fc8": (22, 1000, 0, 4096, 16, 1, 4),
}  # fmt: skip


def plain(array: np.ndarray) -> bytes:
    return struct.pack(f"<{array.ndim + 1}i", array.ndim, *array.shape) + array.tobytes()


def codes_of(layer: str, rng: np.random.Generator) -> np.ndarray:
    _, outputs, kernel, M, K, *_ = ALEXNET[layer]
    shape = (outputs, kernel, kernel, M) if kernel else (outputs, M)
    return rng.integers(0, K, shape, np.uint8)


def write_layer(folder: Path, layer: str, rng: np.random.Generator) -> None:
    number, outputs, _, M, K, d, bits = ALEXNET[layer]
    name = f"bvlc_alexnet_aCaF.{{}}.{number:02}.{{}}"
    books = rng.standard_normal((M, K, d)).astype(np.float32) / 40
    if layer == "conv1":
        books[:, :, 3:] = 0
    (folder / name.format("ctrdLst", "bin")).write_bytes(plain(books))
    bias = rng.standard_normal(outputs).astype(np.float32)
    (folder / name.format("biasVec", "bin")).write_bytes(plain(bias))
    (folder / name.format("asmtLst", "cbn")).write_bytes(write_cbn(codes_of(layer, rng), bits))
