"""Plan: what the engine is told of a network. Built by ``lowering``, given to the native part by ``assemble``.

A tensor of samples is (channels, depth, height, width) to the engine, whatever its rank; the missing axes have size 1.
The lists of names are the native enumerations, in their order.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

KINDS = (
    "conv",
    "pool_max",
    "pool_average",
    "unary",
    "softmax",
    "copy",
    "join",
    "dropout",
    "norm_frozen",
    "norm_stats",
    "norm_batch",
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
    "relu6",
    "hard_sigmoid",
    "hard_tanh",
    "softsign",
    "silu",
    "gelu",
    "gelu_tanh",
    "mish",
    "hard_silu",
)
IN_PLACE = frozenset(ACTS[: ACTS.index("silu")])  # their derivative follows from their value
JOINS = ("add", "subtract", "multiply", "average", "maximum", "minimum")
LOSSES = ("none", "softmax_crossentropy", "sigmoid_crossentropy", "mean_squared", "mean_absolute")
RULES = ("sgd", "adam", "rmsprop", "adagrad")

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
    slots: tuple[Tensor, ...] = ()


@dataclass
class Plan:
    """A network: tensors by number, steps in their order."""

    shapes: list[Shape] = field(default_factory=list)  # as the user sees them, without the batch
    halos: list[tuple[list[int], list[int]]] = field(
        default_factory=list
    )  # zeros before and after (depth, height, width)
    parameters: list[Parameter] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    losses: list[dict[str, Any]] = field(default_factory=list)
    optimizer: dict[str, Any] | None = None
    random_layers: list[Any] = field(default_factory=list)  # by the number that steps call "key"

    def tensor(self, shape: Shape) -> int:
        """Add a tensor and return its number."""
        self.shapes.append(tuple(shape))
        self.halos.append(([0, 0, 0], [0, 0, 0]))
        return len(self.shapes) - 1

    def widen(self, tensor: int, before: list[int], after: list[int]) -> None:
        """Surround a tensor with at least so many zeros."""
        for sides, wanted in zip(self.halos[tensor], (before, after), strict=True):
            sides[:] = map(max, sides, wanted)

    def step(self, kind: str, ins: list[int], out: int = -1, **details: Any) -> None:
        """Add a step."""
        self.steps.append({"kind": KINDS.index(kind), "ins": ins, "out": out, **details})

    def cost(self) -> float:
        """Return the number of multiplications of a forward pass of one sample."""
        convolutions = [step for step in self.steps if step["kind"] == 0]
        return sum(
            self.parameters[step["params"][0]].tensor.numel() * np.prod(self.shapes[step["out"]][:-1], dtype=float)
            for step in convolutions
        )

    def assemble(self, native: Any, isa: str, threads: int, batch: int, training: bool) -> Any:
        """Make the native network, with its memory and its threads."""
        network = native.Network(isa, threads)
        for shape, halo in zip(self.shapes, self.halos, strict=True):
            network.tensor(_canonical(shape), *halo)
        for tensor in self.inputs:
            network.input(tensor)
        for tensor in self.outputs:
            network.output(tensor)
        for each in self.parameters:
            slots = [slot.data_ptr() for slot in each.slots]
            learns = training and each.learns
            network.param(each.tensor.data_ptr(), each.tensor.numel(), learns, each.l1, each.l2, each.decay, slots)
        for step in self.steps:
            network.step(step)
        for loss in self.losses:
            network.loss(loss)
        if self.optimizer is not None:
            network.optimizer(self.optimizer)
        network.finish(batch, training)
        return network

    def addresses(self) -> tuple[int, ...]:
        """Where the parameters lie: a plan is stale once one has moved."""
        return tuple(tensor.data_ptr() for each in self.parameters for tensor in (each.tensor, *each.slots))


def _canonical(shape: Shape) -> list[int]:
    *spatial, channels = shape
    return [channels, *[1] * (3 - len(spatial)), *spatial]


def canonical_numbers(shape: Shape) -> np.ndarray:
    """Return the engine's number (channels first) of each element, in the order of the user's (channels last)."""
    channels, *spatial = _canonical(shape)
    return np.arange(np.prod(shape, dtype=int)).reshape(channels, *spatial).transpose(1, 2, 3, 0).ravel()
