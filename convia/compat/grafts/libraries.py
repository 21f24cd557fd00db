"""Names that other libraries have dropped since and programs of older eras ask for, lent where they are missing."""

import collections
import collections.abc
import inspect
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from convia.compat.door import Lent, graft

_NUMPY: dict[str, Any] = {
    "Inf": np.inf,
    "Infinity": np.inf,
    "NINF": -np.inf,
    "NaN": np.nan,
    "PINF": np.inf,
    "VisibleDeprecationWarning": np.exceptions.VisibleDeprecationWarning,
    "alltrue": np.all,
    "asfarray": lambda a, dtype=np.float64: np.asarray(a, dtype),
    "asscalar": lambda a: np.asarray(a).item(),
    "bool": bool,
    "bool8": np.bool_,
    "cfloat": np.complex128,
    "complex": complex,
    "complex_": np.complex128,
    "cumproduct": np.cumprod,
    "float": float,
    "float_": np.float64,
    "in1d": np.isin,
    "infty": np.inf,
    "int": int,
    "int0": np.intp,
    "long": int,
    "mat": np.asmatrix,
    "msort": lambda a: np.sort(a, 0),
    "object": object,
    "product": np.prod,
    "rank": np.ndim,
    "round_": np.round,
    "row_stack": np.vstack,
    "sometrue": np.any,
    "str": str,
    "string_": np.bytes_,
    "trapz": np.trapezoid,
    "uint0": np.uintp,
    "unicode": str,
    "unicode_": np.str_,
}


def _append(self: Any, other: Any, ignore_index: bool = False, verify_integrity: bool = False,
            sort: bool = False) -> Any:  # fmt: skip
    """Return the rows of tables or columns one after the other; a dictionary or a column is one row of a table."""
    pandas = sys.modules["pandas"]
    others = list(other) if isinstance(other, list) else [other]
    if isinstance(self, pandas.DataFrame):
        others = [pandas.DataFrame([row]) if isinstance(row, (dict, pandas.Series)) else row for row in others]
    return pandas.concat([self, *others], ignore_index=ignore_index, verify_integrity=verify_integrity)


_TABLES: dict[str, Any] = {
    "append": _append,
    "as_matrix": lambda self, columns=None: (self if columns is None else self[columns]).values,
    "iteritems": lambda self: self.items(),
    "ix": Lent(lambda self: self.loc),
}


def _text_size(self: Any, text: str, font: Any = None, *args: Any, **kwargs: Any) -> tuple[int, int]:
    left, top, right, bottom = self.textbbox((0, 0), text, font)
    return int(right - left), int(bottom - top)


def _styles(style: Any) -> dict[str, Any]:
    """Matplotlib's styles that had seaborn's names."""
    old = {name.replace("-v0_8", ""): sheet for name, sheet in style.library.items() if name.startswith("seaborn-v0_8")}
    return {"library": {**old, **style.library}}


def _colors(matplotlib: Any) -> dict[str, Any]:
    def get_cmap(name: Any = None, lut: int | None = None) -> Any:
        found = matplotlib.colormaps[name] if isinstance(name, str) else name or matplotlib.colormaps["viridis"]
        return found if lut is None else found.resampled(lut)

    return {"get_cmap": get_cmap}


# module → (class within it or "", names → values), made when the module has been imported
_LENT: dict[str, Callable[[Any], list[tuple[str, dict[str, Any]]]]] = {
    "PIL.Image": lambda m: [("", {"ANTIALIAS": m.Resampling.LANCZOS, "CUBIC": m.Resampling.BICUBIC,
                                  "LINEAR": m.Resampling.BILINEAR})],
    "PIL.ImageDraw": lambda m: [("ImageDraw", {"textsize": _text_size})],
    "collections": lambda m: [("", {name: getattr(collections.abc, name) for name in (
        "Callable", "Hashable", "Iterable", "Iterator", "Mapping", "MutableMapping", "MutableSequence", "Sequence",
        "Sized")})],
    "h5py": lambda m: [("Dataset", {"value": Lent(lambda self: self[()])})],
    "inspect": lambda m: [("", {"getargspec": inspect.getfullargspec})],
    "matplotlib.cm": lambda m: [("", _colors(sys.modules["matplotlib"]))],
    "matplotlib.pyplot": lambda m: [("", {"hold": lambda b=None: None})],
    "matplotlib.style": lambda m: [("", _styles(m))],
    "numpy": lambda m: [("", _NUMPY)],
    "pandas": lambda m: [("DataFrame", _TABLES), ("Series", _TABLES)],
    "scipy.signal": lambda m: [("", {name: getattr(m.windows, name) for name in ("gaussian", "hann", "hamming")})],
    "time": lambda m: [("", {"clock": time.perf_counter})],
}  # fmt: skip


def lend(name: str) -> None:
    """Lend a module that has been imported what it had once."""
    module = sys.modules[name]
    for owner, names in _LENT[name](module):
        home = getattr(module, owner) if owner else module
        for key, value in names.items():
            if key not in vars(home) or name == "matplotlib.style":
                graft(home, key, value)


def install() -> None:
    """Lend those that have been imported already; the hook sees to the others."""
    for name in _LENT:
        module = sys.modules.get(name)
        if module is not None and not getattr(module.__spec__, "_initializing", False):  # the hook sees to that one
            lend(name)


__all__ = ["install", "lend"]
