"""What is left of Python 2 in a program: found by line, with the fix."""

import ast
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Leftover:
    """A construct of Python 2: its line, counted from 1, what it is and what to write; whether nothing runs with it."""

    line: int
    text: str
    fix: str
    is_fatal: bool

    def __str__(self) -> str:
        return f"line {self.line}: {self.text} — write {self.fix}"


_SYNTAX = (  # looked for only where Python 3 cannot read the program
    (r"^\s*print\s+>>\s*(?P<file>[\w.]+)\s*,\s*(?P<rest>.+)$", "print({rest}, file={file})"),
    (r"^(?:.*[:;])?\s*print\s+(?P<rest>[^(=\s].*?|\(.*\)\s*[%,+].*?),?\s*$", "print({rest})"),
    (r"^(?:.*[:;])?\s*print\s*$", "print()"),
    (r"^\s*except\s+(?P<kind>[\w.]+|\(.*?\))\s*,\s*(?P<name>\w+)\s*:", "except {kind} as {name}:"),
    (r"^\s*raise\s+(?P<kind>[\w.]+)\s*,\s*(?P<rest>.+)$", "raise {kind}({rest})"),
    (r"^\s*exec\s+(?P<rest>[^(].*)$", "exec({rest})"),
    (r"(?P<one>\w+)\s*<>\s*(?P<other>\w+)", "{one} != {other}"),
    (r"`(?P<rest>[^`]+)`", "repr({rest})"),
    (r"\blambda\s*\((?P<rest>[^)]*)\)\s*:", "lambda pair: … with {rest} = pair"),
    (r"\b0(?P<digits>[0-7]{2,})\b", "0o{digits}"),
    (r"\bur(?P<rest>[\"'].*)$", "r{rest}"),
)
_NAMES = {
    "xrange": "range",
    "raw_input": "input",
    "unicode": "str",
    "basestring": "str",
    "unichr": "chr",
    "long": "int",
    "reduce": "functools.reduce",
    "execfile": "exec(open(...).read())",
}
_MODULES = {
    "cPickle": "pickle",
    "urllib2": "urllib.request",
    "urlparse": "urllib.parse",
    "ConfigParser": "configparser",
    "Queue": "queue",
    "StringIO": "io",
    "cStringIO": "io",
    "Tkinter": "tkinter",
    "__builtin__": "builtins",
    "commands": "subprocess",
}
_METHODS = {"iteritems": "items", "itervalues": "values", "iterkeys": "keys", "has_key": "in"}


def leftovers(source: str) -> list[Leftover]:
    """Return the leftovers of Python 2 in a program, in the order of its lines."""
    try:
        return _of_tree(ast.parse(source))
    except (SyntaxError, ValueError):
        return _of_lines(source)


def _of_lines(source: str) -> list[Leftover]:
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        code = line.split("#")[0].rstrip()
        for pattern, fix in _SYNTAX:
            match = re.search(pattern, code)
            if match and not _reads(code):
                found.append(Leftover(number, code.strip(), fix.format(**match.groupdict()), True))
                break
        found += _of_words(number, code, source)
    return found


def _of_words(number: int, code: str, source: str) -> list[Leftover]:
    """What is left in a line of names, methods and modules, where the program as a whole cannot be read."""
    calls = [name for name in re.findall(r"(?<![.\w])(\w+)\s*\(", code) if name in _NAMES]
    own = [
        name for name in calls if not re.search(rf"\b(import|def)\b.*\b{name}\b|^\s*{name}\s*=", source, re.MULTILINE)
    ]
    methods = [name for name in re.findall(r"\.(\w+)\s*\(", code) if name in _METHODS]
    modules = [name for name in re.findall(r"^\s*(?:import|from)\s+(\w+)", code) if name in _MODULES]
    return [
        *(Leftover(number, name, _NAMES[name], False) for name in own),
        *(Leftover(number, f".{name}", f".{_METHODS[name]}", False) for name in methods),
        *(Leftover(number, f"import {name}", f"import {_MODULES[name]}", False) for name in modules),
    ]


def _reads(line: str) -> bool:
    """Whether a line is Python 3, taken by itself."""
    text = line.strip()
    try:
        ast.parse(f"{text} pass" if text.endswith(":") else text)
    except (SyntaxError, ValueError):
        return False
    return True


def _of_tree(tree: ast.AST) -> list[Leftover]:
    defined = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    defined |= {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    guarded = {id(node) for part in ast.walk(tree) if isinstance(part, ast.Try) for node in ast.walk(part)}
    found = []
    for node in ast.walk(tree):
        if id(node) in guarded:  # try: xrange, except NameError: …
            continue
        if isinstance(node, ast.Name) and node.id in _NAMES and node.id not in defined:
            found.append(Leftover(node.lineno, node.id, _NAMES[node.id], False))
        elif isinstance(node, ast.Attribute) and node.attr in _METHODS:
            found.append(Leftover(node.lineno, f".{node.attr}", f".{_METHODS[node.attr]}", False))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            named = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [
                Leftover(node.lineno, f"import {name}", f"import {_MODULES[name]}", False)
                for name in named
                if name in _MODULES
            ]
    return sorted(found, key=lambda item: item.line)


__all__ = ["Leftover", "leftovers"]
