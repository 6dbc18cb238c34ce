"""``python -m qcnn_tflite.cli``, where the command is not on the PATH."""

from __future__ import annotations

import sys

from . import main

sys.exit(main())
