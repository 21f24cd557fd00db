"""Switching the eras on and off: the hook at once, the methods of older eras when Keras is first imported."""

import importlib
import os
import sys
import threading
from pathlib import Path

from convia.compat import eras, hook, report
from convia.compat.door import remember, ungraft

_ready: list[bool] = []
_busy = threading.RLock()


def activate(era: str | None = None) -> None:
    """Let ``keras`` and ``tensorflow`` resolve to convia.

    Args:
        era: keras1, keras2, tfkeras or keras3; None finds it out from the program's text, or ``CONVIA_ERA``.

    Raises:
        ValueError: an unknown era.
    """
    eras.set_era(era or os.environ.get("CONVIA_ERA") or None)
    hook.install(_prepare)


def deactivate() -> None:
    """Undo ``activate``: modules, methods and the era are as before."""
    hook.uninstall()
    tensors = sys.modules.get("convia.compat.tensorflow.tensors")
    if tensors is not None:
        tensors.deactivate()
    if "convia.compat.names.flags" in sys.modules:
        sys.modules["convia.compat.names.flags"].reset()
    ungraft()
    _ready.clear()
    eras.set_era(None)
    report.clear()


def is_active() -> bool:
    """Whether ``keras`` resolves to convia."""
    return hook.installed()


def _prepare(name: str) -> None:
    """Lend the older methods, once, when a program imports its first module of Keras."""
    with _busy:
        if not _ready:
            _ready.append(True)
            if not eras.known():
                eras.set_era(_of_main() or ("tfkeras" if name.startswith("tensorflow") else None))
            grafts = importlib.import_module("convia.compat.grafts")
            remember()
            grafts.install()
            if eras.current() in eras.OLD:  # Keras's tensors were TensorFlow's
                importlib.import_module("convia.compat.tensorflow.tensors").activate()


def _of_main() -> str | None:
    """The era of the program that runs: a file, or the cells of a notebook so far."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if file and Path(file).suffix == ".py" and Path(file).is_file():
        path = Path(file)
        return eras.detect(path.read_text(encoding="utf-8", errors="replace"), path.parent)
    cells = getattr(main, "In", None)
    if isinstance(cells, list):
        lines = "\n".join(map(str, cells)).splitlines()
        return eras.detect("\n".join(line for line in lines if not line.lstrip().startswith(("%", "!", "get_ipython"))))
    return None


__all__ = ["activate", "deactivate", "is_active"]
