"""Files that cannot be written while a network learns, and folders that belong to one training."""

import errno
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from convia.errors import DiskError, explain, writing

if sys.platform != "win32":
    import fcntl

_locks: dict[str, IO[bytes]] = {}


@contextmanager
def survives(who: str, what: str, remedy: str) -> Iterator[None]:
    """Turn a full, broken or vanished disk into a warning: a file is not worth a training.

    Raises:
        OSError: any other, which a wrong path or missing rights cause.
    """
    try:
        with writing(who, what, remedy):
            yield
    except DiskError as error:
        warnings.warn(str(error), stacklevel=4)


def lock(who: str, folder: Path) -> None:
    """Make a folder this process's, until it ends or calls ``unlock``; a process that is killed leaves no lock.

    Raises:
        RuntimeError: it is another process's.
    """
    key = os.path.realpath(folder)
    if key in _locks or sys.platform == "win32":
        return
    path = _lock_file(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):  # a file system without locks
            return
        received, remedy = (
            f"the folder {folder}, which another process is using",
            "Wait for it, or take another folder.",
        )
        raise RuntimeError(explain(who, received, "a folder for one training", remedy)) from None
    _locks[key] = file


def unlock(folder: Path) -> None:
    """Give a folder back."""
    file = _locks.pop(os.path.realpath(folder), None)
    if file is not None:
        _lock_file(folder).unlink(missing_ok=True)
        file.close()


def _lock_file(folder: Path) -> Path:
    """Beside the folder, which may come and go."""
    return Path(os.path.realpath(folder)).with_name(f".{folder.name}.lock")
