"""`Interpreter`, `load_delegate` and `library_path` as users meet them."""

from __future__ import annotations

import ctypes
import gc
import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from graph_builders import run
from runtime_models import inputs, network, network_twin

import qcnn_tflite
from qcnn_tflite.errors import ConfigError, ModelError, QcnnError, RuntimeMissingError
from qcnn_tflite.runtime import Interpreter, library_path, load_delegate
from qcnn_tflite.runtime.backend import find_backend

SHAPE = (1, 8, 8, 3)
BACKENDS = ["ai_edge_litert", "tensorflow"]


@pytest.fixture(scope="module")
def wanted() -> np.ndarray:
    return run(network_twin(), inputs(SHAPE))[0]


def assert_agrees(actual: np.ndarray, wanted: np.ndarray) -> None:
    assert actual.shape == wanted.shape
    assert np.linalg.norm(actual - wanted) <= 1e-2 * np.linalg.norm(wanted)  # tables in int16


def run_once(interpreter: Any) -> np.ndarray:
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs(SHAPE))
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_path_or_content(tmp_path: Path, backend: str, wanted: np.ndarray) -> None:
    path = tmp_path / "net-q.tflite"
    path.write_bytes(network())
    assert_agrees(run_once(Interpreter(path, backend=backend)), wanted)
    assert_agrees(run_once(Interpreter(str(path), kernel="reference", backend=backend)), wanted)
    content = bytearray(network())
    assert_agrees(run_once(Interpreter(model_content=content, backend=backend)), wanted)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.filterwarnings("ignore:\\s*Warning. tf.lite.Interpreter is deprecated:UserWarning")
def test_delegate_in_a_stock_interpreter(backend: str, wanted: np.ndarray) -> None:
    _, module = find_backend(backend)
    delegate = load_delegate(backend=backend)
    stock = module.Interpreter(model_content=network(), experimental_delegates=[delegate])
    assert_agrees(run_once(stock), wanted)
    with pytest.raises(RuntimeError, match="unresolved custom op: QConv"):
        module.Interpreter(model_content=network()).allocate_tensors()


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_public_method_of_the_stock_interpreter_is_there(backend: str) -> None:
    _, module = find_backend(backend)
    interpreter = Interpreter(model_content=network(), backend=backend)
    for name in dir(module.Interpreter):
        if not name.startswith("_"):
            getattr(interpreter, name)
    with pytest.raises(AttributeError, match="no_such_method"):
        interpreter.no_such_method()


@pytest.mark.parametrize("backend", BACKENDS)
def test_signature_runner_outlives_its_interpreter(backend: str, wanted: np.ndarray) -> None:
    interpreter = Interpreter(model_content=network(), backend=backend)
    assert interpreter.get_signature_list() == {"serve": {"inputs": ["x"], "outputs": ["y"]}}
    runner = interpreter.get_signature_runner("serve")
    del interpreter
    gc.collect()
    assert_agrees(runner(x=inputs(SHAPE))["y"], wanted)
    assert_agrees(runner(x=np.repeat(inputs(SHAPE), 3, axis=0))["y"], np.repeat(wanted, 3, axis=0))


def test_views_and_the_guard_against_holding_them(wanted: np.ndarray) -> None:
    interpreter = Interpreter(model_content=network())
    interpreter.allocate_tensors()
    view = interpreter.tensor(interpreter.get_input_details()[0]["index"])
    view()[...] = inputs(SHAPE)
    interpreter.invoke()
    result = interpreter.tensor(interpreter.get_output_details()[0]["index"])
    assert_agrees(np.array(result()), wanted)
    held = result()
    with pytest.raises(RuntimeError, match="reference to internal data") as caught:
        interpreter.invoke()
    assert not isinstance(caught.value, QcnnError) and held.size


def test_one_delegate_serves_several_interpreters(wanted: np.ndarray) -> None:
    _, module = find_backend()
    delegate = load_delegate()
    made = [
        module.Interpreter(model_content=network(), experimental_delegates=[delegate])
        for _ in range(3)
    ]
    del delegate
    while made:
        assert_agrees(run_once(made.pop()), wanted)


def test_interpreters_run_at_once(wanted: np.ndarray) -> None:
    def work(_: int) -> np.ndarray:
        return run_once(Interpreter(model_content=network(), num_threads=2))

    with ThreadPoolExecutor(4) as pool:
        for actual in pool.map(work, range(16)):
            assert_agrees(actual, wanted)


