"""Loss: what a user subclasses; from values per example to the number that is minimized."""

import inspect
from collections.abc import Callable
from dataclasses import KW_ONLY
from functools import partial
from typing import Annotated, Any, ClassVar, Self

import torch

from convia import config, registry
from convia.args import Configured, Convert
from convia.errors import explain
from convia.losses.inputs import match_ranks, to_tensor
from convia.naming import auto_name

__all__ = ["Loss", "LossFunctionWrapper"]

Function = Callable[..., torch.Tensor]

_REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")


def check_reduction(value: Any, owner: Any = None, name: str = "reduction") -> str | None:
    """Return the reduction if it is one of Keras's six, else raise ValueError."""
    if value not in _REDUCTIONS:
        who = f"{type(owner).__name__}, argument {name!r}" if owner is not None else name
        raise ValueError(explain(who, repr(value), f"one of {list(_REDUCTIONS)}"))
    chosen: str | None = value
    return chosen


def compute_dtype(value: Any, owner: Any = None, name: str = "dtype") -> str:
    """Return the name of the type to compute in, from a name, a torch type, a policy or None (the default float)."""
    return config.policy(value or config.floatx()).compute_dtype


Reduction = Annotated[str | None, Convert(check_reduction)]
ComputeDtype = Annotated[Any, Convert(compute_dtype)]


def mask_of(tensor: Any) -> torch.Tensor | None:
    """Return the mask that travels with a tensor (true where its values count), or None."""
    return getattr(tensor, "_keras_mask", None)


