"""Files of ccv's Klaus (2014): fully-connected layers as pictures of codes, and their palettes.

A layer is one 8-bit greyscale PNG, ``layer-NN.png``: a row for each output, a pixel for each input, its
value the index into the layer's palette. NN counts ccv's layers from 0: convolutions, normalizations,
pooling and fully-connected layers. Palettes are in ccv's sqlite3 file or in ``.npy`` files.
"""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ModelError, OutputError
from ..files import check_output, write_atomically
from ..graph import find_layers, find_q_layers, layer_bias, read_metadata, read_model, rewrite
from ..graph.model import Model, is_custom
from ..graph.ops import QuantizedLayer
from ..graph.schema import BuiltinOperator

FloatArray = NDArray[np.float32]

DATABASE = "palettes.sqlite3"
# fc6 of VGG-16 has 103 million codes.
_MAX_CODES = 1 << 27
_MAX_SIDE = 1 << 20
_MAX_ENTRIES = 256
# Steps of sqlite's machine between two looks, and how many looks: a file can hold endless queries.
_STEPS, _LOOKS = 10_000, 10_000
# ccv's layers; ReLU is part of them.
_CCV_LAYERS = {
    BuiltinOperator.CONV_2D,
    BuiltinOperator.DEPTHWISE_CONV_2D,
    BuiltinOperator.LOCAL_RESPONSE_NORMALIZATION,
    BuiltinOperator.MAX_POOL_2D,
    BuiltinOperator.AVERAGE_POOL_2D,
    BuiltinOperator.FULLY_CONNECTED,
}


@dataclass(frozen=True)
class Palette:
    """What the sqlite3 file holds of a layer.

    Parameters
    ----------
    entries : ndarray of shape (K,), float32
    bias : ndarray of shape (C_out,), float32, or None
    """

    entries: FloatArray
    bias: FloatArray | None = None


@dataclass(frozen=True)
class KlausLayer:
    """A fully-connected layer of Klaus.

    Parameters
    ----------
    codes : ndarray of shape (C_out, C_in), uint8
    palette : Palette or None
        None where only the picture is there: such a layer cannot be run.
    """

    codes: NDArray[np.uint8]
    palette: Palette | None = None

    @property
    def distinct(self) -> int:
        """How many different codes occur."""
        return int((np.bincount(self.codes.reshape(-1), minlength=256) > 0).sum())

    def quantized(self) -> QuantizedLayer:
        """The layer as the op contract has it: one codebook of K numbers.

        Raises
        ------
        ModelError
            If there is no palette.
        """
        if self.palette is None:
            raise ModelError(
                "this layer has codes and no palette; give ccv's sqlite3 file, or the palette as .npy"
            )
        return QuantizedLayer(
            self.palette.entries.astype(np.float16).reshape(1, -1, 1),
            np.ascontiguousarray(self.codes.T)[:, :, None, None],
            self.palette.bias,
        )

    def __str__(self) -> str:
        rows, columns = self.codes.shape
        text = f"{rows} outputs, {columns} inputs, {self.distinct} different codes"
        if self.palette is None:
            return f"{text}; codes only, there is no palette"
        return f"{text}, a palette of {len(self.palette.entries)}"


def read_layer(
    picture: str | os.PathLike[str],
    palette: Palette | str | os.PathLike[str] | None = None,
    *,
    number: int | None = None,
) -> KlausLayer:
    """A layer from its picture and, if there is one, its palette.

    Parameters
    ----------
    picture : path
        The PNG.
    palette : Palette or path, optional
        ccv's sqlite3 file, or an ``.npy``.
    number : int, optional
        Of the layer in the sqlite3 file; default: as the picture is called, ``layer-NN.png``.

    Raises
    ------
    ModelError
    """
    codes = read_codes(picture)
    if palette is None:
        return KlausLayer(codes)
    if not isinstance(palette, Palette):
        path = Path(palette)
        if path.suffix.lower() == ".npy":
            palette = _read_npy(path)
        else:
            found = read_palettes(path)
            key = _number(Path(picture)) if number is None else number
            if key not in found:
                raise ModelError(
                    f"{path} holds palettes of the layers {sorted(found)}, none of layer {key}"
                )
            palette = found[key]
    if codes.max() >= len(palette.entries):
        raise ModelError(
            f"{os.fspath(picture)} holds the code {int(codes.max())}, its palette has "
            f"{len(palette.entries)} entries; they do not belong together"
        )
    if palette.bias is not None and len(palette.bias) != len(codes):
        raise ModelError(
            f"{os.fspath(picture)} has {len(codes)} outputs, its bias {len(palette.bias)} values; they do not "
            "belong together"
        )
    return KlausLayer(codes, palette)


