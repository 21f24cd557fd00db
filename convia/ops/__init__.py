"""Operations on tensors, arrays, numbers and lists, eager or symbolic: all names of ``keras.ops``.

A call on symbolic tensors is recorded as one node of the graph.
"""

from convia.ops import core, image, linalg, math, nn, numpy
from convia.ops.core import *  # noqa: F403
from convia.ops.linalg import *  # noqa: F403
from convia.ops.math import *  # noqa: F403
from convia.ops.nn import *  # noqa: F403
from convia.ops.numpy import *  # noqa: F403

_MODULES = (core, linalg, math, nn, numpy)
__all__ = sorted({"image", "linalg", "nn", "numpy", *(name for module in _MODULES for name in module.__all__)})
