"""The operations that NumPy has under the same names."""

from convia.ops import arrays, elementwise, linalg, products, reduction
from convia.ops.arrays import *  # noqa: F403
from convia.ops.elementwise import *  # noqa: F403
from convia.ops.linalg import slogdet
from convia.ops.products import *  # noqa: F403
from convia.ops.reduction import *  # noqa: F403

__all__ = sorted({*arrays.__all__, *elementwise.__all__, *products.__all__, *reduction.__all__, slogdet.__name__})