def read_codes(picture: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Codes of a layer's PNG, shape (C_out, C_in).

    Raises
    ------
    ModelError
        If it is not an 8-bit greyscale PNG of a sensible size, or damaged.
    """
    name = os.fspath(picture)
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; the limit here is of our own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(picture, formats=["PNG"]) as image:
                width, height = image.size
                if width * height > _MAX_CODES or max(width, height) > _MAX_SIDE:
                    raise ModelError(f"{name} has {width} x {height} pixels, too many for a layer")
                if image.mode != "L":
                    raise ModelError(
                        f"{name} is a PNG of mode {image.mode}; codes are 8-bit greyscale (L)"
                    )
                return np.array(image)
    except ModelError:
        raise
    except FileNotFoundError:
        raise ModelError(f"{name}: there is no such file") from None
    except Image.DecompressionBombError:
        raise ModelError(f"{name} has too many pixels for a layer") from None
    # Decoders of damaged files raise nearly anything.
    except Exception as error:
        raise ModelError(f"{name} is not a PNG of codes ({error})") from error


def read_palettes(path: str | os.PathLike[str]) -> dict[int, Palette]:
    """Palettes in ccv's sqlite3 file, by the number of the layer.

    Table ``layer_data``: ``layer``, ``weight``, ``bias``, and ``half_precision``, which says whether both are
    float16 or float32. Layers with more than 256 weights hold the weights themselves and are left out.

    Raises
    ------
    ModelError
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                raise ModelError(f"{path} is not a sqlite3 file; expected the one of ccv")
        with contextlib.closing(_opened(path)) as database:
            return dict(_palettes(database, path))
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error})") from error
    # sqlite3.Error; and where damage leads to a text that is no UTF-8, what Python makes of that.
    except (sqlite3.Error, ValueError, OverflowError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path} is not a sqlite3 file of ccv ({error})") from error


def apply(model: str | os.PathLike[str] | bytes, layers: Mapping[str, KlausLayer]) -> bytes:
    """A float `.tflite` with layers of Klaus in place of some of its own.

    Parameters
    ----------
    model : path or bytes
    layers : mapping of layer name to KlausLayer
        One without a bias keeps the model's.

    Returns
    -------
    bytes

    Raises
    ------
    ModelError
        If a layer has no palette or another shape.
    """
    graph = read_model(model)
    known = {layer.name: layer for layer in find_layers(graph)}
    quantized = {}
    for name, layer in layers.items():
        here = known.get(name)
        if here is None or here.kind != "fc":
            dense = [n for n, found in known.items() if found.kind == "fc"]
            raise ModelError(
                f"the model has no fully-connected layer {name!r}; it has: {', '.join(dense) or 'none'}"
            )
        if layer.codes.shape != (here.out_channels, here.in_channels):
            raise ModelError(
                f"layer {name} has {here.out_channels} outputs and {here.in_channels} inputs, the picture "
                f"{layer.codes.shape[0]} and {layer.codes.shape[1]}"
            )
        q = layer.quantized()
        bias = layer_bias(graph, here) if q.bias is None else q.bias
        quantized[name] = QuantizedLayer(q.codebooks, q.codes, bias)
    return rewrite(graph, quantized, read_metadata(graph))


