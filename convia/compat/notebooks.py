"""Notebooks as programs: cells in their order, IPython's ``!`` and ``%`` understood, without IPython.

Shell commands are run and may fail, as in a notebook; ``pip install`` of Keras or TensorFlow is left out.
"""

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import types
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convia.compat.report import note
from convia.errors import explain

_OURS = re.compile(r"(tf[-_]?|tensorflow|keras)[\w.-]*([=<>~!].*)?(\[.*\])?$", re.IGNORECASE)
_IGNORED_CELLS = ("time", "timeit", "capture", "prun", "skip", "javascript", "html", "HTML", "svg", "latex", "markdown")
_SHELLS = ("bash", "sh", "shell", "script")
_SECONDS = 600  # longest shell command


def cells(path: Path) -> list[str]:
    """Return the code cells of a notebook.

    Raises:
        ValueError: not a notebook.
    """
    try:
        book = json.loads(path.read_text(encoding="utf-8"))
        found = book["cells"] if "cells" in book else [cell for sheet in book["worksheets"] for cell in sheet["cells"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(explain("convia run", f"{str(path)!r} ({error})", "a notebook: JSON with cells")) from None
    texts = [cell.get("source", cell.get("input", "")) for cell in found if cell.get("cell_type") == "code"]
    return ["".join(text) for text in texts]


def to_python(cell: str) -> str:
    """Return a cell as plain Python; lines keep their numbers."""
    first, _, rest = cell.lstrip("\n").partition("\n")
    if first.startswith("%%"):
        name, _, line = first[2:].partition(" ")
        if name in _SHELLS:
            return f"__ipython__.shell({rest!r})"
        if name == "writefile":
            return f"__ipython__.write({line.strip()!r}, {rest!r})"
        if name in _IGNORED_CELLS[:5]:
            return "\n" + to_python(rest)
        return ""
    lines = _joined(cell).split("\n")
    strings = _within_strings(cell)
    return "\n".join(line if number in strings else _line(line) for number, line in enumerate(lines))


def _joined(cell: str) -> str:
    """Shell commands over several lines, ended by backslashes, become one; the lines stay."""
    return re.sub(
        r"^(\s*[!%].*?)\\\n(.*)$",
        lambda match: f"{match[1]} {match[2].strip()}\n",
        cell,
        flags=re.MULTILINE,
    )


def _within_strings(cell: str) -> set[int]:
    """The numbers of the lines that begin within a text of several lines."""
    inside, quote, found = False, "", set()
    for number, line in enumerate(cell.split("\n")):
        if inside:
            found.add(number)
        for match in re.finditer(r'"""|\'\'\'|#.*$', line):
            mark = match.group()
            if not inside and mark.startswith("#"):
                break
            if not inside:
                inside, quote = True, mark
            elif mark == quote:
                inside = False
    return found


def _line(line: str) -> str:
    indent, text = line[: len(line) - len(line.lstrip())], line.strip()
    assigned = re.match(r"([\w., ]+?)\s*=\s*([!%])(.*)$", text)
    if assigned and "==" not in text.split(assigned[2])[0]:
        kind = "shell" if assigned[2] == "!" else "magic"
        return f"{indent}{assigned[1]} = __ipython__.{kind}({assigned[3]!r})"
    if text.startswith("!"):
        return f"{indent}__ipython__.shell({text.lstrip('!')!r})"
    if text.startswith("%") and re.match(r"%+[A-Za-z]", text):
        name, _, rest = text.lstrip("%").partition(" ")
        if name in ("time", "timeit") and rest and not rest.lstrip().startswith("-"):
            return f"{indent}{rest.strip()}"
        return f"{indent}__ipython__.magic({text.lstrip('%')!r})"
    if re.fullmatch(r"\??[\w.]+\?{1,2}|\?[\w.]+", text):
        return f"{indent}pass"
    return line


class IPython:
    """What ``!`` and ``%`` lines of a notebook call.

    Args:
        names: the notebook's variables, which commands may mention as ``{name}`` or ``$name``.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names

    def _filled(self, command: str) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            return str(self._names[name]) if name in self._names else match[0]

        return re.sub(r"\{(\w+)\}|\$(\w+)", value, command)

    def shell(self, command: str) -> list[str]:
        """Run a shell command, print what it says, and return that as lines; failures are only reported."""
        command = self._filled(command).strip()
        if not command or _is_install(command):
            return []
        if command.startswith("cd "):
            return []
        quiet = {**os.environ, "PIP_RETRIES": "0", "PIP_DEFAULT_TIMEOUT": "10"}
        try:
            done = subprocess.run(
                command, shell=True, check=False, capture_output=True, text=True, timeout=_SECONDS, env=quiet
            )
        except subprocess.TimeoutExpired:
            print(f"{command}: stopped after {_SECONDS} s", file=sys.stderr)
            return []
        print(done.stdout, end="")
        if done.returncode == 127 and command.split()[0] in ("wget", "curl"):
            _download(command)
        elif done.returncode:
            print(done.stderr or f"{command}: exit status {done.returncode}", file=sys.stderr)
        return done.stdout.splitlines()

    def magic(self, line: str) -> Any:
        """Do what a ``%`` line means, where it means anything here."""
        name, _, rest = self._filled(line).partition(" ")
        actions: dict[str, Callable[[str], Any]] = {
            "cd": lambda path: os.chdir(Path(path.strip("'\" ")).expanduser()),
            "env": _set_variable,
            "set_env": _set_variable,
            "pwd": lambda _: str(Path.cwd()),
            "ls": lambda path: self.shell(f"ls {path}"),
            "mkdir": lambda path: self.shell(f"mkdir {path}"),
            "pip": lambda text: self.shell(f"pip {text}"),
            "run": lambda path: exec(compile(Path(path.split()[0]).read_text(), path, "exec"), self._names),
        }
        action = actions.get(name)
        return action(rest.strip()) if action else None

    def write(self, line: str, text: str) -> None:
        """Write a cell to a file."""
        words = line.split()
        with Path(words[-1]).open("a" if "-a" in words else "w", encoding="utf-8") as file:
            file.write(text)


def _set_variable(line: str) -> None:
    name, _, value = line.partition("=" if "=" in line else " ")
    if value:
        os.environ[name.strip()] = value.strip()


def _is_install(command: str) -> bool:
    """Whether a command only installs what is here already, Keras and TensorFlow among it."""
    words = shlex.split(command, comments=True, posix=False)
    if "install" not in words or not words[0].rpartition("/")[2].startswith(("pip", "conda", "python", "apt")):
        return False
    if words[0].startswith("apt"):
        return True
    wanted = [word.strip("'\"") for word in words[words.index("install") + 1 :] if not word.startswith("-")]
    for name in wanted:
        bare = re.split(r"[=<>~!\[]", name)[0].replace("-", "_")
        known = {"pillow": "PIL", "opencv_python": "cv2", "scikit_learn": "sklearn", "pyyaml": "yaml"}
        if not _OURS.match(name) and importlib.util.find_spec(known.get(bare.lower(), bare)) is None:
            return False
    note(command)
    return True


def _download(command: str) -> None:
    """Fetch the file of a ``wget`` or ``curl`` that is not installed."""
    words = shlex.split(command)
    url = next((word for word in words if "://" in word), None)
    if url is None:
        return
    flags = {"-O", "-o", "--output", "--output-document"}
    place = next((words[i + 1] for i, word in enumerate(words[:-1]) if word in flags), url.rpartition("/")[2])
    try:
        urllib.request.urlretrieve(url, place)
    except (urllib.error.URLError, OSError, ValueError) as error:
        print(f"{url}: {error}", file=sys.stderr)


def run(path: Path, names: dict[str, Any]) -> None:
    """Run the cells of a notebook; what a cell ends with is shown, as in a notebook."""
    ipython = IPython(names)
    names.update(__ipython__=ipython, get_ipython=lambda: _Shell(ipython), display=_display)
    for number, cell in enumerate(cells(path), 1):
        place = f"{path.name}, cell {number}"
        tree = ast.parse(to_python(cell), place)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, place, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), place, "eval"), names)
            if value is not None and not cell.rstrip().endswith(";"):
                _display(value)


def _display(*values: Any, **kwargs: Any) -> None:
    for value in values:
        print(value if isinstance(value, str) else repr(value))


class _Shell:
    """What ``get_ipython()`` returns."""

    def __init__(self, ipython: IPython) -> None:
        self.system = self.getoutput = ipython.shell
        self._ipython = ipython

    def magic(self, line: str) -> Any:
        """Run a ``%`` line."""
        return self._ipython.magic(line)

    def run_line_magic(self, name: str, line: str) -> Any:
        """Run a ``%`` line."""
        return self._ipython.magic(f"{name} {line}")


def colab() -> dict[str, types.ModuleType]:
    """Return stand-ins for ``google.colab``, which exists only there: nothing is mounted, uploaded or downloaded."""
    content: dict[str, dict[str, Any]] = {
        "google.colab.drive": {"mount": lambda *a, **k: print("Drive is not mounted: this is not Colab.")},
        "google.colab.files": {"upload": dict, "download": lambda path: None, "view": lambda path: None},
        "google.colab.patches": {"cv2_imshow": lambda image: None},
        "google.colab.output": {"clear": lambda **k: None, "eval_js": lambda code: ""},
        "google.colab.auth": {"authenticate_user": lambda **k: None},
        "google.colab.userdata": {"get": os.environ.get},
    }
    modules = {name: types.ModuleType(name) for name in ("google.colab", *content)}
    for name, items in content.items():
        vars(modules[name]).update(items)
        setattr(modules["google.colab"], name.rpartition(".")[2], modules[name])
    modules["google.colab"].__dict__["__path__"] = []
    return modules


__all__ = ["IPython", "cells", "colab", "run", "to_python"]
