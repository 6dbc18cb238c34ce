"""What a conversion did: the fate of every layer, its sizes, its theoretical cost and its error."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .agreement import Agreement
from .sizes import format_bytes

Fate = Literal["quantized", "float"]


@dataclass(frozen=True)
class Cost:
    """Operations and constant bytes of one layer, float and product-quantized.

    One multiply-accumulate or one lookup with its addition counts as one operation, as in the
    paper (Wu et al., CVPR 2016, section 3.3).
    """

    ops_before: int
    ops_after: int
    bytes_before: int
    bytes_after: int


def theoretical_cost(
    *,
    in_positions: int,
    out_positions: int,
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, int] = (1, 1),
    groups: int = 1,
    d: int,
    K: int,
    codebooks: int | None = None,
    codebook_itemsize: int = 4,
    bias: bool = True,
    scale: bool = False,
) -> Cost:
    """Cost of a convolution, or of a fully-connected layer (a 1x1 kernel), before and after.

    Parameters
    ----------
    in_positions, out_positions : int
        Height times width of the input and of the output; for a fully-connected layer the rows.
    in_channels, out_channels : int
        Of all groups.
    kernel : tuple of int
        Height and width.
    groups : int
    d, K : int
        Length of a codeword, and codewords in a codebook.
    codebooks : int, optional
        First dimension of the codebook tensor: 1 (shared by all subspaces), M (the default) or
        groups * M.
    codebook_itemsize : int
        4 for float32, 2 for float16, 1 for int8.
    bias, scale : bool
        Whether the layer has a bias, and the quantized layer a scale per output.
    """
    per_group = in_channels // groups
    subspaces = math.ceil(per_group / d)
    taps = kernel[0] * kernel[1]
    bits = max(1, math.ceil(math.log2(K)))
    count = subspaces if codebooks is None else codebooks
    bias_bytes = 4 * out_channels if bias else 0
    return Cost(
        ops_before=out_positions * out_channels * taps * per_group,
        ops_after=in_positions * in_channels * K + out_positions * out_channels * taps * subspaces,
        bytes_before=4 * out_channels * taps * per_group + bias_bytes,
        bytes_after=codebook_itemsize * count * d * K
        + subspaces * math.ceil(taps * out_channels * bits / 8)
        + bias_bytes
        + (4 * out_channels if scale else 0),
    )


@dataclass(frozen=True)
class LayerReport:
    """One layer that holds weights.

    Attributes
    ----------
    name : str
    kind : str
        ``"conv"``, ``"conv1x1"``, ``"fc"`` or ``"depthwise"``.
    shape : tuple of int
        Of the float weights: (C_out, kH, kW, C_in/groups), or (C_out, C_in).
    fate : {"quantized", "float"}
    reason : str
        Why the layer stayed float, or what was changed to make quantizing it worthwhile.
    M, K, d : int or None
        Subspaces, codewords a codebook and length of a codeword; None for a float layer.
    bytes_before, bytes_after : int
        Of the layer's constants, bias included.
    ops_before, ops_after : int
        Theoretical operations, see `theoretical_cost`.
    error : float or None
        ‖response - float response‖² / ‖float response‖² on held-out calibration images, with inputs
        from the already quantized network; None without calibration images.
    choice : str
        What was chosen on the held-out images, e.g. the damping.
    seconds : float
    predicted_ms : float or None
        Of one inference on one thread, by the cost model of the report's `predicted_kernel`; None
        for a float layer.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    fate: Fate
    reason: str = ""
    M: int | None = None
    K: int | None = None
    d: int | None = None
    bytes_before: int = 0
    bytes_after: int = 0
    ops_before: int = 0
    ops_after: int = 0
    error: float | None = None
    choice: str = ""
    seconds: float = 0.0
    predicted_ms: float | None = None

    @property
    def theoretical_speedup(self) -> float:
        return self.ops_before / self.ops_after if self.ops_after else 1.0


