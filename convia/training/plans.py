"""Which models the engine runs, the networks that it keeps for them, and arrays in the types that it takes."""

import math
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from convia import books, config, distributed, distribution, engine
from convia.engine import Plan, Unsupported, quantization
from convia.engine.plan import KINDS
from convia.errors import explain
from convia.training import shared

T = TypeVar("T")

_TORCH_SLOWER = 1.6  # than the engine, where both keep all lanes and threads busy
_TORCH_CALL = 3e6  # multiplications that the engine does while torch starts one of a network's operations
_METHODS = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics", "call", "forward", "__call__")
_FAR = ((128 << 20, 2.2), (32 << 20, 1.5))  # blocks of samples of more bytes take so many times as long
_STEP = 1.5  # times as long does a step take with channels as lanes, other things being equal
_PACKED = 45  # multiplications that take as long as laying out a weight that learns for such a step
_TOGETHER = 1.2  # times as long do threads take that share a sample
_WORK = {"train": "training", "test": "measuring", "predict": "predictions"}
TRAIN, TEST, PREDICT, WIDE, INT8 = range(5)  # what a network is for; WIDE and INT8 predict, with channels as lanes


@dataclass
class Ready:
    """A network, which takes memory as soon as it is used, and the key under which it is valid."""

    key: tuple[Any, ...]
    batch: int  # the largest that there is memory for in training
    plan: Plan
    assemble: Callable[[], Any]
    cost: Callable[[Plan, int, int, int], float]  # of samples, with so many lanes and threads
    held: Any  # what the key names by id, so that no other object gets that id
    wide: bool = False  # channels are the lanes
    gradients: shared.Gradients | None = None  # of a step, where torch updates the weights
    lock: Any = field(default_factory=threading.Lock)

    @cached_property
    def network(self) -> Any:
        """The native network."""
        return self.assemble()


@dataclass
class Arrays:
    """The arrays of an epoch in the engine's types; ``order`` has the numbers of the samples."""

    inputs: list[Tensor]
    targets: list[tuple[Tensor | None, Tensor | None, Tensor | None]]  # numbers, class numbers, weights
    order: Tensor

    def addresses(self) -> tuple[list[tuple[int, bool]], list[tuple[int, int, int]]]:
        inputs = [(x.data_ptr(), x.dtype is torch.uint8) for x in self.inputs]
        return inputs, [tuple(0 if part is None else part.data_ptr() for part in row) for row in self.targets]  # type: ignore[misc]


networks: WeakKeyDictionary[Any, dict[int, Ready]] = WeakKeyDictionary()
_lowered: WeakKeyDictionary[Any, tuple[Any, Plan]] = WeakKeyDictionary()  # for predictions: key and plan
_listed: WeakKeyDictionary[Any, tuple[int, list[Tensor]]] = WeakKeyDictionary()  # assignments until then, and weights
_refused: WeakKeyDictionary[Any, dict[int, Any]] = WeakKeyDictionary()  # key and reason, so as not to try again
_left: WeakKeyDictionary[Any, dict[str, str]] = WeakKeyDictionary()  # why the last work of a kind was left to torch
_abandoned: list[Any] = []  # networks of a parent process, whose threads are not here


def _after_fork() -> None:
    _abandoned.extend(list(networks.values()))
    networks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# -- can it, and with what ------------------------------------------------------------------------------------------


def describe(model: Any) -> str:
    """Return what computes the model on a CPU: "native (avx512, 2 threads)", or "torch: " and the reason.

    Half precision that is not rounded to is named, "native (avx512, 2 threads, bfloat16 computed in float32)".
    Work that is torch's all the same follows with its reason: "native (…); training by torch: optimizer …" what the
    engine does not know, "native (…); last training by torch: a few samples …" what it left when it was last asked.
    """
    reasons = beyond(model)
    if "predict" in reasons:
        return f"torch: {reasons['predict']}"
    count, processes = engine.threads(), distributed.size()
    others = f", {processes} processes" if processes > 1 else ""
    kernels = engine.instruction_set()
    if ranges(model) is not None:
        kernels = f"int8, {quantization.kernels(engine.native(), kernels)}"
    elif halves := sorted({layer.compute_dtype for layer in model._flatten_layers()} - {"float32"}):
        others += f", {' and '.join(halves)} computed in float32"
    native = f"native ({kernels}, {count} thread{'s' * (count > 1)}{others})"
    last = {mode: reason for mode, reason in _left.get(model, {}).items() if mode not in reasons}
    never = [f"{_WORK[mode]} by torch: {reason}" for mode, reason in reasons.items()]
    return "; ".join([native, *never, *(f"last {_WORK[mode]} by torch: {reason}" for mode, reason in last.items())])


