"""The reference of the documentation: pages of Markdown from the docstrings and signatures of what is public.

A line ``::: convia.layers`` in a page becomes an entry for each name that the module declares, or for that object.
Constructors are written by ``convia.args`` when the library is imported, so it is imported here, not only read.
"""

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

_SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields")
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_ITEM = re.compile(r"^    (\S[^\n]*?): (.*?)(?=^    \S|\Z)", re.M | re.S)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_METHODS_OF = ("Model", "Sequential", "Layer", "Callback", "Optimizer", "Metric", "Loss", "ImageDataGenerator")
_INLINE = 88  # letters of a signature that stands on one line


def found(path: str) -> Any:
    """Return the module or object of a dotted name; an object wins over a module of its name."""
    parent, _, name = path.rpartition(".")
    if parent:
        holder = importlib.import_module(parent)
        if hasattr(holder, name):
            return getattr(holder, name)
    return importlib.import_module(path)


def public(module: Any) -> list[str]:
    """Return the names that a module declares, or defines where it declares none."""
    if hasattr(module, "__all__"):
        names = module.__all__
    else:
        own = vars(module).items()
        names = [name for name, value in own if getattr(value, "__module__", None) == module.__name__]
    return sorted(
        name for name in names if not name.startswith("_") and not inspect.ismodule(getattr(module, name, None))
    )


def signature(name: str, item: Any) -> str:
    """Return how something is called, in as many lines as it needs."""
    try:
        found_signature = inspect.signature(item)
    except (TypeError, ValueError):
        return name
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in found_signature.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    plain = inspect.Signature(parameters)
    text = _ADDRESS.sub("", f"{name}{plain}")
    if len(text) <= _INLINE:
        return text
    each = "".join(f"    {_ADDRESS.sub('', str(parameter))},\n" for parameter in parameters)
    return f"{name}(\n{each})"


def prose(text: str) -> str:
    """Return Markdown of a docstring's text: one kind of backtick, and code where a line ends in two colons."""
    text = _ROLE.sub(r"`\1`", text).replace("``", "`")
    return re.sub(r"^::\n\n((?:    [^\n]*\n|\n)+)", _example, text + "\n", flags=re.M).strip()


def _example(match: re.Match[str]) -> str:
    return f"```python\n{textwrap.dedent(match.group(1)).strip()}\n```\n"


def sections(docstring: str) -> tuple[str, dict[str, str]]:
    """Return the text of a docstring, and its sections by name."""
    parts = re.split(rf"^({'|'.join(_SECTIONS)}): *\n?", docstring, flags=re.M)
    return parts[0], dict(zip(parts[1::2], parts[2::2], strict=True))


def described(docstring: str) -> Iterator[str]:
    """Yield the Markdown of a docstring."""
    text, named = sections(docstring)
    yield prose(text)
    for name, body in named.items():
        items = _ITEM.findall(body) if name in ("Args", "Attributes") else []
        if items:
            rows = (f"* `{item.replace(', ', '`, `')}`: {' '.join(prose(about).split())}" for item, about in items)
            yield f"**{'Arguments' if name == 'Args' else name}**\n\n" + "\n".join(rows)
        else:
            yield f"**{name}:** {' '.join(prose(textwrap.dedent(body)).split())}"


def entry(path: str, name: str, item: Any, level: int = 3) -> Iterator[str]:
    """Yield the Markdown of one public name."""
    yield f"{'#' * level} {name} {{ #{path} }}"
    if callable(item):
        yield f"```python\n{signature(name, item)}\n```"
    docstring = inspect.getdoc(item) if callable(item) or inspect.ismodule(item) else None
    if docstring:
        yield from described(docstring)
    if inspect.isclass(item) and name in _METHODS_OF:
        yield from methods(path, item)


def methods(path: str, owner: type) -> Iterator[str]:
    """Yield the documented methods of a class of ours, one paragraph each."""
    for name, item in inspect.getmembers(owner, inspect.isfunction):
        docstring = inspect.getdoc(item)
        if name.startswith("_") or not docstring or not (item.__module__ or "").startswith("convia"):
            continue
        yield f"#### {name} {{ #{path}.{name} }}"
        yield f"```python\n{signature(name, item)}\n```"
        yield from described(docstring)


def reference(path: str) -> str:
    """Return the Markdown for one line ``::: path``."""
    item = found(path)
    if not inspect.ismodule(item):
        return "\n\n".join(entry(path, path.rpartition(".")[2], item, 2))
    parts = [f"## {path}"]
    if item.__doc__:
        parts += described(inspect.getdoc(item) or "")
    for name in public(item):
        parts += entry(f"{path}.{name}", name, getattr(item, name))
    return "\n\n".join(parts)
