"""The schedules under the name that Keras gives them, ``optimizers.schedules``."""

from convia.schedules import *  # noqa: F403
from convia.schedules import __all__  # noqa: F401
