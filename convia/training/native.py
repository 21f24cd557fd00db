"""The loop on the native engine: fit, evaluate and predict of array data on a CPU, many steps per call.

``walk`` and ``predict`` return None where the engine cannot run the model; the caller then goes on with torch.
"""

import math
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from convia import distributed, tree
from convia.engine import Plan, Unsupported
from convia.random import SeedGenerator
from convia.training import blame, plans, shared
from convia.training.data import ArrayBatches, Batches

_CALL_SECONDS = 0.05  # a call into the engine should end after this time, so that bars move and Ctrl-C works
_SHARED_STEPS = 16  # of measuring and predicting, in one call of each of several processes


# -- fit and evaluate -----------------------------------------------------------------------------------------------


def walk(model: Any, batches: Batches, hooks: Any, mode: str) -> bool | None:
    """Go through an epoch of training ("train") or measuring ("test"); None where torch has to."""
    if not isinstance(batches, ArrayBatches):
        return None
    return plans.attempt(model, mode, lambda: _walk(model, batches, hooks, mode))


def step(model: Any, x: Any, y: Any, weight: Any, mode: str) -> bool | None:
    """Learn from one batch ("train") or measure it ("test"); None where torch has to."""
    return plans.attempt(model, mode, lambda: _step(model, x, y, weight, mode))


def _walk(model: Any, batches: ArrayBatches, hooks: Any, mode: str) -> bool:
    run = _run(model, batches._tree, batches.batch_size, mode, batches._order)
    for first, last in _portions(model, batches.steps or 0, hooks, mode, stops=run.stops(hooks)):
        run(first, last)
    return True


def _step(model: Any, x: Any, y: Any, weight: Any, mode: str) -> bool:
    leaves = tree.flatten(x)
    if not leaves or not all(isinstance(leaf, Tensor) and leaf.ndim and len(leaf) for leaf in leaves):
        raise Unsupported("a batch that is not arrays")
    _run(model, (x, y, weight), len(leaves[0]), mode)(0, 1)
    return True


def _run(model: Any, parts: tuple[Any, Any, Any], size: int, mode: str, order: Any = None) -> "_Run | _PredictedRun":
    if not shared.hands_out(model) or (mode == "test" and distributed.size() < 2):
        plans.require(model)
        leaves = [leaf for leaf in tree.flatten(parts[0]) if isinstance(leaf, Tensor)]
        by_predictions = mode == "test" and leaves and plans.measures_wide(model, len(leaves[0]))
        return (_PredictedRun if by_predictions else _Run)(model, parts, size, mode, order)
    is_first = model._first_step
    if mode == "train" and is_first:
        first = (
            parts if order is None else tree.map_structure(lambda leaf: None if leaf is None else leaf[:size], parts)
        )
        model._learned_variables()
        distributed.agree(model, first)
    try:
        run: _SharedRun = shared.agreed(lambda: _SharedRun(model, parts, size, mode, order))
    except Unsupported:
        object.__setattr__(model, "_first_step", is_first)
        raise
    return run


