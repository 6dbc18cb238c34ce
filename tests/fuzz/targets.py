"""What is fuzzed in Python: every reader of a stranger's file, as functions of some bytes.

A target returns, whatever the bytes; anything else that comes out of the package than a QcnnError is a
finding. `fuzz.py` runs them under atheris, `test_corpus.py` on the kept files in the ordinary tests.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import qcnn_tflite.inspection
from qcnn_tflite.calibration.images import load_calibration, load_labelled
from qcnn_tflite.calibration.preprocessing import Preprocessing
from qcnn_tflite.errors import ModelError, QcnnError
from qcnn_tflite.graph import (
    Model,
    decode_options,
    decoded_float_model,
    encode_options,
    find_layers,
    find_q_layers,
    layer_bias,
    layer_weights,
    read_mean_image,
    read_metadata,
    read_model,
    rewrite,
)
from qcnn_tflite.graph.ops import CONV_KEYS, FC_KEYS
from qcnn_tflite.importers import klaus
from qcnn_tflite.importers.bin_files import read_bin, read_cbn
from qcnn_tflite.models.readers.caffemodel import Caffemodel
from qcnn_tflite.models.readers.hdf5 import Hdf5File
from qcnn_tflite.models.readers.npz import NpzFile
from qcnn_tflite.models.readers.safetensors_file import SafetensorsFile
from qcnn_tflite.models.readers.tfjs import TfjsModel
from qcnn_tflite.models.readers.tflite_file import tflite_arrays
from qcnn_tflite.models.readers.torch_state import TorchState

Target = Callable[[bytes], None]
CORPUS = Path(__file__).with_name("corpus")


@cache
def folder() -> Path:
    """In memory where there is such a place; gone with the process."""
    shm = Path("/dev/shm")
    made = tempfile.mkdtemp(prefix="qcnn-fuzz-", dir=shm if shm.is_dir() else None)
    import atexit

    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


def file(name: str, data: bytes) -> Path:
    path = folder() / name
    path.write_bytes(data)
    return path


def zipped(members: Mapping[str, bytes]) -> bytes:
    """An archive whose checksums are right, so that what is in it gets read."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()


def read_all(arrays: Mapping[str, Any]) -> None:
    for name in arrays:
        with contextlib.suppress(QcnnError):
            np.asarray(arrays[name])


# Graphs.


