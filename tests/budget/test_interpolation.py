"""Effects of settings between measured ones."""

from __future__ import annotations

import itertools

import pytest

from qcnn_tflite.budget.candidates import Candidate, spread_out, undominated
from qcnn_tflite.budget.sensitivity import interpolated
from qcnn_tflite.config import LayerConfig


def candidate(size, error, kl=float("nan"), drop=float("nan"), ms=1.0):
    return Candidate(LayerConfig(), size, 0, ms, error, kl, drop)


def test_straight_lines_in_logarithms():
    probed = [candidate(4, 0.001, 0.01, 0.1), candidate(1, 0.1, 1.0, 10.0)]
    found = interpolated(
        [*probed, candidate(2, 0.01), candidate(9, 1e-6), candidate(0, 3.0)], probed
    )
    assert [c.kl for c in found] == pytest.approx([0.01, 1.0, 0.1, 0.01, 1.0])
    assert [c.drop for c in found] == pytest.approx([0.1, 10.0, 1.0, 0.1, 10.0])


def test_a_smaller_error_never_does_more_harm():
    probed = [candidate(4, 0.01, 0.3), candidate(3, 0.02, 0.2), candidate(1, 0.1, 1.0)]
    assert [c.kl for c in interpolated(probed, probed)] == pytest.approx([0.3, 0.3, 1.0])
    assert interpolated([candidate(1, 0.1)], [])[0].error == 0.1


def test_dominated_settings_go_and_of_equals_the_first_stays():
    a, b, worse = candidate(10, 0.1), candidate(5, 0.2), candidate(11, 0.1)
    twin, faster = candidate(10, 0.1), candidate(11, 0.1, ms=0.5)
    assert undominated([worse, a, b, twin], ("bytes", "error")) == [a, b]
    assert undominated([a, faster], ("bytes", "ms", "error")) == [a, faster]


def test_spread_covers_both_ends():
    many = [candidate(100 - i, 1.2**i) for i in range(30)]
    few = spread_out(many, ("error",), 4)
    assert len(few) == 4 and few[0] is many[0] and few[-1] is many[-1]
    gaps = [many.index(b) - many.index(a) for a, b in itertools.pairwise(few)]
    assert min(gaps) >= 6
    assert spread_out(many[:3], ("error",), 4) == many[:3]
