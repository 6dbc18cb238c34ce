"""Runs a model in another runtime, for `qcnn_tflite.measurement.peers`; answers on its standard output.

    python -m qcnn_tflite.measurement.peer_process PEER MODEL THREADS IMAGE.npy

It answers a line of JSON once the model can be run (`load_ms`, `output_shape`), then one for every line it
reads: to ``run`` the seconds of one inference, to ``output FILE.npy`` null when the answer is in the file.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


class Runner(Protocol):
    """A model with its input set."""

    def run(self) -> Any:
        """Run once."""

    def output(self) -> FloatArray:
        """Of the last run."""


class OpenVino:
    """OpenVINO, on the processor.

    Parameters
    ----------
    path : str
        Of an `.xml`, an `.onnx` or a `.tflite`.
    threads : int
    image : ndarray of shape (N, H, W, C)
    """

    def __init__(self, path: str, threads: int, image: FloatArray) -> None:
        import openvino

        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = openvino.Core().compile_model(path, "CPU", settings)
        self._request = compiled.create_infer_request()
        values = _in_layout(image, list(compiled.input().shape))
        self._image = openvino.Tensor(values)  # the request keeps no copy
        self._request.set_input_tensor(self._image)

    def run(self) -> None:
        self._request.infer()

    def output(self) -> FloatArray:
        return np.array(self._request.get_output_tensor().data)


class OnnxRuntime:
    """ONNX Runtime, on the processor; see `OpenVino`."""

    def __init__(self, path: str, threads: int, image: FloatArray) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        entry = self._session.get_inputs()[0]
        self._feed = {entry.name: _in_layout(image, entry.shape)}
        self._found: FloatArray | None = None

    def run(self) -> None:
        self._found = self._session.run(None, self._feed)[0]

    def output(self) -> FloatArray:
        assert self._found is not None
        return self._found


class Ncnn:
    """ncnn, on the processor, as it comes (float16 and bfloat16 off: float answers). One image.

    Parameters
    ----------
    path : str
        Of the `.param`, the `.bin` beside it; input ``image``, output ``prob``.
    threads, image
        See `OpenVino`.
    """

    def __init__(self, path: str, threads: int, image: FloatArray) -> None:
        import ncnn

        self._ncnn = ncnn
        self._net = ncnn.Net()
        self._net.opt.use_vulkan_compute = False
        self._net.opt.num_threads = threads
        self._net.opt.use_fp16_packed = False
        self._net.opt.use_fp16_storage = False
        self._net.opt.use_fp16_arithmetic = False
        self._net.opt.use_bf16_storage = False
        weights = path.removesuffix(".param") + ".bin"
        if self._net.load_param(path) or self._net.load_model(weights):
            raise ValueError("ncnn refuses the model")
        self._image = np.ascontiguousarray(image[0].transpose(2, 0, 1))
        self._found: Any = None

    def run(self) -> None:
        extractor = self._net.create_extractor()
        extractor.input("image", self._ncnn.Mat(self._image))
        code, self._found = extractor.extract("prob")
        if code:
            raise ValueError(f"ncnn answers with code {code}")

    def output(self) -> FloatArray:
        return np.array(self._found, np.float32)[None]


PEERS: dict[str, Callable[[str, int, FloatArray], Runner]] = {
    "openvino": OpenVino,
    "onnxruntime": OnnxRuntime,
    "ncnn": Ncnn,
}


def _in_layout(image: FloatArray, shape: list[Any]) -> FloatArray:
    """The image as it is, or with channels first, whichever the model takes."""
    # Without a way to tell (a square image of as many channels) it stays as it is.
    if list(image.shape[1:]) == list(shape[1:]):
        return image
    return np.ascontiguousarray(image.transpose(0, 3, 1, 2))


def main(peer: str, path: str, threads: str, image: str) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the runtime has to say is no answer

    def answer(value: Any) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    values = np.load(image, allow_pickle=False)
    start = time.perf_counter()
    runner = PEERS[peer](path, int(threads), values)
    answer({"load_ms": 1e3 * (time.perf_counter() - start)})
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "run":
            start = time.perf_counter()
            runner.run()
            answer(time.perf_counter() - start)
        elif word == "output":
            np.save(rest, runner.output())
            answer(None)


if __name__ == "__main__":
    main(*sys.argv[1:])
