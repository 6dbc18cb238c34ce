"""Layers with correlated inputs, small enough to be solved exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcnn_tflite.pq import BlockLayout, ResponseStatistics, StatisticsBuilder


@dataclass
class Problem:
    layout: BlockLayout
    weights: np.ndarray
    train: ResponseStatistics
    held_out: ResponseStatistics
    inputs: np.ndarray  # (groups, n, rows) of the training set
    targets: np.ndarray  # (groups, n, group_outputs)

    @property
    def matrices(self) -> np.ndarray:
        return self.layout.split(self.weights)


def make_problem(layout: BlockLayout, samples: int, seed: int = 0, noise: float = 0.1) -> Problem:
    """Inputs on the quantized path differ from the float ones by `noise`."""
    rng = np.random.default_rng(seed)
    width = layout.P * layout.groups * layout.in_channels
    mix = rng.normal(size=(width, width)) * np.exp(rng.normal(size=width)) / np.sqrt(width)
    shape = (layout.out_channels, *layout.kernel, layout.in_channels)
    weights = rng.normal(size=shape).astype(np.float32)
    matrices = layout.split(weights)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = np.maximum(rng.normal(size=(count, width)) @ mix + 0.5, 0).astype(np.float32)
        seen = x + noise * rng.normal(size=x.shape).astype(np.float32)
        float_rows = layout.split_inputs(x.reshape(count, layout.P, -1))
        rows = layout.split_inputs(seen.reshape(count, layout.P, -1))
        return rows, np.einsum("gnr,gro->gno", float_rows, matrices)

    def statistics(parts: list[tuple[np.ndarray, np.ndarray]]) -> ResponseStatistics:
        total = sum(p[0].shape[1] for p in parts)
        builder = StatisticsBuilder(layout.groups, layout.rows, layout.group_outputs, total)
        for part in parts:
            builder.add(*part)
        return builder.finish()

    first, second, third = draw(samples // 2), draw(samples - samples // 2), draw(samples)
    inputs = np.concatenate([first[0], second[0]], axis=1)
    targets = np.concatenate([first[1], second[1]], axis=1)
    return Problem(
        layout, weights, statistics([first, second]), statistics([third]), inputs, targets
    )
