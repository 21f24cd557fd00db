"""Operations on tensors, arrays, numbers and lists, eager or symbolic: all names of ``keras.ops``.

A call on symbolic tensors is recorded as one node of the graph.
"""

from convia.ops import image as image
from convia.ops import linalg as linalg
from convia.ops import nn as nn
from convia.ops import numpy as numpy
from convia.ops.core import *  # noqa: F403
from convia.ops.door import publish
from convia.ops.linalg import *  # noqa: F403
from convia.ops.math import *  # noqa: F403
from convia.ops.nn import *  # noqa: F403
from convia.ops.numpy import *  # noqa: F403

publish(globals(), more=("image", "linalg", "nn", "numpy"))
