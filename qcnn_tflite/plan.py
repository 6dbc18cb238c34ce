"""Decides each layer's fate before anything is learned."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .config import Config, LayerConfig
from .errors import ModelError
from .graph import Layer, code_bits
from .pq import BlockLayout, Choice
from .report import Cost, LayerReport, theoretical_cost


@dataclass(frozen=True)
class PlannedLayer:
    """A layer that will be quantized.

    Parameters
    ----------
    layer : Layer
    config : LayerConfig
    layout : BlockLayout
    remark : str
        What was changed to make quantizing worth its bytes.
    """

    layer: Layer
    config: LayerConfig
    layout: BlockLayout
    remark: str = ""


def plan_layers(
    layers: list[Layer], config: Config, *, scales: bool
) -> tuple[list[PlannedLayer], list[LayerReport]]:
    """Split layers into those to quantize and those that stay float, with the reason.

    Parameters
    ----------
    layers : list of Layer
    config : Config
    scales : bool
        Whether every quantized layer will carry a scale per output.

    Returns
    -------
    planned : list of PlannedLayer
        In graph order.
    reports : list of LayerReport
        Of the layers that stay float.

    Raises
    ------
    ModelError
        If no layer at all can be quantized.
    ConfigError
        If an override fits no layer.
    """
    config.check_names(layer.name for layer in layers)
    dense = [layer for layer in layers if layer.kind == "fc" and not layer.ineligible]
    last = dense[-1].name if dense else None
    first = dense[0].name if len(dense) > 1 else None
    planned, kept = [], []
    for layer in layers:
        chosen, reason = _choose(
            layer, config, scales, last_fc=layer.name == last, first_fc=layer.name == first
        )
        if chosen is None:
            kept.append(_float_report(layer, reason))
        else:
            planned.append(chosen)
    if not planned:
        reasons = "; ".join(f"{r.name}: {r.reason}" for r in kept) or "it has no such layers"
        raise ModelError(f"no convolution or fully-connected layer can be quantized ({reasons})")
    return planned, kept


def _choose(
    layer: Layer, config: Config, scales: bool, *, last_fc: bool, first_fc: bool
) -> tuple[PlannedLayer | None, str]:
    if layer.ineligible:
        return None, layer.ineligible
    if layer.weight_count < config.min_weights:
        return None, f"{layer.weight_count} weights, fewer than min_weights {config.min_weights}"
    wanted = config.for_layer(layer.name, layer.kind, last_fc=last_fc, first_fc=first_fc)
    if not wanted.quantize:
        return None, "kept float by the configuration"
    wanted = replace(wanted, d=min(wanted.d, layer.in_channels // layer.groups))
    if constant_bytes(layer, wanted, scales=scales) < layer.float_bytes:
        return PlannedLayer(layer, wanted, block_layout(layer, wanted)), ""
    shared = replace(wanted, codebooks="shared", output_scale=True)
    if constant_bytes(layer, shared, scales=scales) < layer.float_bytes:
        remark = "one shared codebook: a codebook per subspace would be larger than the weights"
        return PlannedLayer(layer, shared, block_layout(layer, shared), remark), ""
    return None, "codebooks, codes and scales would be larger than the weights"


def block_layout(layer: Layer, config: LayerConfig) -> BlockLayout:
    """How `config` cuts the layer's weights."""
    return BlockLayout(
        out_channels=layer.out_channels,
        in_channels=layer.in_channels // layer.groups,
        kernel=layer.kernel,
        groups=layer.groups,
        d=config.d,
    )


def constant_bytes(layer: Layer, config: LayerConfig, *, scales: bool) -> int:
    """Bytes that a layer's constants would take in the file.

    Parameters
    ----------
    layer : Layer
    config : LayerConfig
    scales : bool
        Whether the layer will carry a scale per output even if `config` asks for none.
    """
    layout = block_layout(layer, config)
    count = {"shared": 1, "per_subspace": layout.M, "per_group": layout.M * layout.groups}
    per_codebook = layout.P * layout.out_channels * layout.M // count[config.codebooks]
    K = max(2, min(config.K, per_codebook))
    codes = layout.M * -(-layout.out_channels * layout.P * code_bits(K) // 8)
    itemsize = {"float32": 4, "float16": 2, "int8": 1}[config.codebook_dtype]
    scale = 4 * layer.out_channels if scales or config.output_scale else 0
    bias = 4 * layer.out_channels if layer.bias is not None else 0
    return count[config.codebooks] * K * layout.d * itemsize + codes + scale + bias


def layer_cost(layer: Layer, *, d: int, K: int, codebooks: int | None = None) -> Cost:
    """`theoretical_cost` of a layer of a model."""
    in_positions = layer.positions
    if layer.kind != "fc" and len(layer.input_shape) == 4:
        in_positions = layer.input_shape[1] * layer.input_shape[2]
    return theoretical_cost(
        in_positions=in_positions,
        out_positions=layer.positions,
        in_channels=layer.in_channels,
        out_channels=layer.out_channels,
        kernel=layer.kernel,
        groups=layer.groups,
        d=d,
        K=K,
        codebooks=codebooks,
        bias=layer.bias is not None,
    )


def _float_report(layer: Layer, reason: str) -> LayerReport:
    ops = layer.positions * layer.weight_count if not layer.ineligible else 0
    return LayerReport(
        name=layer.name,
        kind=layer.kind,
        shape=layer.weight_shape,
        fate="float",
        reason=reason,
        bytes_before=layer.float_bytes,
        bytes_after=layer.float_bytes,
        ops_before=ops,
        ops_after=ops,
    )


def quantized_report(
    planned: PlannedLayer,
    *,
    K: int,
    codebooks: int,
    size: int,
    error: float | None,
    choice: Choice | None,
    seconds: float,
) -> LayerReport:
    """Report of a layer that was quantized.

    Parameters
    ----------
    planned : PlannedLayer
    K, codebooks : int
        Codewords and codebooks that were learned.
    size : int
        Bytes of the constants in the file.
    error : float or None
    choice : Choice or None
    seconds : float
    """
    layer, layout = planned.layer, planned.layout
    cost = layer_cost(layer, d=layout.d, K=K, codebooks=codebooks)
    return LayerReport(
        name=layer.name,
        kind=layer.kind,
        shape=layer.weight_shape,
        fate="quantized",
        reason=planned.remark,
        M=layout.M,
        K=K,
        d=layout.d,
        bytes_before=layer.float_bytes,
        bytes_after=size,
        ops_before=cost.ops_before,
        ops_after=cost.ops_after,
        error=error,
        choice="" if choice is None else str(choice),
        seconds=seconds,
    )
