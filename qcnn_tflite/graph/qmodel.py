"""Reads the QConv and QFC layers of a converted model, checked against the op contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelError
from .codes import code_bits, unpack_codes
from .edit import (
    drop_unused_buffers,
    drop_unused_operator_codes,
    editable_copy,
    new_operator,
    operator_code,
    put_constant,
    release_constants,
)
from .model import Model, indices, is_custom, read_model
from .ops import (
    ACTIVATIONS,
    CONV_KEYS,
    FC_KEYS,
    MAX_OPTION,
    PADDING,
    QuantizedLayer,
    decode_options,
    decode_weights,
)
from .rewrite import add_explicit_pad
from .schema import BuiltinOperator, BuiltinOptions, TensorType, schema


@dataclass(frozen=True)
class QLayer:
    """A QConv or QFC of a converted model.

    Parameters
    ----------
    op : {"QConv", "QFC"}
    op_index : int
    name : str
        Of the codes tensor, less its ending.
    options : dict of str to int
    constants : QuantizedLayer
    """

    op: str
    op_index: int
    name: str
    options: dict[str, int]
    constants: QuantizedLayer

    @property
    def groups(self) -> int:
        return self.options.get("groups", 1)

    @property
    def kernel(self) -> tuple[int, int]:
        return self.options.get("kernel_h", 1), self.options.get("kernel_w", 1)

    @property
    def codebook_dtype(self) -> str:
        return str(self.constants.codebooks.dtype)


def find_q_layers(model: Model) -> list[QLayer]:
    """All Q layers of the main subgraph, in graph order.

    Raises
    ------
    ModelError
        If one breaks the op contract (``custom_ops/README.md``); the message says how.
    """
    layers = []
    for i, operator in enumerate(model.subgraph.operators):
        for op, keys in (("QConv", CONV_KEYS), ("QFC", FC_KEYS)):
            if is_custom(model, operator, op):
                layers.append(_read(model, i, operator, op, keys))
    return layers


def decoded_float_model(data: bytes) -> bytes:
    """The plain float model that a converted model stands for.

    Every QConv and QFC becomes a CONV_2D or FULLY_CONNECTED with the decoded, scaled weights;
    EXPLICIT padding becomes a PAD.
    """
    model = read_model(data)
    out = editable_copy(model)
    pads: dict[int, Any] = {}
    released: set[int] = set()
    for layer in find_q_layers(model):
        operator, pad = _float_operator(out, layer)
        inputs = indices(model.subgraph.operators[layer.op_index].inputs)
        released.update(t for t in inputs[1:] if t >= 0)
        out.subgraph.operators[layer.op_index] = operator
        if pad is not None:
            pads[layer.op_index] = pad
    operators: list[Any] = []
    for i, operator in enumerate(out.subgraph.operators):
        operators.extend([pads[i], operator] if i in pads else [operator])
    out.subgraph.operators = operators
    release_constants(out, released)
    drop_unused_buffers(out, model)
    drop_unused_operator_codes(out)
    return out.to_bytes()


def _read(model: Model, i: int, operator: Any, op: str, keys: tuple[str, ...]) -> QLayer:
    inputs = indices(operator.inputs)
    if len(inputs) != 5 or min(inputs[:3]) < 0 or len(indices(operator.outputs)) != 1:
        raise ModelError(f"operator {i} ({op}) needs five inputs and one output, got {inputs}")
    codes_name = model.tensor_name(inputs[2])
    name = codes_name.removesuffix("/codes")
    tensors = model.subgraph.tensors
    if any(tensors[t].type != TensorType.FLOAT32 for t in (inputs[0], *indices(operator.outputs))):
        raise ModelError(f"layer {name!r} ({op}): expected a float32 input and output")
    try:
        raw = b"" if operator.customOptions is None else bytes(operator.customOptions)
        options = decode_options(raw, keys)
        _check_options(options, op)
        return QLayer(op, i, name, options, _constants(model, inputs, options))
    except (ModelError, ValueError) as error:
        raise ModelError(f"layer {name!r} ({op}): {error}") from error


def _check_options(o: dict[str, int], op: str) -> None:
    def expect(ok: bool, what: str) -> None:
        if not ok:
            raise ModelError(f"expected {what}")

    expect(1 <= o["bits"] <= 8, f"bits from 1 to 8, got {o['bits']}")
    expect(o["activation"] in ACTIVATIONS, f"activation 0 to 3, got {o['activation']}")
    for key in ("in_channels", "out_channels"):
        expect(1 <= o[key] <= MAX_OPTION, f"{key} from 1 to {MAX_OPTION}, got {o[key]}")
    if op == "QFC":
        expect(o["keep_num_dims"] in (0, 1), f"keep_num_dims 0 or 1, got {o['keep_num_dims']}")
        return
    for key in (
        "kernel_h",
        "kernel_w",
        "stride_h",
        "stride_w",
        "dilation_h",
        "dilation_w",
        "groups",
    ):
        expect(1 <= o[key] <= MAX_OPTION, f"{key} from 1 to {MAX_OPTION}, got {o[key]}")
    expect(
        o["in_channels"] % o["groups"] == 0 and o["out_channels"] % o["groups"] == 0,
        f"channels that divide into {o['groups']} groups, got {o['in_channels']} and "
        f"{o['out_channels']}",
    )
    expect(o["padding"] in PADDING.values(), f"padding 0 to 2, got {o['padding']}")
    pads = [o[f"pad_{side}"] for side in ("top", "bottom", "left", "right")]
    expect(min(pads) >= 0 and max(pads) <= MAX_OPTION, f"pads from 0 to {MAX_OPTION}, got {pads}")
    expect(
        o["padding"] == PADDING["EXPLICIT"] or not any(pads),
        f"no pads but EXPLICIT ones, got {pads}",
    )


def _constants(model: Model, inputs: list[int], o: dict[str, int]) -> QuantizedLayer:
    books = _constant(model, inputs[1], "codebooks", ("float32", "float16", "int8"), 3)
    m, K, d = books.shape
    groups = o.get("groups", 1)
    M = -(-(o["in_channels"] // groups) // d)
    if m not in (1, M, groups * M):
        raise ModelError(f"expected 1, {M} or {groups * M} codebooks, got {m}")
    if not 1 <= K <= 256 or code_bits(K) != o["bits"]:
        raise ModelError(
            f"{K} codewords take {code_bits(max(K, 1))} bits, the options say {o['bits']}"
        )
    scales = None
    if books.dtype == np.int8:
        q = model.subgraph.tensors[inputs[1]].quantization
        scales = None if q is None or q.scale is None else np.asarray(q.scale, np.float32)
        if scales is None or scales.shape != (m,) or not (np.isfinite(scales) & (scales > 0)).all():
            raise ModelError(f"int8 codebooks need {m} positive scales")
        if q.zeroPoint is not None and np.any(q.zeroPoint):
            raise ModelError("int8 codebooks need zero points of 0")
    elif not np.isfinite(books).all():
        raise ModelError("a codeword is NaN or infinite")
    kernel = o.get("kernel_h", 1), o.get("kernel_w", 1)
    count = o["out_channels"] * kernel[0] * kernel[1]
    packed = _constant(model, inputs[2], "codes", ("uint8",), 2)
    if len(packed) != M:
        raise ModelError(f"expected {M} rows of codes, got {len(packed)}")
    codes = unpack_codes(packed, o["bits"], count).reshape(M, o["out_channels"], *kernel)
    if int(codes.max()) >= K:
        raise ModelError(f"code {int(codes.max())} of a codebook with {K} codewords")
    optional: list[Any] = [None, None]
    for n, what in ((3, "bias"), (4, "scale")):
        if inputs[n] >= 0:
            values = _constant(model, inputs[n], what, ("float32",), 1)
            if values.shape != (o["out_channels"],) or not np.isfinite(values).all():
                raise ModelError(f"expected {o['out_channels']} finite values of {what}")
            optional[n - 3] = values
    return QuantizedLayer(books, codes, optional[0], optional[1], scales)


def _constant(model: Model, tensor: int, what: str, dtypes: tuple[str, ...], rank: int) -> Any:
    values = model.constant(tensor)
    if values is None:
        raise ModelError(f"its {what} are not a constant")
    if str(values.dtype) not in dtypes or values.ndim != rank or 0 in values.shape:
        raise ModelError(
            f"expected {what} of rank {rank}, {' or '.join(dtypes)}, got {list(values.shape)}, "
            f"{values.dtype}"
        )
    return values


def _float_operator(out: Model, layer: QLayer) -> tuple[Any, Any]:
    """The builtin operator for a Q layer and, for EXPLICIT padding, the PAD before it."""
    o, q = layer.options, layer.constants
    old = out.subgraph.operators[layer.op_index]
    source, (output,) = indices(old.inputs)[0], indices(old.outputs)
    weights = decode_weights(q, o["in_channels"], layer.groups)
    if q.scale is not None:
        weights = weights * q.scale[:, None, None, None]
    pad = None
    if layer.op == "QFC":
        weights = weights.reshape(o["out_channels"], o["in_channels"])
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = bool(o["keep_num_dims"])
        # Version 5 brought keep_num_dims, version 6 an absent bias.
        version = 6 if q.bias is None else 5 if o["keep_num_dims"] else 1
        code = operator_code(out, BuiltinOperator.FULLY_CONNECTED, version=version)
        kind = BuiltinOptions.FullyConnectedOptions
    else:
        options = schema.Conv2DOptionsT()
        options.padding = 0 if o["padding"] == PADDING["SAME"] else 1
        options.strideH, options.strideW = o["stride_h"], o["stride_w"]
        options.dilationHFactor, options.dilationWFactor = o["dilation_h"], o["dilation_w"]
        code = operator_code(out, BuiltinOperator.CONV_2D, version=6 if layer.groups > 1 else 2)
        kind = BuiltinOptions.Conv2DOptions
        if o["padding"] == PADDING["EXPLICIT"]:
            pads = (o["pad_top"], o["pad_bottom"], o["pad_left"], o["pad_right"])
            source, pad = add_explicit_pad(out, source, pads, layer.name)
    options.fusedActivationFunction = o["activation"]
    inputs = [source, put_constant(out, None, f"{layer.name}/weights", weights)]
    if q.bias is not None:
        inputs.append(put_constant(out, None, f"{layer.name}/float_bias", np.asarray(q.bias)))
    elif layer.op == "QFC":
        inputs.append(-1)
    else:  # the stock CONV_2D refuses to go without
        zeros = np.zeros(o["out_channels"], np.float32)
        inputs.append(put_constant(out, None, f"{layer.name}/float_bias", zeros))
    operator = new_operator(code, inputs, [output])
    operator.builtinOptions = options
    operator.builtinOptionsType = kind
    return operator, pad