def set_mask(tensor: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Let a mask travel with a tensor."""
    tensor._keras_mask = mask  # type: ignore[attr-defined]
    return tensor


def ratio(numerator: torch.Tensor, denominator: torch.Tensor) -> torch.Tensor:
    """Divide, with 0 where the denominator is 0."""
    return torch.where(denominator == 0, 0.0, numerator / torch.where(denominator == 0, 1.0, denominator))


def apply_mask(
    sample_weight: torch.Tensor | None, mask: torch.Tensor, dtype: torch.dtype, reduction: str | None
) -> torch.Tensor:
    """Turn a mask into sample weights; for the means, such that the sum is divided by the number of valid values."""
    weight = mask.to(dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        weight = weight * ratio(torch.full_like(weight.sum(), weight.numel()), weight.sum())
    if sample_weight is None:
        return weight
    weight, sample_weight = match_ranks(weight, sample_weight)
    return sample_weight * weight


def weight_message(who: str, weight: torch.Tensor, values: torch.Tensor, kind: str) -> str:
    """Return the message about weights that do not fit the values, which are "losses", "predictions", …."""
    received = f"sample_weight of shape {tuple(weight.shape)} for {kind} of shape {tuple(values.shape)}"
    return explain(who, received, f"one weight per example, shape {tuple(values.shape[:1])}, or one per value")


def weigh(who: str, values: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values × weights and the weights; weights of fewer axes belong to the leading ones, the examples.

    Raises:
        ValueError: the shapes do not fit.
    """
    values, weight = match_ranks(values, weight)
    if weight.ndim < values.ndim and weight.shape == values.shape[: weight.ndim]:
        weight = weight.reshape(*weight.shape, *[1] * (values.ndim - weight.ndim))
    try:
        return values * weight, weight
    except RuntimeError:
        raise ValueError(weight_message(who, weight, values, "losses")) from None


def reduce(values: torch.Tensor, weight: torch.Tensor | None, reduction: str | None) -> torch.Tensor:
    """Reduce weighted values: "sum", a mean over all of them, a mean over the sum of weights, or not at all."""
    if reduction in (None, "none") or values.ndim == 0:
        return values
    if reduction == "sum":
        return values.sum()
    if reduction == "mean_with_sample_weight" and weight is not None:
        return ratio(values.sum(), weight.sum().to(values.dtype))
    return values.mean() if values.numel() else values.sum()


class Loss(Configured):
    """Base of all losses. A subclass implements ``call(y_true, y_pred)`` and returns one value per example.

    Args:
        name: its name in logs; made from the class without one.
        reduction: "sum_over_batch_size" or "mean" (over all values), "mean_with_sample_weight" (divided by the sum
            of weights), "sum", or "none"/None (no reduction).
        dtype: the type to compute in, the default float type without one.

    Raises:
        ValueError: an unknown reduction.
    """

    _namespace = "keras.losses"
    _takes_labels = False  # class numbers stay as they are instead of becoming floats
    _: KW_ONLY  # for type checkers: at run time they have the order of each class
    name: str | None = None
    reduction: Reduction = "sum_over_batch_size"
    dtype: ComputeDtype = None

    def __post_init__(self) -> None:
        self.name = self.name or auto_name(type(self).__name__)
        self._dtype = config.torch_dtype(self.dtype)
        self._label_dtype = None if self._takes_labels else self._dtype
        self._total: Function | None = None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor:
        """Return the reduced loss of tensors, arrays or lists (or containers of them, for a ``call`` that takes them).

        Args:
            y_true: labels.
            y_pred: predictions.
            sample_weight: one weight per example (N,), or one per value that ``call`` returns.
        """
        mask = mask_of(y_pred)
        y_pred = to_tensor(y_pred, self._dtype)
        y_true = to_tensor(y_true, self._label_dtype, y_pred if isinstance(y_pred, torch.Tensor) else None)
        if self._total is not None and sample_weight is None and mask is None:
            return self._total(y_true, y_pred)
        values = self.call(y_true, y_pred)
        masks = [m for m in (mask, mask_of(values)) if m is not None]
        mask = masks[0] & masks[-1] if masks else None
        values = to_tensor(values, self._dtype)
        if sample_weight is None and mask is None:
            return reduce(values, None, self.reduction)
        weight = to_tensor(sample_weight, self._dtype, values)
        if mask is not None:
            weight = apply_mask(weight, mask, self._dtype, self.reduction)
        return reduce(*weigh(str(self.name), values, weight), self.reduction)

    def call(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        """Return one loss per example."""
        raise NotImplementedError(
            explain(type(self).__name__, "a loss without call()", "a method call(self, y_true, y_pred)")
        )

    def check(self, y_true: Any, y_pred: Any) -> None:
        """Check a first batch more thoroughly than every step should; raises ValueError. The base accepts all."""

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain values. As in Keras's files, the default type is not written."""
        settings = super().get_config()
        if settings.get("dtype") == config.floatx():
            del settings["dtype"]
        return settings


class LossFunctionWrapper(Loss):
    """A loss made of a function (y_true, y_pred, **arguments) → one value per example.

    A subclass names its function. Its arguments are the function's own, or those that it declares in its body, which
    have another order; reduction, name and dtype follow them::

        class Huber(LossFunctionWrapper, function=huber, name="huber_loss"):
            ...

    Args:
        fn: the function.
        reduction, name, dtype: see :class:`Loss`.
        **kwargs: passed to every call of the function.
    """

    _function: ClassVar[Function | None] = None
    _means: ClassVar[dict[Function, Function]] = {}  # function → one that returns the mean over everything at once
    _label_functions: ClassVar[set[Function]] = set()  # those of class numbers
    _checks: ClassVar[dict[Function, Callable[..., None]]] = {}  # function → a thorough check of a first batch
    _unsaved: ClassVar[frozenset[str]] = frozenset()  # arguments that Keras's files lack; written unless at default

    def __init_subclass__(
        cls,
        function: Function | None = None,
        name: str | None = None,
        mean: Function | None = None,
        takes_labels: bool = False,
        check: Callable[..., None] | None = None,
        **kwargs: Any,
    ) -> None:
        if function is not None:
            cls._function = staticmethod(function)
            cls._fields = {}  # the order of arguments is its own, not Loss's
            declare_last(
                cls,
                **arguments_of(cls, function),
                reduction=(Reduction, "sum_over_batch_size"),
                name=(str | None, name or function.__name__),
                dtype=(ComputeDtype, None),
            )
            if cls.__module__.startswith("convia."):
                registry.register("keras.losses", function)
            if mean is not None:
                cls._means[function] = mean
            if takes_labels:
                cls._label_functions.add(function)
            if check is not None:
                cls._checks[function] = check
        super().__init_subclass__(**kwargs)

    def __init__(
        self,
        fn: Function,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        self.name, self.reduction, self.dtype = name, check_reduction(reduction, self), compute_dtype(dtype)
        self._wrap(fn, kwargs)

    def __post_init__(self) -> None:
        assert self._function is not None
        names = [name for name in self._fields if name in inspect.signature(self._function).parameters]
        self._wrap(self._function, {name: getattr(self, name) for name in names})

    def _wrap(self, function: Function, arguments: dict[str, Any]) -> None:
        self.fn, self._arguments = function, arguments
        self._takes_labels = function in self._label_functions
        super().__post_init__()
        whole = self._means.get(function)
        plain = type(self).call is LossFunctionWrapper.call and arguments.get("ignore_class") is None
        if whole is not None and plain and self.reduction in _MEANS:
            self._total = partial(whole, **arguments) if arguments else whole

    def call(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        """Return the function's values; a user's function gets (N,) and (N, 1) as one rank."""
        if self._function is None and isinstance(y_true, torch.Tensor) and isinstance(y_pred, torch.Tensor):
            y_true, y_pred = match_ranks(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._arguments)

    def check(self, y_true: Any, y_pred: Any) -> None:
        """Check that class numbers are in range, where the function takes them; raises ValueError."""
        check = self._checks.get(self.fn)
        if check is not None:
            check(y_true, y_pred, **{k: v for k, v in self._arguments.items() if k in ("ignore_class", "axis")})

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain values; those of a wrapped function beside ``fn``."""
        if self._function is None:
            arguments = registry.serialize(self._arguments)
            return {"name": self.name, "reduction": self.reduction, "fn": registry.serialize(self.fn), **arguments}
        settings = super().get_config()
        defaults = {name: field.default for name, field in self._fields.items()}
        return {k: v for k, v in settings.items() if k not in self._unsaved or v != defaults[k]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a loss from what ``get_config`` returned."""
        if "fn" in config:
            config = {**config, "fn": registry.find("keras.losses", config["fn"], "LossFunctionWrapper")}
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of {self.fn.__name__}({self._arguments})>"


def arguments_of(cls: Any, function: Function) -> dict[str, tuple[Any, Any]]:
    """Return the arguments (type, default) of a function behind y_true and y_pred, none if the class has its own."""
    if any(not name.startswith("_") for name in inspect.get_annotations(cls)):
        return {}
    given = list(inspect.signature(function).parameters.values())[2:]
    return {p.name: (p.annotation, p.default) for p in given if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def declare_last(cls: Any, **fields: tuple[Any, Any]) -> None:
    """Add fields (type, default) at the end of those that the class body declares."""
    hints = dict(inspect.get_annotations(cls))
    for name, (hint, default) in fields.items():
        if name not in hints:
            hints[name] = hint
            setattr(cls, name, default)
    cls.__annotations__ = hints
