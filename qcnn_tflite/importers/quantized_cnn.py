"""Folders of the Quantized-CNN program (Wu et al., CVPR 2016) to a quantized `.tflite` and back.

A layer is three files: ``PREFIX.biasVec.NN.bin`` (C_out), ``PREFIX.ctrdLst.NN.bin`` (M, K, d) and
``PREFIX.asmtLst.NN.cbn``, (C_out, kH, kW, M) of a convolution or (C_out, M). NN counts all layers of the
network from 1, ReLU and dropout too. Groups share the codebooks.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import models
from ..calibration.preprocessing import Preprocessing
from ..errors import ModelError, OutputError, OutputExistsError
from ..files import check_output, write_atomically
from ..graph import find_q_layers, read_mean_image, read_metadata, read_model, rewrite
from ..graph.codes import code_bits
from ..graph.model import Model
from ..graph.ops import QuantizedLayer
from ..graph.schema import BuiltinOperator
from ..models.assemble import assemble
from ..models.networks import Conv, Dense, Network, Norm, Pool
from ..models.weights import WeightArrays
from .bin_files import read_bin, read_cbn, write_bin, write_cbn

FloatArray = NDArray[np.float32]

# Beginning of the files' names, as the program expects it.
PREFIXES = {
    "alexnet": "bvlc_alexnet_aCaF",
    "caffenet": "bvlc_caffenet_aCaF",
    "cnn_s": "vgg_cnn_s_aCaF",
    "vgg16": "vgg16_aCaF",
}
MEAN = "imagenet_mean.single.bin"
_MEAN_SIZE = 256


@dataclass(frozen=True)
class _Place:
    """A layer of the network and where its files are."""

    step: Conv | Dense
    number: int
    in_channels: int  # of one group
    outputs: int

    def file(self, prefix: str, kind: str) -> str:
        ending = "cbn" if kind == "asmtLst" else "bin"
        return f"{prefix}.{kind}.{self.number:02}.{ending}"


def import_folder(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    model: str | None = None,
    mean: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> bytes:
    """The quantized `.tflite` of a folder; nothing is learned.

    Parameters
    ----------
    folder : path
        With all files of the network; ``imagenet_mean.single.bin`` in it or in the folder above becomes
        the mean image.
    output : path, optional
        Where to write the `.tflite`.
    model : {"alexnet", "caffenet", "cnn_s", "vgg16"}, optional
        Default: as the files are called.
    mean : path, optional
        Of the mean image, if it is elsewhere: float32 (3, 256, 256), blue first.
    overwrite : bool, default=False

    Returns
    -------
    bytes
        Its fully-connected layers read channels first, as the program's do: there is a TRANSPOSE before.

    Raises
    ------
    ModelError
        If files are missing (all are named), damaged, or do not fit the network.
    OutputError
    """
    if output is not None:
        check_output(output, overwrite=overwrite)
    folder = Path(folder)
    name, prefix = _recognized(folder, model)
    named = models.get(name)
    places = _places(named.network)
    missing = missing_files(folder, name)
    if missing:
        count = 3 * len(places)
        raise ModelError(
            f"{folder} lacks {len(missing)} of the {count} files of {name}: {', '.join(missing)}; add them, "
            "or read the layers that are whole with read_layer"
        )
    quantized = {place.step.name: _read(folder, prefix, place) for place in places}
    last = quantized[places[-1].step.name]
    network = replace(named.network, flatten="CHW").with_classes(last.codes.shape[1])
    preprocessing = _with_mean(named.preprocessing, folder, mean)
    labels = list(named.labels or ()) if len(named.labels or ()) == network.classes else []
    metadata = {
        "model": name,
        "input": preprocessing.to_metadata(),
        "output": {"softmax_applied": True, "labels": labels},
    }
    graph = read_model(assemble(network, _zeros(network), name=name))
    data = rewrite(graph, quantized, metadata, preprocessing.mean_image)
    if output is not None:
        write_atomically(output, data, overwrite=overwrite)
    return data


def missing_files(folder: str | os.PathLike[str], model: str) -> list[str]:
    """Files of a network that a folder lacks, each with what it would hold."""
    meaning = {"biasVec": "bias", "ctrdLst": "codebooks", "asmtLst": "codes"}
    folder = Path(folder)
    missing = []
    for place in _places(models.get(model).network):
        for kind, what in meaning.items():
            file = place.file(PREFIXES[model], kind)
            plain = Path(file).with_suffix(".bin").name
            if not (folder / file).is_file() and not (folder / plain).is_file():
                missing.append(f"{file} ({what} of {place.step.name})")
    return missing


def recognize(folder: str | os.PathLike[str]) -> str:
    """The network whose files a folder holds, by their names.

    Raises
    ------
    ModelError
        If they are those of none or of several.
    """
    return _recognized(Path(folder), None)[0]


def read_layer(folder: str | os.PathLike[str], model: str, layer: str) -> QuantizedLayer:
    """One layer of a folder, whether or not the others are whole.

    Parameters
    ----------
    folder : path
    model : {"alexnet", "caffenet", "cnn_s", "vgg16"}
    layer : str
        As `qcnn_tflite.models` calls it, e.g. "conv1".

    Raises
    ------
    ModelError
    """
    name, prefix = _recognized(Path(folder), model)
    for place in _places(models.get(name).network):
        if place.step.name == layer:
            return _read(Path(folder), prefix, place)
    raise ModelError(f"{name} has no layer {layer!r}")


def export_folder(
    model: str | os.PathLike[str] | bytes,
    folder: str | os.PathLike[str],
    *,
    name: str | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Write a quantized model as a folder that the 2016 program reads.

    The program flattens channels first. Where the model's first fully-connected layer reads channels
    last, as converted models do, its sub-vectors are written as d subspaces of one dimension each: the
    same weights exactly, in codes d times as large.

    Parameters
    ----------
    model : path or bytes
        A quantized `.tflite` of one of the four networks, all layers quantized, without output scales.
    folder : path
        Made; an existing one is refused unless `overwrite`.
    name : {"alexnet", "caffenet", "cnn_s", "vgg16"}, optional
        Default: what the model's metadata say.
    overwrite : bool, default=False

    Returns
    -------
    list of str
        Names of the files.

    Raises
    ------
    ModelError
        If the format cannot express the model.
    OutputError
    """
    graph = read_model(model)
    metadata = read_metadata(graph) or {}
    name = name or str(metadata.get("model", ""))
    if name not in PREFIXES:
        raise ModelError(
            f"the 2016 program knows {', '.join(PREFIXES)}, and this model is {name or 'without a name'}; "
            "if it is one of them, give its name"
        )
    named = models.get(name)
    layers = {layer.name: layer for layer in find_q_layers(graph)}
    files: dict[str, bytes] = {}
    places = _places(named.network)
    for place in places:
        layer = layers.get(place.step.name)
        if layer is None:
            raise ModelError(
                f"layer {place.step.name} of {name} is not quantized here, and the 2016 program wants all "
                "layers so; convert with a configuration that keeps none float"
            )
        constants = _expressible(layer.constants, place)
        if place.step == places[-1].step:
            place = replace(place, outputs=constants.codes.shape[1])
        height, width, channels = _flattened(named.network, place)
        if height and not _channels_first(graph):
            constants = _channels_last_to_first(constants, height, width, channels)
        _check_shapes(constants, place, "the model")
        files |= _written(constants, place, PREFIXES[name])
    image = read_mean_image(graph)
    if image is not None:
        files[MEAN] = write_bin(np.ascontiguousarray(image.transpose(2, 0, 1), "<f4"))
    _write_folder(Path(folder), files, overwrite)
    return list(files)


