"""Photographs for who has none."""

from __future__ import annotations

import numpy as np
import pytest
from small_network import float_model

import qcnn_tflite
from qcnn_tflite.calibration.photos import library_photos


def test_crops_differ_and_follow_the_seed():
    crops = library_photos(20)
    assert crops.shape == (20, 256, 256, 3) and crops.dtype == np.uint8
    assert len({crop.tobytes() for crop in crops}) == 20
    assert crops.std(axis=(1, 2, 3)).min() > 10
    np.testing.assert_array_equal(crops, library_photos(20))
    assert (library_photos(20, seed=1) != crops).any()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "net.tflite"
    path.write_bytes(float_model())
    return path


COLOUR = qcnn_tflite.Preprocessing(size=(20, 20), scale=1 / 255)
SETTINGS = {"min_weights": 500}


def test_a_network_of_colour_images_is_calibrated_on_them(network):
    result = qcnn_tflite.convert(network, config=SETTINGS, preprocessing=COLOUR)
    assert result.report.calibration_images == 300
    assert any("two photographs" in note for note in result.report.notes)
    plain = qcnn_tflite.convert(network, config=SETTINGS, preprocessing=COLOUR, calibration="none")
    assert plain.report.calibration_images == 0
    assert any("without calibration images" in note for note in plain.report.notes)

    def loss(converted):
        photos = library_photos(50, seed=7)
        found = qcnn_tflite.compare(
            converted.float_model, converted.model, photos, preprocessing=COLOUR, layers=False
        )
        return found.agreement.kl

    assert loss(result) < loss(plain)


def test_others_are_not(network):
    for options in ({}, {"preprocessing": None}):
        result = qcnn_tflite.convert(network, config=SETTINGS, **options)
        assert result.report.calibration_images == 0
    result = qcnn_tflite.convert("mobilenet_v1", weights="random", config={"min_weights": 10**6})
    assert result.report.calibration_images == 0


def test_distillation_wants_real_images(network):
    with pytest.raises(qcnn_tflite.errors.ConfigError, match="needs calibration images"):
        qcnn_tflite.convert(network, preprocessing=COLOUR, calibration="none", distill=1)
