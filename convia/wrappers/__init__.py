"""Models as estimators of scikit-learn, which is imported only when one is wanted."""

import importlib
from typing import Any

from convia.errors import explain

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module("convia.wrappers.estimators"), name)
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("sklearn"):
            raise
        raise ImportError(explain(name, "no scikit-learn", "an installed one", "pip install scikit-learn")) from error