def _recognized(folder: Path, model: str | None) -> tuple[str, str]:
    if not folder.is_dir():
        raise ModelError(
            f"{folder} is not a folder; give the one that holds the .bin and .cbn files"
        )
    if model is not None:
        if model not in PREFIXES:
            raise ModelError(
                f"expected one of {', '.join(PREFIXES)} as the network of {folder}, got {model!r}"
            )
        return model, PREFIXES[model]
    found = [n for n, prefix in PREFIXES.items() if next(folder.glob(f"{prefix}.*"), None)]
    if len(found) != 1:
        raise ModelError(
            f"{folder} holds files of {' and '.join(found) or 'none'} of the networks "
            f"{', '.join(PREFIXES)}; expected one, with names that begin with one of "
            f"{', '.join(PREFIXES.values())}"
        )
    return found[0], PREFIXES[found[0]]


def _places(network: Network) -> list[_Place]:
    """Layers with weights, numbered as the program does: ReLU and dropout count."""
    places = []
    number = 1
    shapes = network.weight_shapes()
    for step in network.layers:
        if isinstance(step, (Conv, Dense)):
            inputs, outputs = shapes[step.name][-2:]
            places.append(_Place(step, number, inputs, outputs))
        number += {Conv: 2, Norm: 1, Pool: 1, Dense: 3}[type(step)]
    return places


