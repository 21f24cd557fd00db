"""Arguments of the command line as ``tf.app.flags`` and ``absl.flags`` define them, and ``tf.app.run``."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from convia.errors import explain, nearest


class Flags:
    """The values of flags: those of the command line, which is read when the first is asked for, or the defaults."""

    def __init__(self) -> None:
        self.__dict__.update(
            _parser=_Parser(prefix_chars="-", add_help=True), _values={}, _read=False, _needed=[], _switches=set()
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if not self._read:
            self(sys.argv, known_only=True)
        if name not in self._values:
            known = sorted(self._values)
            raise AttributeError(explain("FLAGS", repr(name), "a flag that was defined", nearest(name, known)))
        return self._values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._values[name] = value

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __call__(self, argv: Sequence[str], known_only: bool = False) -> list[str]:
        """Read a command line, whose first word is the program, and return the words that are no flags."""
        words = [f"{word}=true" if word.lstrip("-") in self._switches else word for word in argv[1:]]
        found, rest = self._parser.parse_known_args(words)
        unknown = [word for word in rest if word.startswith("-")]
        if unknown and not known_only:
            self._parser.error(f"unknown flags: {' '.join(unknown)}")
        self._values.update(vars(found))
        self.__dict__["_read"] = True
        missing = [name for name in self._needed if self._values[name] is None]
        if missing and not known_only:
            self._parser.error(f"flags without a value: {', '.join(missing)}")
        return [argv[0], *(word for word in rest if not word.startswith("-"))]

    def flag_values_dict(self) -> dict[str, Any]:
        """Return all values by name."""
        if not self._read:
            self(sys.argv, known_only=True)
        return dict(self._values)

    def define(self, name: str, default: Any, help: str | None, **how: Any) -> None:
        """Add a flag ``--name``, as ``-name`` too; one that is defined again is another from then on."""
        self._parser.add_argument(f"--{name}", f"-{name}", dest=name, default=default, help=_escaped(help), **how)
        self._values[name] = default
        self.__dict__["_read"] = False

    def need(self, name: str) -> None:
        """Refuse a command line without a value for a flag."""
        self._needed.append(name)

    mark_as_parsed = remove_flag_values = lambda self, *args: None


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, conflict_handler="resolve", **options)


def _escaped(text: str | None) -> str | None:
    return None if text is None else str(text).replace("%", "%%")


FLAGS = Flags()


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "t", "1", "yes", "false", "f", "0", "no"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() in ("true", "t", "1", "yes")


def _defining(convert: Callable[[str], Any]) -> Callable[..., None]:
    def define(name: str, default: Any = None, help: str | None = None, **ignored: Any) -> None:
        FLAGS.define(name, default, help, type=convert)

    return define


DEFINE_string, DEFINE_integer, DEFINE_float = _defining(str), _defining(int), _defining(float)
DEFINE_list = _defining(lambda text: text.split(","))


def DEFINE_bool(name: str, default: Any = None, help: str | None = None, **ignored: Any) -> None:  # noqa: N802
    """Define ``--name``, ``--name=false`` and ``--noname``."""
    FLAGS.define(name, default, help, type=_truth)
    FLAGS._switches.add(name)
    FLAGS._parser.add_argument(f"--no{name}", dest=name, action="store_false", default=argparse.SUPPRESS)


DEFINE_boolean = DEFINE_bool


def DEFINE_enum(  # noqa: N802
    name: str, default: Any, enum_values: Sequence[str], help: str | None = None, **ignored: Any
) -> None:
    """Define a flag that is one of several words."""
    FLAGS.define(name, default, help, choices=list(enum_values))


def DEFINE_multi_string(name: str, default: Any = None, help: str | None = None, **ignored: Any) -> None:  # noqa: N802
    """Define a flag that may be given several times."""
    FLAGS.define(name, default, help, action="append")


def mark_flag_as_required(flag_name: str) -> None:
    """Refuse a command line without a value for a flag."""
    FLAGS.need(flag_name)


def mark_flags_as_required(flag_names: Sequence[str]) -> None:
    """Refuse a command line without a value for each of several flags."""
    for name in flag_names:
        mark_flag_as_required(name)


def run(main: Callable[..., Any] | None = None, argv: Sequence[str] | None = None, **ignored: Any) -> None:
    """Read the command line, call the program's ``main`` with what is no flag, and end with what it returns."""
    rest = FLAGS(sys.argv if argv is None else argv)
    sys.exit((main or sys.modules["__main__"].__dict__["main"])(rest))


def reset() -> None:
    """Forget the flags of a program."""
    Flags.__init__(FLAGS)


__all__ = [
    "FLAGS",
    "DEFINE_bool",
    "DEFINE_boolean",
    "DEFINE_enum",
    "DEFINE_float",
    "DEFINE_integer",
    "DEFINE_list",
    "DEFINE_multi_string",
    "DEFINE_string",
    "Flags",
    "mark_flag_as_required",
    "mark_flags_as_required",
    "reset",
    "run",
]