class _Run:
    """Steps of training or measuring over arrays (x, y, sample_weight), ``size`` samples in each.

    A loss that is not finite stops the first step of a fit, and any where training stops at such losses, before it
    changes the weights; what else a step notes is put back.
    """

    def __init__(self, model: Any, parts: tuple[Any, Any, Any], size: int, mode: str, order: Any = None) -> None:
        plans.require(model)
        if len(model.metrics) > len(model.objective.metrics):
            raise Unsupported("metrics of layers are not supported by the engine")
        self.model, self.parts, self.size, self.training = model, parts, size, mode == "train"
        self.before = model._reading.number if order is None else 0  # batches, of which the caller has told
        inputs = plans.inputs(model, parts[0])
        self.count = count = len(inputs[0])
        _build_objective(model, *parts, size)
        self.mode = plans.TRAIN if self.training else plans.TEST
        self.ready = ready = plans.prepared(model, min(size, count), self.mode)
        plans.require_gain(model, ready, min(size, count) if self.training else count)
        targets = plans.targets(model, ready.plan, *parts[1:], count)
        drawn = None if order is None else order(count)
        self.arrays = plans.Arrays(inputs, targets, torch.arange(count) if drawn is None else drawn.contiguous())
        weights = [] if self.training else model._penalized_weights()
        self.penalty = float(sum((v.regularizer(v).detach() for v in weights), torch.zeros(())))
        self.seeds = _seeds(ready.plan) if self.training else []

    def __call__(self, first: int, last: int) -> None:
        """Take the steps from ``first`` to ``last``; weights with constraints are looked after between any two."""
        model = self.model
        each = 1 if self.training and (self.ready.plan.constrained or self._guarded()) else last - first
        for start in range(first, last, each):
            model._reading.number = self.before + start
            self._take(start, min(start + each, last))

    def _guarded(self) -> bool:
        """Whether the next step may only change the weights where its loss is finite."""
        return self.training and (self.model._first_step or self.model._stops_at_nan)

    def _kept(self) -> blame.Kept | None:
        """Return what the next step notes and may have to be put back."""
        return blame.Kept(self.ready.plan.statistics()) if self._guarded() else None

    def _refused(
        self, kept: blame.Kept | None, tallies: list[tuple[float, float]], penalties: float, start: int, samples: int
    ) -> bool:
        """Whether a guarded step has a loss that is not finite, so that nothing may come of it.

        Raises:
            ValueError: it is the first step of a fit.
        """
        model = self.model
        if kept is not None and kept.restored(unless=math.isfinite(sum(loss for loss, _ in tallies) + penalties)):
            if model._first_step:
                loss = torch.tensor(sum(loss for loss, _ in tallies) / samples)
                model._check_first_step(loss, self._inputs(start, samples), None)
            model._note_nan(self._inputs(start, samples))
            return True
        if self.training:
            object.__setattr__(model, "_first_step", False)
        return False

    def stops(self, hooks: Any) -> Callable[[], bool]:
        """Return what says after a portion of steps whether to stop."""
        return lambda: self.training and self.model.stop_training

    def _take(self, first: int, last: int) -> None:
        model, plan, start = self.model, self.ready.plan, first * self.size
        samples = min(last * self.size, self.count) - start
        update = _update(model, self.seeds, last - first) if self.training else {}
        shapes = [tensor.shape[1:] for tensor in model.graph.outputs] if plan.watched else []
        outputs = [torch.empty(samples, *shape) for shape in shapes]
        batch = self.size if self.training else samples
        kept = self._kept()
        update["guarded"] = kept is not None
        tallies, penalties = _call(self.ready, self.arrays, self.mode, start, samples, batch, outputs, **update)
        if not self._refused(kept, tallies, penalties, start, samples) and self.training:
            model.optimizer._iterations.number += last - first
            with torch.no_grad():
                for variable in plan.constrained:
                    variable.copy_(variable.constraint(variable))
        _note(model, plan, tallies, penalties + self.penalty * samples, samples)
        for place in range(0, samples if plan.watched else 0, self.size):
            self._show(place, start + place, outputs)

    def _inputs(self, start: int, samples: int) -> Any:
        """Return the inputs of some samples, in the order of this epoch, as the model takes them."""
        rows = self.arrays.order[start : start + samples]
        return tree.map_structure(lambda leaf: leaf.index_select(0, rows), self.parts[0])

    def _show(self, place: int, start: int, outputs: list[Tensor]) -> None:
        """Feed the predictions of a batch to the metrics that the engine does not know."""
        rows = self.arrays.order[start : start + self.size]
        y, weight = tree.map_structure(lambda leaf: None if leaf is None else leaf[rows], self.parts[1:])
        inside = [metric for entry in self.ready.plan.losses for metric in entry["inside"]]
        with torch.no_grad():
            self.model.objective.update(y, [out[place : place + len(rows)] for out in outputs], weight, inside)