def test_float_models_run_too(wanted: np.ndarray) -> None:
    np.testing.assert_array_equal(
        run_once(Interpreter(model_content=network_twin(), num_threads=1)), wanted
    )


def test_other_arguments_reach_the_backend() -> None:
    interpreter = Interpreter(
        model_content=network(),
        experimental_delegates=[load_delegate()],
        experimental_disable_delegate_clustering=True,
    )
    run_once(interpreter)
    with pytest.raises(TypeError, match="no_such_argument"):
        Interpreter(model_content=network(), no_such_argument=1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a TensorFlow Lite model: .* start with nothing"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "not a TensorFlow Lite model: .* ff d8 ff e0 00 10 4a 46"),
        (b"\x1c\0\0\0TFL3", "the runtime refuses it .*; convert or copy it again"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("backend", BACKENDS)
def test_files_that_are_no_models(tmp_path: Path, backend: str, content: bytes, words: str) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"net.tflite.*{words}"):
        Interpreter(path, backend=backend)
    with pytest.raises(ModelError, match=f"the model.*{words}"):
        Interpreter(model_content=content, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_truncated_models(backend: str) -> None:
    data = network()
    for size in [*range(8, 400, 28), len(data) // 2, len(data) - 1]:
        with pytest.raises(ModelError, match="the model"):
            Interpreter(model_content=data[:size], backend=backend)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.tflite: there is no such file"):
        Interpreter(tmp_path / "none.tflite")
    with pytest.raises(ModelError, match=r"cannot be read \(Is a directory\)"):
        Interpreter(tmp_path)


@pytest.mark.parametrize("both", [{}, {"model_path": "a", "model_content": b"b"}])
def test_path_and_content_exclude_each_other(both: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one of the two"):
        Interpreter(**both)


def test_threads_are_checked() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Interpreter(model_content=network(), num_threads=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_unknown_kernels(backend: str) -> None:
    sentence = "no kernel 'fast' on this machine; the kernels are: auto, .*reference"
    with pytest.raises(ConfigError, match=sentence):
        load_delegate("fast", backend)
    with pytest.raises(ConfigError, match=sentence):
        Interpreter(model_content=network(), kernel="fast", backend=backend)


def test_backends_are_named_either_way() -> None:
    assert find_backend("ai-edge-litert")[0] == "ai_edge_litert"
    with pytest.raises(RuntimeMissingError, match="choose one of ai_edge_litert, tensorflow"):
        Interpreter(model_content=network(), backend="onnx")


def test_the_next_backend_is_taken(monkeypatch: pytest.MonkeyPatch, wanted: np.ndarray) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert find_backend()[0] == "tensorflow"
    assert_agrees(run_once(Interpreter(model_content=network())), wanted)


def test_no_backend_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleType:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(RuntimeMissingError, match="install one: pip install ai-edge-litert"):
        Interpreter(model_content=network())


def test_a_backend_that_loads_no_delegates(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise AttributeError("undefined symbol: tflite_plugin_create_delegate")

    monkeypatch.setattr(find_backend()[1], "load_delegate", broken)
    with pytest.raises(RuntimeMissingError, match="another version: pip install -U ai-edge-litert"):
        load_delegate()


def test_library_is_installed_and_of_this_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QCNN_TFLITE_LIBRARY", raising=False)
    library = ctypes.CDLL(str(library_path()))
    library.qcnn_version.restype = ctypes.c_char_p
    version = metadata.version("qcnn-tflite")
    assert library.qcnn_version().decode() == version
    assert qcnn_tflite.__version__ == version


def test_library_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.so"
    monkeypatch.setenv("QCNN_TFLITE_LIBRARY", str(mine))
    with pytest.raises(RuntimeMissingError, match=r"mine\.so, and there is no such file"):
        library_path()
    mine.write_bytes(b"no library")
    assert library_path() == mine
    with pytest.raises(RuntimeMissingError, match=r"mine\.so cannot be loaded .*build it for this"):
        Interpreter(model_content=network())


def test_library_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("qcnn_tflite.runtime.library")
    monkeypatch.delenv("QCNN_TFLITE_LIBRARY", raising=False)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "qcnn_tflite" / "runtime" / "x.py"))

    def no_package(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module.metadata, "distribution", no_package)
    with pytest.raises(RuntimeMissingError, match=r"is not there; build and install it: pip"):
        library_path()
