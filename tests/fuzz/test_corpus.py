"""The fuzz targets on what is kept of them: seeds, findings, and some damage of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from targets import CORPUS, TARGETS

FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())


def test_every_target_has_a_corpus() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_only_sentences_come_out(path: Path) -> None:
    target, data = TARGETS[path.parent.name], path.read_bytes()
    target(data)
    rng = np.random.default_rng(len(data))
    for _ in range(20):
        damaged = bytearray(data)
        for _ in range(rng.integers(1, 5)):
            damaged[rng.integers(1, len(damaged))] = rng.integers(256)
        target(bytes(damaged))
        target(data[: rng.integers(len(data))])
