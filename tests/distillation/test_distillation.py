"""Training against the float network's outputs."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from small_network import float_model, images

import qcnn_tflite
from qcnn_tflite.calibration.images import CalibrationImages, load_calibration
from qcnn_tflite.distillation import DistillSettings, distill
from qcnn_tflite.distillation import train as training
from qcnn_tflite.distillation.checkpoint import Checkpoint
from qcnn_tflite.distillation.network import DistilledNetwork
from qcnn_tflite.errors import (
    ConfigError,
    DataError,
    OutputExistsError,
    QcnnError,
    RuntimeMissingError,
)
from qcnn_tflite.graph import (
    QuantizedLayer,
    decode_weights,
    find_layers,
    find_q_layers,
    layer_weights,
    read_model,
    with_constants,
)
from qcnn_tflite.models.assemble import assemble
from qcnn_tflite.models.networks import Conv, Dense, Depthwise, GlobalPool, Network
from qcnn_tflite.models.weights import random_weights

CONFIG = {
    "preset": "paper",
    "min_weights": 500,
    "conv": {"d": 4, "K": 16},
    "conv1x1": {"d": 4, "K": 16, "codebook_dtype": "int8"},
    "fc": {"d": 4, "K": 8, "codebook_dtype": "float16"},
    "last_fc": {"d": 2, "K": 8},
}
SETTINGS = DistillSettings(batch=16, codebook_rate=0.004)


@pytest.fixture(scope="module")
def network():
    """Float model, quantized constants and calibration images of the small network."""
    data = float_model()
    model = read_model(data)
    pictures = images(160)
    result = qcnn_tflite.convert(_saved(data), config=CONFIG, calibration=pictures)
    quantized = {q.name: q.constants for q in find_q_layers(read_model(result.model))}
    shape = model.shape(int(model.subgraph.inputs[0]))
    return model, quantized, load_calibration(pictures, None, shape), result


def _saved(data: bytes):
    import tempfile
    from pathlib import Path

    path = Path(tempfile.mkdtemp(prefix="qcnn-test-")) / "small.tflite"
    path.write_bytes(data)
    return path


def same(a: dict[str, QuantizedLayer], b: dict[str, QuantizedLayer]) -> bool:
    def equal(x, y) -> bool:
        return (x is None and y is None) or np.array_equal(x, y)

    fields = ("codebooks", "codes", "bias", "scale", "codebook_scales")
    return a.keys() == b.keys() and all(
        equal(getattr(a[n], f), getattr(b[n], f)) for n in a for f in fields
    )


def test_outputs_come_nearer_and_the_best_state_is_kept(network):
    model, quantized, *_ = network
    pictures = load_calibration(images(800, seed=4), None, (1, 20, 20, 3))
    found = distill(model, quantized, pictures, passes=6, settings=SETTINGS)
    assert found.after.kl < 0.95 * found.before.kl
    assert found.after.kl == min(kl for _, kl, _ in found.history)
    assert found.images + found.after.images == 800 and not found.varied
    for name, q in found.constants.items():
        assert np.array_equal(q.codes, quantized[name].codes)
        assert q.codebooks.dtype == quantized[name].codebooks.dtype
        assert q.sizes() == quantized[name].sizes()
    assert not same(found.constants, quantized)


def test_nothing_changes_where_nothing_gets_better(network):
    model, quantized, pictures, _ = network
    wild = DistillSettings(batch=16, codebook_rate=3.0, patience=1)
    found = distill(model, quantized, pictures, passes=5, settings=wild)
    assert found.passes == 1 and found.after == found.before
    assert same(found.constants, quantized)


def test_student_weights_are_what_the_file_decodes_to(network):
    model, quantized, pictures, _ = network
    trained = DistilledNetwork(model, find_layers(model), quantized, SETTINGS, pictures.batches(16))
    for layer in find_layers(model):
        if layer.name in quantized:
            student, q = trained.quantized[layer.name], quantized[layer.name]
            expected = decode_weights(q, layer.in_channels, layer.groups)
            if q.scale is not None:
                expected = expected * q.scale[:, None, None, None]
            found = student.weights(student.blocks()).numpy()
            np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-6)
            assert same({"": student.constants()}, {"": q})


def test_equal_seeds_train_alike_and_others_do_not(network):
    model, quantized, pictures, _ = network
    first, again, other = (
        distill(model, quantized, pictures, passes=2, seed=s, settings=SETTINGS) for s in (0, 0, 1)
    )
    assert same(first.constants, again.constants) and first.history == again.history
    assert first.history[1:] != other.history[1:]


@pytest.mark.parametrize("reassign", [0, 4])
def test_an_interrupted_training_ends_as_one_without(network, tmp_path, monkeypatch, reassign):
    model, quantized, pictures, _ = network
    path = tmp_path / "state"
    settings = DistillSettings(batch=16, reassign_every=reassign, latent_rate=0.01, evaluations=2)
    straight = distill(model, quantized, pictures, passes=3, settings=settings)
    save, saves = Checkpoint.save, []

    def interrupted(self, trained, run):
        save(self, trained, run)
        saves.append(run.step)
        if len(saves) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        distill(model, quantized, pictures, passes=3, settings=settings, checkpoint=path)
    assert path.exists() and saves[-1] % 8  # in the middle of a pass
    steps = []
    monkeypatch.setattr(Checkpoint, "save", lambda self, t, run: steps.append(run.step))
    resumed = distill(model, quantized, pictures, passes=3, settings=settings, checkpoint=path)
    assert min(steps) > saves[-1]
    assert same(resumed.constants, straight.constants) and resumed.history == straight.history
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(network, tmp_path, monkeypatch):
    model, quantized, pictures, _ = network
    path = tmp_path / "state"
    monkeypatch.setattr(Checkpoint, "remove", lambda self: None)
    distill(model, quantized, pictures, passes=1, settings=SETTINGS, checkpoint=path)
    plain = distill(model, quantized, pictures, passes=2, settings=SETTINGS)
    found = distill(model, quantized, pictures, passes=2, settings=SETTINGS, checkpoint=path)
    assert found.history == plain.history


def test_a_file_of_the_checkpoints_name_is_left_alone(network, tmp_path):
    model, quantized, pictures, _ = network
    path = tmp_path / "state"
    np.savez(path.with_suffix(".npz"), a=1)
    path.with_suffix(".npz").rename(path)
    content = path.read_bytes()
    with pytest.raises(OutputExistsError, match="not the checkpoint"):
        distill(model, quantized, pictures, passes=1, settings=SETTINGS, checkpoint=path)
    assert path.read_bytes() == content


def test_codes_follow_their_latent_weights(network):
    model, quantized, pictures, _ = network
    settings = DistillSettings(batch=16, reassign_every=1)
    trained = DistilledNetwork(model, find_layers(model), quantized, settings, pictures.batches(16))
    assert trained.reassign() == 0  # they begin at their codewords
    latent, student = trained.latents["conv2"], trained.quantized["conv2"]
    values = latent.blocks.numpy()
    other = (int(student.codes[0, 0, 0, 0]) + 1) % 16
    owner = student.owner[0, 0]
    values[0, 0, 0, 0] = student.words.numpy().reshape(student.books_shape)[owner, other]
    latent.blocks.assign(values)
    assert trained.reassign() == 1 and student.codes[0, 0, 0, 0] == other


def test_random_crops_only_where_they_are_such_pictures(network):
    """Noise in place of crops is refused by the student's own loss on it."""
    model, quantized, *_ = network
    plain = images(160)

    def of(vary):
        return CalibrationImages(160, plain.shape[1:], lambda i: plain[i], vary=vary)

    near = distill(
        model,
        quantized,
        of(lambda i, rng: plain[i] + np.float32(0.01) * rng.normal(size=1).astype(np.float32)),
        passes=1,
        settings=SETTINGS,
    )
    noise = distill(
        model,
        quantized,
        of(lambda i, rng: 30 * rng.normal(size=plain.shape[1:]).astype(np.float32)),
        passes=1,
        settings=SETTINGS,
    )
    assert near.varied and not noise.varied


