"""What a file says about a model beside its graph and weights: classes, images, results, ranges of 8 bits.

They are one JSON text: the member ``convia.json`` of a ``.keras`` archive, the attribute ``convia`` of an ``.h5`` file.
Keras passes over both.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from convia.errors import explain, nearest
from convia.saving.files import BadFileError

MEMBER, ATTRIBUTE = "convia.json", "convia"
_COLORS = ("grayscale", "rgb", "rgba")


@dataclass(frozen=True)
class Preprocessing:
    """What is done to an image file's pixels, 0 to 255, before the model sees them; in this order.

    Args:
        color_mode: "grayscale", "rgb" or "rgba".
        image_size: (height, width) that images are resized to.
        interpolation: how they are resized, such as "bilinear".
        rescale: the factor that pixels are multiplied by; 1 where the model takes them as they are.
        function: the network of ``convia.applications`` whose ``preprocess_input`` is applied, such as "vgg16".

    Raises:
        ValueError: another value.
    """

    color_mode: str | None = None
    image_size: tuple[int, int] | None = None
    interpolation: str = "bilinear"
    rescale: float = 1.0
    function: str | None = None

    def __post_init__(self) -> None:
        size = self.image_size
        if size is not None:
            pair = (size, size) if isinstance(size, int) else size
            self._require("image_size", _is_size(pair), "two whole numbers ≥ 1: (height, width)")
            object.__setattr__(self, "image_size", tuple(int(side) for side in pair))
        self._require("color_mode", self.color_mode in (None, *_COLORS), f"one of {list(_COLORS)}")
        number = isinstance(self.rescale, (int, float)) and not isinstance(self.rescale, bool)
        self._require("rescale", number and 0 < self.rescale < float("inf"), "a factor > 0, such as 1 / 255")
        for name in ("function", "interpolation"):
            text = getattr(self, name)
            plain = isinstance(text, str) and re.fullmatch(r"\w{1,100}", text) is not None
            self._require(name, plain or (text is None and name == "function"), "a name")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(explain(f"preprocessing, {name!r}", repr(getattr(self, name)), expected))

    def __str__(self) -> str:
        """Return the steps in words."""
        steps = [
            f"read as {self.color_mode}" if self.color_mode else "",
            "resize to {}×{} ({})".format(*self.image_size, self.interpolation) if self.image_size else "",
            f"multiply by {self.rescale:.6g}" if self.rescale != 1 else "",
            f"applications.{self.function}.preprocess_input" if self.function else "",
        ]
        return ", ".join(filter(None, steps)) or "none: pixels as they are"


def _is_size(value: Any) -> bool:
    sides = list(value) if isinstance(value, (list, tuple)) else []
    return len(sides) == 2 and all(hasattr(s, "__index__") and not isinstance(s, bool) and s >= 1 for s in sides)


def preprocessing(value: Any) -> Preprocessing | None:
    """Return what a dictionary, or a ``Preprocessing``, says.

    Raises:
        ValueError: an unknown key or a wrong value.
    """
    if value is None or isinstance(value, Preprocessing):
        return value
    known = [entry.name for entry in fields(Preprocessing)]
    if not isinstance(value, Mapping):
        raise ValueError(explain("preprocessing", repr(value), f"a dictionary with some of the keys {known}"))
    for key in value:
        if key not in known:
            raise ValueError(explain("preprocessing", f"the key {key!r}", f"some of {known}", nearest(str(key), known)))
    return Preprocessing(**value)


def class_names(value: Any) -> tuple[str, ...] | None:
    """Return the names of classes in order; ``class_indices`` of a generator, name → number, are put in order.

    Raises:
        ValueError: a single text, something else than names, or a name twice.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        value = sorted(value, key=lambda name: value[name])
    names = [*value] if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else None
    if names is None or not all(isinstance(name, str) or hasattr(name, "__index__") for name in names):
        raise ValueError(explain("class_names", repr(value), "a list of texts, in the order of the model's outputs"))
    texts = tuple(str(name) for name in names)
    double = sorted({name for name in texts if texts.count(name) > 1}) if len(set(texts)) < len(texts) else []
    if double:
        raise ValueError(explain("class_names", f"{double[0]!r} twice", "a different name for each class"))
    return texts