def export_layers(
    model: str | os.PathLike[str] | bytes,
    folder: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> list[str]:
    """Write the fully-connected layers of a model as Klaus has them, into an existing folder.

    Each layer with one palette (preset ``klaus``) becomes ``layer-NN.png`` and ``layer-NN.npy``, its palette in
    float16; ``palettes.sqlite3`` holds palettes and biases, both float16, as ccv writes them.

    Returns
    -------
    list of str
        Names of the files.

    Raises
    ------
    ModelError
        If no layer has one palette for all weights.
    OutputError
    """
    graph = read_model(model)
    folder = Path(folder)
    if not folder.is_dir():
        raise OutputError(f"the folder {folder} does not exist; create it first")
    numbers = _ccv_numbers(graph)
    files: dict[str, bytes] = {}
    palettes: dict[int, Palette] = {}
    for layer in find_q_layers(graph):
        q = layer.constants
        if layer.op != "QFC" or q.d != 1 or len(q.codebooks) != 1 or q.scale is not None:
            continue
        number = numbers[layer.op_index]
        entries = q.float_codebooks().reshape(-1)
        palettes[number] = Palette(entries, q.bias)
        files[f"layer-{number}.png"] = _png(q.codes[:, :, 0, 0].T)
        stream = io.BytesIO()
        np.save(stream, entries.astype(np.float16))
        files[f"layer-{number}.npy"] = stream.getvalue()
    if not files:
        raise ModelError(
            "no fully-connected layer of the model has one palette for all its weights; convert with the "
            "preset klaus"
        )
    files[DATABASE] = _database(palettes)
    for name in files:
        check_output(folder / name, overwrite=overwrite)
    for name, data in files.items():
        write_atomically(folder / name, data, overwrite=overwrite)
    return list(files)


def _number(picture: Path) -> int:
    digits = picture.stem.rpartition("-")[2]
    if not digits.isdecimal():
        raise ModelError(
            f"{picture} is not called layer-NN.png, so nobody knows which palette is its own; give the "
            "number of the layer"
        )
    return int(digits)


def _read_npy(path: Path) -> Palette:
    try:
        entries = np.load(path, allow_pickle=False, mmap_mode="r")
    except Exception as error:  # a damaged header makes numpy raise nearly anything
        raise ModelError(f"{path} is not an .npy of numbers ({error})") from error
    return Palette(_checked_entries(entries, str(path)))


def _checked_entries(entries: Any, origin: str) -> FloatArray:
    if (
        not isinstance(entries, np.ndarray)
        or entries.dtype.kind != "f"
        or entries.ndim != 1
        or not 1 <= entries.size <= _MAX_ENTRIES
    ):
        shape = getattr(entries, "shape", None)
        raise ModelError(f"{origin}: expected a palette of 1 to 256 floats, got {shape}")
    values = np.array(entries, np.float32)
    if not np.isfinite(values).all() or np.abs(values).max() > 65504:
        raise ModelError(f"{origin}: the palette holds values that are no finite float16")
    return values


def _opened(path: Path) -> sqlite3.Connection:
    # immutable: not even a journal beside the file is looked for.
    uri = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
    database = sqlite3.connect(uri, uri=True)
    looks = iter(range(_LOOKS))
    database.set_progress_handler(lambda: next(looks, None) is None, _STEPS)
    database.execute("PRAGMA trusted_schema = OFF")
    return database


def _palettes(database: sqlite3.Connection, path: Path) -> Iterator[tuple[int, Palette]]:
    kind = database.execute("SELECT type FROM sqlite_master WHERE name = 'layer_data'").fetchone()
    if kind != ("table",):
        raise ModelError(f"{path} has no table layer_data; expected the sqlite3 file of ccv")
    # Sizes first: what is too large is never fetched.
    rows = database.execute(
        "SELECT layer, half_precision, typeof(weight), length(weight), typeof(bias), length(bias) "
        "FROM layer_data ORDER BY layer LIMIT 10000"
    ).fetchall()
    for number, half, kind_w, size_w, kind_b, size_b in rows:
        width = 2 if half else 4
        if not isinstance(number, int) or kind_w != "blob":
            raise ModelError(f"{path}: layer {number!r} of layer_data holds no weights")
        if size_w > _MAX_ENTRIES * width:
            continue
        if size_w % width or kind_b not in ("blob", "null") or (size_b or 0) > 4 * _MAX_SIDE:
            raise ModelError(
                f"{path}: layer {number} holds {size_w} bytes of palette and {size_b} of bias"
            )
        row = database.execute(
            "SELECT weight, bias FROM layer_data WHERE layer = ?", (number,)
        ).fetchone()
        # In a damaged database this finds another row than the one that was measured above.
        found = [len(v) if isinstance(v, bytes) else None for v in row or ()]
        if found != [size_w, size_b]:
            raise ModelError(f"{path}: layer {number} is not the same when it is read twice")
        weight, bias = row
        dtype = np.dtype("<f2" if half else "<f4")
        if bias is not None and len(bias) % width:
            raise ModelError(f"{path}: layer {number} holds {len(bias)} bytes of bias")
        values = None if not bias else np.frombuffer(bias, dtype).astype(np.float32)
        if values is not None and not np.isfinite(values).all():
            raise ModelError(f"{path}: layer {number} has a bias that is not finite")
        entries = _checked_entries(np.frombuffer(weight, dtype), f"{path}, layer {number}")
        yield number, Palette(entries, values)


def _ccv_numbers(graph: Model) -> dict[int, int]:
    """Operator's index to the number of its layer in ccv."""
    numbers: dict[int, int] = {}
    for i, operator in enumerate(graph.subgraph.operators):
        if (
            graph.builtin(operator) in _CCV_LAYERS
            or is_custom(graph, operator, "QConv")
            or is_custom(graph, operator, "QFC")
        ):
            numbers[i] = len(numbers)
    return numbers


def _png(codes: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(codes)).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _database(palettes: Mapping[int, Palette]) -> bytes:
    """ccv's own table; sqlite writes files only, so through a temporary one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / DATABASE
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute(
                "CREATE TABLE layer_data (layer INTEGER PRIMARY KEY ASC, weight BLOB, bias BLOB, "
                "half_precision INTEGER)"
            )
            for number, palette in palettes.items():
                bias = None if palette.bias is None else palette.bias.astype("<f2").tobytes()
                weight = palette.entries.astype("<f2").tobytes()
                database.execute(
                    "INSERT INTO layer_data VALUES (?, ?, ?, 1)", (number, weight, bias)
                )
        return path.read_bytes()
