"""The operations that NumPy has under the same names."""

from convia.ops.arrays import *  # noqa: F403
from convia.ops.creation import *  # noqa: F403
from convia.ops.door import publish
from convia.ops.elementwise import *  # noqa: F403
from convia.ops.linalg import slogdet  # noqa: F401
from convia.ops.products import *  # noqa: F403
from convia.ops.reduction import *  # noqa: F403

publish(globals())
