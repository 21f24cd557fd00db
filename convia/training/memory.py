"""Memory that a step frees stays with the process for the next step."""

import ctypes
import os
import platform
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the names of mallopt(3)'s parameters, without their M_
KEPT = 512 << 20  # bytes that may stay free at the end of the heap
_LARGEST = 64 << 20  # bytes of a block that still comes from the heap


@cache
def keep_freed() -> bool:
    """Let glibc keep freed blocks, up to ``KEPT`` bytes; return whether it does.

    It would give the large ones back to the system, so that each step of torch faults every page of its feature maps
    in anew: a tenth of the time of a convolutional network. Whoever has tuned glibc by its environment variables is
    left alone.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST) and mallopt(_TRIM_THRESHOLD, KEPT))


def give_back() -> None:
    """Let glibc give freed blocks back to the system."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
