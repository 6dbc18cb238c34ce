"""`compare` on real interpreters: the numbers are those that plain numpy gets."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from small_network import float_model, images, logits

import qcnn_tflite
from qcnn_tflite.agreement import AgreementSum
from qcnn_tflite.errors import DataError, ModelError
from qcnn_tflite.graph import decoded_float_model, extract, find_layers, read_model
from qcnn_tflite.runtime.backend import float_interpreter

CONFIG = {
    "preset": "paper",
    "min_weights": 500,
    "conv": {"d": 4, "K": 16},
    "fc": {"d": 4, "K": 16},
}
DATA = images(37, seed=3)  # no multiple of a batch


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(float_model())
    return qcnn_tflite.convert(path, config=CONFIG, jobs=1)


@pytest.fixture(scope="module")
def comparison(result):
    return qcnn_tflite.compare(result.float_model, result.model, DATA, kernel="reference")


def test_outputs(result, comparison):
    p, q = logits(result.float_model, DATA), logits(decoded_float_model(result.model), DATA)
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    found = comparison.agreement
    assert comparison.probabilities and found.images == 37
    assert found.kl == pytest.approx(kl.mean(), rel=1e-2) and found.kl > 1e-4
    assert found.top1 == pytest.approx((p.argmax(1) == q.argmax(1)).mean())
    five = np.argsort(-q, axis=1)[:, :5]
    assert found.top5 == pytest.approx((five == p.argmax(1)[:, None]).any(1).mean())
    best = np.sort(np.exp(p), axis=1)[:, -5:].sum(1)
    drop = best - np.take_along_axis(np.exp(p), five, 1).sum(1)
    assert found.estimated_top5_drop == pytest.approx(100 * drop.mean(), rel=1e-2, abs=1e-4)
    assert [w.index for w in comparison.worst] == list(np.argsort(-kl)[:10])
    assert comparison.worst[0].name == f"image {comparison.worst[0].index}"
    assert comparison.worst[0].kl == pytest.approx(kl.max(), rel=1e-2)


def test_responses_after_the_activation(result, comparison):
    def responses(data):
        model = read_model(data)
        tensors = [layer.output for layer in find_layers(model)]
        source = int(model.subgraph.inputs[0])
        tapped = extract(model, [source], tensors, 0, len(model.subgraph.operators), {})
        interpreter = float_interpreter(tapped, 1)
        interpreter.allocate_tensors()
        rows = []
        for image in DATA:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
            interpreter.invoke()
            rows.append(
                [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
            )
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    floats, others = responses(result.float_model), responses(decoded_float_model(result.model))
    names = [layer.name for layer in find_layers(read_model(result.float_model))]
    expected = {
        n: np.square(a - b).sum() / np.square(a).sum()
        for n, a, b in zip(names, floats, others, strict=True)
    }
    quantized = [layer.name for layer in result.report.quantized_layers]
    assert [layer.name for layer in comparison.layers] == quantized and len(quantized) > 3
    for layer in comparison.layers:
        assert layer.error == pytest.approx(expected[layer.name], rel=1e-2)
        assert layer.error > 1e-4
    assert {layer.activation for layer in comparison.layers} == {"ReLU", "none"}


def test_a_network_agrees_with_itself(result):
    found = qcnn_tflite.compare(result.float_model, result.float_model, DATA, worst=3)
    assert found.agreement.top1 == found.agreement.top5 == 1
    assert found.agreement.kl == 0 and found.agreement.estimated_top5_drop == 0
    assert not found.layers and [w.index for w in found.worst] == [0, 1, 2]


def test_only_some_images(result):
    part = qcnn_tflite.compare(result.float_model, result.model, DATA, only=[4, 9], layers=False)
    alone = qcnn_tflite.compare(result.float_model, result.model, DATA[[4, 9]], layers=False)
    assert part.agreement == alone.agreement and not part.layers
    assert sorted(w.index for w in part.worst) == [4, 9]


def test_logits_and_broken_outputs():
    rng = np.random.default_rng(0)
    p, q = rng.normal(size=(2, 8, 12)).astype(np.float32)
    total = AgreementSum(probabilities=False)
    kl = total.add(p, q + 7)  # a softmax does not see a shift
    soft = lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)  # noqa: E731
    np.testing.assert_allclose(kl, (soft(p) * np.log(soft(p) / soft(q))).sum(1), rtol=1e-4)
    q[3, 2] = np.nan
    kl = total.add(p, q)
    assert np.isinf(kl[3]) and np.isfinite(np.delete(kl, 3)).all()
    assert total.finish().images == 16


def test_files_have_names(result, tmp_path):
    rng = np.random.default_rng(1)
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(tmp_path / f"{i}.png")
    prepare = qcnn_tflite.Preprocessing(size=(20, 20), mean=(127.5,) * 3, std=(64.0,) * 3)
    found = qcnn_tflite.compare(
        result.float_model, result.model, tmp_path, preprocessing=prepare, worst=2
    )
    assert {w.name for w in found.worst} < {str(tmp_path / f"{i}.png") for i in range(3)}
    with pytest.raises(DataError, match="preprocessing"):
        qcnn_tflite.compare(result.float_model, result.model, tmp_path)


def test_text_and_json(comparison):
    text = str(comparison)
    assert all(layer.name in text for layer in comparison.layers)
    assert "after its activation" in text and "worst images" in text
    values = json.loads(comparison.to_json())
    assert values["agreement"]["images"] == 37
    assert values["worst"][0]["class"] == comparison.worst[0].class_


def test_models_that_do_not_belong_together(result, tmp_path):
    from qcnn_tflite.models.assemble import assemble
    from qcnn_tflite.models.networks import Conv, Dense, Network
    from qcnn_tflite.models.weights import random_weights

    other = Network((20, 20, 3), (Conv("first", 8, 3), Dense("last")), classes=10)
    stranger = assemble(other, random_weights(other, 0), name="other")
    with pytest.raises(ModelError, match=r"no layer 'conv1'.*made from"):
        qcnn_tflite.compare(stranger, result.model, DATA)
    wide = Network((24, 24, 3), (Conv("first", 8, 3), Dense("last")), classes=10)
    with pytest.raises(ModelError, match=r"24x24x3.*made from"):
        qcnn_tflite.compare(
            assemble(wide, random_weights(wide, 0), name="wide"), result.model, DATA, layers=False
        )
    model = read_model(result.float_model)
    softmax = model.subgraph.operators[-1]
    logits_only = extract(
        model, [int(model.subgraph.inputs[0])], [int(softmax.inputs[0])], 0,
        len(model.subgraph.operators), {},
    )  # fmt: skip
    with pytest.raises(ModelError, match="softmax"):
        qcnn_tflite.compare(logits_only, result.model, DATA, layers=False)
