"""Measures on another machine by stock `benchmark_model`: a phone over adb, a board over ssh; and reads the apps' exports."""

from __future__ import annotations

from .run import measure_on_device, open_device

__all__ = ["measure_on_device", "open_device"]
