"""Plan: what the engine is told of a network. Built by ``lowering``, given to the native part by ``assemble``.

A tensor of samples is (channels, depth, height, width) to the engine, whatever its rank; the missing axes have size 1.
The lists of names are the native enumerations, in their order.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

KINDS = (
    "conv",
    "pool_max",
    "pool_average",
    "unary",
    "softmax",
    "copy",
    "join",
    "noise",
    "norm_frozen",
    "norm_stats",
    "norm_batch",
    "conv_transpose",
    "prelu",
    "penalty",
    "norm_group",
    "log_softmax",
    "sparsemax",
    "rectifier",
    "mix",
    "convert",
)
ACTS = (
    "linear",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "tanh",
    "sigmoid",
    "softplus",
    "exponential",
    "capped_relu",
    "hard_sigmoid",
    "hard_tanh",
    "softsign",
    "silu",
    "gelu",
    "gelu_tanh",
    "mish",
    "hard_silu",
    "log_sigmoid",
    "tanh_shrink",
    "soft_shrink",
    "hard_shrink",
    "squareplus",
    "sparse_plus",
    "sparse_sigmoid",
    "absolute",
    "square",
    "root",
    "logarithm",
    "reciprocal",
)
IN_PLACE = frozenset(ACTS[: ACTS.index("silu")])  # their derivative follows from their value
NOISES = ("dropout", "add", "multiply", "alpha")
JOINS = ("add", "subtract", "multiply", "average", "maximum", "minimum")
LOSSES = (
    "none",
    "softmax_crossentropy",
    "sigmoid_crossentropy",
    "mean_squared",
    "mean_absolute",
    "mean_percentage",
    "mean_logarithmic",
    "huber",
    "log_cosh",
    "poisson",
)
RULES = ("sgd", "adam", "rmsprop", "adagrad")
_WIDE = frozenset((*KINDS[: KINDS.index("conv_transpose") + 1], "norm_group"))  # what there is with channels as lanes
_CONVOLUTIONS = ("conv", "conv_transpose")
_MOST_COPIED = 64_000_000  # elements, which are listed one by one for the engine
# How long multiplications of predictions take with samples, and with channels as lanes, as multiples: by kernels
# without strides, for which there is Winograd's algorithm, and of less channels than lanes; what else is done to a
# number of an activation, in multiplications. A fit to 16 networks.
_WINOGRAD = {(3, 3): (0.5, 0.38), (5, 5): (1.0, 0.58)}
_FEW, _NUMBER = (2.1, 0.8), (16, 27)
_DEPTHWISE = 4  # times as long as other multiplications, for each sample is used only once

Shape = tuple[int, ...]


class Unsupported(Exception):  # noqa: N818
    """The engine cannot run this; the message says what and why."""


@dataclass
class Parameter:
    """A weight as the engine sees it: the tensor itself, whose memory is shared."""

    tensor: Tensor
    learns: bool
    l1: float = 0.0
    l2: float = 0.0
    decay: float = 0.0
    slots: tuple[Tensor | None, ...] = ()
    sum: Tensor | None = None  # of gradients that wait for an update
    average: Tensor | None = None  # of the weight over time


@dataclass
class Plan:
    """A network: tensors by number, steps in their order."""

    shapes: list[Shape] = field(default_factory=list)  # channels last, without the batch
    names: list[str] = field(default_factory=list)  # of the tensors, after the layers that make them
    layer: str = "input"  # whose tensors are being added
    kept: int = -1  # samples of a batch up to which what is being added is not computed again for gradients, -1: any
    halos: list[tuple[list[int], list[int]]] = field(
        default_factory=list
    )  # zeros before and after (depth, height, width)
    parameters: list[Parameter] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    losses: list[dict[str, Any]] = field(default_factory=list)
    optimizer: dict[str, Any] | None = None
    watched: bool = False  # whether metrics want to see the predictions
    random_layers: list[Any] = field(default_factory=list)  # by the number that steps call "key"
    constrained: list[Any] = field(default_factory=list)  # weights with a constraint, which torch applies
    narrow: str = ""  # the layer that made ``wide_cost`` infinite
    constants: list[tuple[Any, str, Tensor]] = field(default_factory=list)  # (owner, attribute, value at lowering)
    _named: dict[str, int] = field(default_factory=dict)  # how many tensors of a layer more than one
    _costs: dict[tuple[int, object], float] = field(default_factory=dict)  # by steps, and what is counted

    @cached_property
    def aliases(self) -> list[Tensor]:
        """The parameters, once all are there, without a class of their own: they count writings alike, and faster."""
        return [parameter.tensor.detach() for parameter in self.parameters]

    def statistics(self) -> list[Tensor]:
        """Return the moving statistics that a step of training moves on."""
        steps = [step for step in self.steps if step["kind"] == KINDS.index("norm_batch")]
        return [self.parameters[number].tensor for step in steps for number in step["params"][2:]]

    def tensor(self, shape: Shape) -> int:
        """Add a tensor and return its number."""
        self.shapes.append(tuple(shape))
        same = self._named[self.layer] = self._named.get(self.layer, -1) + 1
        self.names.append(f"{self.layer}:{same}" if same else self.layer)
        self.halos.append(([0, 0, 0], [0, 0, 0]))
        return len(self.shapes) - 1

    def widen(self, tensor: int, before: list[int], after: list[int]) -> None:
        """Surround a tensor with at least so many zeros."""
        for sides, wanted in zip(self.halos[tensor], (before, after), strict=True):
            sides[:] = map(max, sides, wanted)

    def step(self, kind: str, ins: list[int], out: int = -1, **details: Any) -> None:
        """Add a step."""
        again = {} if self.kept < 0 else {"again": self.kept}
        self.steps.append({"kind": KINDS.index(kind), "ins": ins, "out": out, **again, **details})

    def cost(self) -> float:
        """Return the number of multiplications of a forward pass of one sample."""
        return self._counted("cost", self._cost)

    def numbers(self) -> float:
        """Return how many numbers the activations of one sample have."""
        return self._counted("numbers", lambda: sum(map(math.prod, self.shapes)))

    def _counted(self, what: object, count: Callable[[], float]) -> float:
        key = len(self.steps), what
        if key not in self._costs:
            self._costs[key] = count()
        return self._costs[key]

    def _cost(self) -> float:
        return sum(map(self._products, self._convolutions()))

    def _convolutions(self) -> list[dict[str, Any]]:
        return [step for step in self.steps if KINDS[step["kind"]] in _CONVOLUTIONS]

    def _products(self, step: dict[str, Any]) -> float:
        size: float = self.parameters[step["params"][0]].tensor.numel()
        small = step["out"] if KINDS[step["kind"]] == "conv" else step["ins"][0]
        return size * float(math.prod(self.shapes[small][:-1]))

    def is_stale(self) -> bool:
        """Return whether a value has changed that was taken as a constant."""
        return any(not torch.equal(getattr(owner, name), value) for owner, name, value in self.constants)

    def wide_cost(self, lanes: int) -> float:
        """Return what ``cost`` would be with channels as lanes, infinity where that layout lacks a step."""
        return self._counted(lanes, lambda: self._wide_cost(lanes))

    def _wide_cost(self, lanes: int) -> float:
        if self.beyond_wide() is not None:
            return float("inf")
        return sum(self._wide_products(step, lanes) for step in self._convolutions())

    def _wide_products(self, step: dict[str, Any], lanes: int) -> float:
        channels, groups = self.shapes[step["out"]][-1], step.get("groups", 1)
        waste = _filled(channels, lanes) / float(channels)
        grouped = self._grouped(groups, self.shapes[step["ins"][0]][-1], channels, lanes)
        return self._products(step) * waste * grouped

    def prediction_costs(self, lanes: int) -> tuple[float, float]:
        """Return what a prediction of one sample costs with samples, and with channels as lanes, in multiplications."""
        narrow = self._counted(("narrow", lanes), lambda: self._prediction_cost(0, lanes))
        return narrow, self._counted(("wide", lanes), lambda: self._prediction_cost(1, lanes))

    def _prediction_cost(self, layout: int, lanes: int) -> float:
        total = (self.cost(), self.wide_cost(lanes))[layout]
        for step in self._convolutions():
            products = self._wide_products(step, lanes) if layout else self._products(step)
            total += (self._pace(step, layout, lanes) - 1) * products
        numbers = (
            math.prod(shape[:-1]) * (_filled(shape[-1], lanes) if layout else shape[-1]) for shape in self.shapes
        )
        return total + _NUMBER[layout] * sum(numbers)

    def _pace(self, step: dict[str, Any], layout: int, lanes: int) -> float:
        """How many times as long multiplications take in predictions."""
        if self.shapes[step["ins"][0]][-1] < lanes:
            return _FEW[layout]
        depth, *kernel = step["kernel"]
        plain = depth * step.get("groups", 1) * math.prod([*step["strides"], *step["dilation"]]) == 1
        return _WINOGRAD.get(tuple(kernel), (1.0, 1.0))[layout] if plain else 1.0

    def _grouped(self, groups: int, ins: int, outs: int, lanes: int) -> float:
        """How many times as long multiplications take: groups that do not fill vectors are multiplied by each other."""
        if groups in (1, ins) and groups in (1, outs):
            return 1 if groups == 1 else _DEPTHWISE
        fits = (n for n in range(groups, 0, -1) if groups % n == 0 and not (ins // n % lanes or outs // n % lanes))
        return groups / next(fits, 1)

    def beyond_wide(self) -> str | None:
        """Return what there is not with channels as lanes, None where all is there; note its layer in ``narrow``."""
        copied = 0
        for step in self.steps:
            copied += int(step["runs"][:, 2].sum()) if "runs" in step else 0
            lacking = self._lacking(step)
            if copied > _MOST_COPIED:
                lacking = f"copies of more than {_MOST_COPIED} elements"
            if lacking is not None:
                self.narrow = self.names[step["out"]].partition(":")[0]
                return lacking
        return None

    def _lacking(self, step: dict[str, Any]) -> str | None:
        kind, sources = KINDS[step["kind"]], [self.shapes[tensor] for tensor in step["ins"]]
        if kind not in _WIDE:
            return kind
        if kind == "join" and any(source[-1] != self.shapes[step["out"]][-1] for source in sources):
            return "a join that stretches channels"
        if kind == "norm_group" and not _is_of_pixels(step, sources[0]):
            return "a normalization over pixels"
        return None

    def assemble(self, native: Any, isa: str, threads: int, batch: int, training: bool) -> Any:
        """Make the native network with samples as lanes, its memory and its threads."""
        return self._completed(native.Network(isa, threads), batch, training)

    def assemble_wide_training(self, native: Any, isa: str, threads: int, batch: int, training: bool = True) -> Any:
        """Make the native network for training with channels as lanes; ``wide_cost`` must be finite."""
        return self._completed(native.WideTraining(isa, threads), batch, training)

    def _completed(self, network: Any, batch: int, training: bool) -> Any:
        self._described(network, training)
        for loss in self.losses:
            network.loss(loss)
        if self.optimizer is not None:
            network.optimizer(self.optimizer)
        network.finish(batch, training)
        return network

    def assemble_wide(
        self, native: Any, isa: str, threads: int, quanta: Iterable[tuple[int, float, int]] = (), kernels: str = ""
    ) -> Any:
        """Make the native network for predictions with channels as lanes; ``wide_cost`` must be finite.

        Args:
            native: the compiled module.
            isa: the instruction set.
            threads: how many.
            quanta: (tensor, scale, zero) of tensors that may be bytes.
            kernels: the kernels on bytes, of the same instruction set.
        """
        network = self._described(native.WideNetwork(isa, threads), False)
        if kernels:
            network.byte_kernels(kernels)
            for quantum in quanta:
                network.quantum(*quantum)
        network.finish()
        return network

    def _described(self, network: Any, training: bool) -> Any:
        for shape, halo in zip(self.shapes, self.halos, strict=True):
            network.tensor(_canonical(shape), *halo)
        for tensor in self.inputs:
            network.input(tensor)
        for tensor in self.outputs:
            network.output(tensor)
        for each in self.parameters:
            state = [_address(tensor) for tensor in (*each.slots, each.sum, each.average)]
            learns, size = training and each.learns, each.tensor.numel()
            network.param(each.tensor.data_ptr(), size, learns, each.l1, each.l2, each.decay, state[:-2], *state[-2:])
        for step in self.steps:
            network.step(_listed(step) if "runs" in step else step)
        return network


def _filled(channels: int, lanes: int) -> int:
    return -(-channels // lanes) * lanes


def _is_of_pixels(step: dict[str, Any], shape: Shape) -> bool:
    """Whether a normalization is that of each pixel over its channels, which have a weight each or none."""
    *spatial, channels = shape
    pixels = int(np.prod(spatial, dtype=int))
    numbers = np.repeat(np.arange(channels), pixels)
    weighed = np.array_equal(step["index"], numbers) or not any(step["index"])
    return weighed and np.array_equal(step["member"], np.tile(np.arange(pixels), channels))


def _listed(step: dict[str, Any]) -> dict[str, Any]:
    """Return a copy's step with its elements one by one."""
    numbers, places, counts = step["runs"].T
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    elements = {"from": np.repeat(numbers, counts) + within, "to": np.repeat(places, counts) + within}
    return {**step, **{key: each.tolist() for key, each in elements.items()}}


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _canonical(shape: Shape) -> list[int]:
    *spatial, channels = shape
    return [channels, *[1] * (3 - len(spatial)), *spatial]
