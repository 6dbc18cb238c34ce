"""Predicted times in the conversion report."""

from __future__ import annotations

from dataclasses import replace

from . import cost_model
from .cost_model import ConvLayerShape, FcLayerShape
from .errors import ConfigError, RuntimeMissingError
from .graph import Layer
from .report import LayerReport


def prediction_kernel(wanted: str = "auto") -> str | None:
    """Kernel whose times are predicted.

    Parameters
    ----------
    wanted : str
        ``"auto"``: the kernel that runs on this machine; or a kernel of the cost model.

    Returns
    -------
    str or None
        None if ``"auto"`` is a kernel without cost model, or there is no native library.

    Raises
    ------
    ConfigError
        If there is no cost model of `wanted`.
    """
    known = cost_model.kernel_names()
    if wanted == "auto":
        from .runtime import selected_kernel

        try:
            kernel = selected_kernel()
        except RuntimeMissingError:
            return None
        return kernel if kernel in known else None
    if wanted not in known:
        raise ConfigError(
            f"times of the kernel {wanted!r} cannot be predicted; "
            f"there is a cost model of {', '.join(known) or 'none'}"
        )
    return wanted


def with_prediction(report: LayerReport, layer: Layer, kernel: str) -> LayerReport:
    """The report of a quantized layer, with its predicted time.

    Parameters
    ----------
    report : LayerReport
    layer : Layer
        Of the float model.
    kernel : str
        Of the cost model.
    """
    if report.K is None or report.d is None:
        return report
    predicted = quantized_ms(layer, report.K, report.d, kernel)
    return replace(report, predicted_ms=predicted)


def quantized_ms(layer: Layer, K: int, d: int, kernel: str) -> float | None:
    """Predicted milliseconds of a layer if it is quantized; None where its size is not fixed."""
    shape = _shape(layer)
    if shape is None:
        return None
    batch = max(1, layer.input_shape[0]) if isinstance(shape, ConvLayerShape) else 1
    return cost_model.predict_ms(shape, K, d, kernel, batch=batch)


def _shape(layer: Layer) -> ConvLayerShape | FcLayerShape | None:
    """None where the model does not fix the layer's size."""
    if layer.kind == "fc":
        return FcLayerShape(layer.positions, layer.in_channels, layer.out_channels)
    sizes = (*layer.input_shape[1:3], *layer.output_shape[1:3])
    if len(sizes) != 4 or min(sizes) < 1:
        return None
    return ConvLayerShape(
        sizes[:2],
        sizes[2:],
        layer.in_channels,
        layer.out_channels,
        layer.kernel,
        layer.stride,
        layer.dilation,
        layer.groups,
    )
