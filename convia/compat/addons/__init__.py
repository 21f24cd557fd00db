"""``tensorflow_addons`` as programs of convolutional networks use it, made of the library's own parts.

What is not here raises an AttributeError that says so.
"""

from typing import Any

from convia.compat.addons import activations, callbacks, image, layers, losses, metrics, optimizers
from convia.compat.tensorflow.names import missing

__version__ = "0.22.0"
__all__ = ["activations", "callbacks", "image", "layers", "losses", "metrics", "optimizers"]


def __getattr__(name: str) -> Any:
    raise missing("tensorflow_addons", name, __all__)
