"""Memory that a layer's statistics take, told before any image is read."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from ..errors import DataError
from ..pq import BlockLayout
from ..pq.correction import MAX_SEQUENTIAL_ROWS
from ..sizes import format_bytes

# At least this many samples per row of the Gram matrix, where the images have them.
SAMPLES_PER_ROW = 16
# Matrices of rows x rows that are alive beside the Gram matrices: a triangle while they are centred,
# or the damped copy and its factor in sequential compensation, where that is used.
_CENTRING, _SEQUENTIAL = 2, 3


def sampled_positions(
    layout: BlockLayout, total: int, images: int, positions_per_image: int
) -> int:
    """Output positions of each image that are sampled.

    Parameters
    ----------
    layout : BlockLayout
    total : int
        Positions of one image.
    images : int
        That learning may use.
    positions_per_image : int
        At least so many, if there are.
    """
    wanted = -(-SAMPLES_PER_ROW * layout.rows // max(1, images))
    return min(total, max(positions_per_image, wanted))


def statistics_bytes(layout: BlockLayout, total: int, images: int, positions_per_image: int) -> int:
    """Bytes at the peak of collecting a layer's statistics and correcting it.

    Parameters as of `sampled_positions`.
    """
    samples = images * sampled_positions(layout, total, images, positions_per_image)
    rows, outputs, groups = layout.rows, layout.group_outputs, layout.groups
    weights = 3 * groups * rows * outputs  # float, decoded, residual or product with the targets
    sequential = _SEQUENTIAL if rows <= MAX_SEQUENTIAL_ROWS else 0
    if (
        samples <= rows
    ):  # the samples themselves are kept, and copied once when they are put together
        kept = 2 * groups * samples * (rows + outputs)
        return 4 * (kept + weights + sequential * rows * rows)
    squares = groups + max(_CENTRING, sequential)
    return 4 * (squares * rows * rows + weights + groups * rows * outputs)


def check_memory(
    layers: Iterable[tuple[str, BlockLayout, int]],
    images: int,
    positions_per_image: int,
    available: int | None = None,
) -> None:
    """Refuse a layer whose statistics do not fit.

    Parameters
    ----------
    layers : iterable of (name, layout, positions of one image)
    images : int
    positions_per_image : int
    available : int, optional
        Bytes; default: what the system has left.

    Raises
    ------
    DataError
        With the size needed.
    """
    free = int(psutil.virtual_memory().available) if available is None else available
    for name, layout, total in layers:
        needed = statistics_bytes(layout, total, images, positions_per_image)
        if needed > free:
            raise DataError(
                f"layer {name!r} has {layout.rows:,} inputs an output: learning it takes "
                f"{format_bytes(needed)} of memory, and {format_bytes(free)} are free; keep it float "
                f"(quantize: false), or use fewer than {layout.rows:,} samples (images times positions), "
                "which takes less"
            )
