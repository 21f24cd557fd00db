"""Estimators of scikit-learn around models."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from convia.errors import explain
from convia.models import Model, clone_model

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]


class _Estimator(BaseEstimator):
    """Base of the estimators.

    Args:
        model: a compiled model, of which ``fit`` trains a copy; or a function of X and y that makes one.
        warm_start: whether ``fit`` goes on with the weights there are: of the model itself, or of the last fit.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of the model's ``fit``, such as ``epochs``; those given to ``fit`` come before them.

    Attributes:
        model_: the trained model.
        history_: what its ``fit`` returned.
    """

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.warm_start, self.model_kwargs, self.fit_kwargs = model, warm_start, model_kwargs, fit_kwargs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        return tags

    def __sklearn_clone__(self) -> Self:
        return type(self)(self.model, self.warm_start, self.model_kwargs, self.fit_kwargs)

    @property
    def epoch_(self) -> int:
        """The number of epochs of the last fit."""
        return len(self.history_.epoch) if hasattr(self, "history_") else 0

    def _make_model(self, X: np.ndarray, y: np.ndarray) -> Model:  # noqa: N803
        if self.warm_start and hasattr(self, "model_"):
            return self.model_
        if isinstance(self.model, Model):
            return self.model if self.warm_start else clone_model(self.model)
        return self.model(X=X, y=y, **(self.model_kwargs or {}))

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Self:  # noqa: N803
        """Train the model.

        Args:
            X: (samples, features).
            y: (samples,).
            **kwargs: of the model's ``fit``.

        Raises:
            RuntimeError: the model is not compiled. ValueError: targets that the estimator is not for.
        """
        X, y = validate_data(self, X, y)  # noqa: N806
        y = self._encoded(y)
        model = self._make_model(X, y)
        if not getattr(model, "compiled", False):
            who = f"{type(self).__name__}, argument 'model'"
            raise RuntimeError(explain(who, "a model without loss and optimizer", "a compiled one", "Call compile()."))
        self.history_ = model.fit(X, y, **{**(self.fit_kwargs or {}), **kwargs})
        self.model_ = model
        return self

    def _outputs(self, X: Any) -> np.ndarray:  # noqa: N803
        check_is_fitted(self)
        outputs: np.ndarray = self.model_.predict(validate_data(self, X, reset=False), verbose=0)
        return outputs

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        kind = type_of_target(y)
        if kind == "unknown":
            raise ValueError(explain(type(self).__name__, "Unknown label type", "numbers or classes"))
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the model's outputs (samples,), or (samples, outputs) where it has several."""
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.ndim == 2 and outputs.shape[1] == 1 else outputs


class SKLearnClassifier(ClassifierMixin, _Estimator):
    """A classifier: the model sees targets as one-hot vectors (samples, classes)."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        kind = type_of_target(y, raise_unknown=True)
        if kind not in ("binary", "multiclass"):
            raise ValueError(explain("SKLearnClassifier", f"targets of the type {kind!r}", "binary or multiclass ones"))
        self.classes_ = np.unique(y)
        if len(self.classes_) == 1:
            raise ValueError(explain("SKLearnClassifier", "targets of only one class", "two classes or more"))
        encoded: np.ndarray = (y[:, None] == self.classes_).astype(float)
        return encoded

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the model's outputs (samples, classes)."""
        return self._outputs(X)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the class of the greatest output (samples,)."""
        labels: np.ndarray = self.classes_[self._outputs(X).argmax(axis=1)]
        return labels


class SKLearnRegressor(RegressorMixin, _Estimator):
    """A regressor."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class SKLearnTransformer(TransformerMixin, _Estimator):
    """A transformer in scikit-learn's sense: the model's outputs are the transformed data."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the model's outputs (samples, features)."""
        return self._outputs(X)
