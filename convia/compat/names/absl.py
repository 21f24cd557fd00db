"""``absl`` where it is not installed: flags, ``app.run`` and a log, as programs of TensorFlow use them."""

import logging as _logging
from types import SimpleNamespace

from convia.compat.names import flags

app = flags
_log = _logging.getLogger("absl")
logging = SimpleNamespace(
    DEBUG=10, ERROR=40, FATAL=50, INFO=20, WARNING=30,
    debug=_log.debug, error=_log.error, fatal=_log.critical, info=_log.info, set_verbosity=_log.setLevel,
    warning=_log.warning,
)  # fmt: skip

__all__ = ["app", "flags", "logging"]
