"""Times several models in turn, so that a change of clock speed or a busy neighbour meets all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .runtime.library import memory_usage

# Runs alternate in blocks; each begins with an untimed run, so that no model pays for the caches
# that another one emptied.
BLOCK = 5


class Contender(Protocol):
    """Something that runs once a call."""

    def run(self) -> float:
        """Run once; the seconds that it took."""


class TFLiteContender:
    """A TensorFlow Lite model with its input set, ready to run.

    Parameters
    ----------
    path : Path
    open_model : callable
        Gives the interpreter of `path`, before its tensors are allocated.
    batch : int
    image : ndarray, optional
        The input of a model that has one, float32 of its shape; quantized as an integer model says.
        Default: random numbers.

    Attributes
    ----------
    interpreter : Interpreter
    load_ms : float
        Opening the file until tensors are allocated.
    memory : MemoryUsage
        Of its QConv and QFC.
    """

    def __init__(
        self,
        path: Path,
        open_model: Callable[[], Any],
        batch: int = 1,
        image: NDArray[np.float32] | None = None,
    ) -> None:
        self.path = path
        memory_before = memory_usage()
        start = time.perf_counter()
        self.interpreter = open_model()
        if batch > 1:
            for detail in self.interpreter.get_input_details():
                shape = [batch, *(int(n) for n in detail["shape"][1:])]
                self.interpreter.resize_tensor_input(detail["index"], shape)
        self.interpreter.allocate_tensors()
        self.load_ms = 1e3 * (time.perf_counter() - start)
        self.memory = memory_usage().since(memory_before)
        random = np.random.default_rng(0)
        for detail in self.interpreter.get_input_details():
            values = image
            if values is None:
                values = random.standard_normal(detail["shape"], np.float32)
            self.interpreter.set_tensor(detail["index"], _as_input(values, detail))

    def run(self) -> float:
        start = time.perf_counter()
        self.interpreter.invoke()
        return time.perf_counter() - start


def _as_input(values: NDArray[np.float32], detail: dict[str, Any]) -> NDArray[Any]:
    """`values` in an input's type and shape."""
    dtype = np.dtype(detail["dtype"])
    values = np.broadcast_to(values, detail["shape"])
    if dtype.kind == "f":
        return values.astype(dtype)
    scale, zero = detail.get("quantization", (0.0, 0))
    if dtype.kind not in "iu" or not scale:
        return np.ones(detail["shape"], dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values / scale) + zero, limits.min, limits.max).astype(dtype)


def interleave(
    contenders: Sequence[Contender],
    runs: int,
    *,
    warmup: int = 5,
    advance: Callable[[int], None] | None = None,
) -> list[list[float]]:
    """Time contenders in turn, a block of each, beginning with another one every round.

    Parameters
    ----------
    contenders : sequence of Contender
    runs : int
        Timed runs of each.
    warmup : int
        Untimed runs of each before; at least one is made.
    advance : callable, optional
        Called with the number of runs of each that were added.

    Returns
    -------
    list of list of float
        Milliseconds of every run, contender by contender, in the order of `contenders`.
    """
    for contender in contenders:
        for _ in range(max(warmup, 1)):
            contender.run()
    samples: list[list[float]] = [[] for _ in contenders]
    done = first = 0
    while done < runs:
        block = min(BLOCK, runs - done)
        for i in range(len(contenders)):
            turn = (first + i) % len(contenders)
            contenders[turn].run()
            samples[turn] += [1e3 * contenders[turn].run() for _ in range(block)]
        done += block
        first += 1
        if advance is not None:
            advance(block)
    return samples
