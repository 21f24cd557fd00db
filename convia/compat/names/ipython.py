"""``IPython`` where it is not installed: no more than programs ask it."""

from convia.compat.names import ipython_display as display

version_info = (8, 24, 0, "")  # from this one on matplotlib asks nothing more
__version__ = "8.24.0"


def get_ipython() -> None:
    """Return None: this is not IPython."""


__all__ = ["display", "get_ipython", "version_info"]