def beyond(model: Any) -> dict[str, str]:
    """Return why the engine never does some work ("train", "test", "predict") of a model, as far as can be known."""
    try:
        require(model)
        plan = engine.lower(model.graph, list(model.trainable_variables))
    except Unsupported as error:
        return dict.fromkeys(_WORK, str(error))
    try:
        if model.compiled and model.objective.built:
            engine.add_losses(plan, model.objective)
    except Unsupported as error:
        return dict.fromkeys(("train", "test"), str(error))
    try:
        if model.compiled and not shared.hands_out(model):
            engine.rule(model.optimizer)
    except Unsupported as error:
        return {"train": str(error)}
    return {}


def _choice(model: Any) -> str:
    return getattr(model, "_engine_choice", None) or engine.chosen_engine()


def require(model: Any) -> None:
    if _choice(model) == "torch":
        raise Unsupported("chosen by " + ("compile" if model._engine_choice else "set_engine or CONVIA_ENGINE"))
    if distributed.size() > 1:
        shared.require(model)
    if distributed.size() > 1 and distribution.shared_out() is not None:
        raise Unsupported("weights that processes share out")
    if engine.native() is None:
        raise Unsupported(engine.reason_for_absence())
    if config.device().type != "cpu":
        raise Unsupported(f"the device is {config.device()}")
    if getattr(model, "graph", None) is None:
        raise Unsupported(f"model {model.name!r} ({type(model).__name__}) has no graph of layers")
    for name in _METHODS:
        if not _is_ours(getattr(type(model), name)):
            raise Unsupported(f"model {model.name!r} ({type(model).__name__}) has its own {name}()")
    if model.run_eagerly or model._forward_hooks or model._forward_pre_hooks:
        raise Unsupported(f"model {model.name!r} runs eagerly or has hooks")
    if any(layer.activity_regularizer is None for layer in model._loss_layers):
        raise Unsupported(f"model {model.name!r} adds losses")


def _is_ours(method: Any) -> bool:
    return getattr(method, "__module__", "").split(".")[0] in ("convia", "torch")


def attempt(model: Any, mode: str, work: Callable[[], T]) -> T | None:
    """Return None for what the engine cannot do ("train", "test", "predict"), or say so where it was asked for.

    Of a quantized model the engine predicts, and torch goes on from there.
    """
    if ranges(model) is not None and mode != "predict":
        return None
    try:
        done = work()
    except Unsupported as error:
        if ranges(model) is not None:
            remedy = "Call quantize('float32') to go back to floats."
            who, expected = f"predictions of {model.name!r} in int8", "what the engine knows"
            raise ValueError(explain(who, str(error), expected, remedy)) from None
        if _choice(model) != "native":
            _left.setdefault(model, {})[mode] = str(error)
            return None
        if model._engine_choice:
            who, remedy = f"compile(engine='native') of {model.name!r}", "Use compile(engine='auto')."
        else:
            who, remedy = "set_engine('native')", "Use set_engine('auto')."
        raise ValueError(explain(who, str(error), "a model that the engine knows", remedy)) from None
    if model in _left:
        _left[model].pop(mode, None)
    return done


def check(model: Any) -> None:
    """Raise an error where the engine is asked for and cannot run the model."""

    def lower() -> None:
        require(model)
        engine.lower(model.graph, list(model.trainable_variables))

    attempt(model, "predict", lower)


def prepared(model: Any, batch: int, mode: int) -> Ready:
    """Return the network for a mode, made anew when weights have moved or anything else has changed."""
    return _prepared(model, batch, mode, *_key(model, mode))


