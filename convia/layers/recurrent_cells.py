"""Cells: what a recurrent layer does at one step of a sequence, (inputs, states) → (output, new states).

A cell's inputs go through one matrix product, which is computed for all steps of a sequence at once (``project``);
what depends on the states, and therefore on the step before, is ``advance``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from convia import config, initializers, random, registry, tree
from convia.args import Convert, PositiveInt
from convia.errors import explain
from convia.layer import Layer
from convia.layers.arguments import Activation, Constraint, Initializer, Regularizer

__all__ = ["GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"]

Rate = Annotated[float, Convert(lambda value, owner, name: min(1.0, max(0.0, value)))]
_TRANSPOSED = (1, 0)  # kernels (in, out) lie in memory as torch's fused layers want them, (out, in)


class _Cell(Layer):
    """Base of the cells with a kernel for the inputs and one for the state, each made of one part per gate."""

    gates: ClassVar[int] = 1

    def __post_init__(self) -> None:
        seed: Any = self.seed
        self.seed_generator = random.SeedGenerator(seed) if isinstance(seed, int) else seed
        self.reset_dropout_mask()
        self.reset_recurrent_dropout_mask()
        self._separate = self.gates > 1 and (self.implementation == 1 or self.recurrent_dropout > 0)

    def _accept(self, extra: dict[str, Any]) -> None:
        self.implementation = extra.pop("implementation", 2)  # 1: every gate has dropout masks of its own
        super()._accept(extra)

    @property
    def state_size(self) -> Any:
        """The number of the state's elements per example; a list of numbers for several states."""
        return self.units

    @property
    def output_size(self) -> int:
        """The number of the output's elements per example."""
        units: int = self.units
        return units

    def build(self, input_shape: Any) -> None:
        """Create ``kernel`` (features, gates · units), ``recurrent_kernel`` (units, gates · units) and ``bias``."""
        self._add_weights((input_shape[-1],), (self.units,), _TRANSPOSED)

    def _add_weights(self, inputs: tuple[int, ...], state: tuple[int, ...], order: Any) -> None:
        width = self.gates * self.output_size
        for name, shape, kind in (("kernel", inputs, "kernel"), ("recurrent_kernel", state, "recurrent")):
            weight = self.add_weight(
                name=name,
                shape=(*shape, width),
                initializer=getattr(self, f"{kind}_initializer"),
                regularizer=getattr(self, f"{kind}_regularizer"),
                constraint=getattr(self, f"{kind}_constraint"),
                order=order,
            )
            setattr(self, name, weight)
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=self._bias_shape(width),
                initializer=self._first_bias(),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _bias_shape(self, width: int) -> tuple[int, ...]:
        return (width,)

    def _first_bias(self) -> Any:
        return self.bias_initializer

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Return states of 0, each (batch, units)."""
        sizes = tree.flatten(self.state_size)
        return [torch.zeros(batch_size or 0, size, dtype=self._input_dtype, device=config.device()) for size in sizes]

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        """Go one step: inputs (batch, features) and states (batch, units) to the output and the new states."""
        if not isinstance(states, (list, tuple)):
            output, new_states = self.advance(self.project(inputs, training), [states], training)
            return output, new_states[0]
        return self.advance(self.project(inputs, training), states, training)

    def project(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return what the gates get of the inputs, for one step (batch, …) or for all of (batch, steps, …)."""
        masks = self.get_dropout_mask(inputs[:, 0] if inputs.ndim > self._ndim else inputs) if training else None
        return self._mix(self._multiply, inputs, self.kernel, masks, self._input_bias())

    @property
    def _ndim(self) -> int:
        return 2  # of the inputs of one step

    def _multiply(self, x: Tensor, kernel: Tensor) -> Tensor:
        return x @ kernel

    def _input_bias(self) -> Tensor | None:
        return self.bias

    @contextmanager
    def weights_cast(self) -> Iterator[None]:
        """Within the block, the weights are of the compute type: in mixed policies cast once for all steps."""
        real = self._parameters
        if self.compute_dtype != self.variable_dtype:
            cast = {name: None if weight is None else weight.to(self._input_dtype) for name, weight in real.items()}
            self.__dict__["_parameters"] = cast
        try:
            yield
        finally:
            self.__dict__["_parameters"] = real

    def _mix(self, product: Any, x: Tensor, kernel: Tensor, masks: Any, bias: Tensor | None = None) -> Tensor:
        """Multiply by a kernel, after dropout; with several masks every gate has one of its own."""
        if masks is None:
            y: Tensor = product(x, kernel)
        elif isinstance(masks, Tensor):
            y = product(x * _along(masks, x), kernel)
        else:
            parts = zip(masks, kernel.chunk(self.gates, -1), strict=True)
            y = torch.cat([product(x * _along(mask, x), part) for mask, part in parts], -1)
        return y if bias is None else y + bias

    def advance(self, projected: Tensor, states: Any, training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Return the output and the new states of one step, given what ``project`` returned for it."""
        raise NotImplementedError

    # -- dropout: one mask for all steps of a sequence, Gal & Ghahramani 2016 -------------------------------------

    def get_dropout_mask(self, step_input: Tensor) -> Any:
        """Return what to multiply the inputs of every step with, None without dropout; drawn at the first call."""
        if self._dropout_mask is None and self.dropout > 0:
            object.__setattr__(self, "_dropout_mask", self._draw(step_input, self.dropout))
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, step_input: Tensor) -> Any:
        """Return what to multiply the state with, None without recurrent dropout; drawn at the first call."""
        if self._recurrent_dropout_mask is None and self.recurrent_dropout > 0:
            object.__setattr__(self, "_recurrent_dropout_mask", self._draw(step_input, self.recurrent_dropout))
        return self._recurrent_dropout_mask

    def reset_dropout_mask(self) -> None:
        """Forget the mask of the inputs: the next sequence gets another."""
        object.__setattr__(self, "_dropout_mask", None)

    def reset_recurrent_dropout_mask(self) -> None:
        """Forget the mask of the state."""
        object.__setattr__(self, "_recurrent_dropout_mask", None)

    def _draw(self, like: Tensor, rate: float) -> Any:
        ones = torch.ones_like(like, memory_format=torch.contiguous_format)
        count = self.gates if self._separate else 1
        drawn = [random.dropout(ones, rate, seed=self.seed_generator) for _ in range(count)]
        return drawn if self._separate else drawn[0]

    def _state_masks(self, state: Tensor, training: bool) -> Any:
        return self.get_recurrent_dropout_mask(state) if training else None


def _along(mask: Tensor, x: Tensor) -> Tensor:
    """Return a mask of single steps (batch, …) such that it applies to all steps of x (batch, steps, …) alike."""
    return mask if mask.ndim == x.ndim else mask.unsqueeze(1)


class SimpleRNNCell(_Cell):
    """h' = φ(x·W + b + h·U).

    Args:
        units: size of the state h and of the output, which are the same.
        activation: φ.
        use_bias: whether to add b.
        kernel_initializer, recurrent_initializer, bias_initializer: first values of W, U and b.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on them.
        kernel_constraint, recurrent_constraint, bias_constraint: functions applied to them after each step of training.
        dropout, recurrent_dropout: fractions of x and of h that are dropped in training, the same ones at all steps.
        seed: of the dropout.
    """

    units: PositiveInt
    activation: Activation = "tanh"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: random.Seed = None

    def advance(self, projected: Tensor, states: Any, training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Add what comes of the state, and apply the activation."""
        h = states[0]
        masks = self._state_masks(h, training)
        h = self.activation(projected + self._mix(self._multiply, h, self.recurrent_kernel, masks))
        return h, [h]


class GRUCell(_Cell):
    """Gated recurrent unit (Cho et al. 2014): h' = z·h + (1 − z)·ĥ with gates z ("update") and r ("reset").

    z = σ(x·W_z + b_z + h·U_z), r = σ(x·W_r + b_r + h·U_r), and ĥ = φ(x·W_h + b_h + r·(h·U_h + b'_h)), or, with
    ``reset_after=False``, ĥ = φ(x·W_h + b_h + (r·h)·U_h). Kernels are (W_z, W_r, W_h) side by side.

    Args:
        recurrent_activation: σ.
        reset_after: whether r is applied after the product with U_h; the bias then is (2, 3 · units), with one part
            for each kernel.
        units and the others: as for :class:`SimpleRNNCell`.
    """

    gates = 3
    units: PositiveInt
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    reset_after: bool = True
    seed: random.Seed = None

    def _bias_shape(self, width: int) -> tuple[int, ...]:
        return (2, width) if self.reset_after else (width,)

    def _input_bias(self) -> Tensor | None:
        return self.bias[0] if self.bias is not None and self.reset_after else self.bias

    def advance(self, projected: Tensor, states: Any, training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Compute the gates, then the new state."""
        h, units = states[0], self.units
        masks = self._state_masks(h, training)
        if self.reset_after:
            bias = None if self.bias is None else self.bias[1]
            inner = self._mix(self._multiply, h, self.recurrent_kernel, masks, bias)
            of_gates, of_state = inner[:, : 2 * units], inner[:, 2 * units :]
        else:
            u_z, u_r, u_h = self.recurrent_kernel.chunk(3, 1)
            h_z, h_r, h_h = (h, h, h) if masks is None else (h * mask for mask in masks)
            of_gates = torch.cat([h_z @ u_z, h_r @ u_r], 1)
        z, r = self.recurrent_activation(projected[:, : 2 * units] + of_gates).chunk(2, 1)
        of_state = r * of_state if self.reset_after else (r * h_h) @ u_h
        candidate = self.activation(projected[:, 2 * units :] + of_state)
        h = z * h + (1 - z) * candidate
        return h, [h]


class LSTMCell(_Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997): c' = f·c + i·φ(x·W_c + b_c + h·U_c), h' = o·φ(c').

    The gates i ("input"), f ("forget") and o ("output") are σ(x·W + b + h·U) with kernels of their own; the kernels are
    (W_i, W_f, W_c, W_o) side by side. The states are h and c.

    Args:
        recurrent_activation: σ.
        unit_forget_bias: whether b_f starts at 1 (Jozefowicz et al. 2015).
        units and the others: as for :class:`SimpleRNNCell`.
    """

    gates = 4
    units: PositiveInt
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: random.Seed = None

    @property
    def state_size(self) -> Any:
        """The sizes of h and c."""
        return [self.units, self.units]

    def _first_bias(self) -> Any:
        return open_forget_gate(self.bias_initializer) if self.unit_forget_bias else self.bias_initializer

    def advance(self, projected: Tensor, states: Any, training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Compute the gates, then the new states."""
        h, c = states
        masks = self._state_masks(h, training)
        z = projected + self._mix(self._multiply, h, self.recurrent_kernel, masks)
        return lstm_step(z.chunk(4, -1), c, self.activation, self.recurrent_activation)


def lstm_step(gates: Any, c: Tensor, activation: Any, recurrent_activation: Any) -> tuple[Tensor, list[Tensor]]:
    """Return h' and the states [h', c'], given the gates i, f, c, o before their activations."""
    i, f, candidate, o = gates
    c = recurrent_activation(f) * c + recurrent_activation(i) * activation(candidate)
    h = recurrent_activation(o) * activation(c)
    return h, [h, c]


def open_forget_gate(initializer: Any) -> Callable[..., Tensor]:
    """Make an initializer of the four gates' biases that sets the forget gate's to 1."""
    ones = initializers.get("ones")

    def first_bias(shape: Any, dtype: Any = None) -> Tensor:
        units = shape[0] // 4
        parts = ((initializer, units), (ones, units), (initializer, 2 * units))
        return torch.cat([torch.as_tensor(make((size,), dtype=dtype)) for make, size in parts])

    return first_bias


def check_cell(value: Any, owner: Any, name: str) -> Any:
    """Return the cell that a user gives as itself, as a config, or as a list of cells to be stacked.

    Raises:
        ValueError: something without ``call`` or ``state_size``.
    """
    if isinstance(value, (list, tuple)):
        return StackedRNNCells(value)
    cell = registry.deserialize(value, namespace="keras.layers") if isinstance(value, dict) else value
    missing = [attribute for attribute in ("call", "state_size") if attribute not in dir(cell)]
    if missing:
        raise ValueError(
            explain(
                f"{type(owner).__name__}, argument {name!r}",
                f"{cell!r} without {' and '.join(missing)}",
                "a cell with call(inputs, states) and state_size, a whole number or a list of them, one per state",
            )
        )
    return cell


def output_size_of(cell: Any) -> int:
    """Return the size of a cell's output, that of its first state where it does not say."""
    size: int | None = getattr(cell, "output_size", None)
    return int(tree.flatten(cell.state_size)[0]) if size is None else size


def initial_state_of(cell: Any, batch_size: int) -> Any:
    """Return a cell's first states: its own idea of them, or zeros."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(batch_size=batch_size)
    dtype = config.torch_dtype(getattr(cell, "compute_dtype", config.floatx()))
    return tree.map_structure(
        lambda size: torch.zeros((batch_size, size), dtype=dtype, device=config.device()), cell.state_size
    )


def run_cell(cell: Any, inputs: Tensor, states: Any, training: bool) -> Any:
    """Call any cell, with ``training`` if it takes that."""
    keyword = {"training": training} if isinstance(cell, Layer) and cell._takes_training else {}
    return (cell if callable(cell) else cell.call)(inputs, states, **keyword)


def build_inside(owner: Layer, layer: Any, shape: Any) -> None:
    """Build a layer that is part of another, unless it is built, under the path of the other."""
    if isinstance(layer, Layer) and not layer.built:
        object.__setattr__(layer, "path", f"{owner.path or owner.name}/{layer.name}")
        layer.build(shape)
        layer._finish_build()


class StackedRNNCells(Layer):
    """Several cells as one: at every step the output of each is the input of the next.

    Args:
        cells: a list of cells. The states are a list with the states of each.
    """

    cells: Annotated[Any, Convert(lambda value, owner, name: [check_cell(cell, owner, name) for cell in value])]

    @property
    def state_size(self) -> list[Any]:
        """The state sizes of each cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """The size of the last cell's output."""
        return output_size_of(self.cells[-1])

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return the first states of each cell."""
        return [initial_state_of(cell, batch_size or 0) for cell in self.cells]

    def build(self, input_shape: Any) -> None:
        """Build each cell for the output of the one before."""
        for cell in self.cells:
            build_inside(self, cell, input_shape)
            input_shape = (input_shape[0], output_size_of(cell))

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        """Go one step in each cell."""
        new_states = []
        for cell, state in zip(self.cells, states, strict=True):
            listed = isinstance(state, (list, tuple))
            inputs, new = run_cell(cell, inputs, list(state) if listed else [state], training)
            new = list(new) if isinstance(new, (list, tuple)) else [new]
            new_states.append(new if listed else new[0])
        return inputs, new_states
