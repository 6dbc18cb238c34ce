"""Other runtimes, in processes of their own: the same network, the same answers; and what happens when one dies."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import small_network

from benchmarks import model_files, subjects, variants
from benchmarks.subjects import Subject
from qcnn_tflite.errors import ModelError, RuntimeMissingError
from qcnn_tflite.interleaving import interleave
from qcnn_tflite.measurement import making
from qcnn_tflite.measurement.entry import Settings, tflite_entry
from qcnn_tflite.measurement.peers import RUNTIMES, PeerContender
from qcnn_tflite.models import registry
from qcnn_tflite.models.networks import Dense, Network
from qcnn_tflite.models.weights import random_weights

SMALL = Subject("small", small_network.NETWORK, random_weights(small_network.NETWORK, 0))
DENSE_NETWORK = Network((2, 3, 4), (Dense("fc1", 5), Dense("fc2")), classes=3)
DENSE = Subject("dense", DENSE_NETWORK, random_weights(DENSE_NETWORK, 0))


@pytest.fixture
def folder(monkeypatch, tmp_path):
    known = {what.name: what for what in (SMALL, DENSE)}
    for module in (subjects, model_files):
        monkeypatch.setattr(module, "subject", lambda name, seed=0: known[name])
    monkeypatch.setattr(making, "in_own_process", lambda _, function, *rest: function(*rest))
    return tmp_path


def _installed(peer: str) -> None:
    runtime, _, makers = variants.PEERS[peer]
    for package in (*RUNTIMES[runtime][1], *makers):
        pytest.importorskip(package)


def _expected(what: Subject, image: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    stock = Interpreter(model_content=what.float_model())
    stock.allocate_tensors()
    stock.set_tensor(stock.get_input_details()[0]["index"], image)
    stock.invoke()
    return stock.get_tensor(stock.get_output_details()[0]["index"])


# OpenVINO multiplies in bfloat16 where the processor can, and its model is int8; so is ONNX
# Runtime's second. A softmax of ten classes moves by no more than this.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("peer", "tolerance"),
    [("openvino", 0.2), ("onnxruntime", 1e-5), ("onnxruntime-int8", 0.2), ("ncnn", 1e-3)],
)
def test_a_peer_runs_the_same_network(folder, peer, tolerance):
    _installed(peer)
    runtime = variants.PEERS[peer][0]
    for what in (SMALL, DENSE) if tolerance < 0.2 else (SMALL,):
        image = next(what.images(1))
        path = model_files.model_file(what.name, peer, folder)
        contender = PeerContender(runtime, path, image, 1)
        assert contender.load_ms > 0
        assert contender.run() > 0
        found = contender.output()
        assert (contender.peak_rss() or 0) > 1e7
        contender.close()
        expected = _expected(what, image)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=tolerance)
        # Not the answer to another image.
        assert np.abs(found - expected).max() < np.abs(expected - 1 / expected.size).max()


def test_networks_of_other_layers_are_refused():
    pytest.importorskip("onnx")
    from benchmarks.ncnn_network import write
    from benchmarks.onnx_network import to_onnx

    network = registry.get("mobilenet_v1").network
    what = Subject("mobilenet_v1", network, random_weights(network, 0))
    with pytest.raises(ModelError, match="mobilenet_v1 is not written as ONNX"):
        to_onnx(what)
    with pytest.raises(ModelError, match="not written for ncnn"):
        write(what, model_files.default_folder() / "never")


def test_a_peer_that_crashes_is_a_sentence_and_the_others_go_on(folder):
    _installed("ncnn")
    image = next(SMALL.images(1))
    peer = PeerContender("ncnn", model_files.model_file("small", "ncnn", folder), image, 1)
    plain = folder / "small.tflite"
    plain.write_bytes(SMALL.float_model())
    ours = tflite_entry(plain, "float", "stock", Settings()).contender
    samples: list[list[float]] = []
    failures = []

    def killed(_: int) -> None:
        if not failures:
            os.kill(peer.pid, signal.SIGSEGV)

    interleave(
        [ours, peer],
        10,
        warmup=1,
        advance=killed,
        samples=samples,
        failed=lambda index, error: failures.append((index, str(error))),
    )
    assert failures == [(1, "ncnn failed: its process was ended by SIGSEGV")]
    assert [len(times) for times in samples] == [10, 5]
    peer.close()


def test_a_model_that_a_peer_refuses(tmp_path):
    _installed("ncnn")
    path = tmp_path / "damaged.param"
    path.write_text("no network\n", encoding="utf-8")
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(RuntimeMissingError, match=r"ncnn failed: .*refuses the model"):
        PeerContender("ncnn", path, np.zeros((1, 2, 2, 3), np.float32), 1)
