"""The frozen first part of a network: found, folded, and run apart from what learns after it.

Calls belong to it when nothing in them learns, draws random numbers or depends on the batch, and when they need nothing
but the inputs and such calls. What the rest of the network takes from there are its *features*.
"""

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from convia import activations, config, engine, layers, symbolic, tree
from convia.graph import Graph
from convia.layer import Layer
from convia.symbolic import FunctionCall, Node
from convia.training import plans
from convia.variable import Variable

_UNKNOWN = 64  # pixels, where a side is not known
_LEAST = 2e6  # multiplications per sample below which the engine computes faster than anything can be looked up
_DEARER = 3  # learning costs so many times what computing the outputs does
_TOLERANCE = 1e-4  # of folding, relative to the largest feature
_HALF_TOLERANCE = 0.05  # of the engine's float32 beside what torch makes of half precision
_RANDOM = ("rand", "dropout", "bernoulli", "multinomial", "normal_", "poisson")  # in the names of torch's functions
_FOLDING = tuple(getattr(layers, f"{kind}{rank}D") for kind in ("Conv", "DepthwiseConv") for rank in (1, 2))
_METHODS = ("train_step", "test_step", "compute_loss", "compute_metrics", "call", "forward", "__call__")


@dataclass(frozen=True)
class Slot:
    """Stands for a tensor in the arguments of a call."""

    number: int


@dataclass
class Call:
    """One call of a graph in which models within models are dissolved."""

    operation: Any
    args: Any
    kwargs: Any
    results: list[int]
    node: Node
    training: bool | None  # as the program says, None where it says nothing
    dead: list[int] = field(default_factory=list)

    @property
    def needs(self) -> list[int]:
        """The slots of the arguments."""
        return [leaf.number for leaf in tree.flatten([self.args, self.kwargs]) if isinstance(leaf, Slot)]

    @property
    def is_random(self) -> bool:
        """Whether what it does in training is left to chance."""
        return isinstance(self.operation, Layer) and _draws(self.operation, self.training)

    def run(self, values: dict[int, Any], training: bool | None = None) -> None:
        """Call, keep the results, and forget what nobody needs any more; ``training`` is for random layers."""
        kwargs = _filled(self.kwargs, values)
        if training is not None and self.is_random:
            kwargs["training"] = training
        result = self.operation(*_filled(self.args, values), **kwargs)
        results = tree.flatten(result) if len(self.results) > 1 or tree.is_nested(result) else [result]
        values.update(zip(self.results, results, strict=True))
        for slot in self.dead:
            del values[slot]


def _filled(template: Any, values: dict[int, Any]) -> Any:
    if isinstance(template, Slot):
        return values[template.number]
    if isinstance(template, (list, tuple)) and not hasattr(template, "_fields"):
        return type(template)([_filled(item, values) for item in template])
    return {key: _filled(item, values) for key, item in template.items()} if isinstance(template, dict) else template


# -- models within models ---------------------------------------------------------------------------------------------


class Flat:
    """The calls of a graph, those of the models within it among them.

    Attributes:
        calls: in order; each finds its arguments in the results of those before.
        inputs, outputs: slots.
    """

    def __init__(self, graph: Graph) -> None:
        self.calls: list[Call] = []
        self._count = 0
        self.inputs = [self._slot() for _ in graph.inputs]
        self.outputs = [slot.number for slot in self._dissolve(graph, self.inputs, None)]

    def _slot(self) -> int:
        self._count += 1
        return self._count

    def _dissolve(self, graph: Graph, inputs: Iterable[int], training: bool | None) -> list[Slot]:
        slots = {id(tensor): Slot(number) for tensor, number in zip(graph.inputs, inputs, strict=True)}
        for step in graph.steps:
            node, operation = step.node, step.operation
            said = node.kwargs.get("training", training)
            if _dissolves(operation, node):
                given = [slots[id(tensor)].number for tensor in node.inputs]
                results = self._dissolve(operation.graph, given, said)
            else:
                results = [Slot(self._slot()) for _ in node.outputs]
                args, kwargs = symbolic.substitute(node.args, slots), symbolic.substitute(node.kwargs, slots)
                if said is not None and getattr(operation, "_takes_training", False):
                    kwargs = {**kwargs, "training": said}
                self.calls.append(Call(operation, args, kwargs, [slot.number for slot in results], node, said))
            slots |= {id(tensor): slot for tensor, slot in zip(node.outputs, results, strict=True)}
        return [slots[id(tensor)] for tensor in graph.outputs]


