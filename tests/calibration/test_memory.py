"""Statistics that would not fit are refused before any image is read."""

from __future__ import annotations

import tracemalloc

import numpy as np
import psutil
import pytest
from small_network import float_model, images

import qcnn_tflite
from qcnn_tflite.calibration.images import CalibrationImages
from qcnn_tflite.calibration.memory import check_memory, statistics_bytes
from qcnn_tflite.errors import DataError
from qcnn_tflite.pq import BlockLayout, Recipe, StatisticsBuilder, learn


@pytest.mark.parametrize("samples", [600, 4000])
def test_the_estimate_covers_what_learning_takes(samples):
    """In both forms: fewer samples than rows, and a Gram matrix."""
    layout = BlockLayout(out_channels=64, in_channels=256, kernel=(2, 2), groups=1, d=4)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(64, 2, 2, 256)).astype(np.float32)
    matrices = layout.split(weights)
    tracemalloc.start()
    builder = StatisticsBuilder(1, layout.rows, 64, samples)
    for _ in range(samples // 100):
        x = rng.normal(size=(1, 100, layout.rows)).astype(np.float32)
        builder.add(x, x @ matrices)
    recipe = Recipe(d=4, K=16, sweeps=1)
    learn(weights, None, layout, recipe, builder.finish(), jobs=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    estimate = statistics_bytes(layout, samples, 1, samples)
    assert 0.4 * estimate < peak < 1.3 * estimate


def test_refused_with_the_size_needed():
    layout = BlockLayout(out_channels=64, in_channels=5000, kernel=(3, 3), groups=1, d=8)
    with pytest.raises(
        DataError, match=r"'wide' has 45,000 inputs .* takes 2\d\.\d+ GB .* 16\.00 GB"
    ):
        check_memory([("wide", layout, 10_000)], 100, 128, available=16_000_000_000)
    check_memory([("wide", layout, 10_000)], 100, 128, available=64_000_000_000)
    # 100 images at one position each: the samples are kept instead.
    check_memory([("wide", layout, 1)], 100, 128, available=1_000_000_000)


def test_convert_refuses_before_it_reads(tmp_path, monkeypatch):
    path = tmp_path / "small.tflite"
    path.write_bytes(float_model())
    data = images(4)
    read = []

    def load(i):
        read.append(i)
        return data[i]

    left = psutil.virtual_memory()._replace(available=10_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: left)
    source = CalibrationImages(4, data.shape[1:], load)
    with pytest.raises(DataError, match=r"layer '\w+' has .* and 10\.00 kB are free"):
        qcnn_tflite.convert(path, config={"min_weights": 500}, calibration=source, jobs=1)
    assert not read
