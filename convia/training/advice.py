"""What is looked at before training or predicting, because it goes wrong silently: each is told once."""

import warnings
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import symbolic
from convia.errors import explain
from convia.images import Iterator as Flow
from convia.layer import Layer
from convia.training.data import ArrayBatches, Batches, IterableBatches

_SAMPLES = 16  # that are looked at
_NAMED = 5  # layers that a warning names


# -- trainable after compile ------------------------------------------------------------------------------------------


def flags(model: Any) -> dict[int, bool]:
    """Return which layers are trainable, by id."""
    return {id(layer): layer.trainable for layer in model._flatten_layers()}


def look_at_trainable(model: Any) -> None:
    """Warn of layers whose ``trainable`` was changed after ``compile``; the next time only of further changes."""
    before, now = getattr(model, "_trainable_at_compile", None), flags(model)
    if before is None:
        return
    changed = [layer for layer in model._flatten_layers() if before.get(id(layer), layer.trainable) != layer.trainable]
    object.__setattr__(model, "_trainable_at_compile", now)
    if changed:
        names = ", ".join(repr(layer.name) for layer in changed[:_NAMED])
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        received = f"'trainable' changed after compile in layers {names}{more}"
        remedy = "Call compile() after freezing or unfreezing: it gives the optimizer the weights that learn."
        warnings.warn(explain(f"fit of {model.name!r}", received, "a model compiled as it is", remedy), stacklevel=3)


# -- pictures prepared otherwise than a network was trained with ------------------------------------------------------


@dataclass
class Published:
    """What the input of a published network knows of it.

    Attributes:
        title: of the network.
        mode: of ``preprocess_input`` ("caffe", "tf", "torch"); None where the network itself takes 0…255.
        has_weights: whether weights were loaded.
        module: whose ``preprocess_input`` it is.
        is_told: whether there was a warning.
    """

    title: str
    mode: str | None
    has_weights: bool
    module: str
    is_told: bool = False


_KINDS = ("0…255", "0…1", "−1…1", "a mean near 0 and a deviation near 1", "about −120…150")
_FITTING = {None: _KINDS[:1], "tf": _KINDS[2:3], "torch": _KINDS[2:4], "caffe": _KINDS[4:]}


def kind_of(lowest: float, highest: float) -> str:
    """Return what the values of pictures look like, one of five kinds."""
    if lowest >= 0:
        return _KINDS[0] if highest > 2 else _KINDS[1]
    if lowest >= -1.001 and highest <= 1.001:
        return _KINDS[2]
    return _KINDS[3] if lowest >= -4 and highest <= 4 else _KINDS[4]


def look_at_pictures(model: Any, batches: Batches) -> None:
    """Warn of pictures that were not prepared as a published network in the model was trained with.

    It is looked at where weights were loaded or the network is frozen. The order in which batches are drawn, and the
    random numbers for it, stay what they are: of a pipeline or a generator, the first batch is looked at as it passes.
    """
    graph = getattr(model, "graph", None)
    if graph is None:
        return
    networks = [(network, known) for network in (model, *graph.inner_models) if (known := _known(network)) is not None]
    doubtful = [(network, known) for network, known in networks if known.has_weights or _starts_frozen(network)]
    x = _samples(batches) if doubtful else None
    if doubtful and isinstance(batches, IterableBatches) and not isinstance(batches._source, Flow):
        batches.watch = partial(_look, model, doubtful)
    _look(model, doubtful, x)


def _look(model: Any, networks: list[tuple[Any, Published]], x: Any) -> None:
    """Warn of pictures, a few of which are ``x``, that do not fit; once for each network."""
    for network, known in networks:
        if known.is_told:
            continue
        values = _arriving(model, network, x[:_SAMPLES] if isinstance(x, Tensor) else None)
        if values is None or not values.numel() or values.is_complex():
            continue
        lowest, highest = float(values.min()), float(values.max())
        seen = kind_of(lowest, highest)
        if lowest == highest or seen in _FITTING[known.mode]:
            continue
        known.is_told = True
        fitting = f"values of {_FITTING[known.mode][-1]}, as {known.title} was trained with"
        remedy = f"Prepare them by {known.module}.preprocess_input(x), from pixels of 0…255."
        if known.mode is None:
            remedy = "Give pixels of 0…255 as they are: this network scales them itself."
        received = f"pictures with values of {lowest:.4g}…{highest:.4g} (like {seen})"
        warnings.warn(explain(f"{known.title} {network.name!r}", received, fitting, remedy), stacklevel=4)


def _known(network: Any) -> Published | None:
    inputs = network.graph.inputs
    node = inputs[0].node if len(inputs) == 1 else None
    return getattr(node.operation, "published", None) if node is not None else None


def _starts_frozen(network: Any) -> bool:
    first = next((each for each in network.graph.operations if isinstance(each, Layer) and each.weights), None)
    return first is not None and not first.trainable


def _samples(batches: Batches) -> Any:
    """Return the inputs of a few samples without drawing any random number; None where that is impossible."""
    if isinstance(batches, ArrayBatches):
        x = batches._tree[0]
        return x[:_SAMPLES] if isinstance(x, Tensor) else None
    source = getattr(batches, "_source", None) if isinstance(batches, IterableBatches) else None
    if not isinstance(source, Flow) or source.save_to_dir or not source.n:
        return None
    with source.lock:
        state = np.random.get_state()
        batch = source._get_batches_of_transformed_samples(np.arange(min(_SAMPLES, source.n)))
        np.random.set_state(state)
    x = batch[0] if isinstance(batch, tuple) else batch
    return torch.as_tensor(x) if isinstance(x, np.ndarray) else None


def _arriving(model: Any, network: Any, x: Tensor | None) -> Tensor | None:
    """Return what arrives at a network within a model, None where layers with weights come before it."""
    if x is None or network is model:
        return x
    graph = model.graph
    steps = [*takewhile(lambda step: step.operation is not network, graph.steps)]
    target = graph.steps[len(steps)].node.inputs[0]
    if len(graph.inputs) > 1 or any(getattr(step.operation, "weights", None) for step in steps):
        return None
    values = {id(graph.inputs[0]): x if x.is_floating_point() else x.float()}
    with torch.no_grad():
        for step in steps:
            result = _called(step, values)
            if not isinstance(result, Tensor):
                return None
            values[id(step.node.outputs[0])] = result
    return values.get(id(target))


def _called(step: Any, values: dict[int, Any]) -> Any:
    args, kwargs = (symbolic.substitute(part, values) for part in (step.node.args, step.node.kwargs))
    if getattr(step.operation, "_takes_training", False):
        kwargs = {**kwargs, "training": False}
    return step.operation(*args, **kwargs)
