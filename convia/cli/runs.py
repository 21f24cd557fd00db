"""Folders for the results of a run: written aside, then renamed, so that none is half written or overwritten."""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from convia import distributed


@dataclass
class Run:
    """A run that is being written to ``draft``; after it, ``folder`` is where everything is."""

    draft: Path
    folder: Path | None = None


@contextmanager
def new_run(wanted: Path) -> Iterator[Run]:
    """Yield a run whose folder becomes ``wanted``, or ``wanted-2``, ``wanted-3``, … where earlier runs are.

    Nothing is left of a run that fails. Of several processes that share a training the first has the folder, and the
    others' drafts are thrown away.

    Raises:
        OSError: the folder cannot be made.
    """
    run = Run(wanted.parent / f".{wanted.name}-{uuid.uuid4().hex[:8]}")
    run.draft.mkdir(parents=True)
    try:
        yield run
        if distributed.is_first():
            run.folder = _rename(run.draft, wanted)
        else:
            run.folder = wanted
            shutil.rmtree(run.draft)
    except BaseException:
        shutil.rmtree(run.draft, ignore_errors=True)
        raise


def _rename(draft: Path, wanted: Path) -> Path:
    for number in count(1):
        target = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            return draft.rename(target)
        except OSError:
            if not target.exists():
                raise
    raise AssertionError


def write_json(path: Path, values: Any) -> None:
    """Write values as JSON that people can read."""
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
