"""How the fast convolution cuts a layer up, as packed_conv.cc, qconv.cc and conv_geometry.cc of custom_ops/core do.

Only counts are of interest here, for one thread: what the cost model multiplies its coefficients
with. Names are those of the C++ files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

LANES = 32
MAX_TAPS = 6
MAX_LANE_SPAN, MAX_ROW_SPAN = 16, 12
NARROW_K, MAX_WIDE_WINDOW = 128, 2
SMALL_KERNEL = 9  # positions of the largest kernel that is not yet a large one


@dataclass(frozen=True)
class ConvLayerShape:
    """A convolution.

    Attributes
    ----------
    in_size, out_size, kernel, stride, dilation : tuple of int
        Height and width.
    in_channels, out_channels : int
        Of all groups.
    groups : int
    """

    in_size: tuple[int, int]
    out_size: tuple[int, int]
    in_channels: int
    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclass(frozen=True)
class Target:
    """What a plan depends on besides the layer.

    Attributes
    ----------
    l1, l2 : int
        Bytes of cache of a thread.
    window : tuple of int
        Output rows that the kernel handles at a time, for 1 to 6 kernel columns.
    chunk_weights : tuple of (float, float, float)
        Lookups of subspaces that share a scale, times the root of d; of convolutions, of those with
        kernels larger than 3x3, and of 1x1 ones.
    """

    l1: int
    l2: int
    window: tuple[int, ...]
    chunk_weights: tuple[float, float, float]


@dataclass(frozen=True)
class _Grid:
    ny: int
    nx: int
    row_step: int
    lane_step: int

    @property
    def row_span(self) -> int:
        return (self.ny - 1) * self.row_step

    @property
    def lane_span(self) -> int:
        return (self.nx - 1) * self.lane_step


@dataclass(frozen=True)
class _Part:
    """Subspaces of a chunk in one grid, in blocks."""

    grid: _Grid
    planes: int
    window: int
    blocks: int

    @property
    def passes(self) -> int:
        return self.blocks * -(-self.grid.nx // MAX_TAPS)


def _axis(kernel: int, stride: int, dilation: int, max_span: int) -> Iterator[tuple[int, int]]:
    """(taps, step) of each phase of an axis."""
    common = math.gcd(stride, dilation)
    period, step = stride // common, dilation // common
    for k in range(min(kernel, period)):
        count = -(-(kernel - k) // period)
        at_once = min(count, max_span // step + 1)
        for i in range(0, count, at_once):
            yield min(at_once, count - i), step


def _chunks(
    grids: list[_Grid], beside: int, M: int, K: int, d: int, target: Target
) -> list[list[_Part]]:
    """`beside`: grids of the same kernel rows, which follow each other."""
    row_bytes = K * LANES * 2

    def rows_at_a_time(grid: _Grid) -> int:
        most = target.window[min(grid.nx, MAX_TAPS) - 1]
        if K > NARROW_K:
            most = min(most, MAX_WIDE_WINDOW)
        return max(min(most, 2), min(target.l1 * 2 // 3 // row_bytes - grid.row_span, most))

    window = min(map(rows_at_a_time, grids))

    def part(grid: _Grid, planes: int) -> _Part:
        fit = max(1, target.l1 // 2 // (row_bytes * (window + grid.row_span)))
        return _Part(grid, planes, window, -(-planes // fit))

    taps = sum(grid.ny * grid.nx for grid in grids)
    convolution, large, pointwise = target.chunk_weights
    weight = large if taps > SMALL_KERNEL else convolution if taps > 1 else pointwise
    limit = weight / math.sqrt(d)
    at_once = int(limit / taps)
    if at_once >= 1:
        count = -(-M // at_once)
        sizes = [M * (i + 1) // count - M * i // count for i in range(count)]
        return [[part(grid, size) for grid in grids] for size in sizes]
    runs: list[list[_Grid]] = [[]]
    total = 0
    for i in range(0, len(grids), beside):  # whole kernel rows
        row = grids[i : i + beside]
        more = sum(grid.ny * grid.nx for grid in row)
        if runs[-1] and total + more > limit:
            runs.append([])
            total = 0
        runs[-1] += row
        total += more
    return [[part(grid, 1) for grid in run] for run in runs] * M


def _cover(
    out_h: int,
    out_w: int,
    lane_span: int,
    row_span: int,
    max_rows: int,
    cost: Callable[[int], float],
) -> list[int]:
    """Rows of every column."""
    best: tuple[float, int, int] | None = None
    most = min(out_w, (out_w + LANES - lane_span - 1) // (LANES - lane_span) + 8)
    least = -(-out_h // max_rows)
    # Rows of a run, from many to few; width 0: strips as wide as there is room.
    for rows in dict.fromkeys(-(-out_h // runs) for runs in range(least, out_h + 1)):
        cuts = []
        for segments in range(1, most + 1):
            width = -(-out_w // segments)
            if width + lane_span <= LANES:
                strips = -(-out_w // width) * -(-out_h // rows)
                cuts.append((width, -(-strips // (LANES // (width + lane_span)))))
        cuts.append((0, len(_pack(rows, 0, out_h, out_w, lane_span))))
        for width, columns in cuts:
            total = columns * cost(rows)
            if best is None or total < best[0]:
                best = total, rows, width
    assert best is not None
    return _pack(best[1], best[2], out_h, out_w, lane_span)


def _pack(rows: int, width: int, out_h: int, out_w: int, lane_span: int) -> list[int]:
    """Rows of every column, strips of `width` (0: any) put into one after the other."""
    columns: list[int] = []
    lane = LANES
    for y in range(0, out_h, rows):
        x = 0
        while x < out_w:
            if lane + max(width, 1) + lane_span > LANES:
                columns.append(0)
                lane = 0
            taken = width or min(LANES - lane_span - lane, out_w - x)
            columns[-1] = max(columns[-1], min(rows, out_h - y))
            lane += taken + lane_span
            x += taken
    return columns


@lru_cache(maxsize=1024)
def conv_counts(shape: ConvLayerShape, K: int, d: int, target: Target) -> dict[str, float]:
    """What one image costs, by the names of the coefficients in ``cost_model.json``.

    Parameters
    ----------
    shape : ConvLayerShape
    K, d : int
    target : Target

    Returns
    -------
    dict of str to float
        entry: table entries of 32 lanes; entry_pair: times the pairs of products of each; lookup:
        lookups of 32 lanes; code: codes that are read for them; pass and column: accumulators that
        are loaded and stored, and kernel columns that are shifted, by output and row; quantize,
        finish, flush, energy: values; patch: energies that are summed up; far: bytes of input
        and output beyond the L2 cache; build: calls; layer: 1.
    """
    channels, outputs = shape.in_channels // shape.groups, shape.out_channels // shape.groups
    M, pairs = -(-channels // d), (d + 1) // 2
    out_h, out_w = shape.out_size
    pointwise = (
        shape.kernel == (1, 1) and shape.stride == (1, 1) and shape.in_size == shape.out_size
    )
    if pointwise:
        out_h, out_w = -(-out_h * out_w // LANES), LANES
    grids = [
        _Grid(ny, nx, row_step, lane_step)
        for ny, row_step in _axis(shape.kernel[0], shape.stride[0], shape.dilation[0], MAX_ROW_SPAN)
        for nx, lane_step in _axis(
            shape.kernel[1], shape.stride[1], shape.dilation[1], MAX_LANE_SPAN
        )
    ]
    beside = len(list(_axis(shape.kernel[1], shape.stride[1], shape.dilation[1], MAX_LANE_SPAN)))
    chunks = _chunks(grids, beside, M, K, d, target)
    columns, at_once = _plan(chunks, grids, (out_h, out_w), outputs, K, pairs, target)

    parts = [part for chunk in chunks for part in chunk]
    sizes = [min(at_once, outputs - c) for c in range(0, outputs, at_once)]
    counts = dict.fromkeys(
        ("entry", "entry_pair", "lookup", "code", "pass", "column", "quantize", "build"), 0.0
    )
    for rows in columns:
        for part in parts:
            grid, taps = part.grid, part.grid.ny * part.grid.nx
            table_rows, windows = rows + grid.row_span, -(-rows // part.window)
            blocks = len(sizes)
            counts["entry"] += blocks * table_rows * part.planes * K
            counts["entry_pair"] += blocks * table_rows * part.planes * K * pairs
            counts["lookup"] += outputs * rows * part.planes * taps
            counts["code"] += outputs * windows * part.planes * taps
            counts["pass"] += outputs * rows * part.passes
            counts["column"] += outputs * rows * part.blocks * grid.nx
            counts["quantize"] += blocks * table_rows * LANES * part.planes * d
            counts["build"] += blocks * windows * part.planes
    positions = sum(columns) * LANES * outputs
    counts["finish"] = positions
    counts["flush"] = positions * (len(chunks) - 1)
    counts = {name: value * shape.groups for name, value in counts.items()}
    in_h, in_w = shape.in_size
    kernel_rows = sum(part.grid.ny for chunk in chunks for part in chunk[::beside])
    sums = out_h * (kernel_rows * in_w + len(chunks) * shape.kernel[1] * out_w)
    counts["energy"] = in_h * in_w * shape.in_channels
    counts["patch"] = 0 if pointwise else shape.groups * sums
    values = in_h * in_w * shape.in_channels + math.prod(shape.out_size) * shape.out_channels
    counts["far"] = max(0, 4 * values - target.l2)
    counts["layer"] = 1
    return counts


def _plan(
    chunks: list[list[_Part]],
    grids: list[_Grid],
    out_size: tuple[int, int],
    outputs: int,
    K: int,
    pairs: int,
    target: Target,
) -> tuple[list[int], int]:
    """Rows of every column, and outputs that are handled at a time: LookupConv::plan_items()."""
    lane_span = max(grid.lane_span for grid in grids)
    row_span = max(grid.row_span for grid in grids)
    table_row = output_row = 0.0
    for part in (part for chunk in chunks for part in chunk):
        table_row += part.planes * K * (1 + 0.8 * pairs)
        output_row += part.planes * part.grid.ny * part.grid.nx * 0.55
        output_row += part.passes * 1.5 + part.blocks * 0.6 * part.grid.nx
    output_row += 4 * len(chunks)
    planes = max(-(-part.planes // part.blocks) for chunk in chunks for part in chunk)
    x_planes = max(part.planes for chunk in chunks for part in chunk)
    ring = max(part.window + part.grid.row_span for chunk in chunks for part in chunk)
    tile_bytes = LANES * (6 if len(chunks) > 1 else 2)
    row_bytes = x_planes * pairs * LANES * 4
    room = target.l2 * 3 // 4 - ring * planes * K * LANES * 2
    best, chosen = math.inf, ([out_size[0]], outputs)
    parts = 1
    while parts <= outputs:
        each = min(outputs, (-(-outputs // parts) + 15) // 16 * 16)
        rows = max(1, (room - row_span * row_bytes) // (row_bytes + each * tile_bytes))
        blocks = -(-outputs // each)

        def cost(rows: int, each: int = each) -> float:
            return rows * output_row * each + (rows + row_span) * table_row

        columns = _cover(*out_size, lane_span, row_span, rows, cost)
        total = blocks * sum(map(cost, columns))
        if total < best * 0.98:
            best, chosen = total, (columns, each)
        parts *= 2
    return chosen