def test_float_layers_are_trained_and_written():
    network = Network(
        (16, 16, 3),
        (
            Conv("conv1", 16, 3, stride=2, pad=1, activation="relu6"),
            Depthwise("depth", 3),
            Conv("point", 32, 1),
            GlobalPool(),
            Dense("fc"),
        ),
        classes=10,
    )
    data = assemble(network, random_weights(network, 0), name="depthwise")
    model, layers = read_model(data), find_layers(read_model(data))
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(96, 16, 16, 3)).astype(np.float32)
    config = {**CONFIG, "min_weights": 300, "conv1x1": {"d": 4, "K": 4}}
    result = qcnn_tflite.convert(_saved(data), config=config, calibration=pictures)
    quantized = {q.name: q.constants for q in find_q_layers(read_model(result.model))}
    assert "point" in quantized and "depth" not in quantized
    trained = DistilledNetwork(model, layers, quantized, SETTINGS, [pictures[:32]])
    losses = [float(trained.train(pictures[:32], np.float32(1))[0]) for _ in range(30)]
    assert losses[-1] < 0.95 * losses[0]
    floats = trained.float_constants()
    assert list(floats) == ["depth"]
    changed = with_constants(model, layers, floats)
    depth = next(layer for layer in layers if layer.name == "depth")
    written = read_model(changed.to_bytes())
    assert [layer.name for layer in find_layers(written)] == [layer.name for layer in layers]
    np.testing.assert_array_equal(written.constant(depth.weights), floats["depth"][0])
    assert not np.array_equal(floats["depth"][0], model.constant(depth.weights))
    untouched = next(layer for layer in layers if layer.name == "point")
    np.testing.assert_array_equal(
        layer_weights(written, untouched), layer_weights(model, untouched)
    )
    assert len(changed.to_bytes()) <= len(model.to_bytes()) + 256


