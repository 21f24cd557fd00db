"""Running a program of any era: a Python file or a notebook, unchanged."""

import os
import runpy
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convia import config
from convia.compat import eras, notebooks, python2, report
from convia.compat.activation import activate, deactivate
from convia.errors import explain


def run(path: str | os.PathLike[str], arguments: Sequence[str] = (), era: str | None = None) -> dict[str, Any]:
    """Run a program as ``__main__``, from the folder one is in, and return its variables.

    Args:
        path: a .py file or an .ipynb notebook.
        arguments: its ``sys.argv[1:]``.
        era: keras1, keras2, tfkeras or keras3; None finds it out.

    Raises:
        ValueError: another kind of file, or Python 2 that Python 3 cannot read; the message has the lines and fixes.
        FileNotFoundError: no such file.
        Whatever the program raises.
    """
    file = Path(path)
    source = read(file)
    _report_python2(file, source)
    with using(era or eras.detect(source, file.resolve().parent)), _as_main(file, arguments):
        if eras.current() == "keras1" and eras.channels_first(source):
            config.set_image_data_format("channels_first")
            report.note("images", "channels_first, as this program's shapes are")
        try:
            if file.suffix == ".ipynb":
                names = vars(sys.modules["__main__"])
                notebooks.run(file, names)
                return names
            return runpy.run_path(str(file), run_name="__main__")
        finally:
            text = report.line(eras.current())
            if text:
                print(text, file=sys.stderr)


def read(file: Path) -> str:
    """Return a program's text; of a notebook that of its cells."""
    if not file.is_file():
        raise FileNotFoundError(explain("convia run", repr(str(file)), "an existing .py or .ipynb file"))
    if file.suffix == ".ipynb":
        return "\n".join(map(notebooks.to_python, notebooks.cells(file)))
    if file.suffix != ".py":
        raise ValueError(explain("convia run", repr(str(file)), "a .py file or an .ipynb notebook"))
    return file.read_text(encoding="utf-8", errors="replace")


def _report_python2(file: Path, source: str) -> None:
    found = python2.leftovers(source)
    if any(item.is_fatal for item in found):
        lines = "\n  ".join(map(str, found))
        remedy = f"These lines are of Python 2:\n  {lines}\nThe tool 2to3 rewrites a whole file."
        raise ValueError(explain("convia run", f"{file.name} in Python 2", "a program that Python 3 can read", remedy))
    for item in found:
        print(f"{file.name}, {item}", file=sys.stderr)


@contextmanager
def using(era: str | None = None) -> Iterator[None]:
    """Within the block ``keras`` and ``tensorflow`` are convia's, of the given era; afterwards all is as before.

    The settings that a program makes (the order of axes, the type of numbers) end with it.
    """
    settings = config._settings.copy()
    activate(era)
    try:
        yield
    finally:
        deactivate()
        config._settings.update(settings)


@contextmanager
def _as_main(file: Path, arguments: Sequence[str]) -> Iterator[None]:
    """Arguments, module path, ``__main__`` and pictures as a program of its own has them."""
    before = sys.argv, list(sys.path), sys.modules["__main__"]
    main = types.ModuleType("__main__")
    main.__file__ = str(file)
    added = {name: module for name, module in notebooks.colab().items() if name not in sys.modules}
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform in ("win32", "darwin")):
        os.environ.setdefault("MPLBACKEND", "Agg")
    sys.argv, sys.path[0:0] = [str(file), *arguments], [str(file.resolve().parent)]
    sys.modules.update(added, __main__=main)
    try:
        yield
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = before[0], before[1], before[2]
        for name in added:
            sys.modules.pop(name, None)


__all__ = ["read", "run", "using"]