def _dissolves(operation: Any, node: Node) -> bool:
    """Whether a call is that of a model whose graph does all there is to do."""
    graph = getattr(operation, "graph", None)
    if not isinstance(graph, Graph) or not type(operation).__module__.startswith("convia.models"):
        return False
    given = [(len(tensor.shape), tensor.dtype) for tensor in node.inputs]
    wanted = [(len(tensor.shape), tensor.dtype) for tensor in graph.inputs]
    return given == wanted and set(node.kwargs) <= {"training"} and not _is_watched(operation)


def _is_watched(layer: Any) -> bool:
    hooks = layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
    return bool(hooks) or layer.activity_regularizer is not None


# -- what is frozen ---------------------------------------------------------------------------------------------------


def _is_steady(call: Call, learned: set[int], by_chance: bool) -> bool:
    """Whether a call gives the same for the same sample at any time; ``by_chance`` lets random layers pass."""
    operation = call.operation
    if any(isinstance(leaf, Variable) for leaf in tree.flatten([call.args, call.kwargs])):
        return False
    if isinstance(operation, FunctionCall):
        name = getattr(operation.function, "__name__", "random")
        return not getattr(operation.function, "__module__", "").startswith("convia.random") and not any(
            word in name for word in _RANDOM
        )
    if not isinstance(operation, Layer):
        return False
    return all(_is_steady_layer(layer, call.training, learned, by_chance) for layer in operation._flatten_layers())


def _is_steady_layer(layer: Any, training: bool | None, learned: set[int], by_chance: bool) -> bool:
    ours = type(layer).__module__.startswith(("convia.layers", "convia.applications", "convia.models", "convia.graph"))
    if not ours or isinstance(layer, layers.Lambda) or _is_watched(layer) or layer._metrics or layer._makes_masks:
        return False
    if getattr(layer, "stateful", False):
        return False
    if any(id(variable) in learned for variable in layer.weights):
        return False
    if isinstance(layer, layers.BatchNormalization):
        return training is False or not layer.trainable
    return not _draws(layer, training) or (by_chance and not layer.weights)


def _draws(layer: Any, training: bool | None) -> bool:
    may = layer._takes_training and training is not False and getattr(layer, "rate", 1) != 0
    return may and not isinstance(layer, layers.BatchNormalization) and getattr(layer, "graph", None) is None


def multiplications(call: Call) -> float:
    """Return about how many multiplications a call makes for one sample."""
    kernels = [weight.numel() for weight in getattr(call.operation, "weights", ()) if weight.ndim > 1]
    if not kernels:
        return 0.0
    shape = call.node.outputs[0].shape[1:]
    axis = 0 if getattr(call.operation, "data_format", "") == "channels_first" else len(shape) - 1
    return float(sum(kernels)) * math.prod(size or _UNKNOWN for k, size in enumerate(shape) if k != axis)


