"""Writes corpus/: small sound files that the fuzzer begins with, a folder for each target.

Run it from the project's root. Findings are kept beside them by hand, named finding-*.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / p) for p in ("runtime", "graph", "models", "fuzz")]

from runtime_models import Conv, Fc, convert  # noqa: E402
from weight_files import write_torch  # noqa: E402

from qcnn_tflite.graph import encode_options  # noqa: E402
from qcnn_tflite.graph.ops import CONV_KEYS, FC_KEYS  # noqa: E402
from qcnn_tflite.importers import klaus  # noqa: E402
from qcnn_tflite.importers.bin_files import write_bin, write_cbn  # noqa: E402

OUT = Path(__file__).with_name("corpus")


def keep(target: str, name: str, data: bytes) -> None:
    (OUT / target).mkdir(parents=True, exist_ok=True)
    (OUT / target / name).write_bytes(data)


def saved(save: Callable[[Path], object], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        save(path)
        return path.read_bytes()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def picture(kind: str) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (6, 7, 3), np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def proto(number: int, data: bytes) -> bytes:
    """A field of a message, whose content is shorter than 128 bytes."""
    key = number << 3 | 2
    return bytes([key & 127 | 128, key >> 7, len(data)]) if key > 127 else bytes([key, len(data)])


def field(number: int, data: bytes) -> bytes:
    return proto(number, data) + data


def main() -> None:
    rng = np.random.default_rng(0)
    conv = convert(Conv(size=(5, 6), outputs=5, channels=4).add, d=4, K=5, scale=True)
    fc = convert(Fc(with_bias=True).add, d=4, K=5, dtype="int8")
    for name, data in (("conv", conv), ("fc", fc)):
        keep("graph", f"{name}-sound-0", b"\0" + data)
        # What is done with the model is in the first byte, too.
        for use in range(1, 8, 2):
            keep("graph", f"{name}-{use}", bytes([use, *rng.integers(0, 255, 20, np.uint8)]))
    for keys in (CONV_KEYS, FC_KEYS):
        keep("flexbuffers", f"{len(keys)}", encode_options(dict.fromkeys(keys, 1)))

    images = rng.standard_normal((2, 4, 5, 3)).astype(np.float16)
    pixels = rng.integers(0, 255, (2, 6, 7, 3), np.uint8)
    keep("calibration", "npy", b"\0" + npy(images))
    keep(
        "calibration",
        "npz",
        b"\1" + saved(lambda p: np.savez_compressed(p, images=pixels), "a.npz"),
    )
    keep("calibration", "pixels", b"\2" + npy(pixels))
    keep("calibration", "labels", b"\3" + npy(np.arange(2)))
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        keep("calibration", kind.lower(), b"\4" + picture(kind))
    keep("calibration", "csv", b"\5file,label\na.jpg,3\n")

    kernel = {"conv1/kernel": np.zeros((1, 1, 2, 3), np.float32)}
    keep("weights", "npz", b"\0" + saved(lambda p: np.savez(p, **kernel), "a.npz"))
    keep("weights", "npy", b"\1" + npy(kernel["conv1/kernel"]))

    def hdf5(path: Path) -> None:
        import h5py

        with h5py.File(path, "w", libver="latest") as opened:
            opened["conv1/kernel"] = np.zeros((2, 3), np.float32)

    h5 = saved(hdf5, "a.h5")
    keep("weights", "h5", b"\2" + h5)
    keep("weights", "keras", b"\3" + h5)
    blob = field(7, b"\x0a\x02\x02\x03") + field(5, np.zeros(6, "<f4").tobytes())
    layer = field(1, b"conv1") + field(7, blob)
    keep("weights", "caffemodel", b"\4" + field(100, layer))
    tensors = {"conv1.weight": rng.standard_normal((2, 3)).astype(np.float32)}
    keep(
        "weights",
        "torch-stream",
        b"\5" + saved(lambda p: write_torch(p, tensors, zipped=False), "a.pth"),
    )

    def pickled(path: Path) -> None:
        import zipfile

        write_torch(path, tensors, zipped=True)
        with zipfile.ZipFile(path) as archive:
            inside = next(n for n in archive.namelist() if n.endswith("data.pkl"))
            data = archive.read(inside)
        path.write_bytes(data)

    keep("weights", "torch-pickle", b"\6" + saved(pickled, "a.pth"))

    def safetensors(path: Path) -> None:
        from safetensors.numpy import save_file

        save_file(tensors, path)

    keep("weights", "safetensors", b"\7" + saved(safetensors, "a.safetensors"))
    spec = [
        {"name": "conv1/kernel", "shape": [2, 3], "dtype": "float32"},
        {"name": "conv1/bias", "shape": [40], "dtype": "float32",
         "quantization": {"dtype": "uint8", "scale": 0.1, "min": -1.0}},
    ]  # fmt: skip
    manifest = {"weightsManifest": [{"paths": ["shard"], "weights": spec}]}
    keep("weights", "tfjs", b"\x08" + json.dumps(manifest).encode())

    keep("importers", "bin", b"\0" + write_bin(np.zeros((2, 3), np.float32)))
    keep("importers", "codes", b"\1" + write_bin(np.zeros((2, 3), np.uint8)))
    keep("importers", "cbn", b"\2" + write_cbn(np.zeros((2, 3), np.uint8), 3))
    keep("importers", "png", b"\3" + klaus._png(np.zeros((2, 3), np.uint8)))
    palette = klaus.Palette(np.zeros(4, np.float32), np.zeros(2, np.float32))
    keep("importers", "sqlite", b"\4" + klaus._database({0: palette}))
    keep("importers", "npy", b"\5" + npy(np.zeros(4, np.float32)))


if __name__ == "__main__":
    main()
