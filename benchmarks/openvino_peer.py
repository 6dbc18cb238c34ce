"""The model of OpenVINO's int8 path. Optional: `pip install '.[peers]'`.

Its TFLite reader refuses LOCAL_RESPONSE_NORMALIZATION, so the network goes there as ONNX.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.subjects import Subject
from qcnn_tflite.measurement import peers

# What makes its model.
PACKAGES = ("nncf", "onnx")


def make(what: Subject, path: Path, images: list[NDArray[np.float32]]) -> None:
    """Write the network, quantized to int8 by nncf on `images`, as OpenVINO's `.xml` and `.bin`."""
    peers.versions("openvino", *PACKAGES)
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


def _nchw(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(image.transpose(0, 3, 1, 2))