class Split:
    """A model in two parts: ``features`` computes the frozen one, ``finish`` the other.

    Attributes:
        variables: of the frozen part.
        is_random: whether random layers belong to the frozen part.
    """

    def __init__(self, model: Any, flat: Flat, frozen: list[Call], rest: list[Call]) -> None:
        self._model, self._inputs, self._outputs = model, flat.inputs, flat.outputs
        made = {*flat.inputs, *(slot for call in frozen for slot in call.results)}
        self.cut = sorted(made & {*(slot for call in rest for slot in call.needs), *flat.outputs})
        self._plain = _pruned(frozen, self.cut)
        self._rest = _pruned(rest, flat.outputs)
        self._folded: list[Call] | None = None
        self._wide: tuple[Any, Any] = None, None  # what it was made for; the engine's way
        self._is_tried = False
        self.is_random = any(call.is_random for call in self._plain)
        owners = {id(call.operation): call.operation for call in self._plain if isinstance(call.operation, Layer)}
        self.variables = [weight for owner in owners.values() for weight in owner.weights]
        self._layers = list(model._flatten_layers())
        self._key, self._places = self._now(), self._memory()

    def _now(self) -> tuple[list[bool], list[int]]:
        return [layer.trainable for layer in self._layers], [variable._version for variable in self.variables]

    def _memory(self) -> list[int]:
        return [variable.data_ptr() for variable in self.variables]

    @property
    def is_valid(self) -> bool:
        """Whether the weights of the frozen part, and what is frozen, are as they were when it was made."""
        return self._now() == self._key

    @property
    def is_in_place(self) -> bool:
        """Whether the weights of the frozen part lie where they did; it takes longer to see."""
        return self._memory() == self._places

    def features(self, x: Any, training: bool = False) -> list[Tensor]:
        """Compute what the rest needs, without noting anything for gradients; ``training`` is for random layers."""
        with torch.no_grad():
            x = tree.map_structure(partial(torch.as_tensor, device=config.device()), x)
            values = self._model._arranged(self._model._converted(x))
            found = None if training and self.is_random else self._by_engine(self._model._arranged(x))
            if found is not None:
                return found
            if not self._is_tried:
                self._try_folding([value[:2] for value in values])
            return self._run(self._folded or self._plain, values, training)

    def _by_engine(self, values: list[Tensor]) -> list[Tensor] | None:
        """Compute features with channels as lanes, None where the engine cannot or samples as lanes were better."""
        if any(not value.is_floating_point() or value.device.type != "cpu" for value in values):
            return None
        values = [value.float().contiguous() for value in values]
        key = engine.chosen_engine(), engine.instruction_set(), engine.threads(), self._memory()
        if self._wide[0] != key:
            self._wide = key, None
            self._wide = key, self._checked_pass(values)
        run = self._wide[1]
        return None if run is None else self._typed(run(values))

    def _typed(self, features: list[Tensor]) -> list[Tensor]:
        """Give features the types that torch computes them in."""
        types = {slot: spec.dtype for c in self._plain for slot, spec in zip(c.results, c.node.outputs, strict=True)}
        names = [types.get(slot, "float32") for slot in self.cut]
        return [value.to(config.torch_dtype(name)) for value, name in zip(features, names, strict=True)]

    def _checked_pass(self, values: list[Tensor]) -> Any:
        """Return the engine's way, if it is the quicker one and features of some samples are what torch computes."""
        try:
            plans.require(self._model)
            inputs = dict(zip(self._inputs, self._model.graph.inputs, strict=True))
            parts = [engine.Part(c.operation, c.node, c.needs, c.results, c.training is False) for c in self._plain]
            plan = engine.lower_part(inputs, parts, self.cut)
        except engine.Unsupported:
            return None
        fits = all(tuple(value.shape[1:]) == plan.shapes[k] for value, k in zip(values, plan.inputs, strict=True))
        if not fits or not plans.predicts_wide(plan, len(values[0])):
            return None
        run, samples = plans.wide_pass(plan), [value[:2].contiguous() for value in values]
        halves = any(layer.compute_dtype != "float32" for layer in self._layers)
        tolerance = _HALF_TOLERANCE if halves else _TOLERANCE
        return run if _agree(self._run(self._plain, samples), run(samples), tolerance) else None

    def _run(self, calls: list[Call], inputs: list[Tensor], training: bool = False) -> list[Tensor]:
        values = dict(zip(self._inputs, inputs, strict=True))
        for call in calls:
            call.run(values, training)
        return [values[slot] for slot in self.cut]

    def _try_folding(self, samples: list[Tensor]) -> None:
        """Fold normalizations into convolutions, if features of some samples stay what they are."""
        self._is_tried = True
        folded = fold(self._plain, self.cut)
        if folded is None:
            return
        if _agree(self._run(self._plain, samples), self._run(folded, samples), _TOLERANCE):
            self._folded = _pruned(folded, self.cut)

    def finish(self, features: list[Tensor]) -> Any:
        """Compute the outputs of the model, in their structure, from features."""
        values = dict(zip(self.cut, features, strict=True))
        for call in self._rest:
            call.run(values)
        outputs, form = [values[slot] for slot in self._outputs], self._model.graph.output_tree
        return outputs[0] if len(outputs) == 1 and not isinstance(form, dict) else tree.pack(form, outputs)


def _agree(features: list[Tensor], others: list[Tensor], tolerance: float) -> bool:
    pairs = [(a, b) for a, b in zip(features, others, strict=True) if a.is_floating_point()]
    return all(bool((a - b).abs().max() <= tolerance * a.abs().max()) for a, b in pairs)


def _pruned(calls: list[Call], wanted: Iterable[int]) -> list[Call]:
    """Leave out what does not lead to the wanted slots, and note after each call what is not needed any more."""
    kept, needed = [], set(wanted)
    for call in reversed(calls):
        if needed.isdisjoint(call.results):
            continue
        dead = sorted(set(call.needs) - needed)
        unused = [slot for slot in call.results if slot not in needed]
        kept.append(Call(call.operation, call.args, call.kwargs, call.results, call.node, call.training, dead + unused))
        needed |= set(call.needs)
    return kept[::-1]


