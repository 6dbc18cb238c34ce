from __future__ import annotations

import numpy as np
import pytest

from qcnn_tflite.pq import BlockLayout

LAYOUTS = [
    BlockLayout(out_channels=6, in_channels=8, kernel=(3, 2), groups=1, d=4),
    BlockLayout(out_channels=6, in_channels=7, kernel=(3, 3), groups=2, d=3),
    BlockLayout(out_channels=5, in_channels=10, kernel=(1, 1), groups=1, d=1),
    BlockLayout(out_channels=4, in_channels=3, kernel=(2, 2), groups=4, d=8),
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_join_undoes_split(layout):
    rng = np.random.default_rng(0)
    shape = (layout.out_channels, *layout.kernel, layout.in_channels)
    weights = rng.normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(layout.join(layout.split(weights)), weights)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_of_inputs_and_weights_belong_together(layout):
    """Inputs times weights is the grouped convolution at one position, written out."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(layout.out_channels, *layout.kernel, layout.in_channels))
    patches = rng.normal(size=(5, layout.P, layout.groups * layout.in_channels))
    weights, patches = weights.astype(np.float32), patches.astype(np.float32)
    products = np.einsum("gnr,gro->ngo", layout.split_inputs(patches), layout.split(weights))
    for c in range(layout.out_channels):
        g = c // layout.group_outputs
        channels = slice(g * layout.in_channels, (g + 1) * layout.in_channels)
        expected = np.einsum(
            "npc,pc->n", patches[..., channels], weights[c].reshape(layout.P, layout.in_channels)
        )
        actual = products[:, g, c % layout.group_outputs]
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_wrong_weights_are_refused():
    with pytest.raises(ValueError, match="expected weights of shape"):
        LAYOUTS[0].split(np.zeros((6, 3, 3, 8), np.float32))
