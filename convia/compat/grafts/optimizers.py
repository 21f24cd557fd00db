"""Optimizers of older eras: ``lr``, ``decay`` per update, gradients and updates of symbolic losses."""

import functools
from collections.abc import Callable
from typing import Any

import torch

from convia import backend, optimizers, schedules, symbolic
from convia.compat import arguments, eras
from convia.compat.door import from_outside, graft, graft_all, translated
from convia.compat.report import note
from convia.optimizers.scalar import Scalar

Optimizer = optimizers.Optimizer


class _Base(Scalar):
    """The learning rate before decay: changing it changes the schedule that decays it."""

    def __init__(self, schedule: Any) -> None:
        self._schedule = schedule
        super().__init__(schedule.initial_learning_rate, "float32", "learning_rate")

    def assign(self, value: Any) -> "_Base":
        """Set the number."""
        super().assign(value)
        self._schedule.initial_learning_rate = self.number
        return self


def _decayed(optimizer: Any, decay: float) -> None:
    """Let the learning rate after t updates be lr/(1 + decay·t), as ``decay=`` of Keras 1 and 2 did."""
    schedule = schedules.InverseTimeDecay(float(optimizer.learning_rate), 1, float(decay))
    optimizer._learning_rate = schedule
    optimizer.__dict__["_era_base"] = _Base(schedule)
    optimizer.__dict__["decay"] = Scalar(decay, "float32", "decay")


def _learning_rate(original: property) -> property:
    def get(self: Any) -> Any:
        return self.__dict__.get("_era_base") or original.fget(self)  # type: ignore[misc]

    def put(self: Any, value: Any) -> None:
        base = self.__dict__.get("_era_base")
        if base is None or callable(value):
            self.__dict__.pop("_era_base", None)
            original.fset(self, value)  # type: ignore[misc]
        else:
            base.assign(self._number(value))

    return property(get, put, doc=original.__doc__)


def _init(name: str, original: Callable[..., None], table: dict[str, str | None]) -> Callable[..., None]:
    accepted = [key for key in original.__signature__.parameters if key not in ("self", "kwargs")]  # type: ignore[attr-defined]

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        decay = None
        if from_outside():
            if name == "SGD" and len(args) > 2 and not isinstance(args[2], bool):  # SGD(lr, momentum, decay, nesterov)
                decay, args = args[2], (*args[:2], *args[3:])
            elif name in ("Adam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "Nadam"):
                args, decay = _last_is_decay(name, args)
            args, kwargs = translated(name, table, accepted, args, kwargs)
            decay = kwargs.pop("decay", decay)
            kwargs = {key: value for key, value in kwargs.items() if not (key == "epsilon" and value is None)}
        original(self, *args, **kwargs)
        if decay:
            note("decay", "InverseTimeDecay")
            _decayed(self, float(decay))

    return init


# Where decay stood among the positional arguments of Keras 2: Adam(lr, beta_1, beta_2, epsilon, decay)
_PLACE = {"Adam": 4, "Adamax": 4, "Adagrad": 2, "Adadelta": 3, "RMSprop": 3, "Nadam": 5}


def _last_is_decay(name: str, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    place = _PLACE[name]
    epsilon = place - 1
    decay = args[place] if len(args) > place else None
    args = args[:place]
    if len(args) > epsilon and args[epsilon] is None and name != "Nadam":
        args = args[:epsilon]
    return args, decay


class OptimizerMethods:
    """Lent to every optimizer."""

    @property
    def lr(self: Any) -> Any:
        """The older name of ``learning_rate``."""
        return self.learning_rate

    @lr.setter
    def lr(self: Any, value: Any) -> None:
        self.learning_rate = value

    @property
    def weights(self: Any) -> list[Any]:
        """The state, as ``variables``."""
        return list(self.variables)

    def get_weights(self: Any) -> list[Any]:
        """Return the state as arrays."""
        return [variable.numpy() for variable in self.variables]

    def _decayed_lr(self: Any, var_dtype: Any = None) -> Any:
        """Return the rate of the next step as a tensor: what schedules and ``decay`` make of ``lr``."""
        rate = self._learning_rate
        return torch.tensor(float(rate(self.iterations) if callable(rate) else rate))

    def get_gradients(self: Any, loss: Any, params: Any) -> list[Any]:
        """Return the gradients of a symbolic loss."""
        return backend.gradients(loss, params)

    def get_updates(self: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """Return updates for ``K.function``: one step down a symbolic loss each time it runs.

        Keras 1: (params, constraints, loss); Keras 2: (loss, params), by name in any order.
        """
        given = dict(
            zip(("params", "constraints", "loss") if len(args) == 3 else ("loss", "params"), args, strict=False)
        )
        given.update(kwargs)
        params = list(given["params"])
        return [symbolic.op(_apply)(self, params, backend.gradients(given["loss"], params))]


def _apply(optimizer: Any, params: list[Any], gradients: list[Any]) -> Any:
    if not symbolic.tracing():
        optimizer.apply([gradient.detach() for gradient in gradients], params)
    return torch.zeros(())


def _nadam_weight(original: Callable[[Any, int], float]) -> Callable[[Any, int], float]:
    """In Keras 1 and 2 the weight of the momentum grew by 0.96^(0.004·t), not 0.96^t."""

    @functools.wraps(original)
    def weight(self: Any, step: int) -> float:
        pace = 0.004 if eras.current() in eras.STANDALONE else 1.0
        return original(self, step * pace)  # type: ignore[arg-type]

    return weight


def install() -> None:
    """Lend them."""
    graft_all(Optimizer, OptimizerMethods)
    graft(optimizers.Nadam, "_u", _nadam_weight(optimizers.Nadam._u))
    for name, table in arguments.rows(arguments.OPTIMIZERS).items():
        owner = getattr(optimizers, name)
        graft(owner, "__init__", _init(name, owner.__init__, table))
    holder = next(cls for cls in Optimizer.__mro__ if "learning_rate" in vars(cls))
    graft(holder, "learning_rate", _learning_rate(vars(holder)["learning_rate"]))
