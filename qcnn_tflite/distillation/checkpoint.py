"""The state of an unfinished distillation, in a file."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..agreement import Agreement
from ..errors import OutputExistsError
from ..files import check_output, write_atomically
from ..graph import QuantizedLayer
from .network import DistilledNetwork
from .run import Run

FloatArray = NDArray[np.float32]

_FORMAT = "qcnn-tflite distillation 1"
_FIELDS = ("codebooks", "codes", "bias", "scale", "codebook_scales")
# Logits of one start of the program and of the next agree to rounding.
_SAME_LOGITS = 1e-2


class Checkpoint:
    """A file that a training of the same network, images and settings goes on from.

    Parameters
    ----------
    path : Path
    quantized : mapping of layer name to QuantizedLayer
        At the start.
    targets : ndarray
        The teacher's outputs on the held-out images.
    settings : object
        Whose ``repr`` tells it from every other.

    Raises
    ------
    OutputExistsError
        If the file is there and no checkpoint.
    OutputError
        If it could not be written.
    """

    def __init__(
        self,
        path: Path,
        quantized: Mapping[str, QuantizedLayer],
        targets: FloatArray,
        settings: Any,
    ) -> None:
        self._path = path
        self._targets = targets
        digest = hashlib.sha256(repr(settings).encode())
        for name, q in quantized.items():
            digest.update(name.encode())
            for key in _FIELDS:
                value = getattr(q, key)
                if value is not None:
                    digest.update(np.ascontiguousarray(value).tobytes())
        self._key = digest.hexdigest()
        check_output(path, overwrite=True)
        if path.exists() and _read(path) is None:
            raise OutputExistsError(
                f"{path} is not the checkpoint of a distillation, whose name it has; move it away"
            )

    def save(self, network: DistilledNetwork, run: Run) -> None:
        """Write the state; whole or not at all."""
        arrays = {f"v/{name}": v.numpy() for name, v in network.variables().items()}
        arrays.update({f"c/{name}": s.codes for name, s in network.quantized.items()})
        for name, q in run.constants.items():
            values = {f"q/{f}/{name}": getattr(q, f) for f in _FIELDS}
            arrays.update({key: value for key, value in values.items() if value is not None})
        for name, (weights, bias) in run.floats.items():
            arrays[f"w/{name}"] = weights
            if bias is not None:
                arrays[f"b/{name}"] = bias
        arrays["targets"] = self._targets
        state = {
            "format": _FORMAT,
            "key": self._key,
            "step": run.step,
            "best_step": run.best_step,
            "varied": run.varied,
            "first": dataclasses.astuple(run.first),
            "best": dataclasses.astuple(run.best),
            "history": run.history,
        }
        arrays["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_atomically(self._path, buffer.getvalue(), overwrite=True)

    def restore(self, network: DistilledNetwork, run: Run) -> bool:
        """Go on from the file, if it is there and of the same training; returns whether it was."""
        found = _read(self._path)
        if found is None:
            return False
        state, arrays = found
        targets = arrays.get("targets")
        if (
            state.get("key") != self._key
            or targets is None
            or targets.shape != self._targets.shape
            or not np.allclose(targets, self._targets, rtol=1e-3, atol=_SAME_LOGITS)
        ):
            return False
        for name, variable in network.variables().items():
            variable.assign(arrays[f"v/{name}"])
        for name, student in network.quantized.items():
            student.assign(arrays[f"c/{name}"])
        run.constants = {
            name: QuantizedLayer(**{f: arrays.get(f"q/{f}/{name}") for f in _FIELDS})  # type: ignore[arg-type]
            for name in network.quantized
        }
        run.floats = {
            name: (arrays[f"w/{name}"], arrays.get(f"b/{name}")) for name in network.floats
        }
        run.step, run.best_step, run.varied = state["step"], state["best_step"], state["varied"]
        run.first, run.best = Agreement(*state["first"]), Agreement(*state["best"])
        run.history = [(p, kl, top1) for p, kl, top1 in state["history"]]
        return True

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
    """State and arrays of a checkpoint; None for any other file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            state = json.loads(archive["state"].tobytes())
            if state["format"] != _FORMAT:
                return None
            return state, {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile):
        return None
