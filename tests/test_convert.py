"""The whole way: model in, `.tflite` out, run natively."""

from __future__ import annotations

import os

import joblib
import numpy as np
import pytest
from small_network import NETWORK, float_model, images, logits

import qcnn_tflite
import qcnn_tflite.api
from qcnn_tflite.calibration.preprocessing import Preprocessing
from qcnn_tflite.errors import DataError, OutputExistsError
from qcnn_tflite.graph import decoded_float_model, find_q_layers, read_metadata, read_model

CONFIG = {
    "preset": "paper",
    "min_weights": 500,
    "conv": {"d": 4, "K": 32},
    "conv1x1": {"d": 4, "K": 16},
    "fc": {"d": 4, "K": 16},
    "last_fc": {"d": 2, "K": 16},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(float_model())
    return path


@pytest.fixture(scope="module")
def result(model):
    return qcnn_tflite.convert(model, config=CONFIG, calibration=images(120))


def kl(model_bytes, reference, data):
    """Mean KL divergence of a Q model's outputs from those of the float model."""
    p, q = logits(reference, data), logits(decoded_float_model(model_bytes), data)
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


def test_images_beat_weights_alone(model, result):
    test = images(100, seed=9)
    alone = qcnn_tflite.convert(model, config=CONFIG)
    with_images, without = (
        kl(result.model, result.float_model, test),
        kl(alone.model, alone.float_model, test),
    )
    assert with_images < 0.5 * without
    assert any("without calibration images" in note for note in alone.report.notes)
    assert alone.report.calibration_images == 0 and result.report.calibration_images == 120


@pytest.mark.parametrize(("kernel", "tolerance"), [("reference", 1e-4), ("auto", 1e-2)])
def test_the_native_library_runs_what_was_learned(result, kernel, tolerance):
    data = images(8, seed=5)
    expected = logits(decoded_float_model(result.model), data)
    interpreter = qcnn_tflite.Interpreter(model_content=result.model, num_threads=2, kernel=kernel)
    interpreter.allocate_tensors()
    for image, wanted in zip(data, expected, strict=True):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        np.testing.assert_allclose(got, np.exp(wanted), atol=tolerance)


def test_the_report_tells_every_layers_fate(result):
    report = result.report
    assert [layer.name for layer in report.layers] == list(NETWORK.weight_shapes())
    fates = {layer.name: layer for layer in report.layers}
    assert fates["conv2"].fate == "quantized" and fates["conv2"].error < 0.2
    assert (fates["conv2"].M, fates["conv2"].d) == (3, 4)
    assert "damping" in fates["fc1"].choice
    assert report.float_bytes == len(result.float_model)
    assert report.quantized_bytes == len(result.model) < report.float_bytes / 3
    text = str(report)
    assert all(name in text for name in fates)
    sizes = {
        q.name: sum(q.constants.sizes().values()) for q in find_q_layers(read_model(result.model))
    }
    assert sizes == {n: f.bytes_after for n, f in fates.items() if f.fate == "quantized"}


def test_equal_seeds_give_equal_bytes(model, result):
    again = qcnn_tflite.convert(model, config=CONFIG, calibration=images(120), jobs=1)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        threaded = qcnn_tflite.convert(model, config=CONFIG, calibration=images(120))
    other = qcnn_tflite.convert(model, config=CONFIG, calibration=images(120), seed=1)
    assert again.model == result.model == threaded.model
    assert other.model != result.model


def test_presets_convert(model):
    for preset in ("accurate", "small"):
        result = qcnn_tflite.convert(
            model, config={"preset": preset, "min_weights": 1000}, calibration=images(30)
        )
        dtypes = {q.codebook_dtype for q in find_q_layers(read_model(result.model))}
        assert dtypes == {"float16"}


def test_outputs_are_written_once(model, tmp_path):
    output, twin = tmp_path / "q.tflite", tmp_path / "float.tflite"
    result = qcnn_tflite.convert(model, output, config=CONFIG, float_output=twin)
    assert output.read_bytes() == result.model and twin.read_bytes() == result.float_model
    output.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        qcnn_tflite.convert(model, output, config=CONFIG)
    assert output.read_bytes() == b"mine"
    qcnn_tflite.convert(model, output, config=CONFIG, overwrite=True)
    assert output.read_bytes() == result.model
    assert sorted(os.listdir(tmp_path)) == ["float.tflite", "q.tflite"]


def test_a_twin_that_cannot_be_written_takes_the_model_with_it(model, tmp_path, monkeypatch):
    """Both outputs or none: the folder of the second goes away while the first is written."""
    folder = tmp_path / "gone"
    folder.mkdir()
    real = qcnn_tflite.api.write_atomically

    def write(path, data, *, overwrite):
        if folder.exists():
            folder.rmdir()
        return real(path, data, overwrite=overwrite)

    monkeypatch.setattr(qcnn_tflite.api, "write_atomically", write)
    with pytest.raises(qcnn_tflite.OutputError):
        qcnn_tflite.convert(
            model, tmp_path / "q.tflite", config=CONFIG, float_output=folder / "float.tflite"
        )
    assert os.listdir(tmp_path) == []


def test_one_name_for_both_models_is_refused(model, tmp_path):
    path = tmp_path / "both.tflite"
    with pytest.raises(qcnn_tflite.OutputError, match="different names"):
        qcnn_tflite.convert(model, path, config=CONFIG, float_output=path, overwrite=True)
    assert os.listdir(tmp_path) == []


def test_preprocessing_travels_in_the_file(model):
    prepare = Preprocessing(size=(20, 20), scale=1 / 255, mean=(0.5,) * 3, std=(0.2,) * 3)
    result = qcnn_tflite.convert(model, config=CONFIG, preprocessing=prepare)
    stored = read_metadata(read_model(result.model))
    assert Preprocessing.from_metadata(stored).to_metadata() == prepare.to_metadata()
    pixels = [(40 * np.abs(x) % 256).astype(np.uint8) for x in images(6)]
    converted = qcnn_tflite.convert(
        model, config=CONFIG, preprocessing=prepare, calibration=np.stack(pixels)
    )
    assert converted.report.calibration_images == 6


def test_images_of_another_shape_are_refused(model):
    with pytest.raises(DataError, match="20"):
        qcnn_tflite.convert(model, config=CONFIG, calibration=np.zeros((4, 8, 8, 3), np.float32))
    with pytest.raises(DataError):
        qcnn_tflite.convert(model, config=CONFIG, calibration=[])


def test_nan_images_are_refused(model):
    bad = images(6)
    bad[3, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"NaN|finite"):
        qcnn_tflite.convert(model, config=CONFIG, calibration=bad)


def test_the_embedded_default_keeps_its_accuracy():
    from qcnn_tflite import models

    result = qcnn_tflite.convert(
        "default", config="accurate", calibration=models.calibration_images()
    )
    assert result.report.compression > 13
    found = qcnn_tflite.evaluate(result.model, models.test_images(), result.float_model)
    assert found.reference_top1 > 0.9
    assert found.top1 > found.reference_top1 - 0.015