@dataclass(frozen=True)
class BudgetReport:
    """How the settings of a conversion were chosen within a budget.

    Attributes
    ----------
    asked : str
        The budget in words.
    estimated_kl, estimated_top5_drop : float
        Sums over the layers of what each costs alone, by a quick learner: an estimate before the
        conversion, usually too high. The report's `agreement` is what was measured after it.
    predicted_ms, predicted_float_ms : float or None
        Of all layers that were chosen for, float ones included, after and before; one thread. None
        without a cost model.
    float_times_from : str
        Origin of the float times.
    settings_tried, settings_measured : int
        Settings of layers whose error was estimated, and whose effect on the output was measured.
    conversions : int
        1, and one for every correction.
    search_seconds : float
    """

    asked: str
    estimated_kl: float
    estimated_top5_drop: float
    predicted_ms: float | None
    predicted_float_ms: float | None
    float_times_from: str
    settings_tried: int
    settings_measured: int
    conversions: int
    search_seconds: float

    @property
    def predicted_speedup(self) -> float | None:
        """Of the layers that were chosen for."""
        if self.predicted_ms is None or self.predicted_float_ms is None:
            return None
        return self.predicted_float_ms / self.predicted_ms

    def lines(self) -> list[str]:
        """For people."""
        lines = [
            (
                f"budget: {self.asked}; {self.settings_tried} settings of layers tried, "
                f"{self.settings_measured} measured, {self.conversions} "
                f"conversion{'s' if self.conversions > 1 else ''}"
            ),
            (
                f"estimated before: KL {self.estimated_kl:.4f}, top-5 drop "
                f"{self.estimated_top5_drop:.2f} points"
            ),
        ]
        if self.predicted_speedup is not None:
            lines.append(
                f"predicted speed-up of these layers: {self.predicted_speedup:.2f}x, from "
                f"{self.predicted_float_ms:.2f} to {self.predicted_ms:.2f} ms (float times: "
                f"{self.float_times_from})"
            )
        return lines


@dataclass(frozen=True)
class DistillationReport:
    """What training against the float network's outputs did.

    Attributes
    ----------
    images : int
        Trained on.
    passes : float
        Over them; fewer than asked for if held-out images stopped getting better.
    varied : bool
        Whether the images were cropped and mirrored at random.
    before, after : Agreement
        With the float network, on held-out images.
    seconds : float
    """

    images: int
    passes: float
    varied: bool
    before: Agreement
    after: Agreement
    seconds: float

    def line(self) -> str:
        """A sentence."""
        crops = "random crops of " if self.varied else ""
        return (
            f"distilled in {self.passes:g} passes over {crops}{self.images:,} images, "
            f"{self.seconds:.0f} s: on {self.after.images} held-out images KL {self.before.kl:.4f} -> "
            f"{self.after.kl:.4f}, same first class {self.before.top1:.2%} -> {self.after.top1:.2%}"
        )