def graph(data: bytes) -> None:
    """Raw files; or, behind an odd byte, changes of a sound one (see `changed_model`)."""
    if not data:
        return
    with contextlib.suppress(QcnnError):
        found = changed_model(data[1:]) if data[0] & 1 else data[1:]
        model = read_model(found)
        with contextlib.suppress(QcnnError):
            read_metadata(model)
            read_mean_image(model)
        # One a file: together they take milliseconds.
        _GRAPH_USES[data[0] // 2 % len(_GRAPH_USES)](model, found)


def _layers(model: Model, data: bytes) -> None:
    find_q_layers(model)
    for layer in find_layers(model):
        layer_weights(model, layer)
        layer_bias(model, layer)


def _rewritten(model: Model, data: bytes) -> None:
    read_model(rewrite(model, {}, {"model": "fuzzed"}))


def _inspected(model: Model, data: bytes) -> None:
    # The runtime is fuzzed from custom_ops/fuzz; here it would crash for us.
    qcnn_tflite.inspection._memory = lambda *_: (None, "not asked")
    str(qcnn_tflite.inspection.inspect(file("model.tflite", data)))


_GRAPH_USES: tuple[Callable[[Model, bytes], object], ...] = (
    _layers,
    lambda _, data: decoded_float_model(data),
    _rewritten,
    _inspected,
)


@cache
def sound_models() -> tuple[bytes, ...]:
    return tuple(path.read_bytes()[1:] for path in sorted((CORPUS / "graph").glob("*-sound-0")))


_ODD = (0, 1, -1, 2, 3, 127, 128, 255, 256, 1 << 16, (1 << 20) + 1, (1 << 31) - 1, -(1 << 31))


def changed_model(data: bytes) -> bytes:
    """A sound file with fields of its tables changed, four bytes of `data` for each change."""
    if not data:
        return sound_models()[0]
    model = read_model(sound_models()[data[0] % len(sound_models())])
    things: list[Any] = [model.schema, *model.schema.operatorCodes, *(model.schema.metadata or [])]
    for subgraph in model.schema.subgraphs:
        things += [subgraph, *subgraph.tensors, *subgraph.operators]
        things += [t.quantization for t in subgraph.tensors if t.quantization is not None]
        things += [o.builtinOptions for o in subgraph.operators if o.builtinOptions is not None]
    things += model.schema.buffers
    for i in range(1, min(len(data) - 3, 33), 4):
        thing = things[data[i] % len(things)]
        names = sorted(vars(thing))
        name = names[data[i + 1] % len(names)]
        value, odd = getattr(thing, name), _ODD[data[i + 2] % len(_ODD)]
        if isinstance(value, np.ndarray) and value.size:
            changed = value.copy()
            if data[i + 2] & 128:
                changed = changed[: data[i + 3] % len(changed)]
            else:
                changed[data[i + 3] % len(changed)] = np.array(odd).astype(changed.dtype)
            setattr(thing, name, changed)
        elif isinstance(value, bool):
            setattr(thing, name, not value)
        elif isinstance(value, (int, float)):
            setattr(thing, name, type(value)(odd))
        elif data[i + 2] & 128:
            setattr(thing, name, None)
    try:
        return model.to_bytes()
    except QcnnError:
        raise
    except Exception as error:  # what cannot be written is no file
        raise ModelError(str(error)) from error


def options(data: bytes) -> None:
    for keys in (CONV_KEYS, FC_KEYS):
        with contextlib.suppress(QcnnError):
            values = decode_options(data, keys)
            assert decode_options(encode_options(values), keys) == values


# Calibration and evaluation images. The first byte says what the rest is.

_SHAPE = (1, 4, 5, 3)


@cache
def preprocessing() -> Preprocessing:
    return Preprocessing(size=(4, 5))


def use_images(source: Path) -> None:
    images = load_calibration(source, preprocessing(), _SHAPE, limit=3)
    for _ in images.batches(2, variant=(1,)):
        pass


def use_labelled(source: Path) -> None:
    for _ in load_labelled(source, preprocessing(), _SHAPE, limit=3).batches(2):
        pass


def _picture(data: bytes) -> None:
    preprocessing()(file("picture", data))


def _csv(data: bytes) -> None:
    load_labelled(file("labels.csv", data), preprocessing(), _SHAPE)


_CALIBRATION: tuple[Target, ...] = (
    lambda data: use_images(file("a.npy", data)),
    lambda data: use_images(file("a.npz", data)),
    lambda data: use_images(file("b.npz", zipped({"images.npy": data}))),
    lambda data: use_labelled(file("c.npz", zipped({"images.npy": data, "labels.npy": data}))),
    _picture,
    _csv,
)


def _by_first_byte(kinds: tuple[Target, ...], data: bytes) -> None:
    if not data:
        return
    with contextlib.suppress(QcnnError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kinds[data[0] % len(kinds)](data[1:])


def calibration(data: bytes) -> None:
    _by_first_byte(_CALIBRATION, data)


# Weights of other frameworks.


def _tfjs(data: bytes) -> None:
    (folder() / "tfjs").mkdir(exist_ok=True)
    (folder() / "tfjs" / "shard").write_bytes(bytes(range(64)))
    read_all(TfjsModel(file("tfjs/model.json", data)))


def _torch_zip(data: bytes) -> None:
    members = {
        "archive/data.pkl": data,
        "archive/data/0": bytes(range(96)),
        "archive/data/1": b"\0" * 8,
    }
    read_all(TorchState(file("zip.pth", zipped(members))))


_WEIGHTS: tuple[Target, ...] = (
    lambda data: read_all(NpzFile(file("raw.npz", data))),
    lambda data: read_all(NpzFile(file("w.npz", zipped({"conv1/kernel.npy": data})))),
    lambda data: read_all(Hdf5File(file("w.h5", data))),
    lambda data: read_all(Hdf5File(file("w.keras", zipped({"model.weights.h5": data})))),
    lambda data: read_all(Caffemodel(file("w.caffemodel", data))),
    lambda data: read_all(TorchState(file("w.pth", data))),
    _torch_zip,
    lambda data: read_all(SafetensorsFile(file("w.safetensors", data))),
    _tfjs,
    lambda data: (tflite_arrays(data), None)[1],
)


def weights(data: bytes) -> None:
    _by_first_byte(_WEIGHTS, data)


# Models of other programs.


def _palette(data: bytes) -> None:
    codes = np.zeros((2, 3), np.uint8)
    klaus.read_layer(file("layer-00.png", klaus._png(codes)), file("palette.npy", data))


_IMPORTERS: tuple[Target, ...] = (
    lambda data: (read_bin(file("a.bin", data), "<f4"), None)[1],
    lambda data: (read_bin(file("a.bin", data), "u1"), None)[1],
    lambda data: (read_cbn(file("a.cbn", data)), None)[1],
    lambda data: (klaus.read_codes(file("layer-00.png", data)), None)[1],
    lambda data: (klaus.read_palettes(file("palettes.sqlite3", data)), None)[1],
    _palette,
)


def importers(data: bytes) -> None:
    _by_first_byte(_IMPORTERS, data)


TARGETS: dict[str, Target] = {
    "graph": graph,
    "flexbuffers": options,
    "calibration": calibration,
    "weights": weights,
    "importers": importers,
}
