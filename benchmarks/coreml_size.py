"""Size of Core ML's palettized weights (coremltools) beside ours, for a network with the same weights.

    pip install '.[coreml]'
    python -m benchmarks.coreml_size alexnet --bits 8 4 2 --vectors 6:4

`--bits N` is one palette of 2^N scalars for each layer; `--vectors N:D` one of 2^N vectors of D weights. k-means
over all weights of AlexNet takes minutes. Size alone: what the packages answer, only macOS can say.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.model_files import default_folder, model_file
from benchmarks.subjects import Subject, subject
from qcnn_tflite.errors import ModelError, QcnnError, RuntimeMissingError
from qcnn_tflite.models.networks import Conv, Dense, Norm, Pool, pooled_size
from qcnn_tflite.report import text_table
from qcnn_tflite.sizes import format_bytes


def to_coreml(what: Subject) -> Any:
    """The network as an ML program in float32, NCHW input ``image``.

    Raises
    ------
    RuntimeMissingError
        If coremltools is not installed.
    ModelError
        If the network has layers of other kinds than AlexNet, CNN-S and VGG have.
    """
    ct = _coremltools()
    from coremltools.converters.mil import Builder as mb

    height, width, channels = what.network.input_shape
    target = ct.target.iOS18  # the first with palettes of vectors

    @mb.program(
        input_specs=[mb.TensorSpec(shape=(1, channels, height, width))], opset_version=target
    )
    def program(image: Any) -> Any:
        x = image
        shape: tuple[int, ...] = what.network.input_shape
        for step in what.network.layers:
            if isinstance(step, Conv) and isinstance(step.pad, int) and step.activation == "relu":
                kernel, bias = what.weights.take(step.name)
                x = mb.conv(
                    x=x,
                    weight=np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)),
                    bias=bias,
                    strides=[step.stride] * 2,
                    pad_type="custom",
                    pad=[step.pad] * 4,
                    groups=step.groups,
                    name=step.name,
                )
                x = mb.relu(x=x)
                sides = ((n + 2 * step.pad - step.kernel) // step.stride + 1 for n in shape[:2])
                shape = (*sides, step.filters)
            elif isinstance(step, Norm):
                x = mb.local_response_norm(
                    x=x, size=step.size, alpha=step.alpha, beta=step.beta, k=step.k
                )
            elif isinstance(step, Pool) and not step.pad:
                x = mb.max_pool(
                    x=x,
                    kernel_sizes=[step.size] * 2,
                    strides=[step.stride] * 2,
                    pad_type="valid",
                    ceil_mode=step.ceil,
                )
                shape = (*(pooled_size(n, step) for n in shape[:2]), shape[2])
            elif isinstance(step, Dense):
                kernel, bias = what.weights.take(step.name)
                if len(shape) == 3:
                    # Its inputs are counted in HWC order, the values here lie in CHW order.
                    kernel = kernel.reshape(*shape, -1).transpose(2, 0, 1, 3)
                    kernel = kernel.reshape(-1, len(bias))
                    x = mb.reshape(x=x, shape=[1, -1])
                weight = np.ascontiguousarray(kernel.T)
                x = mb.linear(x=x, weight=weight, bias=bias, name=step.name)
                if step.name != what.network.last:
                    x = mb.relu(x=x)
                shape = (len(bias),)
            else:
                raise ModelError(
                    f"{what.name} is not written for Core ML: it has a {type(step).__name__}"
                )
        return mb.softmax(x=x, axis=-1)

    return ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=target,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )


def palettized(model: Any, bits: int, vector: int = 1) -> Any:
    """A model with a palette of 2^bits vectors for each layer of 2,048 weights and more."""
    import coremltools.optimize.coreml as optimize

    config = optimize.OpPalettizerConfig(
        mode="kmeans", nbits=bits, cluster_dim=vector, weight_threshold=2048
    )
    return optimize.palettize_weights(model, optimize.OptimizationConfig(global_config=config))


def package_bytes(model: Any) -> int:
    """Bytes of a model's package."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.mlpackage")
        model.save(str(path))
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _coremltools() -> Any:
    # It warns of what only macOS has, and of versions of TensorFlow, which is not used here.
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    try:
        import coremltools
    except ImportError as error:
        raise RuntimeMissingError(
            f"Core ML's sizes need coremltools ({error}): pip install coremltools"
        ) from error
    return coremltools


def _palette(text: str) -> tuple[int, int]:
    bits, _, vector = text.partition(":")
    return int(bits), int(vector or 1)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", default=["alexnet"], metavar="NETWORK")
    parser.add_argument("--bits", nargs="*", type=_palette, default=[(8, 1), (4, 1), (2, 1)])
    parser.add_argument("--vectors", nargs="*", type=_palette, default=[], metavar="BITS:LENGTH")
    parser.add_argument("--work", type=Path, default=default_folder(), metavar="DIR")
    args = parser.parse_args()
    rows = []
    try:
        for name in args.networks:
            what = subject(name)
            model = to_coreml(what)
            base = package_bytes(model)
            sizes = [("Core ML float32", base)]
            for bits, vector in (*args.bits, *args.vectors):
                kind = f"{bits} bits" + (f" for {vector} weights" if vector > 1 else "")
                sizes.append((f"Core ML, {kind}", package_bytes(palettized(model, bits, vector))))
            sizes.append(("ours", model_file(name, "q", args.work).stat().st_size))
            rows += [
                [name, kind, format_bytes(size), f"{base / size:.2f}x"] for kind, size in sizes
            ]
    except QcnnError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(text_table(["network", "weights", "size", "smaller"], rows, right=(2, 3))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
