"""Replaces float layers by QConv and QFC, and back."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .codes import pack_codes
from .edit import (
    add_tensor,
    drop_operators,
    drop_unused_buffers,
    drop_unused_operator_codes,
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
        raise ModelError(
            f"the model has no layer {', '.join(unknown)}; it has: {', '.join(layers)}"
        )
    out = editable_copy(model)
    uses = model.consumers()
    unwanted: set[int] = set()
    released: set[int] = set()
    # Graph order, whatever the mapping's: equal layers give equal bytes.
    for name, layer in layers.items():
        if name not in quantized:
            continue
        if layer.ineligible:
            raise ModelError(f"layer {name!r} cannot be quantized: {layer.ineligible}")
        _replace(out, layer, quantized[name], uses)
        if layer.pad_op is not None:
            unwanted.add(layer.pad_op)
            released.update(indices(model.subgraph.operators[layer.pad_op].inputs)[1:])
    for i, source in _idle_dequantizations(model, out, uses):
        unwanted.add(i)
        released.add(source)
    drop_operators(out, unwanted)
    release_constants(out, released | {t for layer in layers.values() for t in _constants(layer)})
    write_metadata(out, metadata, mean_image)
    drop_unused_buffers(out, model)
    drop_unused_operator_codes(out)
    return out.to_bytes()


def _idle_dequantizations(
    model: Model, out: Model, uses: dict[int, list[tuple[int, int]]]
) -> Iterator[tuple[int, int]]:
    """DEQUANTIZE operators that only fed replaced weights: (operator index, its constant)."""
    remaining = out.consumers()
    for i, operator in enumerate(model.subgraph.operators):
        inputs, outputs = indices(operator.inputs), indices(operator.outputs)
        if model.builtin(operator) != BuiltinOperator.DEQUANTIZE or len(outputs) != 1 or not inputs:
            continue
        source, target = inputs[0], outputs[0]
        if source < 0 or model.data(model.subgraph.tensors[source]) is None:
            continue
        # The weight's slot holds codebooks now, or all its readers are gone.
        overwritten = out.subgraph.tensors[target] is not model.subgraph.tensors[target]
        if overwritten or (target in uses and target not in remaining):
            yield i, source


def _constants(layer: Layer) -> list[int]:
    if layer.subgraph or layer.ineligible:
        return []
    return [layer.weights] if layer.bias is None else [layer.weights, layer.bias]


def _replace(
    out: Model, layer: Layer, q: QuantizedLayer, uses: dict[int, list[tuple[int, int]]]
) -> None:
    _check_constants(layer, q)

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


def _check_constants(layer: Layer, q: QuantizedLayer) -> None:
    """The op contract, before anything is written that the runtime would refuse."""
    depth = layer.in_channels // layer.groups
    M = -(-depth // q.d)
    if q.codes.shape != (M, layer.out_channels, *layer.kernel) or q.codes.dtype != np.uint8:
        raise ValueError(
            f"{layer.name}: expected codes of shape {(M, layer.out_channels, *layer.kernel)}, "
            f"uint8, got {q.codes.shape}, {q.codes.dtype}"
        )
    if len(q.codebooks) not in (1, M, layer.groups * M):
        raise ValueError(
            f"{layer.name}: expected 1, {M} or {layer.groups * M} codebooks, got {len(q.codebooks)}"
        )
    if q.codes.size and int(q.codes.max()) >= q.K:
        raise ValueError(
            f"{layer.name}: code {int(q.codes.max())} of a codebook with {q.K} codewords"
        )

    if not 1 <= q.K <= 256 or q.codebooks.dtype not in ("float32", "float16", "int8"):
        raise ValueError(
            f"{layer.name}: expected 1 to 256 codewords of float32, float16 or int8, got {q.K} of "
            f"{q.codebooks.dtype}"
        )
    scales = q.codebook_scales
    if (q.codebooks.dtype == np.int8) != (scales is not None) or (
        scales is not None and (scales.shape != (len(q.codebooks),) or not (scales > 0).all())
    ):
        raise ValueError(f"{layer.name}: int8 codebooks, and no others, take a positive scale each")
    for what, values in (("bias", q.bias), ("scale", q.scale)):
        if values is not None and values.shape != (layer.out_channels,):
            raise ValueError(
                f"{layer.name}: {what} of shape {values.shape}, not {layer.out_channels}"
            )
    if any(
        v is not None and not np.isfinite(v).all() for v in (q.codebooks, scales, q.bias, q.scale)
    ):
        raise ModelError(
            f"layer {layer.name!r} came out with values that are NaN or infinite in "
            f"{q.codebooks.dtype}; keep it float or choose float32 codebooks for it"
        )


def add_explicit_pad(
    model: Model, source: int, pads: tuple[int, int, int, int], name: str
) -> tuple[int, Any]:
    """A PAD operator for an editable copy: (its output tensor, the operator)."""
    shape = model.shape(source)
    if len(shape) != 4:
        raise ModelError(
            f"layer {name!r} pads an input of shape {list(shape)}, expected four dimensions"
        )
    tensor = copy.copy(model.subgraph.tensors[source])
    tensor.name = f"{name}/padded".encode()
    tensor.buffer = 0  # no constant
    tensor.shape = np.array(
        [shape[0], shape[1] + pads[0] + pads[1], shape[2] + pads[2] + pads[3], shape[3]], np.int32
    )
    tensor.shapeSignature = None
    padded = add_tensor(model, tensor)
    amounts = np.array([[0, 0], pads[:2], pads[2:], [0, 0]], np.int32)
    constant = put_constant(model, None, f"{name}/pads", amounts)
    code = operator_code(model, BuiltinOperator.PAD)
    return padded, new_operator(code, [source, constant], [padded])
