"""Which images layers learn from, and which judge."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from small_network import float_model, images

import qcnn_tflite
from qcnn_tflite import learning
from qcnn_tflite.calibration.preprocessing import Preprocessing

CONFIG = {
    "preset": "paper",
    "min_weights": 500,
    "conv": {"d": 4, "K": 16},
    "conv1x1": {"d": 4, "K": 16},
    "fc": {"d": 4, "K": 16},
    "last_fc": {"d": 2, "K": 16},
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    for i, image in enumerate(images(30)):
        pixels = np.clip(128 + 40 * image, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i:02d}.png")
    return tmp_path / "photos"


def seen(monkeypatch, folder, **learned):
    """Layer name to the number of images that its statistics are of."""
    found = {}
    collect = learning.collect_statistics

    def spy(network, layer, *arguments, held_out, **options):
        assert len(held_out) == network.count and 0 < held_out.sum() < len(held_out) / 2
        found[layer.name] = network.count
        return collect(network, layer, *arguments, held_out=held_out, **options)

    monkeypatch.setattr(learning, "collect_statistics", spy)
    model = folder.parent / "small.tflite"
    model.write_bytes(float_model())
    result = qcnn_tflite.convert(
        model,
        config=CONFIG | {"learning": learned},
        calibration=folder,
        preprocessing=Preprocessing(size=(20, 20), scale=1 / 255, mean=(0.5,) * 3, std=(0.2,) * 3),
    )
    return found, result.report.calibration_images


def test_networks_with_fully_connected_layers_see_two_views(monkeypatch, folder):
    found, used = seen(monkeypatch, folder)
    assert set(found.values()) == {60}
    assert used == 30


def test_many_images_are_not_viewed_again(monkeypatch, folder):
    monkeypatch.setattr(learning, "_VIEWS", 30)
    found, used = seen(monkeypatch, folder)
    assert set(found.values()) == {30}
    assert used == 30


def test_one_view_when_asked_for(monkeypatch, folder):
    assert set(seen(monkeypatch, folder, views=1)[0].values()) == {30}


def test_some_of_many_held_out_images_judge(monkeypatch, folder):
    judges = []
    judge = learning.OutputJudge

    def spy(graph, network):
        judges.append(network.count)
        return judge(graph, network)

    monkeypatch.setattr(learning, "OutputJudge", spy)
    seen(monkeypatch, folder)
    monkeypatch.setattr(learning, "_MOST_JUDGES", 3)
    seen(monkeypatch, folder)
    assert judges == [8, 3]
