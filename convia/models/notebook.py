"""What is shown in a notebook: HTML there, and plain text for whoever reads its file without a browser."""

import sys


def is_one() -> bool:
    """Return whether the program runs in the kernel of a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "ipykernel" in sys.modules else None
    return hasattr(shell, "kernel")


def display(text: str, html: str) -> None:
    """Show HTML below the cell."""
    sys.modules["IPython.display"].display({"text/plain": text, "text/html": html}, raw=True)
