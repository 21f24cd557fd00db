"""Programs written for Keras 1, Keras 2, tf.keras or Keras 3 run unchanged: ``import convia.compat`` is all they need.

From then on ``keras``, ``tensorflow`` and their relatives resolve to convia, unless the environment variable
``CONVIA_COMPAT=off`` asks for the real packages. What was translated is reported in one line when the program ends.
"""

import atexit
import sys

from convia.compat import hook, report
from convia.compat.activation import activate, deactivate, is_active
from convia.compat.eras import current as era
from convia.compat.eras import detect, set_era

if hook.allowed():
    activate()


def _say() -> None:
    text = report.line(era()) if is_active() else ""
    if text:
        print(text, file=sys.stderr)


atexit.register(_say)

__all__ = ["activate", "deactivate", "detect", "era", "is_active", "report", "set_era"]
