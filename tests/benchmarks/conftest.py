"""Makes the repository's `benchmarks` importable; behind everything else, so that the installed package is tested."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