def split(model: Any, by_chance: bool = False) -> Split | None:
    """Return a model in two parts, or None where that is impossible or of no use.

    Args:
        model: compiled, with a graph.
        by_chance: whether random layers (augmentation) may belong to the frozen part.
    """
    if getattr(model, "graph", None) is None or model.run_eagerly or _is_watched(model) or _wants_engine(model):
        return None
    if not all(getattr(type(model), name).__module__.startswith(("convia.", "torch.")) for name in _METHODS):
        return None
    learned = {id(variable) for variable in model.trainable_variables}
    flat = Flat(model.graph)
    known = set(flat.inputs)
    frozen: list[Call] = []
    rest: list[Call] = []
    for call in flat.calls:
        steady = known.issuperset(call.needs) and _is_steady(call, learned, by_chance)
        (frozen if steady else rest).append(call)
        known |= set(call.results) if steady else set()
    cost, others = (sum(map(multiplications, calls)) for calls in (frozen, rest))
    if not cost or not learned or not rest:
        return None
    cheap = cost < _LEAST or cost < _DEARER * others
    if cheap and "train" not in plans.beyond(model):
        return None
    return Split(model, flat, frozen, rest)


def _wants_engine(model: Any) -> bool:
    """Whether the user insists on the engine, which takes a network as a whole."""
    return "native" in (engine.chosen_engine(), getattr(model, "_engine_choice", None))


# -- folding ----------------------------------------------------------------------------------------------------------


def fold(calls: list[Call], cut: Iterable[int]) -> list[Call] | None:
    """Return the calls with each inference of a BatchNormalization drawn into the convolution before it.

    γ·(w ∗ x + b − μ)/√(σ² + ε) + β = (s·w) ∗ x + s·(b − μ) + β with s = γ/√(σ² + ε). A ReLU that follows is applied in
    place. The layers themselves stay as they are. None where there is nothing to fold.
    """
    users: dict[int, int] = dict.fromkeys(cut, 2)
    for call in calls:
        for slot in call.needs:
            users[slot] = users.get(slot, 0) + 1
    made: dict[int, Call] = {}
    result: list[Call] = []
    changed = False
    for call in calls:
        before = made.get(call.args[0].number) if len(call.args) == 1 and isinstance(call.args[0], Slot) else None
        alone = before is not None and users[before.results[0]] == 1
        twin = _joined(before.operation, call) if before is not None and alone else None
        if before is None or twin is None:
            result.append(call)
            made[call.results[0]] = call
            continue
        changed = True
        joined = Call(twin, before.args, before.kwargs, call.results, call.node, before.training)
        result[next(k for k, other in enumerate(result) if other is before)] = joined
        made[call.results[0]] = joined
    return result if changed else None


def _joined(convolution: Any, call: Call) -> Any:
    """Return a convolution that also does what a call after it does, None if there is no such one."""
    after = call.operation
    if type(convolution) not in _FOLDING or convolution._active or getattr(convolution, "lora_enabled", False):
        return None
    if type(after) is layers.BatchNormalization:
        return _normalizing(convolution, after)
    is_relu = type(after) is layers.Activation and after.activation is activations.relu
    plain = type(after) is layers.ReLU and after.max_value is None and not after.negative_slope and not after.threshold
    if not is_relu and not plain:
        return None
    twin = copy.copy(convolution)
    quiet = twin.__dict__
    quiet["activation"] = activations.relu
    return twin


def _normalizing(convolution: Any, norm: Any) -> Any:
    channels = convolution._to_torch[1]
    fits = norm._to_torch[1] == channels and not norm.renorm
    if not fits or {convolution.compute_dtype, norm.compute_dtype, convolution.variable_dtype} != {"float32"}:
        return None
    kernel = convolution.kernel.detach()
    scale = (norm.moving_variance.double() + norm.epsilon).rsqrt()
    scale = scale if norm.gamma is None else scale * norm.gamma.detach()
    bias = 0.0 if convolution.bias is None else convolution.bias.detach().double()
    shift = (bias - norm.moving_mean.double()) * scale
    shift = shift if norm.beta is None else shift + norm.beta.detach()
    depthwise = type(convolution) in (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
    factors = scale.reshape(kernel.shape[-2:]) if depthwise else scale
    twin = copy.copy(convolution)
    twin.__dict__.pop("bias", None)
    twin.__dict__["_parameters"] = {"kernel": (kernel * factors).float(), "bias": shift.float()}
    return twin
