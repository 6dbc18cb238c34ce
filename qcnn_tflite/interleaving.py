"""Times several models in turn, so that a change of clock speed or a busy neighbour meets all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import QcnnError
from .runtime.library import memory_usage
from .runtime.tensors import as_input

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
            values = np.broadcast_to(values, detail["shape"])
            self.interpreter.set_tensor(detail["index"], as_input(values, detail))

    def run(self) -> float:
        start = time.perf_counter()
        self.interpreter.invoke()
        return time.perf_counter() - start


def interleave(
    contenders: Sequence[Contender],
    runs: int,
    *,
    warmup: int = 5,
    advance: Callable[[int], None] | None = None,
    samples: list[list[float]] | None = None,
    failed: Callable[[int, QcnnError], None] | None = None,
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
    samples : list of list of float, optional
        An empty list, to which a list for each contender is added and filled: whoever interrupts
        has what was measured until then.
    failed : callable, optional
        Told which contender failed and how; the others go on without it. Default: the error is raised.

    Returns
    -------
    list of list of float
        Milliseconds of every run, contender by contender, in the order of `contenders`.
    """
    found: list[list[float]] = [] if samples is None else samples
    found += [[] for _ in contenders]
    alive = list(range(len(contenders)))

    def attempt(turn: int, count: int, into: list[float]) -> None:
        try:
            for _ in range(count):
                into.append(1e3 * contenders[turn].run())
        except QcnnError as error:
            if failed is None:
                raise
            alive.remove(turn)
            failed(turn, error)

    for turn in list(alive):
        attempt(turn, max(warmup, 1), [])
    done = first = 0
    while done < runs and alive:
        block = min(BLOCK, runs - done)
        for turn in [
            turn for i in range(len(contenders)) if (turn := (first + i) % len(contenders)) in alive
        ]:
            attempt(turn, 1, [])
            if turn in alive:
                attempt(turn, block, found[turn])
        done += block
        first += 1
        if advance is not None:
            advance(block)
    return found
