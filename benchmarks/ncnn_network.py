"""Writes a named network as ncnn's `.param` and `.bin`, weights equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.subjects import Subject
from qcnn_tflite.errors import ModelError
from qcnn_tflite.files import write_atomically
from qcnn_tflite.models.networks import Conv, Dense, Norm, Pool, pooled_size

_MAGIC = "7767517"
_RAW_FLOAT32 = np.zeros(1, np.uint32)  # before every kernel: how it is stored


def write(what: Subject, path: Path) -> None:
    """Write the network with the input ``image`` and the output ``prob``.

    Parameters
    ----------
    what : Subject
    path : Path
        Of the `.param`; the `.bin` goes beside it.

    Raises
    ------
    ModelError
        If the network has layers of other kinds than AlexNet, CNN-S and VGG have.
    """
    lines: list[str] = []
    constants: list[NDArray[np.generic]] = []
    at = "image"
    shape: tuple[int, ...] = what.network.input_shape

    def add(kind: str, name: str, **values: float) -> None:
        nonlocal at
        settings = " ".join(f"{key.removeprefix('p')}={value}" for key, value in values.items())
        lines.append(f"{kind} {name} 1 1 {at} {name} {settings}".rstrip())
        at = name

    for number, step in enumerate(what.network.layers):
        if isinstance(step, Conv) and isinstance(step.pad, int) and step.activation == "relu":
            kernel, bias = what.weights.take(step.name)
            kind = "Convolution" if step.groups == 1 else "ConvolutionDepthWise"
            groups = {} if step.groups == 1 else {"p7": step.groups}
            add(
                kind,
                step.name,
                p0=step.filters,
                p1=step.kernel,
                p3=step.stride,
                p4=step.pad,
                p5=1,
                p6=kernel.size,
                **groups,
                p9=1,
            )
            constants += [_RAW_FLOAT32, kernel.transpose(3, 2, 0, 1), bias]
            sides = ((n + 2 * step.pad - step.kernel) // step.stride + 1 for n in shape[:2])
            shape = (*sides, step.filters)
        elif isinstance(step, Norm):
            add("LRN", f"norm{number}", p0=0, p1=step.size, p2=step.alpha, p3=step.beta, p4=step.k)
        elif isinstance(step, Pool) and not step.pad:
            mode = 0 if step.ceil else 1
            add("Pooling", f"pool{number}", p0=0, p1=step.size, p2=step.stride, p5=mode)
            shape = (*(pooled_size(n, step) for n in shape[:2]), shape[2])
        elif isinstance(step, Dense):
            kernel, bias = what.weights.take(step.name)
            if len(shape) == 3:
                # Its inputs are counted in HWC order, the values here lie in CHW order.
                kernel = kernel.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(-1, len(bias))
                add("Flatten", f"flatten{number}")
            relu = {"p9": 1} if step.name != what.network.last else {}
            add("InnerProduct", step.name, p0=len(bias), p1=1, p2=kernel.size, **relu)
            constants += [_RAW_FLOAT32, kernel.T, bias]
            shape = (len(bias),)
        else:
            raise ModelError(f"{what.name} is not written for ncnn: it has a {type(step).__name__}")
    lines.append(f"Softmax prob 1 1 {at} prob 0=0")
    head = [_MAGIC, f"{len(lines) + 1} {len(lines) + 1}", "Input image 0 1 image"]
    weights = b"".join(np.ascontiguousarray(c).tobytes() for c in constants)
    write_atomically(path.with_suffix(".bin"), weights, overwrite=True)
    # The .param last: it says that the model is there.
    write_atomically(path, ("\n".join([*head, *lines]) + "\n").encode(), overwrite=True)
