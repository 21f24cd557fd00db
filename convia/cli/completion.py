"""What the shell offers for the values of options; see ``convia --install-completion``."""

from collections.abc import Callable, Iterable


def among(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a function: the beginning of a word → the names that begin so."""
    known = [*names]
    return lambda incomplete: [name for name in known if name.startswith(incomplete)]
