"""Bit packing of codes against an oracle that moves one bit at a time."""

from __future__ import annotations

import numpy as np
import pytest

from qcnn_tflite.graph import code_bits, pack_codes, unpack_codes


def pack_bit_by_bit(row: np.ndarray, bits: int) -> bytes:
    out = bytearray(-(-len(row) * bits // 8))
    for i, code in enumerate(row):
        for b in range(bits):
            if code >> b & 1:
                at = i * bits + b
                out[at // 8] |= 1 << at % 8
    return bytes(out)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 61])
def test_packing_is_what_the_contract_says(bits: int, count: int) -> None:
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (3, count)).astype(np.uint8)
    codes[0, -1] = (1 << bits) - 1
    packed = pack_codes(codes, bits)
    assert [row.tobytes() for row in packed] == [pack_bit_by_bit(row, bits) for row in codes]
    np.testing.assert_array_equal(unpack_codes(packed, bits, count), codes)


def test_output_channel_varies_slowest_then_row_then_column() -> None:
    codes = np.arange(2 * 3 * 2 * 2, dtype=np.uint8).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(pack_codes(codes, 8), codes.reshape(2, 12))


@pytest.mark.parametrize(
    ("K", "bits"), [(1, 1), (2, 1), (3, 2), (16, 4), (17, 5), (128, 7), (129, 8), (256, 8)]
)
def test_bits_of_a_code(K: int, bits: int) -> None:
    assert code_bits(K) == bits


def test_a_code_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="code 4 does not fit in 2 bits"):
        pack_codes(np.array([[4]], np.uint8), 2)


def test_a_set_tail_bit_is_refused() -> None:
    packed = pack_codes(np.ones((1, 3), np.uint8), 3)
    packed[0, -1] |= 0x80
    with pytest.raises(ValueError, match="behind the last code"):
        unpack_codes(packed, 3, 3)


@pytest.mark.parametrize("width", [1, 3])
def test_rows_of_the_wrong_length_are_refused(width: int) -> None:
    with pytest.raises(ValueError, match="expected rows of 2 bytes"):
        unpack_codes(np.zeros((1, width), np.uint8), 5, 3)
