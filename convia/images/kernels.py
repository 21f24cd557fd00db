"""The native image kernels, if they were built and are wanted."""

import contextlib
import importlib
from typing import Any

from convia.engine.loading import chosen_engine

_pixels: Any = None
with contextlib.suppress(ImportError):  # not built: NumPy and OpenCV do it
    _pixels = importlib.import_module("convia.engine._pixels")


def native() -> Any:
    """Return the compiled module; None where it is absent, or the engine is torch."""
    return None if chosen_engine() == "torch" else _pixels
