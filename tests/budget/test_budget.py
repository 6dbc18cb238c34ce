"""Conversions within budgets: real networks, real interpreters."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from small_network import float_model, images

import qcnn_tflite
from qcnn_tflite import cost_model, float_cost, machine
from qcnn_tflite.budget import Budget, conversion, sensitivity
from qcnn_tflite.errors import ConfigError, OutputExistsError
from qcnn_tflite.graph import find_q_layers, read_model

DATA = images(90)
CONFIG = {"preset": "paper", "min_weights": 500, "learning": {"sweeps": 1}}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(float_model())
    return path


@pytest.fixture(scope="module", autouse=True)
def measured_once():
    """Searches of the same network differ only in what they choose: its options are measured once."""
    known = {}

    def measure(model, layers, images, learning, **how):
        key = (tuple(x.name for x in layers), how["axes"], how["kernel"], how["seed"])
        if key not in known:
            known[key] = sensitivity.measure(model, layers, images, learning, **how)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversion, "measure", measure)
        # Predicted times of one processor, wherever the tests run.
        patch.setattr(machine, "cpu_id", lambda: "AuthenticAMD family 26")
        for module in (cost_model, float_cost):
            patch.setattr(module.COEFFICIENTS, "_entries", None)
        yield


def convert(model, budget, **more):
    arguments = {"config": CONFIG, "calibration": DATA, "jobs": 1, "predict_for": "avx512_vnni"}
    return qcnn_tflite.convert(model, budget=budget, **{**arguments, **more})


@pytest.fixture(scope="module")
def small(model):
    return convert(model, {"size": "50kB"})


def test_the_size_is_kept_and_used(small):
    size = len(small.model)
    assert 40_000 < size <= 50_000
    assert small.report.quantized_bytes == size
    budget = small.report.budget
    assert budget.conversions == 1 and budget.settings_measured >= 20
    assert budget.settings_tried > budget.settings_measured
    assert small.report.agreement.images == 9
    assert budget.estimated_kl > 0


def test_it_beats_one_setting_for_all_of_the_same_size(model, small):
    """What the search is for: less loss at the same size than the best plain configuration."""
    plain = []
    for d, K in ((2, 16), (4, 64), (4, 32), (3, 32)):
        setting = {"d": d, "K": K, "codebook_dtype": "float16"}
        config = CONFIG | dict.fromkeys(("conv", "conv1x1", "fc", "last_fc"), setting)
        result = qcnn_tflite.convert(model, config=config, calibration=DATA, jobs=1)
        if len(result.model) <= 1.02 * len(small.model):
            plain.append(result)
    assert plain
    test = images(200, seed=77)

    def loss(result):
        return qcnn_tflite.compare(
            result.float_model, result.model, test, layers=False
        ).agreement.kl

    assert loss(small) < min(map(loss, plain))


def test_equal_seeds_choose_equally(model, small, monkeypatch):
    monkeypatch.setattr(conversion, "measure", sensitivity.measure)
    assert convert(model, {"size": 50_000}).model == small.model


@pytest.mark.parametrize("key", ["speedup", "theoretical_speedup"])
def test_speed(model, key):
    result = convert(model, {key: 1.2})
    found = {
        "speedup": result.report.budget.predicted_speedup,
        "theoretical_speedup": _theoretical(result.report),
    }
    assert found[key] >= 1.2
    assert "predicted speed-up" in str(result.report)
    assert "theoretical speed-up" in str(result.report)


def _theoretical(report):
    counted = [layer for layer in report.layers if "fewer than" not in layer.reason]
    return sum(x.ops_before for x in counted) / sum(x.ops_after for x in counted)


def test_size_and_speed(model):
    result = convert(model, {"compression": 3.5, "theoretical_speedup": 1.2})
    assert result.report.compression >= 3.5
    assert _theoretical(result.report) >= 1.2


def test_a_larger_drop_buys_a_smaller_file(model):
    sizes = []
    for drop in (0.05, 2.0):
        result = convert(model, {"top5_drop": drop})
        assert result.report.agreement.estimated_top5_drop <= drop
        assert 1 <= result.report.budget.conversions <= 3
        sizes.append(len(result.model))
    assert sizes[1] < 0.9 * sizes[0]


def test_layers_left_float_say_why(model):
    result = convert(model, {"top5_drop": 0.02})
    left = [x for x in result.report.layers if x.fate == "float"]
    reasons = ("would save", "fewer than min_weights", "no setting would make it smaller")
    assert left and all(any(r in x.reason for r in reasons) for x in left)
    assert any("would save" in x.reason and "KL divergence" in x.reason for x in left)
    config = CONFIG | {"layers": {"conv3": {"quantize": False}}}
    result = convert(model, {"size": "120kB"}, config=config)
    reasons = {x.name: x.reason for x in result.report.layers}
    assert reasons["conv3"] == "kept float by the configuration"
    assert "conv3" not in {q.name for q in find_q_layers(read_model(result.model))}


def test_the_front(model, tmp_path):
    result = convert(
        model, {"size": "60kB"}, output=tmp_path / "q.tflite",
        front=tmp_path / "front.png",
    )  # fmt: skip
    assert (tmp_path / "q.tflite").read_bytes() == result.model
    picture = np.asarray(Image.open(tmp_path / "front.png"))
    assert picture.shape == (620, 1200, 3) and len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    document = json.loads((tmp_path / "front.json").read_text())
    for axis, cost in (("size", "size"), ("time", "predicted_ms")):
        points = document["fronts"][axis]
        assert len(points) > 5
        costs, losses = [p[cost] for p in points], [p["estimated_kl"] for p in points]
        assert costs == sorted(costs) and losses == sorted(losses, reverse=True)
        assert losses[-1] == 0  # float
    assert document["chosen"]["size"] <= 60_000
    assert document["conversions"][-1]["size"] == len(result.model)
    assert set(document["chosen"]["layers"]) > {"conv2", "point", "conv3", "fc1"}
    with pytest.raises(OutputExistsError, match=r"front\.png"):
        convert(model, {"size": "60kB"}, front=tmp_path / "front.png")
    with pytest.raises(ConfigError, match="give a budget"):
        qcnn_tflite.convert(model, front=tmp_path / "other.png")


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"size": "2kB"}, r"0\.00 MB is out of reach: the smallest is 0\.0\d MB"),
        ({"speedup": 1000}, r"predicted speed-up of 1000 is out of reach: the largest is \d"),
        ({"theoretical_speedup": 1000}, r"theoretical speed-up .* the largest is \d"),
        ({"size": "25kB", "top5_drop": 0.0001}, r"nearest conversion has .* MB and loses"),
        ({"top5_drop": 0}, r"every layer stays float"),
    ],
)
def test_what_is_out_of_reach(model, budget, message):
    with pytest.raises(ConfigError, match=message):
        convert(model, budget)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({}, "expected a mapping"),
        ("6MB", "expected a mapping"),
        ({"sise": "6MB"}, r"no limit 'sise' \(did you mean size"),
        ({"size": "6 parsecs"}, "bytes or a text"),
        ({"size": 0}, "at least one byte"),
        ({"size": True}, "bytes or a text"),
        ({"speedup": 0.5}, "at least 1"),
        ({"top5_drop": -1}, "at least 0"),
        ({"top5_drop": "nan"}, "at least 0"),
        ({"speedup": None}, "at least 1"),
        ({"size": 5, "compression": 3}, "not both"),
    ],
)
def test_bad_budgets(budget, message):
    with pytest.raises(ConfigError, match=message):
        Budget.of(budget)


def test_sizes():
    assert Budget.of({"size": "6MB"}).size == 6_000_000
    assert Budget.of({"size": " 1.5 MiB"}).size == 3 << 19
    assert Budget.of({"size": 900}).size == 900
    assert Budget.of({"compression": 30}).size_limit(300) == 10


def test_without_images_or_cost_model(model):
    with pytest.raises(ConfigError, match="calibration=FOLDER"):
        convert(model, {"size": "50kB"}, calibration=None)
    with pytest.raises(ConfigError, match="no layer to choose"):
        convert(model, {"size": "50kB"}, config={"min_weights": 1 << 30})
