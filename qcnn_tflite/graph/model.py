"""Reading a `.tflite` file, checked, and writing one with aligned constants."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .schema import (
    FILE_IDENTIFIER,
    BufferT,
    BuiltinOperator,
    BuiltinOptions,
    ModelT,
    SubGraphT,
    TensorType,
    schema,
)

# Constants start at multiples of this; the runtime maps files to pages, vectors want 64.
ALIGNMENT = 64
# Associated files are labels and vocabularies; more than this is a decompression bomb.
_MAX_ASSOCIATED_BYTES = 1 << 28

DTYPES: dict[int, type[np.generic]] = {
    TensorType.FLOAT32: np.float32,
    TensorType.FLOAT16: np.float16,
    TensorType.FLOAT64: np.float64,
    TensorType.INT8: np.int8,
    TensorType.UINT8: np.uint8,
    TensorType.INT16: np.int16,
    TensorType.UINT16: np.uint16,
    TensorType.INT32: np.int32,
    TensorType.UINT32: np.uint32,
    TensorType.INT64: np.int64,
    TensorType.UINT64: np.uint64,
    TensorType.BOOL: np.bool_,
}


def _numbers(enumeration: type) -> frozenset[int]:
    return frozenset(v for v in vars(enumeration).values() if isinstance(v, int))


# What the installed schema can unpack; the generated code drops the rest without a word.
_OPTIONS = _numbers(BuiltinOptions)
_OPTIONS_2 = _numbers(schema.BuiltinOptions2)


class Model:
    """A TensorFlow Lite model in memory.

    Parameters
    ----------
    unpacked : ModelT
        The flatbuffer, unpacked; the attribute `schema`.
    files : list of (ZipInfo, bytes)
        Associated files from the ZIP behind the flatbuffer.
    """

    def __init__(self, unpacked: Any, files: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
        self.schema = unpacked
        self.files = files

    @property
    def subgraph(self) -> Any:
        """The main subgraph."""
        return self.schema.subgraphs[0]

    def tensor_name(self, index: int, subgraph: Any = None) -> str:
        name = (subgraph or self.subgraph).tensors[index].name
        return name.decode("utf-8", "replace") if isinstance(name, bytes) else (name or "")

    def shape(self, index: int, subgraph: Any = None) -> tuple[int, ...]:
        """Static shape; () for a scalar and for a tensor without one."""
        shape = (subgraph or self.subgraph).tensors[index].shape
        return () if shape is None else tuple(int(n) for n in shape)

    def data(self, tensor: Any) -> NDArray[np.uint8] | None:
        """Raw bytes of a constant tensor, or None."""
        data = self.schema.buffers[tensor.buffer].data
        return data if data is not None and len(data) else None

    def constant(self, index: int, subgraph: Any = None) -> NDArray[np.generic] | None:
        """Value of a constant tensor, or None for a variable one.

        Raises
        ------
        ModelError
            If the buffer's size is not what shape and type say.
        """
        subgraph = subgraph or self.subgraph
        tensor = subgraph.tensors[index]
        data = self.data(tensor)
        if data is None or tensor.type not in DTYPES:
            return None
        shape = self.shape(index, subgraph)
        dtype = np.dtype(DTYPES[tensor.type])
        expected = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
        if any(n < 0 for n in shape) or expected != len(data):
            raise ModelError(
                f"tensor {self.tensor_name(index, subgraph)!r} is declared {dtype} {list(shape)} "
                f"({expected} bytes) but holds {len(data)} bytes; the file is damaged"
            )
        return np.frombuffer(data.tobytes() if data.ctypes.data % 16 else data, dtype).reshape(
            shape
        )

    def builtin(self, operator: Any) -> int:
        """Builtin operator code (`BuiltinOperator.CUSTOM` for a custom op)."""
        code = self.schema.operatorCodes[operator.opcodeIndex]
        # Codes above 127 live in the newer field only; files before 2.3 fill the older one only.
        return int(max(code.builtinCode, code.deprecatedBuiltinCode))

    def custom_name(self, operator: Any) -> str:
        name = self.schema.operatorCodes[operator.opcodeIndex].customCode
        return name.decode("utf-8", "replace") if isinstance(name, bytes) else (name or "")

    def consumers(self, subgraph: Any = None) -> dict[int, list[tuple[int, int]]]:
        """Tensor to its (operator index, input slot) uses; graph outputs as operator -1."""
        subgraph = subgraph or self.subgraph
        uses: dict[int, list[tuple[int, int]]] = {}
        for i, operator in enumerate(operators(subgraph)):
            for slot, t in enumerate(indices(operator.inputs)):
                if t >= 0:
                    uses.setdefault(t, []).append((i, slot))
        for slot, t in enumerate(indices(subgraph.outputs)):
            uses.setdefault(t, []).append((-1, slot))
        return uses

    def to_bytes(self) -> bytes:
        """The file: aligned constants, then the associated files. Equal models give equal bytes."""
        total = sum(len(b.data) + ALIGNMENT for b in self.schema.buffers if b.data is not None)
        if total > (1 << 31) - (1 << 20):
            raise ModelError(
                f"the model's constants take {total / 1e9:.1f} GB, but a flatbuffer ends at 2 GB; "
                "convert a smaller model"
            )
        # A builder that grows doubles and copies itself: leave room for the tables.
        entries = sum(len(g.tensors) + len(g.operators) for g in self.schema.subgraphs)
        builder = flatbuffers.Builder(total + (1 << 16) + 1024 * entries)
        plain = self.schema.buffers
        try:
            self.schema.buffers = [_AlignedBuffer(b) for b in plain]
            builder.Finish(self.schema.Pack(builder), FILE_IDENTIFIER)
        finally:
            self.schema.buffers = plain
        head = builder.Head()
        data = bytes(memoryview(builder.Bytes)[head:])
        if not self.files:
            return data
        archive = io.BytesIO(data)
        with zipfile.ZipFile(archive, "a") as target:
            for info, content in self.files:
                target.writestr(info, content)
        return archive.getvalue()


class _AlignedBuffer(BufferT):  # type: ignore[misc]
    """A buffer whose data lands on a multiple of `ALIGNMENT` in the file.

    The generated `Pack` ignores the schema's ``force_align``.
    """

    def __init__(self, buffer: Any) -> None:
        super().__init__()  # the constructor of older schemas takes no arguments
        self.data = buffer.data

    def Pack(self, builder: Any) -> int:
        vector = None
        if self.data is not None:
            raw = np.ascontiguousarray(self.data).view(np.uint8).reshape(-1)
            builder.StartVector(1, len(raw), ALIGNMENT)
            builder.head = builder.head - len(raw)
            memoryview(builder.Bytes)[builder.head : builder.head + len(raw)] = raw.data
            vector = builder.EndVector()
        builder.StartObject(3)
        if vector is not None:
            builder.PrependUOffsetTRelativeSlot(0, vector, 0)
        return int(builder.EndObject())


def operators(subgraph: Any) -> list[Any]:
    return subgraph.operators if subgraph.operators is not None else []


def indices(values: Any) -> list[int]:
    """A flatbuffer vector of tensor indices as a list; absent ones are empty."""
    return [] if values is None else [int(v) for v in values]


def read_model(source: bytes | str | os.PathLike[str]) -> Model:
    """Read and check a model.

    Parameters
    ----------
    source : bytes or path

    Raises
    ------
    ModelError
        If there is no such file, or it is not an intact `.tflite` whose constants lie inside it.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        what = str(path)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raise ModelError(
                f"{path}: there is no such file; give the path of a .tflite model"
            ) from None
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{path} cannot be read ({error}); give the path of a .tflite"
            ) from error
    else:
        raw, what = bytes(source), "the model"
    if len(raw) < 8 or raw[4:8] != FILE_IDENTIFIER:
        raise ModelError(
            f"{what} is not a TensorFlow Lite model: expected a flatbuffer marked 'TFL3', got "
            f"{len(raw)} bytes that start with {raw[:8].hex(' ') or 'nothing'}"
        )
    files, end = _associated_files(raw)
    # Whatever the generated code raises on damaged offsets is one thing to the user.
    try:
        flat = raw[:end] if end != len(raw) else raw
        _check_repeats(schema.Model.GetRootAs(flat, 0), len(flat))
        unpacked = ModelT.InitFromPackedBuf(flat, 0)
        _gather(unpacked, flat)
        _check(unpacked)
    except ModelError as error:
        raise ModelError(f"{what}: {error}") from None
    except (
        struct.error, IndexError, ValueError, TypeError, AttributeError, KeyError, OverflowError,
        AssertionError, MemoryError, RecursionError,
    ) as error:  # fmt: skip
        raise ModelError(
            f"{what} is damaged or cut short: its flatbuffer cannot be read ({error}); "
            "copy it again"
        ) from error
    return Model(unpacked, files)


