"""Bit packing of codes, as the op contract lays them down."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def code_bits(K: int) -> int:
    """Bits of a code, max(1, ceil(log2 K))."""
    return max(1, math.ceil(math.log2(K)))


def pack_codes(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Pack codes, one row of bytes per subspace.

    Parameters
    ----------
    codes : ndarray of shape (M, ...), uint8
        In each subspace the output channel varies slowest, then kernel row, then kernel column.
    bits : int
        1 to 8.

    Returns
    -------
    ndarray of shape (M, B), uint8
        B = ceil(n * bits / 8) for n codes a row. Code i takes bits i * bits onwards, bit b of a row
        being bit (b mod 8) of byte (b div 8); tail bits are 0.
    """
    rows = codes.reshape(len(codes), -1)
    if rows.size and int(rows.max()) >> bits:
        raise ValueError(f"code {int(rows.max())} does not fit in {bits} bits")
    if bits == 8:
        return rows.copy()
    planes = (rows[:, :, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(planes.reshape(len(rows), -1), axis=1, bitorder="little")


def unpack_codes(packed: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """Inverse of `pack_codes`: shape (M, B) to (M, count).

    Raises
    ------
    ValueError
        If the rows are not of the length that `count` codes take, or a tail bit is set.
    """
    expected = -(-count * bits // 8)
    if packed.ndim != 2 or packed.shape[1] != expected:
        raise ValueError(f"expected rows of {expected} bytes, got {packed.shape[1:]}")
    planes = np.unpackbits(packed, axis=1, bitorder="little")
    if planes[:, count * bits :].any():
        raise ValueError("a bit behind the last code of a row is set")
    planes = planes[:, : count * bits].reshape(len(packed), count, bits)
    return (planes << np.arange(bits, dtype=np.uint8)).sum(axis=2, dtype=np.uint8)
