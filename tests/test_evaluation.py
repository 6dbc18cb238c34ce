"""Accuracies that are known in advance: a network that names the brightest colour channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qcnn_tflite import evaluation
from qcnn_tflite.calibration.preprocessing import Preprocessing
from qcnn_tflite.classification import classify
from qcnn_tflite.errors import ConfigError, DataError, ModelError
from qcnn_tflite.evaluation import EvaluationInterrupted, evaluate
from qcnn_tflite.tally import interval

SIDE = 6
COLOURS = [(250, 10, 20), (20, 240, 10), (10, 30, 230)]


@pytest.fixture(scope="module")
def preprocessing():
    values = {
        "resize": "squash", "size": [SIDE, SIDE], "crop": [SIDE, SIDE], "channels": "RGB",
        "scale": 1 / 255, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0],
    }  # fmt: skip
    return Preprocessing.from_metadata({"input": values}, None)


def _network(matrix) -> bytes:
    """Means of the colour channels times `matrix`."""
    import tensorflow as tf

    dense = tf.keras.layers.Dense(len(matrix[0]), use_bias=False)
    net = tf.keras.Sequential(
        [tf.keras.layers.Input((SIDE, SIDE, 3)), tf.keras.layers.GlobalAveragePooling2D(), dense]
    )
    dense.set_weights([np.asarray(matrix, np.float32)])
    return tf.lite.TFLiteConverter.from_keras_model(net).convert()


@pytest.fixture(scope="module")
def brightest():
    return _network(np.eye(3))


@pytest.fixture(scope="module")
def red_and_green_swapped():
    return _network(np.eye(3)[[1, 0, 2]])


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """20 images: 10 red, 6 green, 4 blue; two of the red ones carry a wrong label."""
    folder = tmp_path_factory.mktemp("colours")
    lines = ["file,label"]
    for i, colour in enumerate([0] * 10 + [1] * 6 + [2] * 4):
        Image.new("RGB", (9, 7), COLOURS[colour]).save(folder / f"{i:02}.png")
        lines.append(f"{i:02}.png,{2 if i < 2 else colour}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_accuracy(brightest, data, preprocessing):
    result = evaluate(brightest, data, preprocessing=preprocessing)
    assert (result.images, result.top1, result.top5) == (20, 0.9, 1.0)
    assert result.reference_top1 is None
    assert "20 images: top-1 90.00%" in str(result)


def test_comparison(brightest, red_and_green_swapped, data, preprocessing):
    result = evaluate(red_and_green_swapped, data, brightest, preprocessing=preprocessing)
    assert (result.top1, result.reference_top1) == (0.2, 0.9)
    assert result.top1_drop == pytest.approx(70)
    assert result.agreement == 0.2
    # 14 of 20 are right in one network only: variance 14/20 - 0.7**2, over 20 images, in points.
    assert result.standard_error == pytest.approx(100 * np.sqrt((0.7 - 0.49) / 20))
    red, green, blue = (np.array(c) / 255 for c in COLOURS)
    swapped = [np.square(c[[1, 0, 2]] - c).sum() for c in (red, green, blue)]
    energy = [np.square(c).sum() for c in (red, green, blue)]
    expected = np.dot([10, 6, 4], swapped) / np.dot([10, 6, 4], energy)
    assert result.output_error == pytest.approx(expected, rel=1e-4)


def test_limit(brightest, data, preprocessing):
    result = evaluate(brightest, data, preprocessing=preprocessing, limit=5)
    assert (result.images, result.top1) == (5, 0.6)


def test_labels_outside_the_classes(brightest, data, preprocessing):
    with pytest.raises(
        DataError, match="labels reach from 1 to 3 but the model has classes 0 to 2"
    ):
        evaluate(brightest, data, preprocessing=preprocessing, label_offset=1)


def test_reference_with_other_classes(brightest, data, preprocessing):
    with pytest.raises(ModelError, match="3 outputs and the reference 4"):
        evaluate(brightest, data, _network(np.ones((3, 4))), preprocessing=preprocessing)


def test_without_preprocessing(brightest, data):
    with pytest.raises(ModelError, match="how images are prepared"):
        evaluate(brightest, data)


def test_classify(brightest, data, preprocessing):
    found = classify(
        brightest, data / "12.png", top=2, preprocessing=preprocessing, labels=["red", "green"]
    )
    assert [(p.index, p.label) for p in found] == [(1, "green"), (0, "red")]
    means = np.array(COLOURS[1]) / 255
    expected = np.exp(means) / np.exp(means).sum()
    assert found[0].probability == pytest.approx(expected[1], rel=1e-5)
    everything = classify(brightest, data / "12.png", preprocessing=preprocessing, top=9)
    assert [p.label for p in everything] == ["class 1", "class 0", "class 2"]


def test_a_fixed_batch_is_respected(data, preprocessing):
    """A RESHAPE to one row refuses batches; the answers are the same one by one."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32)])
    def brightest_of_one(image):
        return tf.reshape(tf.reduce_mean(image, (1, 2)), (1, 3))

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [brightest_of_one.get_concrete_function()], brightest_of_one
    )
    result = evaluate(converter.convert(), data, preprocessing=preprocessing)
    assert (result.images, result.top1) == (20, 0.9)