class _PredictedRun:
    """Steps of measuring where channels are the lanes: predictions, of which torch makes losses and metrics."""

    def __init__(self, model: Any, parts: tuple[Any, Any, Any], size: int, mode: str, order: Any = None) -> None:
        if len(model.metrics) > len(model.objective.metrics):
            raise Unsupported("metrics of layers are not supported by the engine")
        self.model, self.parts, self.size = model, parts, size
        inputs = plans.inputs(model, parts[0])
        self.count = len(inputs[0])
        self.ready = plans.to_predict(model, self.count)
        drawn = None if order is None else order(self.count)
        self.arrays = plans.Arrays(inputs, [], torch.arange(self.count) if drawn is None else drawn.contiguous())

    def __call__(self, first: int, last: int) -> None:
        """Take the steps from ``first`` to ``last``."""
        model, start = self.model, first * self.size
        samples = min(last * self.size, self.count) - start
        found = [torch.empty(samples, *tensor.shape[1:]) for tensor in model.graph.outputs]
        _call_wide(self.ready, self.arrays, start, samples, found)
        for place in range(0, samples, self.size):
            rows = self.arrays.order[start + place : start + min(place + self.size, samples)]
            x, y, weight = tree.map_structure(lambda leaf, rows=rows: None if leaf is None else leaf[rows], self.parts)
            outputs = _packed(model, [out[place : place + len(rows)] for out in found])
            with torch.no_grad():
                model._note_loss(model._compute_loss(x, y, outputs, weight, training=False), outputs)
                model._update_metrics(x, y, outputs, weight)

    def stops(self, hooks: Any) -> Callable[[], bool]:
        """Measuring is not stopped."""
        return lambda: False


class _SharedRun(_Run):
    """The same where torch updates the weights; of several processes each computes its own rows of the batches."""

    _stop = False  # as agreed within the last step

    def stops(self, hooks: Any) -> Callable[[], bool]:
        """Return what asks all processes, where callbacks may have stopped one; else the last step has asked them."""
        if self.training and distributed.any_of_us(hooks.wants_train_batches):
            return lambda: distributed.any_of_us(self.model.stop_training)
        return lambda: self._stop

    def __call__(self, first: int, last: int) -> None:
        """Take the steps from ``first`` to ``last``, those of training one by one."""
        each = 1 if self.training else last - first
        for start in range(first, last, each):
            self.model._reading.number = self.before + start
            self._take(start, min(start + each, last))

    def _take(self, first: int, last: int) -> None:
        start = first * self.size
        samples = min(last * self.size, self.count) - start
        rows, weight = shared.own_rows(samples)
        own, plan = rows.stop - rows.start, self.ready.plan
        shapes = [tensor.shape[1:] for tensor in self.model.graph.outputs] if plan.watched else []
        outputs = [torch.empty(samples, *shape) for shape in shapes]
        update, kept = (self._keys() if self.training else {}), self._kept()
        if self.ready.gradients is not None:
            self.ready.gradients.bucket.zero_()
        places = [output[rows] for output in outputs]
        found = _call(self.ready, self.arrays, self.mode, start + rows.start, own, own, places, **update)
        for output in outputs if own < samples else ():
            shared.fill(output, rows)
        repeats = own == samples
        gradients = self.ready.gradients
        if gradients is None:
            tallies, penalties = shared.sums(*found, weight, repeats)
        else:
            stop = self.model.stop_training
            tallies, penalties, self._stop = shared.add_up(gradients, *found, weight, repeats, stop)
        if not self._refused(kept, tallies, penalties, start, samples) and gradients is not None:
            self._update(gradients)
        _note(self.model, plan, tallies, penalties + self.penalty * samples, samples)
        for place in range(0, samples if plan.watched else 0, self.size):
            self._show(place, start + place, outputs)

    def _keys(self) -> dict[str, Any]:
        optimizer = self.model.optimizer
        done = getattr(optimizer, "inner_optimizer", optimizer)._iterations.number
        keys = [_key(seed, done, 1) for seed in self.seeds]
        return {"rates": [0.0], "t": done + 1, "keys": shared.own_keys(keys)}

    def _update(self, gradients: shared.Gradients) -> None:
        optimizer = self.model.optimizer
        factor = float(optimizer.scale_loss(torch.ones(())))
        parts = gradients.parts if factor == 1 else [part * factor for part in gradients.parts]
        optimizer.apply(parts, self.model._learned_variables())


