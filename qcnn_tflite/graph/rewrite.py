"""Replaces float layers by QConv and QFC, and back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .codes import pack_codes
from .edit import (
    add_buffer,
    add_tensor,
    drop_operators,
    drop_unused_buffers,
    editable_copy,
    new_operator,
    operator_code,
    put_constant,
    release_constants,
)
from .layers import Layer, find_layers
from .metadata import write_metadata
from .model import Model, indices
from .ops import OP_VERSION, PADDING, QuantizedLayer, encode_options
from .schema import BuiltinOperator, QuantizationParametersT


def rewrite(
    model: Model,
    quantized: Mapping[str, QuantizedLayer],
    metadata: dict[str, Any] | None = None,
    mean_image: NDArray[np.float32] | None = None,
) -> bytes:
    """A copy of the model in which the named layers are custom ops.

    Everything else survives: other operators, subgraphs, signatures, metadata, tensor names and
    indices, associated files. A weight's tensor becomes the codebooks unless something else reads
    it; codes and scales are appended.

    Parameters
    ----------
    model : Model
        Not changed.
    quantized : mapping of layer name to QuantizedLayer
    metadata, mean_image
        For our metadata entries; None leaves them as they are.

    Returns
    -------
    bytes
        The `.tflite` file.
    """
    layers = {layer.name: layer for layer in find_layers(model)}
    unknown = sorted(set(quantized) - set(layers))
    if unknown:
        raise ModelError(f"the model has no layer {', '.join(unknown)}; it has: {', '.join(layers)}")
    out = editable_copy(model)
    uses = model.consumers()
    unwanted: set[int] = set()
    released: set[int] = set()
    for name, q in quantized.items():
        layer = layers[name]
        if layer.ineligible:
            raise ModelError(f"layer {name!r} cannot be quantized: {layer.ineligible}")
        _replace(out, layer, q, uses)
        if layer.pad_op is not None:
            unwanted.add(layer.pad_op)
            released.update(indices(model.subgraph.operators[layer.pad_op].inputs)[1:])
    # A DEQUANTIZE that only fed replaced weights has lost its readers, and its tensor its constant.
    remaining = out.consumers()
    for i, operator in enumerate(model.subgraph.operators):
        if model.builtin(operator) == BuiltinOperator.DEQUANTIZE:
            (target,) = indices(operator.outputs)
            source = indices(operator.inputs)[0]
            constant = out.data(out.subgraph.tensors[target]) is not None
            if model.data(model.subgraph.tensors[source]) is not None and (
                constant or (target in uses and target not in remaining)
            ):
                unwanted.add(i)
                released.add(source)
    drop_operators(out, unwanted)
    release_constants(out, released | {t for layer in layers.values() for t in _constants(layer)})
    write_metadata(out, metadata, mean_image)
    drop_unused_buffers(out, model)
    return out.to_bytes()


def _constants(layer: Layer) -> list[int]:
    if layer.subgraph or layer.ineligible:
        return []
    return [layer.weights] if layer.bias is None else [layer.weights, layer.bias]


def _replace(
    out: Model, layer: Layer, q: QuantizedLayer, uses: dict[int, list[tuple[int, int]]]
) -> None:
    _check_shapes(layer, q)

    def own(tensor: int | None) -> int | None:
        """The tensor's slot, if nothing but this layer reads it."""
        return tensor if tensor is not None and len(uses[tensor]) == 1 else None

    base = layer.name
    codebooks = put_constant(out, own(layer.weights), f"{base}/codebooks", q.codebooks)
    if q.codebook_scales is not None:
        parameters = QuantizationParametersT()
        parameters.scale = np.ascontiguousarray(q.codebook_scales, np.float32)
        parameters.zeroPoint = np.zeros(len(q.codebook_scales), np.int64)
        parameters.quantizedDimension = 0
        out.subgraph.tensors[codebooks].quantization = parameters
    codes = put_constant(out, None, f"{base}/codes", pack_codes(q.codes, q.bits))
    bias = scale = -1
    if q.bias is not None:
        bias = put_constant(out, own(layer.bias), f"{base}/bias", q.bias.astype(np.float32))
    if q.scale is not None:
        scale = put_constant(out, None, f"{base}/scale", q.scale.astype(np.float32))
    name = "QFC" if layer.kind == "fc" else "QConv"
    code = operator_code(out, BuiltinOperator.CUSTOM, name)
    operator = new_operator(code, [layer.input, codebooks, codes, bias, scale], [layer.output])
    operator.customOptions = np.frombuffer(encode_options(layer_options(layer, q)), np.uint8)
    out.subgraph.operators[layer.op_index] = operator


def layer_options(layer: Layer, q: QuantizedLayer) -> dict[str, int]:
    """Options of the op that replaces `layer`."""
    options = {
        "version": OP_VERSION,
        "bits": q.bits,
        "activation": layer.activation,
        "in_channels": layer.in_channels,
        "out_channels": layer.out_channels,
    }
    if layer.kind == "fc":
        return {**options, "keep_num_dims": int(layer.keep_num_dims)}
    explicit = layer.pad_op is not None
    names = ("pad_top", "pad_bottom", "pad_left", "pad_right")
    return {
        **options,
        "kernel_h": layer.kernel[0],
        "kernel_w": layer.kernel[1],
        "stride_h": layer.stride[0],
        "stride_w": layer.stride[1],
        "dilation_h": layer.dilation[0],
        "dilation_w": layer.dilation[1],
        "groups": layer.groups,
        "padding": PADDING["EXPLICIT" if explicit else layer.padding],
        **dict(zip(names, layer.pads, strict=True)),
    }


def _check_shapes(layer: Layer, q: QuantizedLayer) -> None:
    depth = layer.in_channels // layer.groups
    M = -(-depth // q.d)
    if q.codes.shape != (M, layer.out_channels, *layer.kernel) or q.codes.dtype != np.uint8:
        raise ValueError(
            f"{layer.name}: expected codes of shape {(M, layer.out_channels, *layer.kernel)}, uint8, "
            f"got {q.codes.shape}, {q.codes.dtype}"
        )
    if len(q.codebooks) not in (1, M, layer.groups * M):
        raise ValueError(
            f"{layer.name}: expected 1, {M} or {layer.groups * M} codebooks, got {len(q.codebooks)}"
        )
    if q.codes.size and int(q.codes.max()) >= q.K:
        raise ValueError(f"{layer.name}: code {int(q.codes.max())} of a codebook with {q.K} codewords")


def add_explicit_pad(model: Model, source: int, pads: tuple[int, int, int, int], name: str) -> tuple[int, Any]:
    """A PAD operator for an editable copy: (its output tensor, the operator)."""
    shape = model.shape(source)
    tensor = copy.copy(model.subgraph.tensors[source])
    tensor.name = f"{name}/padded".encode()
    tensor.buffer = add_buffer(model, b"")
    tensor.shape = np.array(
        [shape[0], shape[1] + pads[0] + pads[1], shape[2] + pads[2] + pads[3], shape[3]], np.int32
    )
    tensor.shapeSignature = None
    padded = add_tensor(model, tensor)
    amounts = np.array([[0, 0], pads[:2], pads[2:], [0, 0]], np.int32)
    constant = put_constant(model, None, f"{name}/pads", amounts)
    code = operator_code(model, BuiltinOperator.PAD)
    return padded, new_operator(code, [source, constant], [padded])
