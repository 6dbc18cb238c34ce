"""Runs a network piece by piece, the float one and the partly quantized one side by side.

Only the frontier is kept: the tensors that cross the cut before the next layer, in both networks,
as float16 in memory-mapped files of a temporary folder.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..files import ScratchFolder
from ..graph import Model, extract, live_tensors
from ..runtime.backend import float_interpreter
from .images import CalibrationImages

FloatArray = NDArray[np.float32]
# What replaces a layer's constants on the quantized path: op index -> (weights OHWI, bias or None).
Replacements = Mapping[int, tuple[FloatArray, FloatArray | None]]

# float16 ends at 65504; a first batch beyond this is stored as float32.
_HALF_PRECISION_LIMIT = 30_000.0
_BATCH_BYTES = 64 << 20


class PairedNetwork:
    """A float model on calibration images, and the same with some layers replaced.

    Use as a context manager: the cached frontier lives in a temporary folder.

    Parameters
    ----------
    model : Model
        Float; with a single input.
    images : CalibrationImages
    cache_limit : int
        Bytes that the frontier may take on disk. When the next one would not fit, the last one that
        did stays and the layers since are computed again each time.
    threads : int

    Attributes
    ----------
    native_batch : int
        Images that the model takes at once, as it is written.
    """

    def __init__(
        self,
        model: Model,
        images: CalibrationImages,
        *,
        cache_limit: int,
        threads: int,
    ) -> None:
        if len(model.subgraph.inputs) != 1:
            raise DataError(
                f"calibration images feed one input, this model has {len(model.subgraph.inputs)}; "
                "convert it without calibration"
            )
        self._model = model
        self._images = images
        self._limit = cache_limit
        self._threads = threads
        self._folder = ScratchFolder("qcnn-calibration-")
        self._generation = 0
        self._op = 0
        source = int(model.subgraph.inputs[0])
        # Tensor -> (array on the float path, array on the quantized path); one object if equal.
        self._frontier: dict[int, tuple[Any, Any]] | None = None
        self._source = source
        self.native_batch = max(1, int(model.shape(source)[0]))
        self._batch = self._choose_batch()

    def __enter__(self) -> PairedNetwork:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._frontier = None
        self._folder.cleanup()

    @property
    def count(self) -> int:
        """Images that are used: all, less a remainder that a model of fixed batch cannot take."""
        return len(self._images) // self.native_batch * self.native_batch

    def _choose_batch(self) -> int:
        """Largest power of two images per run that fit the working set, if the graph scales."""
        widest = max(
            (
                math.prod(int(n) for n in t.shape)
                for t in self._model.subgraph.tensors
                if t.shape is not None and self._model.data(t) is None
            ),
            default=1,
        )
        batch = 16
        while batch > 1 and batch * widest * 4 > _BATCH_BYTES:
            batch //= 2
        if self.native_batch > 1:
            return self.native_batch
        end = len(self._model.subgraph.operators)
        outputs = [int(t) for t in self._model.subgraph.outputs if t != self._source]
        if batch > 1 and outputs:
            try:
                runner = _Runner(self._model, [self._source], outputs, 0, end, {}, batch, 1)
                sample = np.zeros((batch, *self._model.shape(self._source)[1:]), np.float32)
                if all(out.shape[0] == batch for out in runner([sample])):
                    return batch
            except (ValueError, RuntimeError):
                pass  # e.g. a RESHAPE to a fixed batch: one image at a time is right for every graph
        return 1

    def stream(
        self, op: int, tensors: list[int], replaced: Replacements
    ) -> Iterator[tuple[slice, list[FloatArray], list[FloatArray]]]:
        """Values of `tensors` before operator `op`, batch by batch.

        Parameters
        ----------
        op : int
            Not before the last `advance`.
        tensors : list of int
            Tensors of the main subgraph that are live before `op`.
        replaced : mapping
            Layers on the quantized path that have been learned so far.

        Yields
        ------
        images : slice
        float_values, quantized_values : list of ndarray
            Leading axis: images. The same objects where nothing upstream is replaced.
        """
        inputs = sorted(self._frontier) if self._frontier is not None else [self._source]
        # Tensors already at hand need no run.
        computed = [t for t in tensors if t not in inputs]
        relevant = {i: r for i, r in replaced.items() if self._op <= i < op}
        float_run = quantized_run = None
        if computed:
            float_run = self._runner(inputs, computed, op, {})
            quantized_run = self._runner(inputs, computed, op, relevant) if relevant else float_run
        for images, given_float, given_quantized in self._batches(inputs):
            apart = any(a is not b for a, b in zip(given_float, given_quantized, strict=True))
            values = dict(zip(inputs, given_float, strict=True))
            others = dict(zip(inputs, given_quantized, strict=True))
            if float_run is not None and quantized_run is not None:
                values.update(zip(computed, self._run(float_run, given_float), strict=True))
                if apart or relevant:
                    results = self._run(quantized_run, given_quantized)
                    others.update(zip(computed, results, strict=True))
                else:
                    others.update({t: values[t] for t in computed})
            yield images, [values[t] for t in tensors], [others[t] for t in tensors]

    def advance(self, op: int, replaced: Replacements) -> None:
        """Move the cached frontier to just before operator `op`, if it can be cached.

        It stays where it is if the new one does not fit the limit or is not all images.
        """
        tensors = live_tensors(self._model, op)
        if not tensors or (self._frontier is not None and op == self._op):
            return
        folder = Path(self._folder.name)
        self._generation += 1
        arrays: dict[int, tuple[Any, Any]] = {}
        for images, floats, quantized in self.stream(op, tensors, replaced):
            if not arrays:
                # Shapes computed in the graph, say: they have no row for each image.
                if any(a.dtype != np.float32 or len(a) != len(floats[0]) for a in floats):
                    return
                size = sum(
                    (2 if a is not b else 1) * self.count * a[0].size * _storage(a).itemsize
                    for a, b in zip(floats, quantized, strict=True)
                )
                if size > self._limit:
                    return
                for t, a, b in zip(tensors, floats, quantized, strict=True):
                    first = self._map(folder / f"{self._generation}-{t}-float", a)
                    second = first if a is b else self._map(folder / f"{self._generation}-{t}-q", b)
                    arrays[t] = first, second
            for t, a, b in zip(tensors, floats, quantized, strict=True):
                first, second = arrays[t]
                _store(first, images, a)
                if second is not first:
                    _store(second, images, b)
        old = self._frontier
        self._frontier, self._op = arrays, op
        for pair in (old or {}).values():
            for array in {id(p): p for p in pair}.values():
                os.unlink(array.filename)

    def rest(self, op: int, tensors: list[int]) -> Rest:
        """The network from `op` on, kept ready while layers between the frontier and `op` change.

        Parameters
        ----------
        op : int
            After the last `advance`.
        tensors : list of int
            What it computes.
        """
        return Rest(self, op, tensors)

    def _map(self, path: Path, sample: FloatArray) -> Any:
        dtype, shape = _storage(sample), (self.count, *sample.shape[1:])
        try:
            with open(path, "wb") as file:
                # A map of a file with holes ends the process when the disk is full.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(
                        file.fileno(), 0, math.prod(shape) * np.dtype(dtype).itemsize
                    )
            array = np.memmap(path, dtype, "r+" if path.stat().st_size else "w+", shape=shape)
        except OSError as error:
            raise DataError(
                f"no room for the calibration cache in {path.parent} ({error.strerror}); free some "
                "space, set TMPDIR to another disk, or use fewer images"
            ) from error
        return array

    def _batches(
        self, inputs: list[int]
    ) -> Iterator[tuple[slice, list[FloatArray], list[FloatArray]]]:
        if self._frontier is None:
            start = 0
            for batch in self._images.batches(self._batch, np.arange(self.count)):
                yield slice(start, start + len(batch)), [batch], [batch]
                start += len(batch)
            return
        for start in range(0, self.count, self._batch):
            images = slice(start, min(start + self._batch, self.count))
            floats, quantized = [], []
            for t in inputs:
                first, second = self._frontier[t]
                floats.append(np.asarray(first[images], np.float32))
                quantized.append(
                    floats[-1] if second is first else np.asarray(second[images], np.float32)
                )
            yield images, floats, quantized

    def _runner(
        self, inputs: list[int], outputs: list[int], op: int, replaced: Replacements
    ) -> _Runner:
        return _Runner(
            self._model, inputs, outputs, self._op, op, replaced, self._batch, self._threads
        )

    def _run(self, run: _Runner, values: list[FloatArray]) -> list[FloatArray]:
        n = len(values[0])
        if n < self._batch:  # the last batch is filled up and cut again
            values = [
                np.concatenate([v, np.repeat(v[-1:], self._batch - n, axis=0)]) for v in values
            ]
        return [out[:n] for out in run(values)]


class Rest:
    """Outputs of a network for one change after another of the layers before an operator.

    Only the operators before the cut are built anew for each change: packing the weights of the
    others takes longer than running them on a few images.
    """

    def __init__(self, network: PairedNetwork, op: int, tensors: list[int]) -> None:
        self._network = network
        self._op = op
        self._tensors = tensors
        model = network._model
        self._crossing = live_tensors(model, op)
        self._inputs = sorted(network._frontier or [network._source])
        computed = [t for t in tensors if t not in self._crossing]
        self._computed = computed
        end = len(model.subgraph.operators)
        self._after = (
            _Runner(model, self._crossing, computed, op, end, {}, network._batch, network._threads)
            if computed
            else None
        )

    def __call__(self, replaced: Replacements) -> list[FloatArray]:
        """The tensors on all images, on the quantized path, with `replaced` layers before the operator."""
        network = self._network
        wanted = [t for t in self._crossing if t not in self._inputs]
        before = network._runner(self._inputs, wanted, self._op, replaced) if wanted else None
        rows: list[list[FloatArray]] = []
        for _, _, given in network._batches(self._inputs):
            values = dict(zip(self._inputs, given, strict=True))
            if before is not None:
                values.update(zip(wanted, network._run(before, given), strict=True))
            if self._after is not None:
                crossing = [values[t] for t in self._crossing]
                results = network._run(self._after, crossing)
                values.update(zip(self._computed, results, strict=True))
            rows.append([values[t] for t in self._tensors])
        return [np.concatenate(column) for column in zip(*rows, strict=True)]


class _Runner:
    """An interpreter for the operators from `first` up to `last`."""

    def __init__(
        self,
        model: Model,
        inputs: list[int],
        outputs: list[int],
        first: int,
        last: int,
        replaced: Replacements,
        batch: int,
        threads: int,
    ) -> None:
        data = extract(model, inputs, outputs, first, last, replaced, batch=batch)
        self._interpreter = float_interpreter(data, threads)
        self._interpreter.allocate_tensors()
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()
        self._batch = batch

    def __call__(self, values: list[FloatArray]) -> list[FloatArray]:
        for detail, value in zip(self._inputs, values, strict=True):
            self._interpreter.set_tensor(
                detail["index"], np.ascontiguousarray(value.reshape(detail["shape"]), np.float32)
            )
        self._interpreter.invoke()
        outs = [self._interpreter.get_tensor(d["index"]) for d in self._outputs]
        if self._batch == 1:  # an image's values may well have a leading axis other than 1
            return [out if out.shape[:1] == (1,) else out[None] for out in outs]
        return outs


def _storage(sample: FloatArray) -> np.dtype[Any]:
    peak = float(np.abs(sample).max(initial=0))
    return np.dtype(np.float16 if peak <= _HALF_PRECISION_LIMIT else np.float32)


def _store(array: Any, images: slice, values: FloatArray) -> None:
    if array.dtype == np.float16:
        values = np.clip(values, -65504, 65504)
    array[images] = values
