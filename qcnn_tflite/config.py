"""What to do with each layer: presets, overrides by name, JSON in and out."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .errors import ConfigError

CODEBOOKS = ("per_subspace", "shared", "per_group")
CODEBOOK_DTYPES = ("float32", "float16", "int8")


@dataclass(frozen=True)
class LayerConfig:
    """How one layer is quantized.

    Parameters
    ----------
    quantize : bool
        False keeps the layer float.
    d, K : int
        Length (`dsub`) and number (`ksub`) of codewords.
    codebooks : {"per_subspace", "shared", "per_group"}
    codebook_dtype : {"float32", "float16", "int8"}
    output_scale : bool
        Normalise the rows of the weights and give each output a factor.
    """

    quantize: bool = True
    d: int = 8
    K: int = 128
    codebooks: str = "per_subspace"
    codebook_dtype: str = "float32"
    output_scale: bool = False

    def __post_init__(self) -> None:
        _expect_int("d", self.d, 1, 4096)
        _expect_int("K", self.K, 2, 256)
        _expect_choice("codebooks", self.codebooks, CODEBOOKS)
        _expect_choice("codebook_dtype", self.codebook_dtype, CODEBOOK_DTYPES)
        for name in ("quantize", "output_scale"):
            _expect_bool(name, getattr(self, name))


@dataclass(frozen=True)
class LearningConfig:
    """How codebooks and codes are learned.

    Parameters
    ----------
    gram_init : bool
        Start from k-means in the metric of the layer's inputs.
    sequential : bool
        Choose the first codes one block after another, each making up for those before it.
    sweeps : int
        Error-correction sweeps; 0 leaves the initial solution.
    conv_damping, fc_damping : tuple of float
        Candidates of the pull towards the float weights, relative to the mean of diag H; the one
        that serves the network's output on held-out images best is kept. Infinity ("inf" in JSON)
        is plain product quantization of the weights.
    conv_scale, fc_scale : tuple of float
        Candidates of the power of the ratio of standard deviations (float to quantized response)
        that each output is multiplied by, chosen in the same way (without images the first); 0 is
        no output scale.
    held_out : float
        Fraction of the calibration images that choose and that measure the reported error; more of
        a few hundred.
    views : int
        Times that every image of a folder is seen, at most: once as it is evaluated, then cropped and
        mirrored at random. For networks with fully-connected layers, which overfit a few images; no
        more often than it takes to see 4,000.
    positions_per_image : int
        Sampled output positions per image in a convolution; more where few images would leave fewer
        samples than 16 per row of the Gram matrix.
    cache_limit : int
        Bytes of temporary disk space for the layers' inputs.
    """

    gram_init: bool = True
    sequential: bool = True
    sweeps: int = 3
    conv_damping: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, math.inf)
    fc_damping: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0, math.inf)
    conv_scale: tuple[float, ...] = (0.5, 1.0, 0.0)
    fc_scale: tuple[float, ...] = (1.0, 0.5)
    held_out: float = 0.1
    views: int = 2
    positions_per_image: int = 128
    cache_limit: int = 8 << 30

    def __post_init__(self) -> None:
        _expect_int("sweeps", self.sweeps, 0, 1000)
        _expect_int("views", self.views, 1, 100)
        _expect_int("positions_per_image", self.positions_per_image, 1, 1 << 30)
        _expect_int("cache_limit", self.cache_limit, 0, 1 << 60)
        _expect_number("held_out", self.held_out, 0, 0.5)
        for name in ("gram_init", "sequential"):
            _expect_bool(name, getattr(self, name))
        for name in ("conv_damping", "fc_damping"):
            self._take_candidates(name, "a list of numbers above 0", lambda v: v > 0)
        for name in ("conv_scale", "fc_scale"):
            self._take_candidates(name, "a list of numbers from 0 to 2", lambda v: 0 <= v <= 2)

    def _take_candidates(self, name: str, wanted: str, fits: Callable[[float], bool]) -> None:
        """One number is a list of one."""
        values = getattr(self, name)
        single = isinstance(values, (int, float)) and not isinstance(values, bool)
        try:
            numbers = (float(values),) if single else tuple(float(v) for v in values)
        except (TypeError, ValueError):
            numbers = ()
        if isinstance(values, (str, Mapping)) or not numbers or not all(map(fits, numbers)):
            raise ConfigError(f"{name} must be {wanted}, got {values!r}")
        object.__setattr__(self, name, numbers)

    @property
    def output_scales(self) -> bool:
        """Whether quantized layers may get a scale per output."""
        return any(self.conv_scale) or any(self.fc_scale)


@dataclass(frozen=True)
class Config:
    """What `convert` does with every layer.

    Parameters
    ----------
    name : str
        Of the preset that it began as.
    conv, conv1x1, fc, last_fc : LayerConfig
        Defaults by kind of layer; `last_fc` is for the last fully-connected layer of a network.
    first_fc : LayerConfig or None
        For the first of several fully-connected layers; None: as `fc`. In JSON, what `fc` says
        holds for it, too, unless it says otherwise.
    layers : tuple of (str, dict)
        Overrides, later ones win: layer name or glob, and fields of `LayerConfig`.
    min_weights : int
        Layers with fewer weights stay float.
    learning : LearningConfig
    """

    name: str = "paper"
    conv: LayerConfig = field(default_factory=LayerConfig)
    conv1x1: LayerConfig = field(default_factory=LayerConfig)
    fc: LayerConfig = field(default_factory=LayerConfig)
    last_fc: LayerConfig = field(default_factory=LayerConfig)
    first_fc: LayerConfig | None = None
    layers: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    min_weights: int = 2048
    learning: LearningConfig = field(default_factory=LearningConfig)

    def for_layer(
        self, name: str, kind: str, *, last_fc: bool = False, first_fc: bool = False
    ) -> LayerConfig:
        """Configuration of one layer.

        Parameters
        ----------
        name : str
        kind : {"conv", "conv1x1", "fc"}
        last_fc, first_fc : bool
            Whether it is the network's last fully-connected layer, or the first of several.
        """
        chosen: LayerConfig = self.last_fc if last_fc and kind == "fc" else getattr(self, kind)
        if first_fc and kind == "fc" and self.first_fc is not None:
            chosen = self.first_fc
        for pattern, fields in self.layers:
            if fnmatch.fnmatchcase(name, pattern):
                chosen = replace(chosen, **fields)
        return chosen

    def check_names(self, names: Iterable[str]) -> None:
        """Refuse an override that fits none of the layers.

        Raises
        ------
        ConfigError
            With near matches.
        """
        known = list(names)
        for pattern, _ in self.layers:
            if not any(fnmatch.fnmatchcase(n, pattern) for n in known):
                raise ConfigError(
                    f"no layer is called {pattern!r}{_near(pattern, known)}; "
                    f"the layers are: {', '.join(known)}"
                )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `load` takes it back."""
        values = dataclasses.asdict(self)
        values["preset"] = values.pop("name")
        values["layers"] = {pattern: dict(fields) for pattern, fields in self.layers}
        for name in ("conv_damping", "fc_damping"):
            values["learning"][name] = [
                "inf" if math.isinf(v) else v for v in values["learning"][name]
            ]
        return values

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def load(cls, source: Config | str | os.PathLike[str] | Mapping[str, Any]) -> Config:
        """A configuration from a preset's name, a JSON file, a mapping, or itself.

        A mapping begins as the preset it names ("paper" unless given) and changes it::

            {"preset": "accurate", "layers": {"conv1": {"quantize": false}, "fc*": {"K": 64}}}

        Raises
        ------
        ConfigError
            For unknown names (with near matches) and values out of range.
        """
        if isinstance(source, Config):
            return source
        if isinstance(source, Mapping):
            return _from_mapping(source)
        text = os.fspath(source)
        if text in PRESETS:
            return PRESETS[text]
        path = Path(text)
        if not path.is_file():
            raise ConfigError(
                f"{text!r} is neither a preset{_near(text, list(PRESETS))} nor a JSON file; "
                f"the presets are: {', '.join(PRESETS)}"
            )
        try:
            values = json.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise ConfigError(f"{path} is not a JSON configuration ({error})") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{path} must hold a JSON object, got {type(values).__name__}")
        return _from_mapping(values)


