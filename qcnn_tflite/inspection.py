"""What is inside a ``.tflite``: its Q layers and their options, float layers, metadata, sizes."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import QcnnError
from .graph import Layer, Model, QLayer, find_layers, find_q_layers, read_metadata, read_model
from .graph.model import indices
from .graph.schema import BuiltinOperator, TensorType
from .report import text_table
from .sizes import format_bytes, zipped_size

_TYPES = {number: name for name, number in vars(TensorType).items() if name.isupper()}
_OPERATORS = {number: name for name, number in vars(BuiltinOperator).items() if name.isupper()}


@dataclass(frozen=True)
class InspectedLayer:
    """A layer with weights.

    Attributes
    ----------
    name, op : str
        `op` is ``"QConv"``, ``"QFC"`` or the kind of a float layer.
    shape : tuple of int
        (C_out, kH, kW, C_in / groups).
    M, K, d, bits : int or None
        None for a float layer.
    codebooks : str
        Their shape and type, e.g. ``"6x128x8 float16"``; empty for a float layer.
    bytes : dict of str to int
        Of each constant.
    options : dict of str to int
        Of the custom op, decoded.
    reason : str
        Why a float layer could not be quantized, where that is so.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    bytes: dict[str, int]
    M: int | None = None
    K: int | None = None
    d: int | None = None
    bits: int | None = None
    codebooks: str = ""
    options: dict[str, int] = dataclasses.field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class LayerMemory:
    """Bytes of the Q layers, on one thread.

    Attributes
    ----------
    kernel : str
    file : int
        Their constants in the file.
    packed : int
        Their constants as the kernel keeps them.
    scratch : int
        What the kernel works in.
    """

    kernel: str
    file: int
    packed: int
    scratch: int

    def __str__(self) -> str:
        return (
            f"{format_bytes(self.file)} in the file, {format_bytes(self.packed)} repacked, "
            f"{format_bytes(self.scratch)} scratch (kernel {self.kernel}, one thread)"
        )


