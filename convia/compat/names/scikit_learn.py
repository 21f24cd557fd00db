"""``keras.wrappers.scikit_learn``: a function that builds a model, as an estimator of scikit-learn."""

import copy
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from convia.errors import explain
from convia.models import Model
from convia.numerical import to_categorical

_OF_MODEL = {
    name
    for method in (Model.fit, Model.predict, Model.evaluate)
    for name in inspect.signature(method).parameters
    if name not in ("self", "x", "y", "kwargs")
} | {"nb_epoch"}


class BaseWrapper:
    """An estimator: ``build_fn`` makes a compiled model of the arguments that are its own; ``fit`` gets the others.

    Raises:
        ValueError: an argument that neither takes.
    """

    _estimator_type: ClassVar[str] = ""

    def __init__(self, build_fn: Callable[..., Any] | None = None, **sk_params: Any) -> None:
        self.build_fn, self.sk_params = build_fn, sk_params
        known = set(inspect.signature(self._builder()).parameters) | _OF_MODEL
        for name in sk_params:
            if name not in known:
                raise ValueError(explain(type(self).__name__, f"the argument {name!r}", f"one of {sorted(known)}"))

    def _builder(self) -> Callable[..., Any]:
        return self.build_fn or type(self).__call__.__get__(self)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments."""
        return {**copy.deepcopy(self.sk_params), "build_fn": self.build_fn}

    def set_params(self, **params: Any) -> "BaseWrapper":
        """Change arguments."""
        self.sk_params.update(params)
        return self

    def _chosen(self, function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
        names = {*inspect.signature(function).parameters, *(["nb_epoch"] if function.__name__ == "fit" else [])}
        return {name: value for name, value in {**self.sk_params, **given}.items() if name in names}

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Build a model, train it and return the history."""
        builder = self._builder()
        names = inspect.signature(builder).parameters
        self.model = builder(**{name: value for name, value in self.sk_params.items() if name in names})
        given = self._chosen(self.model.fit, kwargs)
        given["epochs"] = given.pop("nb_epoch", given.get("epochs", 1))
        self.history = self.model.fit(np.asarray(x), self._targets(np.asarray(y)), **given)
        return self.history

    def _targets(self, y: np.ndarray) -> np.ndarray:
        return y

    def _outputs(self, x: Any, kwargs: dict[str, Any]) -> np.ndarray:
        outputs: np.ndarray = self.model.predict(
            np.asarray(x), **{"verbose": 0, **self._chosen(self.model.predict, kwargs)}
        )
        return outputs


class KerasClassifier(BaseWrapper):
    """A classifier: labels may be numbers, names or one-hot rows."""

    _estimator_type = "classifier"

    def __sklearn_tags__(self) -> Any:
        return _tags("classifier")

    def _targets(self, y: np.ndarray) -> np.ndarray:
        if y.ndim == 2 and y.shape[1] > 1:
            self.classes_ = np.arange(y.shape[1])
            return y
        self.classes_, numbers = np.unique(y, return_inverse=True)
        categorical = str(self.model.loss).startswith("categorical")
        return to_categorical(numbers.reshape(-1), len(self.classes_)) if categorical else numbers.reshape(y.shape)

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Return a label per row."""
        outputs = self._outputs(x, kwargs)
        labels: np.ndarray = self.classes_[
            outputs.argmax(-1) if outputs.shape[-1] > 1 else (outputs > 0.5).astype("int32")
        ]
        return labels

    def predict_proba(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Return probabilities (rows, classes)."""
        outputs = self._outputs(x, kwargs)
        return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """Return the accuracy."""
        labels, found = np.asarray(y), self.predict(x, **kwargs)
        labels = labels.argmax(-1) if labels.ndim == 2 and labels.shape[1] > 1 else labels
        return float(np.mean(labels.reshape(-1) == found.reshape(-1)))


class KerasRegressor(BaseWrapper):
    """A regressor."""

    _estimator_type = "regressor"

    def __sklearn_tags__(self) -> Any:
        return _tags("regressor")

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Return a number per row."""
        return np.squeeze(self._outputs(x, kwargs), axis=-1)

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """Return minus the loss: greater is better."""
        found = self.model.evaluate(np.asarray(x), np.asarray(y), verbose=0)
        return -float(found[0] if isinstance(found, list) else found)


def _tags(kind: str) -> Any:
    from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

    own = {"classifier_tags": ClassifierTags()} if kind == "classifier" else {"regressor_tags": RegressorTags()}
    return Tags(estimator_type=kind, target_tags=TargetTags(required=True), transformer_tags=None,
                input_tags=InputTags(), **{"classifier_tags": None, "regressor_tags": None, **own})  # fmt: skip


__all__ = [
    "BaseWrapper",
    "KerasClassifier",
    "KerasRegressor",
]