class Kept:
    """An attribute of a model that its files keep. Classes of users' own may give it any other meaning."""

    def __init__(self, check: Callable[[Any], Any], doc: str) -> None:
        self.check, self.__doc__ = check, doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, model: Any, owner: Any = None) -> Any:
        if model is None:
            return self
        return model._modules.get(self.name, vars(model).get(self.name))

    def __set__(self, model: Any, value: Any) -> None:
        try:
            value = self.check(value)
        except ValueError:
            if type(model).__module__.startswith("convia."):
                raise
        vars(model)[self.name] = value


def _results(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(explain("results", repr(value), "a dictionary"))
    return value


def ranges(value: Any) -> dict[str, tuple[float, float]]:
    """Return the ranges of tensors by name, of a model that is computed in 8 bits.

    Raises:
        ValueError: something else than two finite numbers, the smaller one first.
    """
    found = {name: tuple(map(float, ends)) for name, ends in _results(value).items()}
    for name, ends in found.items():
        if len(ends) != 2 or not math.isfinite(ends[1] - ends[0]) or ends[0] > ends[1]:
            raise ValueError(explain(f"ranges of {name!r}", repr(ends), "two finite numbers, the smaller one first"))
    return found  # type: ignore[return-value]


_PARTS: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {  # name → (type, to JSON, from JSON)
    "class_names": (tuple, list, class_names),
    "preprocessing": (Preprocessing, asdict, preprocessing),
    "results": (dict, dict, _results),
    "ranges": (dict, dict, ranges),
}


def results(model: Any) -> dict[str, Any]:
    """Return what is known of a model's training and of its last ``evaluate``; numbers by name of metric."""
    history = getattr(getattr(model, "history", None), "history", None)
    found: dict[str, Any] = dict(vars(model).get("_results") or {})
    if isinstance(history, Mapping) and history:
        columns = {name: values for name, values in history.items() if values}
        last = {name: number for name, values in columns.items() if (number := _number(values[-1])) is not None}
        found = {"epochs": max(map(len, columns.values()), default=0), "last_epoch": last}
    evaluated = vars(model).get("_evaluated")
    if evaluated:
        found["evaluation"] = {name: n for name, value in evaluated.items() if (n := _number(value)) is not None}
    return found


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def as_text(model: Any) -> str | None:
    """Return what is known of a model as JSON, None if nothing is."""
    values = {name: getattr(model, name, None) for name in ("class_names", "preprocessing")}
    values["results"], values["ranges"] = results(model), vars(model).get("_ranges")
    known = {
        name: write(values[name])
        for name, (kind, write, _) in _PARTS.items()
        if values[name] and isinstance(values[name], kind)
    }
    return json.dumps({"version": 1, **known}, ensure_ascii=False) if known else None


def read(who: str, model: Any, text: str | bytes | None) -> None:
    """Set what ``as_text`` returned.

    Raises:
        BadFileError: another text.
    """
    if text is None:
        return
    try:
        values = _results(json.loads(text))
        found = {name: check(values[name]) for name, (*_, check) in _PARTS.items() if name in values}
    except (TypeError, ValueError, RecursionError) as error:
        what = f"{MEMBER!r} that cannot be used ({error})"
        raise BadFileError(explain(who, what, "what convia writes there", "Save the model again.")) from error
    for name, value in found.items():
        vars(model)[f"_{name}" if name in ("results", "ranges") else name] = value


__all__ = [
    "ATTRIBUTE",
    "MEMBER",
    "Kept",
    "Preprocessing",
    "as_text",
    "class_names",
    "preprocessing",
    "ranges",
    "read",
    "results",
]