def _associated_files(raw: bytes) -> tuple[list[tuple[zipfile.ZipInfo, bytes]], int]:
    """Files of the ZIP behind the flatbuffer, and where the flatbuffer ends."""
    if not zipfile.is_zipfile(io.BytesIO(raw)):
        return [], len(raw)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            infos = archive.infolist()
            if not infos:
                return [], len(raw)
            end = min(info.header_offset for info in infos)
            size = sum(info.file_size for info in infos)
            if size > _MAX_ASSOCIATED_BYTES:
                raise ModelError(
                    f"the associated files behind the model take {size} bytes, expected at most "
                    f"{_MAX_ASSOCIATED_BYTES}; remove the large ones from its ZIP"
                )
            return [(info, archive.read(info)) for info in infos], end
    except (
        zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError,
        ValueError,
    ) as error:  # fmt: skip
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"the ZIP of associated files behind the model is damaged ({error})"
        ) from error


def _check_repeats(model: Any, size: int) -> None:
    """Refuse tables and texts that many others share.

    The generated code unpacks them for each anew: a small file could fill any memory.
    """
    left = 4 * size

    def take(count: int) -> None:
        nonlocal left
        left -= count
        if left < 0:
            raise ModelError("its tables repeat more than they can in a model; it is damaged")

    take(len(model.Description() or b""))
    take(model.BuffersLength())
    take(model.OperatorCodesLength())
    for i in range(model.OperatorCodesLength()):
        take(len(model.OperatorCodes(i).CustomCode() or b""))
    take(model.MetadataLength())
    for i in range(model.MetadataLength()):
        take(len(model.Metadata(i).Name() or b""))
    take(model.SubgraphsLength())
    for i in range(model.SubgraphsLength()):
        graph = model.Subgraphs(i)
        take(graph.TensorsLength() + graph.OperatorsLength() + len(graph.Name() or b""))
        for j in range(graph.TensorsLength()):
            tensor = graph.Tensors(j)
            take(len(tensor.Name() or b""))
            sparsity = tensor.Sparsity()
            if sparsity is not None:
                take(sparsity.DimMetadataLength())
            if hasattr(tensor, "VariantTensorsLength"):  # newer schemas
                take(tensor.VariantTensorsLength())
    take(model.SignatureDefsLength())
    for i in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(i)
        take(signature.InputsLength() + signature.OutputsLength())
        for maps, count in (
            (signature.Inputs, signature.InputsLength()),
            (signature.Outputs, signature.OutputsLength()),
        ):
            for j in range(count):
                take(len(maps(j).Name() or b""))