def _read(folder: Path, prefix: str, place: _Place) -> QuantizedLayer:
    bias = read_bin(folder / place.file(prefix, "biasVec"), "<f4")
    books = read_bin(folder / place.file(prefix, "ctrdLst"), "<f4")
    path = folder / place.file(prefix, "asmtLst")
    if path.is_file() or not path.with_suffix(".bin").is_file():
        codes = read_cbn(path)
    else:
        # Written by a program in which the first index is 1.
        codes = read_bin(path.with_suffix(".bin"), "u1") - np.uint8(1)
    dense = isinstance(place.step, Dense)
    if codes.ndim != (2 if dense else 4):
        raise ModelError(
            f"{path}: expected {'2' if dense else '4'} dimensions, got {list(codes.shape)}"
        )
    if dense:
        codes = codes[:, None, None, :]
    if books.ndim != 3:
        raise ModelError(
            f"{folder / place.file(prefix, 'ctrdLst')}: expected 3 dimensions (subspaces, codewords, "
            f"their length), got {list(books.shape)}"
        )
    codes = np.ascontiguousarray(codes.transpose(3, 0, 1, 2))
    # Behind the last input there is nothing to multiply with; the op contract wants zeros there.
    beyond = books.shape[0] * books.shape[2] - place.in_channels
    if 0 < beyond < books.shape[2]:
        books = books.copy()
        books[-1, :, -beyond:] = 0
    layer = QuantizedLayer(books.astype(np.float32), codes, bias.astype(np.float32).reshape(-1))
    _check_shapes(layer, place, str(folder))
    return layer


