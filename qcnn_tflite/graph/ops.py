"""The Python half of the op contract: options, tensors and limits of QConv and QFC.

The C++ half is ``custom_ops/tflite/options.cc``; golden bytes in
``custom_ops/tests/golden/options.txt`` tie the two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from ..errors import ModelError
from .codes import code_bits

FloatArray = NDArray[np.float32]

OP_VERSION = 1
_DECODED_AT_ONCE = 1 << 20
# Of a map of options, as in custom_ops/tflite/flexbuffers_map.cc; a real one has 18 in 300 bytes.
_MAX_OPTIONS, _MAX_ENTRIES = 1 << 16, 256
_MAX_INTEGER = (1 << 63) - 1
PADDING = {"SAME": 0, "VALID": 1, "EXPLICIT": 2}
# Fused activations that the ops know: NONE, RELU, RELU_N1_TO_1, RELU6.
ACTIVATIONS = (0, 1, 2, 3)
# Limit of every option; no network comes near, and products of two stay inside 64 bits.
MAX_OPTION = 1 << 20
CONV_KEYS = (
    "version", "bits", "activation", "in_channels", "out_channels", "kernel_h", "kernel_w",
    "stride_h", "stride_w", "dilation_h", "dilation_w", "groups", "padding",
    "pad_top", "pad_bottom", "pad_left", "pad_right",
)  # fmt: skip
FC_KEYS = ("version", "bits", "activation", "in_channels", "out_channels", "keep_num_dims")


@dataclass(frozen=True)
class QuantizedLayer:
    """Constants of a QConv or QFC.

    Parameters
    ----------
    codebooks : ndarray of shape (m, K, d)
        float32, float16 or int8.
    codes : ndarray of shape (M, C_out, kH, kW), uint8
    bias : ndarray of shape (C_out,), float32, or None
    scale : ndarray of shape (C_out,), float32, or None
    codebook_scales : ndarray of shape (m,), float32, or None
        For int8 codebooks: value = scale * stored.
    """

    codebooks: NDArray[Any]
    codes: NDArray[np.uint8]
    bias: FloatArray | None = None
    scale: FloatArray | None = None
    codebook_scales: FloatArray | None = None

    @property
    def K(self) -> int:
        return int(self.codebooks.shape[1])

    @property
    def d(self) -> int:
        return int(self.codebooks.shape[2])

    @property
    def M(self) -> int:
        return int(self.codes.shape[0])

    @property
    def bits(self) -> int:
        return code_bits(self.K)

    def sizes(self) -> dict[str, int]:
        """Bytes of each constant in the file."""
        count = self.codes[0].size if len(self.codes) else 0
        return {
            "codebooks": self.codebooks.nbytes,
            "codes": len(self.codes) * -(-count * self.bits // 8),
            "bias": 0 if self.bias is None else 4 * self.bias.size,
            "scale": 0 if self.scale is None else 4 * self.scale.size,
        }

    def float_codebooks(self) -> FloatArray:
        """Codebooks as a kernel decodes them, shape (m, K, d)."""
        values = self.codebooks.astype(np.float32)
        if self.codebook_scales is not None:
            values *= self.codebook_scales[:, None, None]
        return values


def decode_weights(q: QuantizedLayer, in_channels: int, groups: int = 1) -> FloatArray:
    """Weights that codebooks and codes stand for, without the scale.

    Parameters
    ----------
    q : QuantizedLayer
    in_channels : int
        All groups together.
    groups : int

    Returns
    -------
    ndarray of shape (C_out, kH, kW, in_channels / groups), float32
    """
    depth = in_channels // groups
    M, outputs, *kernel = q.codes.shape
    books = q.float_codebooks()
    words = books.reshape(-1, q.d)
    out = np.empty((outputs, *kernel, depth), np.float32)
    # Whole outputs at a time: subspace by subspace would write four floats to every row in turn.
    step = max(1, _DECODED_AT_ONCE // (M * q.d * math.prod(kernel)))
    for start in range(0, outputs, step):
        block = slice(start, min(start + step, outputs))
        group = np.arange(block.start, block.stop) // (outputs // groups)
        codebook = group[:, None] * M + np.arange(M)
        if len(books) in (1, M):  # shared by all subspaces, or by the groups
            codebook %= len(books)
        index = codebook[:, None, None] * q.K + np.moveaxis(q.codes[:, block], 0, -1)
        out[block] = words[index].reshape(*index.shape[:-1], -1)[..., :depth]
    return out


def encode_options(values: dict[str, int]) -> bytes:
    """FlexBuffers map of integers. Keys are sorted, so equal options are equal bytes."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for key in sorted(values):
            builder.Key(key)
            builder.Int(int(values[key]))
    return bytes(builder.Finish())


def decode_options(data: bytes, keys: tuple[str, ...]) -> dict[str, int]:
    """Options of an op, every key of `keys` present and no other but annotations (``x_…``).

    Raises
    ------
    ModelError
        If the bytes are no such map.
    """
    if len(data) > _MAX_OPTIONS:
        raise ModelError(
            f"the options of a Q layer have {len(data):,} bytes, expected at most {_MAX_OPTIONS:,}"
        )
    # The reader of the flexbuffers package reads outside its buffer only with an exception.
    try:
        root = flexbuffers.GetRoot(bytearray(data))
        if not root.IsMap:
            raise ModelError("the options of a Q layer are not a FlexBuffers map")
        found = root.AsMap
        if len(found) > _MAX_ENTRIES:
            raise ModelError(
                f"the options of a Q layer have {len(found)} entries, expected at most {_MAX_ENTRIES}"
            )
        names = [key.AsKey for key in found.Keys]
        values = {name: found[name] for name in names}
        # An unsigned integer may be larger than the kernels' int64_t.
        integers = {
            n: int(v.AsInt)
            for n, v in values.items()
            if v.IsInt and int(v.AsInt) <= _MAX_INTEGER and not n.startswith("x_")
        }
        wrong = [n for n in values if n not in integers and not n.startswith("x_")]
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"the options of a Q layer cannot be read ({error})") from error
    # First of all: another version may have other keys.
    if "version" in integers and integers["version"] != OP_VERSION:
        raise ModelError(
            f"a Q layer has version {integers['version']}, this package reads version "
            f"{OP_VERSION}; update qcnn_tflite"
        )
    missing = [k for k in keys if k not in integers and k not in wrong]
    unknown = [k for k in integers if k not in keys]
    if missing or unknown or wrong:
        raise ModelError(
            "the options of a Q layer do not fit its op"
            + (f"; missing: {', '.join(missing)}" if missing else "")
            + (f"; unknown: {', '.join(unknown)}" if unknown else "")
            + (f"; not an integer: {', '.join(wrong)}" if wrong else "")
            + ("; update qcnn_tflite" if unknown else "")
        )
    return integers