def test_convert_distills_and_reports(network, tmp_path):
    *_, plain = network
    output = tmp_path / "q.tflite"
    result = qcnn_tflite.convert(
        _saved(float_model()),
        output,
        config=CONFIG,
        calibration=images(160),
        distill=4,
        unlabelled=images(800, seed=4),
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["q.tflite"]
    assert len(result.model) == len(plain.model)
    distilled = result.report.distillation
    assert distilled.passes <= 4 and distilled.after.kl < distilled.before.kl
    assert f"distilled in {distilled.passes:g} passes" in str(result.report)
    assert result.report.to_dict()["distillation"]["after"]["kl"] == distilled.after.kl
    assert result.model != plain.model


def test_other_images_may_serve_distillation(network):
    result = qcnn_tflite.convert(
        _saved(float_model()),
        config=CONFIG,
        calibration=images(80),
        distill=1,
        unlabelled=images(200, seed=3),
    )
    assert result.report.calibration_images == 80
    distilled = result.report.distillation
    assert distilled.images + distilled.after.images == 200


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"distill": -1}, ConfigError, "passes"),
        ({"distill": 2.5}, ConfigError, "passes"),
        ({"distill": 1}, ConfigError, "calibration"),
        ({"unlabelled": images(2)}, ConfigError, "distill"),
        ({"distill": 1, "calibration": images(1)}, DataError, "distillation needs images"),
    ],
)
def test_bad_input(arguments, error, words):
    with pytest.raises(error, match=words):
        qcnn_tflite.convert(_saved(float_model()), config=CONFIG, **arguments)


def test_a_missing_tensorflow_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(RuntimeMissingError, match="pip install tensorflow") as raised:
        qcnn_tflite.convert(_saved(float_model()), config=CONFIG, calibration=images(8), distill=1)
    assert isinstance(raised.value, QcnnError)


def test_few_images_leave_some_to_judge():
    train, judges = training._split(8, DistillSettings(), 0)
    assert len(judges) == 2 and len(train) == 6 and not set(train) & set(judges)
    train, judges = training._split(10_000, DistillSettings(), 0)
    assert len(judges) == 500
