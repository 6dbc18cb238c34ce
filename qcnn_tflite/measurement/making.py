"""Makes the files that a float model is compared with: int8, float16, dynamic range, product-quantized."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, RuntimeMissingError
from ..files import write_atomically
from ..graph import read_model
from ..graph.edit import editable_copy
from ..graph.schema import schema

_SIGNATURE = "serving_default"
# litert-quantizer's own recipe for float16 has no name; this is its JSON form.
_FLOAT16 = [
    {
        "regex": ".*",
        "operation": "*",
        "algorithm_key": "float_casting",
        "op_config": {
            "weight_tensor_config": {"num_bits": 16, "dtype": "FLOAT", "symmetric": True},
            "compute_precision": "FLOAT",
            "explicit_dequantize": True,
        },
    }
]


def in_own_process(what: str, function: Callable[..., None], *arguments: Any) -> None:
    """Call a function in a fresh process, which gives all its memory back and leaves no threads.

    Parameters
    ----------
    what : str
        What it makes, for the message if it dies.
    function : callable
        Of a module, so that the process finds it.
    *arguments
        Of the function.

    Raises
    ------
    RuntimeMissingError
        If the process dies.
    QcnnError
        Of the function.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=context, initializer=_watch_the_parent) as pool:
            pool.submit(_quietly, function, *arguments).result()
    except BrokenProcessPool as error:
        raise RuntimeMissingError(
            f"the process that makes {what} died, perhaps for want of memory: {error}"
        ) from error


def _quietly(function: Callable[..., None], *arguments: Any) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # LiteRT warns of what the quantizer asks of it, and means debugging.
    warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors")
    with contextlib.redirect_stdout(sys.stderr):  # the quantizers' chatter is no result
        function(*arguments)


def _watch_the_parent() -> None:
    # Before the first work: the parent may be killed before it has given any.
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A pool's process would wait for work for ever when the one that started it was killed."""
    import psutil

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        for child in psutil.Process().children(recursive=True):  # joblib's
            with contextlib.suppress(psutil.Error):
                child.kill()
        os._exit(1)


def make_q(float_path: Path, path: Path, options: Mapping[str, Any]) -> None:
    """Convert; `options` are arguments of `qcnn_tflite.convert`."""
    from joblib.externals.loky import get_reusable_executor

    from ..api import convert

    convert(float_path, path, **options)
    # The converter's idle workers would keep this process from ending for five minutes.
    get_reusable_executor().shutdown(wait=True)


def make_int8(float_path: Path, path: Path, images: Iterable[NDArray[np.float32]]) -> None:
    """Full-integer: int8 activations, input and output, and int8 weights with a scale a channel.

    LRN has no integer kernel anywhere; it stays float between DEQUANTIZE and QUANTIZE.

    Parameters
    ----------
    float_path, path : Path
    images : iterable of ndarray
        Inputs of the model for calibration, each of its input's shape.
    """
    quantizer, recipe = _litert_quantizer("int8")
    data, name = signed(float_path.read_bytes())
    maker = quantizer.Quantizer(data)
    maker.load_quantization_recipe(recipe.static_wi8_ai8())
    ranges = maker.calibrate({_SIGNATURE: [{name: image} for image in images]})
    write_atomically(path, bytes(maker.quantize(ranges).quantized_model))


def make_dynamic(float_path: Path, path: Path) -> None:
    """Dynamic range: int8 weights with a scale a channel; activations float, quantized on the way."""
    quantizer, recipe = _litert_quantizer("dynamic-range")
    maker = quantizer.Quantizer(str(float_path))
    maker.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    write_atomically(path, bytes(maker.quantize().quantized_model))


def make_float16(float_path: Path, path: Path) -> None:
    """Weights in float16, decoded when the model is loaded."""
    quantizer, _ = _litert_quantizer("float16")
    maker = quantizer.Quantizer(str(float_path))
    maker.load_quantization_recipe(_FLOAT16)
    write_atomically(path, bytes(maker.quantize().quantized_model))


def signed(data: bytes) -> tuple[bytes, str]:
    """A model with a signature, which the quantizer calibrates by, and the name of its one input in it.

    Files of old converters have none.

    Raises
    ------
    ModelError
        If the model has another number of inputs than one.
    """
    model = read_model(data)
    inputs, outputs = list(model.subgraph.inputs), list(model.subgraph.outputs)
    if len(inputs) != 1:
        raise ModelError(f"expected a model with one input to quantize to int8, got {len(inputs)}")
    for signature in model.schema.signatureDefs or []:
        if signature.signatureKey == _SIGNATURE.encode():
            return data, signature.inputs[0].name.decode()
    out = editable_copy(model)
    signature = schema.SignatureDefT()
    signature.signatureKey = _SIGNATURE
    signature.subgraphIndex = 0
    signature.inputs = [_tensor_map("image", int(inputs[0]))]
    signature.outputs = [_tensor_map(f"output{i}", int(t)) for i, t in enumerate(outputs)]
    out.schema.signatureDefs = [*(out.schema.signatureDefs or []), signature]
    return out.to_bytes(), "image"


def _tensor_map(name: str, index: int) -> Any:
    found = schema.TensorMapT()
    found.name, found.tensorIndex = name, index
    return found


def _litert_quantizer(variant: str) -> tuple[Any, Any]:
    try:
        from litert_quantizer import quantizer, recipe
    except ImportError as error:
        raise RuntimeMissingError(
            f"the {variant} model needs litert-quantizer ({error}): pip install litert-quantizer"
        ) from error
    return quantizer, recipe
