"""The native part of the engine: whether it was built, which instruction set and how many threads it uses."""

import importlib
import os
from functools import cache
from types import ModuleType
from typing import Any

import torch

from convia import config
from convia.errors import explain, nearest

_native: Any = None
_absent = ""
try:
    _native = importlib.import_module("convia.engine._native")
except ImportError as error:
    _absent = f"the native engine was not built ({error}); install convia where there is a C++ compiler"


def chosen_engine() -> str:
    """Return the setting of ``config.set_engine``; ``CONVIA_ENGINE=off`` in the environment is stronger than "auto"."""
    outside = os.environ.get("CONVIA_ENGINE", "auto").lower()
    return "torch" if config.engine() == "auto" and outside in ("off", "torch", "0") else config.engine()


def native() -> ModuleType | None:
    """Return the compiled module, None where it is absent."""
    module: ModuleType | None = _native
    return module


def reason_for_absence() -> str:
    """Return why there is no native engine, "" if there is one."""
    return _absent


def instruction_set() -> str:
    """Return the name of the kernels in use: the machine's best, or the one that ``CONVIA_ISA`` names.

    Raises:
        ValueError: this machine, or this build, has no such kernels.
    """
    names = list(lanes())
    wanted = os.environ.get("CONVIA_ISA")
    if wanted is None:
        return names[0]
    if wanted not in names:
        raise ValueError(explain("CONVIA_ISA", repr(wanted), f"one of {names}", nearest(wanted, names)))
    return wanted


@cache
def lanes() -> dict[str, int]:
    """Return the instruction sets that this machine and this build have, the best first → floats of a vector."""
    assert _native is not None
    return dict(_native.instruction_sets())


def threads() -> int:
    """Return the number of threads: torch's, see ``config.set_threads``."""
    return torch.get_num_threads()
