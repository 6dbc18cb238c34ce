"""TensorFlow, imported when it is needed and not before."""

from __future__ import annotations

import os
from typing import Any

from ..errors import RuntimeMissingError


def tensorflow() -> Any:
    """The module.

    Raises
    ------
    RuntimeMissingError
        If it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow
    except ImportError as error:
        raise RuntimeMissingError(
            f"distillation needs TensorFlow ({error}); pip install tensorflow, or convert without "
            "distill"
        ) from error
    return tensorflow
