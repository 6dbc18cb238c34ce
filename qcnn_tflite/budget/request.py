"""What a budget asks for."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
KEYS = ("size", "compression", "speedup", "theoretical_speedup", "top5_drop")


@dataclass(frozen=True)
class Budget:
    """Limits of a conversion; None where there is none.

    Parameters
    ----------
    size : int or None
        Bytes of the converted ``.tflite``.
    compression : float or None
        Float32 ``.tflite`` bytes by those of the converted one; another way to say `size`.
    speedup : float or None
        Predicted time of the convertible layers in float by their predicted time after conversion,
        on the machine of the target's cost model, one thread.
    theoretical_speedup : float or None
        The same in operations, as the paper counts them.
    top5_drop : float or None
        Points of top-5 accuracy, estimated on held-out images without labels, see `Agreement`.
    """

    size: int | None = None
    compression: float | None = None
    speedup: float | None = None
    theoretical_speedup: float | None = None
    top5_drop: float | None = None

    @classmethod
    def of(cls, values: Any) -> Budget:
        """A budget from a mapping, e.g. ``{"size": "6MB", "top5_drop": 1.0}``.

        Raises
        ------
        ConfigError
            For unknown keys, values out of range, and limits that say the same thing twice.
        """
        if isinstance(values, Budget):
            return values
        if not isinstance(values, Mapping) or not values:
            raise ConfigError(
                'budget: expected a mapping such as {"size": "6MB"} or {"top5_drop": 1.0}, with keys '
                f"of {', '.join(KEYS)}; got {values!r}"
            )
        checked: dict[str, Any] = {}
        for key, value in values.items():
            if key not in KEYS:
                near = difflib.get_close_matches(str(key), KEYS, 1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                raise ConfigError(
                    f"a budget has no limit {key!r}{hint}; it takes: {', '.join(KEYS)}"
                )
            checked[key] = _size(value) if key == "size" else _number(key, value)
        for one, other in (("size", "compression"), ("speedup", "theoretical_speedup")):
            if one in checked and other in checked:
                raise ConfigError(
                    f"a budget limits {one} or {other}, not both; leave one of them out"
                )
        return cls(**checked)

    def size_limit(self, float_bytes: int) -> float:
        """Bytes that the file may take; infinite without a limit."""
        if self.compression is not None:
            return float_bytes / self.compression
        return math.inf if self.size is None else float(self.size)

    def __str__(self) -> str:
        words = []
        if self.size is not None:
            words.append(f"at most {self.size / 1e6:.2f} MB")
        if self.compression is not None:
            words.append(f"{self.compression:g}x smaller")
        if self.speedup is not None:
            words.append(f"{self.speedup:g}x faster (predicted)")
        if self.theoretical_speedup is not None:
            words.append(f"{self.theoretical_speedup:g}x fewer operations")
        if self.top5_drop is not None:
            words.append(f"top-5 drop of at most {self.top5_drop:g} points (estimated)")
        return ", ".join(words)


def _number(key: str, value: Any) -> float:
    low = 0.0 if key == "top5_drop" else 1.0
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (number >= low and math.isfinite(number)):
        raise ConfigError(f"budget: {key} must be a number of at least {low:g}, got {value!r}")
    return number


def _size(value: Any) -> int:
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*", str(value))
    unit = match[2].lower() if match else "?"
    if isinstance(value, bool) or match is None or unit not in _UNITS:
        raise ConfigError(
            f'budget: size must be bytes or a text such as "6MB" or "900 KiB", got {value!r}'
        )
    size = round(float(match[1]) * _UNITS[unit])
    if size < 1:
        raise ConfigError(f"budget: size must be at least one byte, got {value!r}")
    return size
