"""Sizes are decimal, and zipped bytes are what a ZIP holds."""

from __future__ import annotations

import zipfile

import pytest

from qcnn_tflite.sizes import format_bytes, zipped_size


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 bytes"), (13_193_876, "13.19 MB"), (2e9, "2.00 GB")]
)
def test_format_bytes(count, text):
    assert format_bytes(count) == text


def test_zipped_size_is_that_of_a_zip_entry(tmp_path):
    content = bytes(range(256)) * 9000
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.writestr("x.bin", content)
        expected = archive.getinfo("x.bin").compress_size
    assert zipped_size(path) == pytest.approx(expected, rel=0.01)
