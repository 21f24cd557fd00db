"""``IPython.display`` where it is not installed: what a program displays is printed."""

from typing import Any


def display(*values: Any, **kwargs: Any) -> None:
    """Print values."""
    for value in values:
        print(value if isinstance(value, str) else repr(value))


def clear_output(wait: bool = False) -> None:
    """Do nothing."""


class _Shown:
    """What ``IPython.display`` makes of a picture, a text or a file: shown by its name or content."""

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        self.data = kwargs.get("filename", data)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.data if isinstance(self.data, str) else ''}>"


_KINDS = "Audio FileLink GeoJSON HTML IFrame Image JSON Javascript Latex Markdown Pretty SVG Video YouTubeVideo"
globals().update({name: type(name, (_Shown,), {}) for name in _KINDS.split()})
