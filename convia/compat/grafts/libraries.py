"""Names that NumPy has dropped since and programs of older eras still ask for, lent where they are missing."""

from typing import Any

import numpy as np

from convia.compat.door import graft

_NUMPY: dict[str, Any] = {
    "Inf": np.inf,
    "NaN": np.nan,
    "asscalar": lambda a: np.asarray(a).item(),
    "bool": bool,
    "complex": complex,
    "float": float,
    "float_": np.float64,
    "in1d": np.isin,
    "int": int,
    "int0": np.intp,
    "long": int,
    "object": object,
    "product": np.prod,
    "row_stack": np.vstack,
    "str": str,
    "unicode": str,
}


def install() -> None:
    """Lend them."""
    for name, value in _NUMPY.items():
        if name not in vars(np):
            graft(np, name, value)
