"""The benchmark of the kernels, on a small network: every variant, the table, the memory."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import small_network

from benchmarks import kernels, model_files, subjects, variants
from benchmarks.subjects import DEFAULT, Subject, subject
from benchmarks.validate import problems
from qcnn_tflite.errors import ModelError
from qcnn_tflite.interleaving import BLOCK, interleave
from qcnn_tflite.measurement import making, memory, peers, table
from qcnn_tflite.measurement.entry import TFLiteContender
from qcnn_tflite.models.weights import random_weights
from qcnn_tflite.result_document import document

SMALL = Subject("small", small_network.NETWORK, random_weights(small_network.NETWORK, 0))


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The small network under its name; its files are made in this process."""

    for module in (subjects, model_files):
        monkeypatch.setattr(module, "subject", lambda name, seed=0: SMALL)
    monkeypatch.setattr(making, "in_own_process", lambda _, function, *rest: function(*rest))
    return variants.Settings(tmp_path / "models")


@pytest.mark.filterwarnings("ignore")  # what the quantizer and TensorFlow have to say
def test_every_variant_in_one_run(small, capsys, monkeypatch, tmp_path):
    out = tmp_path / "out.json"
    arguments = ["small", "--runs", "7", "--json", out, "--memory", "--work", small.folder]
    monkeypatch.setattr(sys, "argv", ["kernels.py", *map(str, arguments)])
    assert kernels.main() == 0
    printed = capsys.readouterr()
    results = kernels.documents.read(out)
    assert problems(document(results), strict=True) == []
    labels = [table.label(result) for result in results]
    assert labels[0] == "float, stock LRN"
    assert {"q, stock LRN", "float, our LRN", "q, our LRN"} < set(labels)
    assert {len(result["samples_ms"]) for result in results} == {7}
    assert len({result["date"] for result in results}) == 1
    for result in results:
        ours = result["variant"] == "q" or result["lrn"] == "ours"
        assert (result["kernel"] is not None) == ours
        assert result["memory"]["peak_rss_bytes"] > 1e6
    assert "| over float |" in printed.out
    assert "| 1.00x |" in printed.out


def test_bad_requests(small, monkeypatch, capsys, tmp_path):
    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["kernels.py", *map(str, arguments)])
        return kernels.main()

    with pytest.raises(SystemExit):
        run("small", "--runs", 0)
    assert run("small", "--kernel", "fastest") == 2
    assert "fastest" in capsys.readouterr().err
    assert run("small", "--json", tmp_path / "absent" / "out.json") == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_an_absent_peer_is_named(small, monkeypatch, capsys):
    monkeypatch.setitem(peers.RUNTIMES, "openvino", ("OpenVINO", ("qcnn-no-such-package",)))
    arguments = ["small", "--runs", "1", "--openvino", "--work", str(small.folder)]
    monkeypatch.setattr(sys, "argv", ["kernels.py", *arguments])
    assert kernels.main() == 0
    printed = capsys.readouterr()
    assert "small, openvino: left out: " in printed.err
    assert "qcnn-no-such-package" in printed.err
    assert "| q, " in printed.out


def test_files_are_kept_until_they_are_forgotten(small):
    path = model_files.model_file("small", "float", small.folder)
    made = path.stat().st_mtime_ns
    assert model_files.model_file("small", "float", small.folder).stat().st_mtime_ns == made
    model_files.forget("smal", small.folder)
    assert path.exists()
    model_files.forget("small", small.folder)
    assert not path.exists()


@pytest.mark.filterwarnings("ignore")
def test_the_int8_model_is_full_integer_and_the_same_network(small):
    pytest.importorskip("litert_quantizer")
    from ai_edge_litert.interpreter import Interpreter

    image = next(SMALL.images(1))
    outputs = {}
    for variant in ("float", "int8"):
        path = model_files.model_file("small", variant, small.folder)
        contender = TFLiteContender(path, lambda p=path: Interpreter(str(p)), image=image)
        contender.run()
        detail = contender.interpreter.get_output_details()[0]
        values = contender.interpreter.get_tensor(detail["index"]).astype(np.float32)
        if variant == "int8":
            assert detail["dtype"] == np.int8
            assert contender.interpreter.get_input_details()[0]["dtype"] == np.int8
            values = (values - detail["quantization"][1]) * detail["quantization"][0]
            weights = [
                found["quantization_parameters"]["scales"]
                for found in contender.interpreter.get_tensor_details()
                if found["dtype"] == np.int8 and len(found["shape"]) == 4 and found["shape"][0] > 1
            ]
            assert len(weights) == 4  # convolutions, those with groups too
            assert all(len(scales) > 1 for scales in weights)
        outputs[variant] = values
    # int8 softmax has steps of 1/256.
    np.testing.assert_allclose(outputs["int8"], outputs["float"], atol=0.05)


def test_peak_memory_of_a_fresh_process(small):
    path = model_files.model_file("small", "float", small.folder)
    plain, delegate = (memory.peak_rss(path, delegate=d, runs=1) for d in (False, True))
    assert 1e7 < plain < 1e9
    assert 1e7 < delegate < 1e9
    with pytest.raises(memory.RuntimeMissingError, match="did not run"):
        memory.peak_rss(path.with_name("absent"), delegate=False)


def test_turns_rotate_and_each_block_is_warmed():
    order = []

    class Counted:
        def __init__(self, name: str) -> None:
            self.name = name

        def run(self) -> float:
            order.append(self.name)
            return 1e-3 * len(order)

    found = interleave([Counted("a"), Counted("b")], BLOCK + 1, warmup=1)
    block = BLOCK + 1  # with its untimed run
    assert "".join(order) == "ab" + "a" * block + "b" * block + "bb" + "aa"
    assert found[0] == pytest.approx([4, 5, 6, 7, 8, len(order)])
    assert len(found[1]) == BLOCK + 1


def test_speedups_of_the_table():
    def fake(variant: str, lrn: str | None, median: float) -> dict:
        return {
            "variant": variant,
            "summary_ms": {"median": median},
            **({"lrn": lrn} if lrn else {}),
        }

    group = [fake("float", "stock", 8), fake("float", "ours", 4), fake("q", "ours", 2)]
    assert table.speedup(group, group[2], "float", "stock") == 4
    assert table.speedup(group, group[2], "float", "ours") == 2
    assert table.speedup(group, group[2], "int8", "stock") is None
    assert table.speedup([fake("float", None, 8)], group[2], "float", "stock") == 4


def test_the_fully_connected_layers_have_the_weights_of_alexnet():
    with pytest.raises(ModelError, match="alexnet_fc"):
        subject("alexnte")
    assert "alexnet_fc" in DEFAULT
    part = subject("alexnet_fc")
    assert [step.name for step in part.network.layers] == ["fc6", "fc7", "fc8"]
    assert part.network.weight_shapes()["fc6"] == (9216, 4096)
    assert next(part.images(1)).min() == 0
    kernel, _ = part.weights.take("fc8")
    np.testing.assert_array_equal(kernel, subject("alexnet").weights.take("fc8")[0])