def _build_objective(model: Any, x: Any, y: Any, weight: Any, size: int) -> None:
    """Let torch run a first batch once, without learning: it builds and checks losses and metrics."""
    if model.objective.built:
        return
    parts = tree.map_structure(lambda leaf: None if leaf is None else leaf[:size], (x, y, weight))
    first_x, first_y, first_weight = parts
    before = {id(variable): variable.clone() for metric in model.metrics for variable in metric.variables}
    with torch.no_grad():
        outputs = model(first_x, training=False)
        model.compute_loss(first_x, first_y, outputs, first_weight, training=False)
        for variable in (variable for metric in model.metrics for variable in metric.variables):
            variable.copy_(before.get(id(variable), torch.zeros(())))


def _portions(
    model: Any,
    steps: int,
    hooks: Any,
    mode: str,
    logs: Callable[[int, int], Any] | None = None,
    stops: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, int]]:
    """Yield ranges of steps to take in one call, and tell the callbacks that want to know in between."""
    wants = getattr(hooks, f"wants_{mode}_batches")
    begin, end = getattr(hooks, f"on_{mode}_batch_begin"), getattr(hooks, f"on_{mode}_batch_end")
    progress = hooks.progress if mode == "train" or not hooks.inside_fit else None
    draw = getattr(progress, f"on_{mode}_batch_end", None)
    logs = logs or (lambda first, last: model._step_logs(None))
    every, training, portion, count = model.steps_per_execution, mode == "train", 1, 0
    if training and model._resume_step:  # a restored run goes on within its epoch
        count = model._resume_step
        object.__setattr__(model, "_resume_step", 0)
    while count < steps:
        first = count
        if wants:
            begin(count)
            count = min(count - count % every + every, steps)
        else:
            count = min(count + (_shared_portion(training) if distributed.size() > 1 else portion), steps)
        start = perf_counter()
        yield first, count
        seconds = perf_counter() - start
        portion = max(1, min(2 * portion, int(portion * _CALL_SECONDS / max(seconds, 1e-6))))
        if wants:
            end(count - 1, logs(first, count))
        elif draw is not None and progress is not None and progress.due(count - 1):
            draw(count - 1, logs(first, count))
        object.__setattr__(model, "_steps_done", count)
        if stops():
            object.__setattr__(model, "stop_training", True)
            return


def _shared_portion(training: bool) -> int:
    """How many steps at a time: the same in all processes, which look after each step whether one wants to stop."""
    return 1 if training else _SHARED_STEPS


def _update(model: Any, seeds: list[Any], steps: int) -> dict[str, Any]:
    """Learning rates and random keys of the next steps."""
    optimizer = model.optimizer
    done, rate = optimizer._iterations.number, optimizer._learning_rate
    if hasattr(rate, "number"):
        rates = [rate.number] * steps
    elif steps == 1 or not callable(getattr(rate, "get_config", None)):  # a function may count its calls
        rates = [optimizer._rate() for _ in range(steps)]
    else:
        rates = [float(rate(torch.tensor(done + step))) for step in range(steps)]
    return {"rates": rates, "t": done + 1, "keys": [_key(seed, done, steps) for seed in seeds]}


def _seeds(plan: Plan) -> list[Any]:
    """What the masks of each random layer start from: its own generator, or a draw from torch's."""
    return [
        layer.seed_generator if layer.seed_generator is not None else int(torch.randint(2**62, ()))
        for layer in plan.random_layers
    ]


def _key(seed: Any, done: int, steps: int) -> int:
    """Return the key of the next steps; a layer's own generator moves on by as many."""
    if not isinstance(seed, SeedGenerator):
        return int(seed)
    start, drawn = seed._state
    seed._state = [start, drawn + steps]
    return (start * 0x9E3779B97F4A7C15 + drawn - done) % 2**64


def _call(
    ready: plans.Ready,
    arrays: plans.Arrays,
    mode: int,
    first: int,
    samples: int,
    batch: int,
    outputs: Any = (),
    **update: Any,
) -> tuple[list[tuple[float, float]], float]:
    inputs, targets = arrays.addresses()
    order = arrays.order.data_ptr() + first * arrays.order.element_size()
    addresses = [out.data_ptr() for out in outputs]
    if mode == plans.TRAIN:
        plans.written += 1
    with ready.lock:
        results: tuple[list[tuple[float, float]], float] = ready.network.run(
            mode,
            inputs,
            targets,
            addresses,
            order,
            samples,
            batch,
            update.get("rates", []),
            update.get("t", 1),
            update.get("keys", [0] * len(ready.plan.random_layers)),
            update.get("guarded", False),
        )
        return results


