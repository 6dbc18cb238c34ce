"""The array files of the Quantized-CNN program: ``.bin`` of plain data, ``.cbn`` of packed codes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError

# Codes never cross a block of this many bytes.
_BLOCK = 4096
_MAX_DIMENSIONS = 8
# Far above fc6 of VGG-16, whose codes have 65 MB.
_MAX_FILE = 1 << 30
_BLOCKS_AT_ONCE = 512


def read_bin(path: Path, dtype: str) -> NDArray[Any]:
    """An array of a ``.bin``: int32 number of dimensions, int32 dimensions, data, all little-endian.

    Parameters
    ----------
    path : Path
    dtype : str
        Of the data, which the file does not say: "<f4", or "u1" for uncompressed codes.

    Raises
    ------
    ModelError
        If the file does not have exactly the size that its dimensions say.
    """
    data, shape, start = _header(path)
    kind = np.dtype(dtype)
    expected = math.prod(shape) * kind.itemsize
    if len(data) - start != expected:
        raise ModelError(
            f"{path}: its dimensions {list(shape)} take {expected} bytes of {kind} and "
            f"{len(data) - start} follow; the file is damaged or of another kind"
        )
    return np.frombuffer(data, kind, offset=start).reshape(shape)


def write_bin(array: NDArray[Any]) -> bytes:
    """The bytes that `read_bin` takes."""
    return np.array([array.ndim, *array.shape], "<i4").tobytes() + array.tobytes()


def read_cbn(path: Path) -> NDArray[np.uint8]:
    """Codes of a ``.cbn``: dimensions as in a ``.bin``, int32 bits, then blocks of 4,096 bytes.

    A block holds floor(32768 / bits) codes, the most significant bit first; the last one is padded.

    Raises
    ------
    ModelError
        If bits are not 1 to 8, or the file does not have exactly the blocks that its dimensions say.
    """
    data, shape, start = _header(path)
    if len(data) < start + 4:
        raise ModelError(f"{path} ends before its number of bits; copy it again")
    bits = int.from_bytes(data[start : start + 4], "little", signed=True)
    if not 1 <= bits <= 8:
        raise ModelError(f"{path}: expected codes of 1 to 8 bits, got {bits}; it is no .cbn file")
    count, per_block = math.prod(shape), 8 * _BLOCK // bits
    blocks = -(-count // per_block)
    if len(data) - start - 4 != blocks * _BLOCK:
        raise ModelError(
            f"{path}: its {count} codes of {bits} bits take {blocks} blocks of {_BLOCK} bytes and "
            f"{len(data) - start - 4} bytes follow; the file is damaged"
        )
    rows = np.frombuffer(data, np.uint8, offset=start + 4).reshape(blocks, _BLOCK)
    codes = np.empty((blocks, per_block), np.uint8)
    for at in range(0, blocks, _BLOCKS_AT_ONCE):
        chunk = slice(at, at + _BLOCKS_AT_ONCE)
        planes = np.unpackbits(rows[chunk], axis=1)[:, : per_block * bits]
        planes = planes.reshape(-1, per_block, bits)
        values = planes[:, :, 0]
        for bit in range(1, bits):
            values = np.left_shift(values, 1) | planes[:, :, bit]
        codes[chunk] = values
    return codes.reshape(-1)[:count].reshape(shape)


def write_cbn(codes: NDArray[np.uint8], bits: int) -> bytes:
    """The bytes that `read_cbn` takes."""
    per_block = 8 * _BLOCK // bits
    blocks = -(-codes.size // per_block)
    padded = np.zeros((blocks, per_block), np.uint8)
    padded.reshape(-1)[: codes.size] = codes.reshape(-1)
    head = np.array([codes.ndim, *codes.shape, bits], "<i4").tobytes()
    shifts = np.arange(bits - 1, -1, -1, dtype=np.uint8)
    body = np.zeros((blocks, _BLOCK), np.uint8)
    for at in range(0, blocks, _BLOCKS_AT_ONCE):
        chunk = slice(at, at + _BLOCKS_AT_ONCE)
        planes = (padded[chunk, :, None] >> shifts) & 1
        packed = np.packbits(planes.reshape(len(planes), -1), axis=1)
        body[chunk, : packed.shape[1]] = packed
    return head + body.tobytes()


def _header(path: Path) -> tuple[bytes, tuple[int, ...], int]:
    """The file's bytes, its dimensions, and where they end."""
    try:
        if path.stat().st_size > _MAX_FILE:
            raise ModelError(f"{path} has more than 1 GiB, which no file of Quantized-CNN has")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error})") from error
    count = int.from_bytes(data[:4], "little", signed=True) if len(data) >= 4 else 0
    if not 1 <= count <= _MAX_DIMENSIONS or len(data) < 4 + 4 * count:
        raise ModelError(
            f"{path}: expected 1 to {_MAX_DIMENSIONS} dimensions at its beginning, got {count}; it is no "
            "file of Quantized-CNN"
        )
    shape = tuple(int(n) for n in np.frombuffer(data, "<i4", count, 4))
    if min(shape) < 1:
        raise ModelError(f"{path}: its dimensions {list(shape)} must all be above 0")
    return data, shape, 4 + 4 * count