def _check_shapes(layer: QuantizedLayer, place: _Place, origin: str) -> None:
    step = place.step
    kernel = step.kernel if isinstance(step, Conv) else 1
    M, K, d = layer.codebooks.shape
    expected = (-(-place.in_channels // d), place.outputs, kernel, kernel)
    # The last layer has as many outputs as there are classes.
    if isinstance(step, Dense) and not step.units:
        expected = (expected[0], layer.codes.shape[1], 1, 1)
    sound = layer.codes.shape == expected and expected[0] == M
    if not sound or layer.bias is None or layer.bias.shape != (layer.codes.shape[1],):
        bias = None if layer.bias is None else list(layer.bias.shape)
        raise ModelError(
            f"{origin}: layer {step.name} with {place.in_channels} inputs and codewords of length {d} takes "
            f"codes {list(expected)}, codebooks of {expected[0]} subspaces and a bias of {expected[1]}; got "
            f"codes {list(layer.codes.shape)}, {M} subspaces and a bias of {bias}"
        )
    if not 1 <= K <= 256 or int(layer.codes.max()) >= K:
        raise ModelError(
            f"{origin}: layer {step.name} has {K} codewords and codes up to {int(layer.codes.max())}"
        )
    if not np.isfinite(layer.codebooks).all() or not np.isfinite(layer.bias).all():
        raise ModelError(f"{origin}: layer {step.name} holds values that are NaN or infinite")


def _with_mean(
    preprocessing: Preprocessing, folder: Path, mean: str | os.PathLike[str] | None
) -> Preprocessing:
    """The program's own: squash to 256x256, subtract the mean image, cut out the middle."""
    candidates = [folder / MEAN, folder.parent / MEAN] if mean is None else [Path(mean)]
    path = next((c for c in candidates if c.is_file()), None)
    if path is None:
        if mean is not None:
            raise ModelError(f"{mean}: there is no such file; give the path of the mean image")
        return replace(preprocessing, resize="squash", size=(_MEAN_SIZE, _MEAN_SIZE))
    image = read_bin(path, "<f4")
    if image.shape != (3, _MEAN_SIZE, _MEAN_SIZE) or not np.isfinite(image).all():
        raise ModelError(
            f"{path}: expected a mean image of shape [3, 256, 256], got {list(image.shape)}"
        )
    return replace(
        preprocessing,
        resize="squash",
        size=(_MEAN_SIZE, _MEAN_SIZE),
        mean_image=np.ascontiguousarray(image.transpose(1, 2, 0)),
    )


def _zeros(network: Network) -> WeightArrays:
    """Weights that `rewrite` replaces at once."""
    shapes = network.weight_shapes()
    parts = [(name, part) for name in shapes for part in ("kernel", "bias")]
    return WeightArrays(
        network,
        parts,
        lambda layer, part: np.zeros(
            shapes[layer][slice(None) if part == "kernel" else slice(-1, None)], np.float32
        ),
    )


def _expressible(q: QuantizedLayer, place: _Place) -> QuantizedLayer:
    """With float32 codebooks, one for every subspace."""
    name = place.step.name
    if q.scale is not None:
        raise ModelError(
            f"layer {name} has an output scale, which the 2016 format cannot express; convert with "
            '{"learning": {"conv_scale": 0, "fc_scale": 0}} and without output_scale'
        )
    books = q.float_codebooks()
    if len(books) == 1:
        books = np.repeat(books, q.M, axis=0)
    if len(books) != q.M:
        raise ModelError(
            f"layer {name} has codebooks for each group, which the 2016 format cannot express; convert "
            'with {"codebooks": "per_subspace"}'
        )
    bias = np.zeros(q.codes.shape[1], np.float32) if q.bias is None else q.bias
    return QuantizedLayer(books, q.codes, bias)


def _flattened(network: Network, place: _Place) -> tuple[int, int, int]:
    """(H, W, C) that the layer flattens; zeros for any but the first fully-connected one."""
    for step, shape, _ in network.trace():
        if isinstance(step, Dense):
            return (shape[0], shape[1], shape[2]) if step == place.step else (0, 0, 0)
    return 0, 0, 0


def _channels_first(graph: Model) -> bool:
    return any(graph.builtin(op) == BuiltinOperator.TRANSPOSE for op in graph.subgraph.operators)


def _channels_last_to_first(
    q: QuantizedLayer, height: int, width: int, channels: int
) -> QuantizedLayer:
    """One-dimensional subspaces in the order of channels, rows, columns, for the same weights."""
    inputs = height * width * channels
    books = q.codebooks.transpose(0, 2, 1).reshape(-1, q.K)[:inputs]
    codes = np.repeat(q.codes, q.d, axis=0)[:inputs]
    order = np.arange(inputs).reshape(height, width, channels).transpose(2, 0, 1).reshape(-1)
    return QuantizedLayer(np.ascontiguousarray(books[order])[:, :, None], codes[order], q.bias)


def _written(q: QuantizedLayer, place: _Place, prefix: str) -> dict[str, bytes]:
    codes = q.codes.transpose(1, 2, 3, 0)
    if isinstance(place.step, Dense):
        codes = codes[:, 0, 0, :]
    assert q.bias is not None  # _expressible put one
    return {
        place.file(prefix, "biasVec"): write_bin(q.bias.astype("<f4")),
        place.file(prefix, "ctrdLst"): write_bin(q.codebooks.astype("<f4")),
        place.file(prefix, "asmtLst"): write_cbn(codes, code_bits(q.K)),
    }


def _write_folder(folder: Path, files: dict[str, bytes], overwrite: bool) -> None:
    """All files or none: a new folder appears whole."""
    if folder.exists():
        if not overwrite:
            raise OutputExistsError(
                f"{folder} exists already; choose another name, or overwrite its files with -f "
                "(overwrite=True in Python)"
            )
        for name, data in files.items():
            write_atomically(folder / name, data, overwrite=True)
        return
    if not folder.parent.is_dir():
        raise OutputError(f"the folder {folder.parent} does not exist; create it first")
    temporary: Any = None
    try:
        temporary = tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent)
        for name, data in files.items():
            (Path(temporary) / name).write_bytes(data)
        os.chmod(temporary, 0o755)
        os.rename(temporary, folder)
        temporary = None
    except OSError as error:
        raise OutputError(
            f"{folder} could not be written ({error.strerror or error}); free some space or choose another "
            "place; nothing was left behind"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
