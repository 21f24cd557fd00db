"""Messages that teach: who complains, what was received, what was expected, and what to do about it."""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE}  # of disks, to write


def explain(who: str, received: Any, expected: str, remedy: str = "") -> str:
    """Compose the text of a public error; every error of the library is built here."""
    text = f"{who}: received {received}; expected {expected}."
    return f"{text} {remedy}" if remedy else text


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean 'x'?" for a near miss of a known name, else the list of known names."""
    names = sorted(set(known))
    close = get_close_matches(name.lower(), {n.lower() for n in names}, n=1, cutoff=0.6)
    if close:  # of names that differ in capitals alone the one that is written most alike
        alike = get_close_matches(name, [n for n in names if n.lower() == close[0]], n=1, cutoff=0.0)
        return f"Did you mean {alike[0]!r}?"
    return f"Known: {', '.join(names)}." if names else ""


class DiskError(OSError):
    """A file that could not be written, by name; ``errno`` is the system's reason."""

    def __str__(self) -> str:
        return str(self.strerror)


def _system_error(error: Exception) -> int:
    """Return the number of the system's error; HDF5 has it in its text."""
    found = re.search(r"errno = (\d+)", str(error))
    return getattr(error, "errno", None) or (int(found.group(1)) if found else 0)


@contextmanager
def writing(who: str, path: Any, remedy: str = "Make room, or write elsewhere.") -> Iterator[None]:
    """Name what could not be written, where the disk is full, broken or read-only; the system does not.

    Raises:
        DiskError: instead of the system's error.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = _system_error(error)
        if number not in _REFUSALS:
            raise
        received = f"{os.strerror(number)} while writing {path}"
        raise DiskError(number, explain(who, received, "a disk that can be written to", remedy)) from error