def test_intervals(brightest, data, preprocessing):
    # Wilson (1927): centre (p + z²/2n) / (1 + z²/n), half-width z √(p(1-p)/n + z²/4n²) / (1 + z²/n).
    z, p, n = 1.959964, 0.9, 20
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    result = evaluate(brightest, data, preprocessing=preprocessing)
    assert result.top1_interval == pytest.approx((centre - half, centre + half), abs=1e-6)
    assert interval(20, 20)[1] == 1
    assert "69.90 to 97.21 %" in str(result)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(evaluation, "_BATCH", 2)
    monkeypatch.setattr(evaluation, "_PART", 4)


@pytest.mark.parametrize("jobs", [2, 3])
def test_workers_change_nothing(
    brightest, red_and_green_swapped, data, preprocessing, small_parts, jobs
):
    arguments = (red_and_green_swapped, data, brightest)
    alone = evaluate(*arguments, preprocessing=preprocessing)
    assert evaluate(*arguments, preprocessing=preprocessing, jobs=jobs) == alone
    with pytest.raises(ConfigError, match="jobs must be at least 1"):
        evaluate(*arguments, preprocessing=preprocessing, jobs=0)


def test_an_interrupted_evaluation_is_gone_on_with(
    brightest, red_and_green_swapped, data, preprocessing, small_parts, monkeypatch, tmp_path
):
    arguments = (red_and_green_swapped, data, brightest)
    whole = evaluate(*arguments, preprocessing=preprocessing)
    kept = tmp_path / "counts.json"
    real, asked = evaluation._part_tally, []

    def interrupted(models, images, part, *rest):
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(part.start)
        return real(models, images, part, *rest)

    monkeypatch.setattr(evaluation, "_part_tally", interrupted)
    with pytest.raises(EvaluationInterrupted) as stop:
        evaluate(*arguments, preprocessing=preprocessing, resume=kept)
    assert stop.value.evaluation.images == 12
    assert "interrupted after 12 of 20 images" in str(stop.value.evaluation)
    asked = []
    monkeypatch.setattr(
        evaluation,
        "_part_tally",
        lambda m, i, part, *r: (asked.append(part.start), real(m, i, part, *r))[1],
    )
    with pytest.raises(ConfigError, match="another model, other images or other settings"):
        evaluate(*arguments, preprocessing=preprocessing, resume=kept, limit=19)
    asked.clear()
    assert evaluate(*arguments, preprocessing=preprocessing, resume=kept) == whole
    assert asked == [12, 16]
    assert not kept.exists()
    kept.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match="does not hold the counts"):
        evaluate(*arguments, preprocessing=preprocessing, resume=kept)


def test_images_that_do_not_decode(brightest, data, preprocessing, small_parts, tmp_path):
    for file in data.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "05.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"05\.png"):
        evaluate(brightest, tmp_path, preprocessing=preprocessing)
    result = evaluate(brightest, tmp_path, preprocessing=preprocessing, skip_unreadable=True)
    assert (result.images, result.top1) == (19, 17 / 19)
    assert [Path(name).name for name in result.unreadable] == ["05.png"]
    assert "could not be decoded: 1, such as" in str(result)


def test_folders_named_like_classes(brightest, data, preprocessing, tmp_path):
    """ILSVRC's layout: a folder per synset. Not all classes are there, and numbering would be wrong."""
    from qcnn_tflite.graph import read_model
    from qcnn_tflite.graph.edit import editable_copy
    from qcnn_tflite.graph.metadata import write_metadata

    names = ["n02 blue things", "n01 red things", "n03 green things"]
    # Class 0 answers to blue, 1 to red, 2 to green: column c of the matrix sums the channels.
    model = editable_copy(read_model(_network(np.eye(3)[[1, 2, 0]])))
    metadata = {"input": preprocessing.to_metadata(), "output": {"labels": names}}
    write_metadata(model, metadata, None)
    described = model.to_bytes()
    for colour, synset in ((0, "n01"), (1, "n03")):
        (tmp_path / synset).mkdir()
        Image.new("RGB", (9, 7), COLOURS[colour]).save(tmp_path / synset / "a.JPEG")
    assert evaluate(described, tmp_path).top1 == 1
    (tmp_path / "unknown").mkdir()
    Image.new("RGB", (9, 7), COLOURS[0]).save(tmp_path / "unknown" / "a.JPEG")
    assert evaluate(described, tmp_path).top1 == 0  # numbered in the order of their names
