"""A model of the command line, and the forms of it that are compared: files, made where they are missing."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..calibration.images import load_calibration
from ..calibration.preprocessing import Preprocessing
from ..errors import ConfigError, ModelError, OutputExistsError, QcnnError
from ..files import write_atomically
from ..graph import read_mean_image, read_metadata, read_model
from ..graph.variant import describe_variant
from ..models import load_float
from ..models.download import cache_folder
from . import making

# As they are asked for, to what results call them.
VARIANTS = {
    "float": "float",
    "float16": "float16",
    "dynamic": "int8 weights",
    "int8": "int8",
    "q": "q",
}
DEFAULT = ("float", "int8", "q")
_RANDOM_IMAGES = 8


@dataclass(frozen=True)
class Recipe:
    """How variants that are not given are made.

    Parameters
    ----------
    config : str or dict
        Of the conversion.
    calibration : path, optional
        Images, for int8 and q alike.
    preprocessing : Preprocessing, optional
        For a model that does not say how images are prepared for it.
    weights : {"random"} or path, optional
        For a named model.
    seed : int
    folder : Path
        Where the files are kept.
    """

    config: str | dict[str, Any] = "paper"
    calibration: str | None = None
    preprocessing: Preprocessing | None = None
    weights: str | None = None
    seed: int = 0
    folder: Path = field(default_factory=lambda: cache_folder() / "benchmarks")


@dataclass(frozen=True)
class Family:
    """Forms of one model.

    Parameters
    ----------
    name : str
    files : dict of str to Path
        By what results call them; float first where it is there.
    has_lrn : bool
        Whether it has local response normalization.
    """

    name: str
    files: dict[str, Path]
    has_lrn: bool


def open_family(
    model: str,
    reference: str | None,
    variants: Sequence[str] | None,
    recipe: Recipe,
    leave_out: Callable[[str, str], None],
    say: Callable[[str], None],
) -> Family:
    """The forms of a model.

    Parameters
    ----------
    model : str
        A `.tflite`, or whatever else `qcnn_tflite.models.load_float` takes. Of a float model the
        variants are made; any other `.tflite` is measured as it is.
    reference : str or None
        The float `.tflite` that `model` was made from.
    variants : sequence of str or None
        Keys of `VARIANTS`; None: `DEFAULT` of a float model, else what is given.
    recipe : Recipe
    leave_out : callable
        Told which variant could not be made and why.
    say : callable
        Told what takes long, or means less than it seems.

    Raises
    ------
    ModelError
        If the model, or the reference, cannot be had.
    """
    path = Path(model)
    given, has_lrn = describe(path)
    files: dict[str, Path] = {}
    base = None if reference is None else Path(reference)
    if base is not None:
        kind, has_lrn = describe(base)
        if kind is None:
            raise ModelError(f"{base}: there is no such file; give the float .tflite")
        files[kind] = base
    if given is not None and given != "float":
        if given in files:
            raise ConfigError(
                f"{path} and {base} both are {given}; give different forms of one model"
            )
        files[given] = path
        wanted = [v for v in variants or () if VARIANTS[v] not in files]
        if wanted and (base is None or "float" not in files):
            raise ConfigError(
                f"{', '.join(wanted)} of {path.name} are made from its float model; give it as --reference"
            )
    else:
        if base is not None:
            raise ConfigError(f"{model} is a float model; --reference goes with a quantized one")
        base, has_lrn = _float_file(model, path if given else None, recipe)
        wanted = list(variants or DEFAULT)
    made: dict[str, Path] = {}
    for variant in wanted:
        assert base is not None
        try:
            made[VARIANTS[variant]] = _variant_file(base, variant, recipe, say)
        except QcnnError as error:
            leave_out(VARIANTS[variant], str(error))
    every = {**files, **made}
    order = [*VARIANTS.values(), *every]
    # The results of a quantized file belong to the network that it was made from.
    named = path if reference is None else Path(reference)
    name = named.stem if named.suffix else named.name
    return Family(name, dict(sorted(every.items(), key=lambda x: order.index(x[0]))), has_lrn)


def describe(path: Path) -> tuple[str | None, bool]:
    """Kind of weights and whether there is LRN, of a `.tflite`; None of what has another ending.

    Raises
    ------
    ModelError
        If there is no such file, or it is no model.
    """
    if path.suffix.lower() != ".tflite":
        return None, False
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file; give the path of a .tflite model")
    read_model(path)  # its checks; what follows reads without
    return describe_variant(path)


def _float_file(model: str, path: Path | None, recipe: Recipe) -> tuple[Path, bool]:
    if path is None:
        source = load_float(model, weights=recipe.weights, seed=recipe.seed)
        digest = hashlib.sha256(source.data).hexdigest()[:16]
        path = recipe.folder / f"{source.name}-{digest}.tflite"
        if not path.exists():
            recipe.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OutputExistsError):  # another process made the same
                write_atomically(path, source.data)
    elif recipe.weights is not None:
        raise ConfigError(f"--weights are for named models only, {path} has its own")
    return path, describe_variant(path)[1]


def _variant_file(base: Path, variant: str, recipe: Recipe, say: Callable[[str], None]) -> Path:
    if variant == "float":
        return base
    path = recipe.folder / f"{base.stem}-{variant}-{cache_key(base, variant, recipe)}.tflite"
    if path.exists():
        try:
            read_model(path)
            return path
        except ModelError:
            say(f"{path} is damaged")
            path.unlink()
    recipe.folder.mkdir(parents=True, exist_ok=True)
    say(f"making {path}")
    if variant in ("int8", "q") and recipe.calibration is None:
        say(
            f"{variant} of {base.name} is made without calibration images: its time and size mean "
            "something, its accuracy does not; give some by --calibration"
        )
    function = {"int8": _make_int8, "q": _make_q}.get(variant)
    with contextlib.suppress(OutputExistsError):  # another process made the same meanwhile
        if function is not None:
            making.in_own_process(path.name, function, base, path, recipe)
        elif variant == "dynamic":
            making.in_own_process(path.name, making.make_dynamic, base, path)
        else:
            making.in_own_process(path.name, making.make_float16, base, path)
    return path


def cache_key(base: Path, variant: str, recipe: Recipe) -> str:
    """What the file depends on, in short."""
    from .. import __version__

    digest = hashlib.sha256(base.read_bytes())
    if variant in ("int8", "q"):
        digest.update(json.dumps([__version__, recipe.config, recipe.seed]).encode())
        digest.update(repr(recipe.preprocessing).encode())
        for file in _calibration_files(recipe.calibration):
            state = file.stat()
            digest.update(f"{file} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _calibration_files(source: str | None) -> list[Path]:
    if source is None:
        return []
    path = Path(source)
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.exists() else []


def _make_q(base: Path, path: Path, recipe: Recipe) -> None:
    options: dict[str, Any] = {
        "config": recipe.config,
        "calibration": "none" if recipe.calibration is None else recipe.calibration,
        "seed": recipe.seed,
        "progress": False,
    }
    if recipe.preprocessing is not None:
        options["preprocessing"] = recipe.preprocessing
    making.make_q(base, path, options)


def _make_int8(base: Path, path: Path, recipe: Recipe) -> None:
    making.make_int8(base, path, calibration_inputs(base, recipe))


def calibration_inputs(base: Path, recipe: Recipe) -> list[NDArray[np.float32]]:
    """Calibration images as a float model takes them, each (1, H, W, C): the conversion's, or random ones."""
    model = read_model(base)
    shape = model.shape(int(model.subgraph.inputs[0]))
    if recipe.calibration is None:
        random = np.random.default_rng(0)
        return [random.standard_normal(shape, np.float32) for _ in range(_RANDOM_IMAGES)]
    prepare = recipe.preprocessing
    metadata = read_metadata(model) or {}
    if prepare is None and "input" in metadata:
        prepare = Preprocessing.from_metadata(metadata, read_mean_image(model))
    images = load_calibration(recipe.calibration, prepare, shape)
    return [image for batch in images.batches(1) for image in batch[:, None]]
