"""Errors that a user can cause. Each message says what was expected, what came, and what to do."""

from __future__ import annotations


class QcnnError(Exception):
    """Base of all errors of this package; ``str(error)`` is a sentence for the user."""


class ModelError(QcnnError, ValueError):
    """The model cannot be read or converted."""


class ConfigError(QcnnError, ValueError):
    """A configuration names something that does not exist or is out of range."""


class DataError(QcnnError, ValueError):
    """Calibration or evaluation images are unusable."""


class RuntimeMissingError(QcnnError, RuntimeError):
    """No interpreter or no native library is installed that could run the model."""


class OutputError(QcnnError, OSError):
    """The output cannot be written."""


class OutputExistsError(OutputError, FileExistsError):
    """The output exists and overwriting it was not asked for."""
