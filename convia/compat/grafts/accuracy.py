"""The accuracy as Keras 0 had it: no metric of ``compile``, but shown by the calls that ask for it."""

from typing import Any

from convia.compat.report import note
from convia.training.objective import Objective

_NAMES = ("show_accuracy", "accuracy")  # of fit and evaluate, of the methods for one batch


def shown(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Measure the accuracy in this call if ``show_accuracy=True`` asks for it, and no longer in one that does not."""
    asked = {name: kwargs.pop(name, False) for name in _NAMES}
    wanted = any(asked.values())
    is_shown = bool(model.__dict__.get("_era_accuracy"))
    if wanted == is_shown or not model.compiled or (wanted and model.objective.given["metrics"]):
        return args, kwargs
    model.__dict__["_era_accuracy"] = wanted
    if wanted:
        note("show_accuracy", "metrics=['accuracy']")
    given = {**model.objective.given, "metrics": ["acc"] if wanted else None}
    object.__setattr__(model, "objective", Objective(**given))
    model._compile_args["metrics"] = given["metrics"]
    model._forget_compiled_functions()
    return args, kwargs
