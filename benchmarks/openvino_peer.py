"""OpenVINO's int8 path, as a contender. Optional: `pip install '.[openvino]'`.

Its TFLite reader refuses LOCAL_RESPONSE_NORMALIZATION, so the network goes there as ONNX.
"""

from __future__ import annotations

import logging
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.subjects import Subject
from qcnn_tflite.errors import RuntimeMissingError

_PACKAGES = ("openvino", "nncf", "onnx")


def versions() -> dict[str, str]:
    """Versions of OpenVINO and of what makes its model.

    Raises
    ------
    RuntimeMissingError
        If one is not installed.
    """
    try:
        return {name: metadata.version(name) for name in _PACKAGES}
    except metadata.PackageNotFoundError as error:
        raise RuntimeMissingError(
            f"OpenVINO is not measured without the package {error.name}: "
            f"pip install {' '.join(_PACKAGES)}"
        ) from error


def make(what: Subject, path: Path, images: list[NDArray[np.float32]]) -> None:
    """Write the network, quantized to int8 by nncf on `images`, as OpenVINO's `.xml` and `.bin`."""
    versions()
    import nncf
    import openvino
    from openvino.passes import ConstantFolding, Manager

    from benchmarks.onnx_network import to_onnx

    nncf.set_log_level(logging.ERROR)
    source = path.with_suffix(".onnx")
    try:
        source.write_bytes(to_onnx(what).SerializeToString())
        model = openvino.Core().read_model(source)
        # The reader leaves a RESHAPE before the weights of convolutions with groups. With it there,
        # nncf quantizes them in a way that the CPU plugin runs in bfloat16.
        passes = Manager()
        passes.register_pass(ConstantFolding())
        passes.run_passes(model)
        data = nncf.Dataset([_nchw(image) for image in images])
        quantized = nncf.quantize(model, data, subset_size=len(images))
    finally:
        source.unlink(missing_ok=True)
    # The .xml last: it says that the model is there.
    partial = path.with_name(f"{path.stem}-part.xml")
    openvino.save_model(quantized, partial, compress_to_fp16=False)
    partial.with_suffix(".bin").replace(path.with_suffix(".bin"))
    partial.replace(path)


class OpenVinoContender:
    """A model with its input set, ready to run.

    Parameters
    ----------
    path : Path
        Of the `.xml`.
    image : ndarray of shape (1, H, W, C)
    threads : int

    Attributes
    ----------
    load_ms : float
        Reading the file until it is compiled.
    """

    def __init__(self, path: Path, image: NDArray[np.float32], threads: int) -> None:
        versions()
        import openvino

        start = time.perf_counter()
        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = openvino.Core().compile_model(path, "CPU", settings)
        self.request = compiled.create_infer_request()
        self.load_ms = 1e3 * (time.perf_counter() - start)
        self._image = openvino.Tensor(_nchw(image))  # the request keeps no copy
        self.request.set_input_tensor(self._image)

    def run(self) -> float:
        start = time.perf_counter()
        self.request.infer()
        return time.perf_counter() - start

    def output(self) -> NDArray[np.float32]:
        """Of the last run."""
        return np.array(self.request.get_output_tensor().data)


def _nchw(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(image.transpose(0, 3, 1, 2))