@dataclass
class ConversionReport:
    """Every layer's fate and the totals; ``str()`` is a table, `to_json` is for programs.

    Attributes
    ----------
    model, config : str
        Names of the model and of the configuration.
    layers : list of LayerReport
        In graph order.
    float_bytes, quantized_bytes : int
        Of the float32 ``.tflite`` and of the quantized one, labels and mean image not counted.
    calibration_images : int
        0 when the codebooks were learned from the weights alone.
    seconds : float
    notes : list of str
        Sentences for the user.
    predicted_kernel, predicted_on : str
        Kernel of the predicted times, and the machine of its cost model; empty without.
    agreement : Agreement or None
        With the float network, on held-out calibration images.
    budget : BudgetReport or None
        Of a conversion within a budget.
    distillation : DistillationReport or None
        Of a conversion with distillation.
    """

    model: str
    config: str
    layers: list[LayerReport]
    float_bytes: int = 0
    quantized_bytes: int = 0
    calibration_images: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    predicted_kernel: str = ""
    predicted_on: str = ""
    agreement: Agreement | None = None
    budget: BudgetReport | None = None
    distillation: DistillationReport | None = None

    @property
    def compression(self) -> float:
        """Float32 ``.tflite`` bytes by quantized ``.tflite`` bytes."""
        return self.float_bytes / self.quantized_bytes if self.quantized_bytes else 1.0

    @property
    def theoretical_speedup(self) -> float:
        """Operations of all layers in this report before, by those after."""
        after = sum(layer.ops_after for layer in self.layers)
        return sum(layer.ops_before for layer in self.layers) / after if after else 1.0

    @property
    def predicted_ms(self) -> float | None:
        """Of all quantized layers that have a prediction; None if there is none."""
        times = [layer.predicted_ms for layer in self.layers if layer.predicted_ms is not None]
        return sum(times) if times else None

    @property
    def quantized_layers(self) -> list[LayerReport]:
        return [layer for layer in self.layers if layer.fate == "quantized"]

    def to_dict(self) -> dict[str, Any]:
        result = dataclasses.asdict(self)
        for entry, layer in zip(result["layers"], self.layers, strict=True):
            entry["shape"] = list(layer.shape)
            entry["theoretical_speedup"] = layer.theoretical_speedup
        result["compression"] = self.compression
        result["theoretical_speedup"] = self.theoretical_speedup
        result["predicted_ms"] = self.predicted_ms
        if self.budget is not None:
            result["budget"]["predicted_speedup"] = self.budget.predicted_speedup
        return result

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        head = [
            "layer",
            "kind",
            "shape",
            "M",
            "K",
            "d",
            "KiB",
            "to",
            "ratio",
            "ops",
            "ms",
            "error",
            "fate",
        ]
        rows = [_layer_row(layer) for layer in self.layers]
        lines = [f"{self.model}, configuration {self.config}", ""]
        lines += text_table(head, rows, right=range(3, 12))
        images = (
            f"{self.calibration_images:,} calibration images"
            if self.calibration_images
            else "no calibration images"
        )
        quantized = f"{len(self.quantized_layers)} of {len(self.layers)} layers quantized"
        sizes = f"{format_bytes(self.float_bytes)} -> {format_bytes(self.quantized_bytes)}"
        lines += [
            "",
            f"{quantized}, {images}, {self.seconds:.1f} s",
            f"file: {sizes}, {self.compression:.2f}x smaller",
            f"theoretical speed-up of these layers: {self.theoretical_speedup:.2f}x",
        ]
        if self.predicted_ms is not None:
            lines.append(
                f"predicted time of the quantized layers: {self.predicted_ms:.3f} ms, one thread, "
                f"kernel {self.predicted_kernel} (cost model of {self.predicted_on})"
            )
        if self.agreement is not None:
            lines.append(f"on {self.agreement.images} held-out images: {self.agreement}")
        if self.distillation is not None:
            lines.append(self.distillation.line())
        if self.budget is not None:
            lines += self.budget.lines()
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)


def _layer_row(layer: LayerReport) -> list[str]:
    def number(value: int | None) -> str:
        return "-" if value is None else str(value)

    ratio = layer.bytes_before / layer.bytes_after if layer.bytes_after else 1.0
    fate = layer.fate + (f": {layer.reason}" if layer.reason else "")
    if layer.choice:
        fate += f" ({layer.choice})"
    return [
        layer.name,
        layer.kind,
        "x".join(
            map(str, (layer.shape[0], layer.shape[-1]) if layer.kind == "fc" else layer.shape)
        ),
        number(layer.M),
        number(layer.K),
        number(layer.d),
        f"{layer.bytes_before / 1024:,.1f}",
        f"{layer.bytes_after / 1024:,.1f}",
        f"{ratio:.2f}x",
        f"{layer.theoretical_speedup:.2f}x",
        "-" if layer.predicted_ms is None else f"{layer.predicted_ms:.3f}",
        "-" if layer.error is None else f"{layer.error:.4f}",
        fate,
    ]


def text_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()
) -> list[str]:
    """Lines of a plain-text table; columns in `right` are aligned to the right."""
    right = set(right)
    table = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = []
    for row in table:
        cells = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return lines