@dataclass(frozen=True)
class Inspection:
    """What `inspect` found.

    Attributes
    ----------
    path : str
    file_bytes, zipped_bytes : int
    inputs, outputs : list of dict
        Name, shape and type of each.
    layers : list of InspectedLayer
        Q layers, then float ones, each in graph order.
    operators : dict of str to int
        How often each operator occurs in the main subgraph.
    metadata : dict or None
        The entry ``qcnn_tflite``.
    memory : LayerMemory or None
        Of the Q layers; None if there are none or no runtime could load them, see `memory_note`.
    memory_note : str
        Why `memory` is missing.
    """

    path: str
    file_bytes: int
    zipped_bytes: int
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    layers: list[InspectedLayer]
    operators: dict[str, int]
    metadata: dict[str, Any] | None
    memory: LayerMemory | None = None
    memory_note: str = ""

    @property
    def quantized(self) -> bool:
        """Whether any layer is product-quantized."""
        return any(layer.M is not None for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "quantized": self.quantized}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        head = ["layer", "op", "shape", "M", "K", "d", "bits", "codebooks", "KiB", "note"]
        rows = [
            [
                layer.name,
                layer.op,
                "x".join(map(str, layer.shape)),
                *("-" if n is None else str(n) for n in (layer.M, layer.K, layer.d, layer.bits)),
                layer.codebooks,
                f"{sum(layer.bytes.values()) / 1024:,.1f}",
                layer.reason,
            ]
            for layer in self.layers
        ]
        lines = [
            f"{self.path}: {format_bytes(self.file_bytes)}, zipped {format_bytes(self.zipped_bytes)}",
            *(f"input   {_tensor_text(tensor)}" for tensor in self.inputs),
            *(f"output  {_tensor_text(tensor)}" for tensor in self.outputs),
            "operators: " + ", ".join(f"{name} {count}" for name, count in self.operators.items()),
            "",
            *text_table(head, rows, right=(3, 4, 5, 6, 8)),
            "",
        ]
        count = sum(layer.M is not None for layer in self.layers)
        lines.append(
            f"{count} of {len(self.layers)} layers are product-quantized; every one fits the op contract"
            if count
            else "no layer is product-quantized"
        )
        if self.memory is not None:
            lines.append(f"memory of the product-quantized layers: {self.memory}")
        elif self.memory_note:
            lines.append(f"memory of the product-quantized layers: unknown, {self.memory_note}")
        if self.metadata is None:
            lines.append("no qcnn_tflite metadata (preprocessing, labels)")
        else:
            lines.append("metadata: " + _metadata_text(self.metadata))
        return "\n".join(lines)


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Read a model, float or quantized, and check its Q layers against the op contract.

    Raises
    ------
    ModelError
        If the file is unreadable or a Q layer breaks the contract; the message says how.
    """
    model = read_model(path)
    layers = [_q_layer(layer) for layer in find_q_layers(model)]
    memory, note = _memory(path, sum(sum(layer.bytes.values()) for layer in layers))
    layers += [_float_layer(layer) for layer in find_layers(model)]
    return Inspection(
        path=os.fspath(path),
        file_bytes=Path(path).stat().st_size,
        zipped_bytes=zipped_size(path),
        inputs=[_tensor(model, t) for t in indices(model.subgraph.inputs)],
        outputs=[_tensor(model, t) for t in indices(model.subgraph.outputs)],
        layers=layers,
        operators=_operator_counts(model),
        metadata=read_metadata(model),
        memory=memory,
        memory_note=note,
    )


def _memory(path: str | os.PathLike[str], in_file: int) -> tuple[LayerMemory | None, str]:
    """What an interpreter of the model adds to the library's account, or why it is not known."""
    if not in_file:
        return None, ""
    from .runtime import Interpreter, memory_usage, selected_kernel

    try:
        before = memory_usage()
        interpreter = Interpreter(model_path=path)
        interpreter.allocate_tensors()
        added = memory_usage().since(before)
        return LayerMemory(selected_kernel(), in_file, added.packed, added.scratch), ""
    except QcnnError as error:
        return None, str(error)


def _q_layer(layer: QLayer) -> InspectedLayer:
    q, options = layer.constants, layer.options
    shape = "x".join(map(str, q.codebooks.shape))
    return InspectedLayer(
        name=layer.name,
        op=layer.op,
        shape=(options["out_channels"], *layer.kernel, options["in_channels"] // layer.groups),
        bytes=q.sizes(),
        M=q.M,
        K=q.K,
        d=q.d,
        bits=q.bits,
        codebooks=f"{shape} {layer.codebook_dtype}",
        options=options,
    )


def _float_layer(layer: Layer) -> InspectedLayer:
    return InspectedLayer(
        name=layer.name,
        op=layer.kind,
        shape=layer.weight_shape,
        bytes={"weights and bias": layer.float_bytes},
        reason=layer.ineligible or "",
    )


def _operator_counts(model: Model) -> dict[str, int]:
    names = [
        model.custom_name(operator)
        or _OPERATORS.get(model.builtin(operator), f"builtin {model.builtin(operator)}")
        for operator in model.subgraph.operators
    ]
    return {name: names.count(name) for name in sorted(set(names))}


def _tensor(model: Model, index: int) -> dict[str, Any]:
    return {
        "name": model.tensor_name(index),
        "shape": list(model.shape(index)),
        "type": _TYPES.get(model.subgraph.tensors[index].type, "unknown"),
    }


def _tensor_text(tensor: dict[str, Any]) -> str:
    return f"{tensor['name']}  {tensor['type']} {tensor['shape']}"


def _metadata_text(metadata: dict[str, Any]) -> str:
    parts = [f"{key} {metadata[key]!r}" for key in ("model", "licence") if metadata.get(key)]
    if metadata.get("input"):
        parts.append("input " + json.dumps(metadata["input"]))
    labels = (metadata.get("output") or {}).get("labels")
    if labels:
        parts.append(f"{len(labels)} labels")
    return "; ".join(parts) or "empty"
