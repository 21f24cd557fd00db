"""Operations on tensors, arrays, numbers and lists, eager or symbolic."""

from convia.ops import linalg, numpy
from convia.ops.linalg import *  # noqa: F403
from convia.ops.numpy import *  # noqa: F403

__all__ = sorted({*linalg.__all__, *numpy.__all__})