def _from_mapping(values: Mapping[str, Any]) -> Config:
    allowed = ["preset", *(f.name for f in dataclasses.fields(Config) if f.name != "name")]
    _known_keys("the configuration", values, allowed)
    preset = values.get("preset", "paper")
    if preset not in PRESETS:
        raise ConfigError(
            f"there is no preset {preset!r}{_near(str(preset), list(PRESETS))}; "
            f"the presets are: {', '.join(PRESETS)}"
        )
    base = PRESETS[preset]
    changes: dict[str, Any] = {}
    for kind in ("conv", "conv1x1", "fc", "last_fc"):
        if kind in values:
            changes[kind] = replace(getattr(base, kind), **_fields(kind, values[kind], LayerConfig))
    first = base.first_fc
    if first is not None and "fc" in values:
        first = replace(first, **values["fc"])  # who says "fc" means all but the last
    if values.get("first_fc") is not None:
        fields = _fields("first_fc", values["first_fc"], LayerConfig)
        first = replace(first or changes.get("fc", base.fc), **fields)
    changes["first_fc"] = first
    if "learning" in values:
        changes["learning"] = replace(
            base.learning, **_fields("learning", values["learning"], LearningConfig)
        )
    if "layers" in values:
        if not isinstance(values["layers"], Mapping):
            raise ConfigError(f"layers must map layer names to settings, got {values['layers']!r}")
        overrides = []
        for pattern, fields in values["layers"].items():
            checked = _fields(f"layer {pattern!r}", fields, LayerConfig)
            replace(LayerConfig(), **checked)  # refuses values out of range now, not per layer
            overrides.append((pattern, checked))
        changes["layers"] = (*base.layers, *overrides)
    if "min_weights" in values:
        _expect_int("min_weights", values["min_weights"], 0, 1 << 40)
        changes["min_weights"] = values["min_weights"]
    return replace(base, **changes)


