"""Weights that processes share out while a model is trained, measured or asked: where the distribution says so."""

import importlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from convia import distributed, distribution
from convia.errors import explain

_quiet = object.__setattr__


@contextmanager
def shared_out(model: Any, own_step: bool) -> Iterator[None]:
    """Let the processes share out the weights of a model within the block, where that is wanted.

    Args:
        own_step: whether the model's class has a step of its own, which would need whole weights.

    Raises:
        ValueError: a model that is not built, or has a step of its own.
    """
    chosen = distribution.shared_out()
    if chosen is None or distributed.size() < 2 or model._shares is not None:
        yield
        return
    if own_step or not model.built:
        received = "a model with a step of its own" if own_step else "a model without weights"
        remedy = "Use DataParallel." if own_step else "Give the first layer an input shape, or call build(input_shape)."
        who = f"{type(distribution.distribution()).__name__} and {model.name!r}"
        raise ValueError(explain(who, received, "a built model that is trained by compile's loss", remedy))
    distributed.join()
    distributed.align(model)
    shares = importlib.import_module("convia.distributed.sharded").Shares(model, chosen)  # by name: slow, seldom needed
    _quiet(model, "_shares", shares)
    _quiet(model, "_learned", None)
    yield
    shares.end()
    _quiet(model, "_shares", None)
    if model._learned is not None:
        _quiet(model, "_learned", list(model.trainable_variables))


def whole(model: Any) -> AbstractContextManager[None]:
    """Let weights be whole within the block, for callbacks."""
    return nullcontext() if model._shares is None else model._shares.whole()


def updater(model: Any) -> Any:
    """Return the optimizer that updates what a step learns."""
    return model.optimizer if model._shares is None else model._shares.notes.optimizer
