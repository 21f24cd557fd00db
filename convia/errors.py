"""Messages that teach: who complains, what was received, what was expected, and what to do about it."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


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