def _fields(what: str, values: Any, kind: type) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{what} must be an object of settings, got {values!r}")
    _known_keys(what, values, [f.name for f in dataclasses.fields(kind)])
    return dict(values)


def _known_keys(what: str, values: Mapping[str, Any], allowed: list[str]) -> None:
    for key in values:
        if key not in allowed:
            raise ConfigError(
                f"{what} has no setting {key!r}{_near(str(key), allowed)}; "
                f"it takes: {', '.join(allowed)}"
            )


def _near(word: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(word, known, 3)
    return f" (did you mean {' or '.join(matches)}?)" if matches else ""


def _expect_int(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{name} must be a whole number from {low} to {high}, got {value!r}")


def _expect_number(name: str, value: Any, low: float, high: float) -> None:
    # The comparison refuses NaN too.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{name} must be from {low} to {high}, got {value!r}")


def _expect_bool(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, got {value!r}")


def _expect_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def _preset(
    name: str,
    conv: LayerConfig,
    conv1x1: LayerConfig,
    fc: LayerConfig,
    last: LayerConfig,
    first: LayerConfig | None = None,
) -> Config:
    return Config(name=name, conv=conv, conv1x1=conv1x1, fc=fc, last_fc=last, first_fc=first)


# The published settings of Q-CNN (Wu et al. 2016, section 4); vgg16 takes d=6 instead of 8.
_PAPER = _preset(
    "paper",
    conv=LayerConfig(d=8, K=128),
    conv1x1=LayerConfig(d=4, K=128),
    fc=LayerConfig(d=4, K=32),
    last=LayerConfig(d=1, K=16),
)
_ACCURATE = _preset(
    "accurate",
    conv=LayerConfig(d=4, K=256, codebook_dtype="float16"),
    conv1x1=LayerConfig(
        d=2, K=256, codebooks="shared", output_scale=True, codebook_dtype="float16"
    ),
    # At equal bits one codebook is as good as one a subspace, whose bytes buy more codewords here.
    fc=LayerConfig(d=4, K=128, codebooks="shared", output_scale=True, codebook_dtype="float16"),
    first=LayerConfig(d=4, K=64, codebooks="shared", output_scale=True, codebook_dtype="float16"),
    last=LayerConfig(d=1, K=16, codebook_dtype="float16"),
)
_SMALL = _preset(
    "small",
    conv=LayerConfig(d=8, K=64, codebook_dtype="float16"),
    conv1x1=LayerConfig(
        d=4, K=256, codebooks="shared", output_scale=True, codebook_dtype="float16"
    ),
    fc=LayerConfig(d=4, K=16, codebook_dtype="float16"),
    last=LayerConfig(d=2, K=32, codebook_dtype="float16"),
)
# ccv's Klaus (2014): one palette for each fully-connected layer, 4 bits in the first and 8 in the others.
_PALETTE = LayerConfig(d=1, K=256, codebooks="shared", codebook_dtype="float16")
_KLAUS = Config(
    name="klaus",
    conv=LayerConfig(quantize=False),
    conv1x1=LayerConfig(quantize=False),
    fc=_PALETTE,
    last_fc=_PALETTE,
    first_fc=replace(_PALETTE, K=16),
    # The weights alone decide; images only restore each output's mean.
    learning=LearningConfig(fc_damping=(math.inf,), conv_scale=(0.0,), fc_scale=(0.0,)),
)
PRESETS = {config.name: config for config in (_PAPER, _ACCURATE, _SMALL, _KLAUS)}