def _gather(model: Any, flat: bytes) -> None:
    """Take in constants that follow the flatbuffer in the file, as other quantizers write them.

    Their bytes are not copied: as for tables, many that share them are refused.
    """
    left = 4 * len(flat)
    for buffer in model.buffers or []:
        if buffer.offset <= 1 and buffer.size <= 1:
            continue
        left -= buffer.size
        if buffer.offset <= 1 or buffer.offset + buffer.size > len(flat) or left < 0:
            raise ModelError(
                f"a constant of {buffer.size} bytes at {buffer.offset} lies outside the file of "
                f"{len(flat)} bytes; it is cut short or damaged"
            )
        buffer.data = np.frombuffer(flat, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0


def _check(model: Any) -> None:
    """Every index is inside its table and every constant inside the file."""
    if model.version != 3:
        raise ModelError(f"expected schema version 3, got {model.version}")
    if not model.subgraphs or not model.buffers:
        raise ModelError("the model has no subgraph or no buffers")
    codes = model.operatorCodes or []
    outside = False
    for graph in model.subgraphs:
        outside = outside or any(getattr(t, "externalBuffer", 0) for t in graph.tensors or [])
        outside = outside or any(op.largeCustomOptionsOffset > 1 for op in operators(graph))
    if outside:
        raise ModelError(
            "constants or options are stored in another file or behind the flatbuffer in a way that "
            "is not supported; write the model in one piece"
        )
    for graph in model.subgraphs:
        _check_graph(graph, len(codes), len(model.buffers))
    for entry in model.metadata or []:
        if not 0 <= entry.buffer < len(model.buffers):
            raise ModelError("a metadata entry points to a buffer that does not exist")
    for signature in model.signatureDefs or []:
        if not 0 <= signature.subgraphIndex < len(model.subgraphs):
            raise ModelError("a signature points to a subgraph that does not exist")
        tensors = len(model.subgraphs[signature.subgraphIndex].tensors)
        for entry in (*(signature.inputs or []), *(signature.outputs or [])):
            if not 0 <= entry.tensorIndex < tensors:
                raise ModelError("a signature points to a tensor that does not exist")


def _check_graph(graph: SubGraphT, codes: int, buffers: int) -> None:
    graph.tensors = graph.tensors if graph.tensors is not None else []
    graph.operators = operators(graph)
    count = len(graph.tensors)
    for tensor in graph.tensors:
        if not 0 <= tensor.buffer < buffers:
            raise ModelError("a tensor points to a buffer that does not exist")
    for operator in graph.operators:
        if not 0 <= operator.opcodeIndex < codes:
            raise ModelError("an operator points to an operator code that does not exist")
        if any(not -1 <= t < count for t in _all_indices(operator)):
            raise ModelError("an operator points to a tensor that does not exist")
        kinds = (operator.builtinOptionsType, _OPTIONS), (operator.builtinOptions2Type, _OPTIONS_2)
        if any(kind not in known for kind, known in kinds):
            raise ModelError(
                "an operator has options of a kind newer than the installed ai-edge-litert, which "
                "would lose them; update ai-edge-litert"
            )
    if any(not 0 <= t < count for t in (*indices(graph.inputs), *indices(graph.outputs))):
        raise ModelError("a subgraph's input or output is a tensor that does not exist")


def _all_indices(operator: Any) -> Iterator[int]:
    yield from indices(operator.inputs)
    yield from indices(operator.outputs)
    yield from indices(operator.intermediates)


def is_custom(model: Model, operator: Any, name: str) -> bool:
    return model.builtin(operator) == BuiltinOperator.CUSTOM and model.custom_name(operator) == name