def _prepared(model: Any, batch: int, mode: int, learned: list[Any], key: tuple[Any, ...]) -> Ready:
    ready = networks.setdefault(model, {}).get(mode)
    if ready is None or ready.key != key or (mode == TRAIN and ready.batch < batch) or ready.plan.is_stale():
        ready = _unless_refused(model, mode, key, lambda: _made(model, learned, key, batch, mode))
        networks[model][mode] = ready
    return ready


def _unless_refused(model: Any, mode: int, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """Call ``make``; what the engine cannot do is not tried again."""
    refused = _refused.setdefault(model, {}).get(mode)
    if refused is not None and refused[0] == key:
        raise refused[1]
    try:
        return make()
    except Unsupported as error:
        _refused[model][mode] = key, error, (model.graph, model.objective)
        raise


def _key(model: Any, mode: int) -> tuple[list[Any], tuple[Any, ...]]:
    """Return the variables that learn, and all that a network depends on."""
    learned = list(model._learned_variables()) if mode == TRAIN else []
    state = (slot for v in learned for slot in model.optimizer.slots(v))
    kept = (getattr(model.optimizer, name, ()) for name in ("_averages", "_sums") if learned)
    weights = [*_weights(model), *state, *(each for part in kept for each in part)]
    return learned, (
        id(model.graph),
        id(model.objective) if mode in (TRAIN, TEST) else 0,
        engine.instruction_set(),
        engine.threads(),
        tuple(map(id, learned)),
        tuple(map(Tensor.data_ptr, weights)),
        tuple(layer.trainable for layer in model.layers) if mode == TRAIN else (),
        _settings(model.optimizer) if mode == TRAIN else (),
    )


def _weights(model: Any) -> list[Tensor]:
    """Return ``model.weights``, looked up again where a layer may have got others since the last time."""
    now, (then, weights) = books.assignments(), _listed.get(model, (-1, []))
    if now != then:
        weights = model.weights
        _listed[model] = now, weights
    return weights


def _made(model: Any, learned: list[Any], key: tuple[Any, ...], batch: int, mode: int) -> Ready:
    native, isa, threads = engine.native(), engine.instruction_set(), engine.threads()
    held = model.graph, model.objective
    found = ranges(model)
    if mode == INT8 and found is not None:
        plan = _plan_to_predict(model, key)
        return Ready(key, batch, plan, partial(_in_bytes(plan, found), native, isa, threads), wide_cost, held, True)
    if mode in (PREDICT, WIDE):
        plan, wide = _plan_to_predict(model, key), mode == WIDE
        assemble = plan.assemble_wide if wide else partial(plan.assemble, batch=batch, training=False)
        cost = wide_cost if wide else narrow_cost
        return Ready(key, batch, plan, partial(assemble, native, isa, threads), cost, held, wide)
    plan = engine.lower(model.graph, learned)
    engine.add_losses(plan, model.objective)
    gradients = None
    if mode == TRAIN and shared.hands_out(model):
        gradients = shared.collect(plan, learned)
    elif mode == TRAIN:
        engine.add_optimizer(plan, model.optimizer, learned)
    wide = mode == TRAIN and _trains_wide(plan, batch)
    assemble = partial(plan.assemble_wide_training if wide else plan.assemble, batch=batch, training=mode == TRAIN)
    cost = wide_step_cost if wide else narrow_cost
    return Ready(key, batch, plan, partial(assemble, native, isa, threads), cost, held, wide, gradients)


def _plan_to_predict(model: Any, key: tuple[Any, ...]) -> Plan:
    """Return the plan of a forward pass, the same for both layouts."""
    before = _lowered.get(model)
    if before is None or before[0] != key or before[1].is_stale():
        before = _lowered[model] = key, engine.lower(model.graph, [])
    return before[1]


def ranges(model: Any) -> quantization.Ranges | None:
    """Return the ranges of the tensors of a model that is computed in 8 bits, None where it is not."""
    found: quantization.Ranges | None = vars(model).get("_ranges")
    return found


def set_ranges(model: Any, found: quantization.Ranges | None) -> None:
    """Let a model be computed in 8 bits from now on, or in floats."""
    vars(model)["_ranges"] = found
    networks.get(model, {}).pop(INT8, None)


def require_wide(plan: Plan) -> None:
    """Raise Unsupported, with the layer's name, for what is not there with channels as lanes."""
    if plan.wide_cost(_lanes()) == math.inf:
        raise Unsupported(f"layer {plan.narrow!r} is not supported with channels as lanes")


def _in_bytes(plan: Plan, ranges: quantization.Ranges) -> Callable[..., Any]:
    require_wide(plan)
    unknown = sorted(ranges.keys() - set(plan.names))
    if unknown:
        raise Unsupported(f"ranges of {unknown[0]!r}, which the model does not have")
    kernels = quantization.kernels(engine.native(), engine.instruction_set())
    return partial(plan.assemble_wide, quanta=quantization.quanta(plan, ranges), kernels=kernels)


def to_predict(model: Any, samples: int) -> Ready:
    """Return the network for predictions of so many samples, in the layout that is quicker for them."""
    learned, key = _key(model, PREDICT)
    if ranges(model) is not None:
        return _prepared(model, 1, INT8, learned, key)
    ready = _prepared(model, 1, _mode_to_predict(model, samples, key), learned, key)
    require_gain(model, ready, samples)
    return ready


def measures_wide(model: Any, samples: int) -> bool:
    """Return whether so many samples are measured by their predictions, for which channels are the lanes."""
    return _mode_to_predict(model, samples, _key(model, PREDICT)[1]) == WIDE


def _mode_to_predict(model: Any, samples: int, key: tuple[Any, ...]) -> int:
    plan: Plan = _unless_refused(model, PREDICT, key, lambda: _plan_to_predict(model, key))
    return WIDE if predicts_wide(plan, samples) else PREDICT


def predicts_wide(plan: Plan, samples: int) -> bool:
    """Return whether so many samples are predicted faster with channels as lanes."""
    threads, lanes = engine.threads(), _lanes()
    narrow, wide = plan.prediction_costs(lanes)
    return _shared(samples, threads) * wide < _blocks(plan, samples, lanes, threads) * narrow


def wide_pass(plan: Plan) -> Callable[[list[Tensor]], list[Tensor]]:
    """Return what computes a plan's outputs with channels as lanes, from float32 inputs that lie in order."""
    network, lock = plan.assemble_wide(engine.native(), engine.instruction_set(), engine.threads()), threading.Lock()

    def run(xs: list[Tensor]) -> list[Tensor]:
        outs = [torch.empty(len(xs[0]), *plan.shapes[tensor]) for tensor in plan.outputs]
        with lock:
            addresses = [(x.data_ptr(), False) for x in xs], [out.data_ptr() for out in outs]
            network.run(*addresses, 0, len(xs[0]), version(plan))
        return outs

    return run


def _lanes() -> int:
    return engine.lanes()[engine.instruction_set()]


def _trains_wide(plan: Plan, batch: int) -> bool:
    """Return whether a step of so many samples is quicker with channels as lanes."""
    threads, lanes = engine.threads(), _lanes()
    return wide_step_cost(plan, batch, lanes, threads) < narrow_cost(plan, batch, lanes, threads)


def narrow_cost(plan: Plan, samples: int, lanes: int, threads: int) -> float:
    """Multiplications that take as long as a pass with samples as lanes: each thread has blocks of its own."""
    return _blocks(plan, samples, lanes, threads) * plan.cost()


def _blocks(plan: Plan, samples: int, lanes: int, threads: int) -> float:
    """Samples that take as long one by one as all of them."""
    size = 4 * lanes * plan.numbers()
    slower = next((times for least, times in _FAR if size > least), 1)
    return -(-samples // (lanes * threads)) * lanes * slower


def wide_cost(plan: Plan, samples: int, lanes: int, threads: int) -> float:
    """The same with channels as lanes: threads share the samples that are left over."""
    return _shared(samples, threads) * plan.wide_cost(lanes)


def _shared(samples: int, threads: int) -> float:
    apart, left = divmod(samples, threads)
    return apart + _TOGETHER * left / threads


def wide_step_cost(plan: Plan, samples: int, lanes: int, threads: int) -> float:
    """The same in training, where each thread has samples of its own."""
    learned = sum(each.tensor.numel() for each in plan.parameters if each.learns)
    return -(-samples // threads) * plan.wide_cost(lanes) * _STEP + _PACKED * learned


def require_gain(model: Any, ready: Ready, samples: int) -> None:
    """Leave to torch what it would do faster: a handful of samples of a large network."""
    threads = engine.threads()
    ours = ready.cost(ready.plan, samples, _lanes(), threads)
    products = ready.plan.wide_cost(_lanes()) if ready.wide else ready.plan.cost()
    torchs = _TORCH_SLOWER * samples / threads * products + _TORCH_CALL * len(ready.plan.steps)
    if ours > torchs and _choice(model) != "native":
        raise Unsupported("a few samples of a large network")


written = 0  # trainings by the engine, of which the weights' own counters do not know


def version(plan: Plan) -> int:
    """Return a number that differs when a weight has been written to."""
    return sum(alias._version for alias in plan.aliases) + (written << 32)


def _settings(optimizer: Any) -> tuple[Any, ...]:
    """The optimizer's numbers, any of which may be changed between epochs."""
    return tuple((k, v) for k, v in sorted(vars(optimizer).items()) if isinstance(v, (int, float, str)))


def inputs(model: Any, x: Any) -> list[Tensor]:
    flat = [x] if isinstance(x, Tensor) else model._flat_inputs(x)
    if len(flat) != len(model.graph.inputs):
        raise Unsupported("inputs of another number")
    return [_input(value, tuple(spec.shape[1:])) for value, spec in zip(flat, model.graph.inputs, strict=True)]


def _input(value: Tensor, shape: tuple[Any, ...]) -> Tensor:
    given = tuple(value.shape[1:])
    if shape not in (given, (*given, 1)) and given != (*shape, 1):
        raise Unsupported("inputs of another shape")
    if value.device.type != "cpu" or value.is_complex():
        raise Unsupported("inputs of another device or type")
    return (value if value.dtype in (torch.uint8, torch.float32) else value.float()).detach().contiguous()


def targets(model: Any, plan: Plan, y: Any, weight: Any, count: int) -> list[Any]:
    objective, rows = model.objective, []
    targets, weights = objective._targets(y), objective._sample_weights(weight)
    for entry in plan.losses:
        target, each = targets[entry["number"]], weights[entry["number"]]
        *pixels, classes = plan.shapes[entry["output"]]
        size = count
        for side in (*pixels, *(() if entry["sparse"] else (classes,))):
            size *= side
        if target is None or target.numel() != size or (each is not None and tuple(each.shape) != (count,)):
            raise Unsupported("targets or weights of such a shape")
        if entry["sparse"] and not 0 <= int(target.min()) <= int(target.max()) < classes:
            raise Unsupported("class numbers out of range")
        labels = target.to(torch.int32).contiguous() if entry["sparse"] else None
        dense = None if entry["sparse"] else target.float().contiguous()
        rows.append((dense, labels, None if each is None else each.float().contiguous()))
    return rows


# -- where the time goes --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """Seconds of all threads in one pass of one step; for convolutions the operations if every tap were multiplied."""

    step: str
    work: str
    seconds: float
    operations: float


def profile(model: Any, run: Callable[[], Any], mode: int = TRAIN) -> list[Work]:
    """Call ``run``, which does again what the engine has done with a model before; return where the time went.

    Args:
        model: compiled, with a call of ``fit`` behind it, or of ``predict``.
        run: trains it, or predicts, in a way that needs no other plan.
        mode: what it does, ``TRAIN``, or ``PREDICT`` or ``WIDE`` for predictions in one layout or the other.
    """
    ready = networks[model][mode]
    ready.network.profiling = True
    run()
    ready.network.profiling = False
    names = [f"{number} {KINDS[step['kind']]}" for number, step in enumerate(ready.plan.steps)]
    return [Work(names[step] if step >= 0 else "all", work, *numbers) for work, step, *numbers in ready.network.timings]