def _call_wide(ready: plans.Ready, arrays: plans.Arrays, first: int, samples: int, outputs: list[Tensor]) -> None:
    order = arrays.order.data_ptr() + first * arrays.order.element_size()
    addresses = [out.data_ptr() for out in outputs]
    with ready.lock:
        ready.network.run(arrays.addresses()[0], addresses, order, samples, plans.version(ready.plan))


def _note(model: Any, plan: Plan, tallies: list[tuple[float, float]], penalty: float, samples: int) -> None:
    """Add what the engine has counted to the means of losses and metrics."""
    objective = model.objective
    total = sum(loss * entry["factor"] for (loss, _), entry in zip(tallies, plan.losses, strict=True))
    _add(objective.tracker, total + penalty, samples)
    for (loss, hits), entry in zip(tallies, plan.losses, strict=True):
        if objective.output_trackers:
            _add(objective.output_trackers[entry["number"]], loss, samples)
        for metric in entry["inside"]:
            _add(metric, hits, samples)


def _add(mean: Any, total: float, count: int) -> None:
    with torch.no_grad():
        mean.total.add_(total)
        mean.count.add_(count)


# -- predict --------------------------------------------------------------------------------------------------------


def predict(model: Any, batches: Batches, hooks: Any) -> Any:
    """Return the outputs for arrays in the structure of the model's outputs; None where torch has to."""
    if not isinstance(batches, ArrayBatches):
        return None
    return plans.attempt(model, "predict", lambda: _predict(model, batches, hooks))


def outputs(model: Any, x: Any) -> Any:
    """Return the outputs for one batch, as tensors; None where torch has to."""
    return plans.attempt(model, "predict", lambda: _outputs(model, x))


def _predict(model: Any, batches: ArrayBatches, hooks: Any) -> Any:
    size = batches.batch_size
    run, found = shared.agreed(lambda: _prediction(model, batches._tree[0]))

    def logs(first: int, last: int) -> dict[str, Any]:
        return {"outputs": _typed(model, [out[first * size : last * size] for out in found])}

    for first, last in _portions(model, batches.steps or 0, hooks, "predict", logs):
        run(first * size, last * size)
    return tree.map_structure(lambda out: out.numpy(), _typed(model, found))


def _packed(model: Any, outputs: list[Tensor]) -> Any:
    """Return outputs in the structure of the model's."""
    form = model.graph.output_tree
    return outputs[0] if len(outputs) == 1 and not isinstance(form, dict) else tree.pack(form, outputs)


def _typed(model: Any, outputs: list[Tensor]) -> Any:
    """Return predictions in their structure, as float16 where torch's are; bfloat16 is float32 in NumPy anyway."""
    specs = zip(outputs, model.graph.outputs, strict=True)
    return _packed(model, [out.half() if spec.dtype == "float16" else out for out, spec in specs])


def _outputs(model: Any, x: Any) -> Any:
    run, found = shared.agreed(lambda: _prediction(model, x))
    run(0, len(tree.flatten(x)[0]))
    return _typed(model, found)


def _prediction(model: Any, x: Any) -> tuple[Callable[[int, int], Any], list[Tensor]]:
    """Return what predicts the samples of a range, and the arrays of float32 that it fills, one for each output."""
    plans.require(model)
    inputs = plans.inputs(model, x)
    count = len(inputs[0])
    if not count:
        raise Unsupported("no samples")
    ready = plans.to_predict(model, count)
    found = [torch.empty(count, *tensor.shape[1:]) for tensor in model.graph.outputs]
    arrays = plans.Arrays(inputs, [], torch.arange(count))

    def run(first: int, last: int) -> None:
        samples = min(last, count) - first
        rows, _ = shared.own_rows(samples) if distributed.size() > 1 else (slice(0, samples), 1.0)
        own, begin = rows.stop - rows.start, first + rows.start
        targets = [out[begin:] for out in found]
        if ready.wide:
            _call_wide(ready, arrays, begin, own, targets)
        else:
            _call(ready, arrays, plans.PREDICT, begin, own, own, targets)
        for out in found if own < samples else ():
            shared.fill(out[first : first + samples], rows)

    return run, found
