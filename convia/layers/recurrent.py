"""Recurrent layers: a cell goes through the steps of a sequence and hands its states from each to the next.

Any cell runs in :class:`RNN`, step by step. LSTM and GRU with the usual activations run in one call of torch's fused
kernels (cuDNN's on a GPU), which compute the same numbers.
"""

# The arguments of these layers stand in Keras's order, not in that of the base class:
# mypy: disable-error-code="misc"

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from torch import Tensor

from convia import activations, random, tree
from convia.args import Convert, PositiveInt, field, one_of
from convia.errors import explain
from convia.input_spec import InputSpec
from convia.layer import Layer
from convia.layers.arguments import Activation, Constraint, Initializer, Regularizer
from convia.layers.recurrent_cells import (
    GRUCell,
    LSTMCell,
    Rate,
    SimpleRNNCell,
    _Cell,
    build_inside,
    check_cell,
    initial_state_of,
    output_size_of,
    run_cell,
)
from convia.naming import snake_case
from convia.symbolic import tracing
from convia.variable import Variable

__all__ = ["GRU", "LSTM", "RNN", "SimpleRNN"]

Shape = tuple[int | None, ...]


class RNN(Layer):
    """Run a cell along a sequence: (batch, steps, features) → (batch, units), or (batch, steps, units).

    A masked step changes no state, and its output is that of the step before.

    Args:
        cell: a layer with ``call(inputs, states)`` → (output, new states) and ``state_size``; a list of them is
            stacked.
        return_sequences: whether to return the outputs of all steps instead of the last one's.
        return_state: whether to return the last states too: (output, \\*states).
        go_backwards: whether to go from the last step to the first; the outputs are in that order.
        stateful: whether the states of a batch are the first states of the next one, until ``reset_states()``. The
            batch size must be known, and gradients end at the batch.
        unroll: kept in the config; the steps are always run one by one, or fused.
        zero_output_for_mask: whether the output of a masked step is 0 instead.

    Raises:
        ValueError: a cell without ``call`` or ``state_size``; stateful with an unknown or another batch size.
    """

    supports_masking = True
    if TYPE_CHECKING:  # the layers that make their cell themselves do not take it

        def __init__(
            self,
            cell: Any,
            return_sequences: bool = False,
            return_state: bool = False,
            go_backwards: bool = False,
            stateful: bool = False,
            unroll: bool = False,
            zero_output_for_mask: bool = False,
            **kwargs: Any,
        ) -> None: ...
    else:
        cell: Annotated[Any, Convert(check_cell)]
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False

    def __post_init__(self) -> None:
        """Start without states."""
        object.__setattr__(self, "states", None)

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the states, a list."""
        sizes = self.cell.state_size
        return list(sizes) if isinstance(sizes, (list, tuple)) else [sizes]

    # -- shapes and states --------------------------------------------------------------------------------------

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build the cell; create the states that a stateful layer keeps."""
        build_inside(self, self.cell, (sequences_shape[0], *sequences_shape[2:]))
        if self.stateful and self.states is None:
            if sequences_shape[0] is None:
                raise ValueError(
                    explain(
                        f"{type(self).__name__} layer {self.name!r} with stateful=True",
                        f"an input of shape {tuple(sequences_shape)}",
                        "a known batch size",
                        "Give batch_size= or batch_shape= to Input.",
                    )
                )
            states = tree.map_structure(
                lambda value: Variable(value, trainable=False, name="rnn_state"),
                self.get_initial_state(sequences_shape[0]),
            )
            object.__setattr__(self, "states", states)  # not among the weights

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """Return the states to start with, those of the cell or zeros."""
        states = initial_state_of(self.cell, batch_size)
        return list(states) if isinstance(states, (list, tuple)) else [states]

    def reset_state(self) -> None:
        """Set the states of a stateful layer to 0."""
        for state in tree.flatten(self.states or []):
            state.assign(torch.zeros_like(state))

    def reset_states(self) -> None:
        """Set the states of a stateful layer to 0."""
        self.reset_state()

    def _step_shapes(self, step_shape: Shape) -> tuple[Shape, Any]:
        """Return the shapes of a step's output and of the states."""
        batch = step_shape[0]
        return (batch, output_size_of(self.cell)), tree.map_structure(lambda size: (batch, size), self.state_size)

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None, *_: Any) -> Any:
        """Return the shape of the output, with ``return_state`` followed by those of the states."""
        batch, steps, *features = sequences_shape
        output, states = self._step_shapes((batch, *features))
        if self.return_sequences:
            output = (batch, steps, *output[1:])
        return (output, *states) if self.return_state else output

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        """Return the mask for the outputs of all steps; one output and states have none."""
        mask = tree.flatten(mask)[0] if self.return_sequences else None
        return [mask, *[None] * len(self.state_size)] if self.return_state else mask

    # -- calling ------------------------------------------------------------------------------------------------

    def call(self, sequences: Tensor, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        """Run along the sequence.

        Args:
            sequences: (batch, steps, …).
            initial_state: the states to start with; zeros, or what a stateful layer kept, when None.
            mask: (batch, steps), true where a step counts.
            training: whether there is dropout.
        """
        if sequences.is_meta and tracing():
            return _empty(self.compute_output_shape(tuple(sequences.shape)), self._input_dtype)
        states = self._first_states(sequences, initial_state)
        mask = None if mask is None else tree.flatten(mask)[0]
        outputs, states = self._run(sequences, states, None if mask is None else mask.bool(), training)
        for layer in self.cell.modules() if isinstance(self.cell, Layer) else ():
            if isinstance(layer, _Cell):
                layer.reset_dropout_mask()
                layer.reset_recurrent_dropout_mask()
        if self.stateful:
            for kept, state in zip(tree.flatten(self.states), tree.flatten(states), strict=True):
                kept.assign(state)
        return (outputs, *states) if self.return_state else outputs

    def _first_states(self, sequences: Tensor, given: Any) -> list[Any]:
        if given is None and self.stateful:
            self._check_batch_size(sequences)
            given = tree.map_structure(lambda state: state.detach().clone(), self.states)
        elif given is None:
            given = self.get_initial_state(sequences.shape[0])
        states = list(given) if isinstance(given, (list, tuple)) else [given]
        placed: list[Any] = tree.map_structure(
            lambda state: torch.as_tensor(state).to(sequences.device, self._input_dtype), states
        )
        return placed

    def _check_batch_size(self, sequences: Tensor) -> None:
        size = tree.flatten(self.states)[0].shape[0]
        if sequences.shape[0] != size:
            raise ValueError(
                explain(
                    f"{type(self).__name__} layer {self.name!r} with stateful=True",
                    f"a batch of {sequences.shape[0]}",
                    f"{size}, as in the first call",
                )
            )

    def _run(self, sequences: Tensor, states: list[Any], mask: Tensor | None, training: bool) -> tuple[Any, list[Any]]:
        """Return the outputs that were asked for (of all steps or the last) and the last states."""
        if self.go_backwards:
            sequences, mask = sequences.flip(1), None if mask is None else mask.flip(1)
        cell = self.cell
        if getattr(type(cell), "call", None) is not _Cell.call:
            return self._scan(lambda x, state: run_cell(cell, x, state, training), sequences, states, mask)
        with cell.weights_cast():
            projected = cell.project(sequences, training)
            return self._scan(lambda x, state: cell.advance(x, state, training), projected, states, mask)

    def _scan(self, step: Any, inputs: Tensor, states: list[Any], mask: Tensor | None) -> tuple[Tensor, list[Any]]:
        outputs: list[Tensor] = []
        output: Any = None
        for number, x in enumerate(inputs.unbind(1)):
            before = output
            output, new = step(x, states)
            new = tree.pack(states, tree.flatten(new))
            if mask is not None:
                keep = mask[:, number]
                skipped = torch.zeros_like(output) if before is None or self.zero_output_for_mask else before
                output = _where(keep, output, skipped)
                new = tree.map_structure(lambda a, b, keep=keep: _where(keep, a, b), new, states)
            states = new
            if self.return_sequences:
                outputs.append(output)
        kind = self._input_dtype
        result = torch.stack(outputs, 1) if self.return_sequences else output
        return result.to(kind), tree.map_structure(lambda state: state.to(kind), states)


def _where(keep: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(keep.reshape(len(keep), *[1] * (a.ndim - 1)), a, b)


def _empty(shape: Any, dtype: torch.dtype) -> Any:
    if all(isinstance(size, int) for size in shape):
        return torch.empty(shape, dtype=dtype, device="meta")
    return type(shape)(_empty(each, dtype) for each in shape)


class _CellRNN(RNN):
    """Base of the layers that make their cell themselves, from arguments that the cell has too."""

    _cell_class: ClassVar[Any]

    def __init_subclass__(cls, cell: type[_Cell] | None = None, **kwargs: Any) -> None:
        if cell is not None:
            cls._cell_class = cell
            cls._fields = Layer._fields  # the cell and the order of arguments are its own, not RNN's
        super().__init_subclass__(**kwargs)

    def _accept(self, extra: dict[str, Any]) -> None:
        self._implementation = extra.pop("implementation", 2)
        super()._accept(extra)

    def __post_init__(self) -> None:
        super().__post_init__()
        cell = self._cell_class
        self.cell = cell(
            **{name: getattr(self, name) for name in cell._fields if name not in Layer._fields},
            implementation=self._implementation,
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name=snake_case(cell.__name__.strip("_")),
        )
        self.input_spec = InputSpec(ndim=3)


class SimpleRNN(_CellRNN, cell=SimpleRNNCell):
    """Fully connected recurrent layer, h' = φ(x·W + b + h·U): (batch, steps, features) → (batch, units).

    The arguments are those of :class:`SimpleRNNCell` and of :class:`RNN`.
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
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    _: KW_ONLY  # for type checkers
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    seed: random.Seed = None
    zero_output_for_mask: bool = field(default=False, kw_only=True)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, as in Keras's files without a seed of None."""
        config = super().get_config()
        return {key: value for key, value in config.items() if key != "seed" or value is not None}


class _Fused(_CellRNN):
    """Base of the layers that torch can compute in one call, for all steps.

    It can with the activations tanh and sigmoid, without recurrent dropout, and for GRU with ``reset_after``. Masked
    steps are none: the others are moved to the front, and outputs fetched from there. What a fused LSTM does not tell,
    c at the last step that counts, takes the loop.
    """

    def _run(self, sequences: Tensor, states: list[Any], mask: Tensor | None, training: bool) -> tuple[Any, list[Any]]:
        hidden = mask is not None and len(states) > 1 and (self.return_state or self.stateful)
        if hidden or not self._fusible(training):
            return super()._run(sequences, states, mask, training)
        if self.go_backwards:
            sequences, mask = sequences.flip(1), None if mask is None else mask.flip(1)
        cell = self.cell
        drop = cell.get_dropout_mask(sequences[:, 0]) if training else None
        x = sequences if drop is None else sequences * drop.unsqueeze(1)
        with cell.weights_cast():
            outputs, *last = self._fuse(x if mask is None else _to_the_front(x, mask), states)
        if mask is None:
            return (outputs if self.return_sequences else outputs[:, -1]), last
        return self._spread(outputs, states, mask)

    def _fusible(self, training: bool) -> bool:
        cell = self.cell
        usual = cell.activation is activations.tanh and cell.recurrent_activation is activations.sigmoid
        possible = getattr(cell, "reset_after", True) and not cell.recurrent_dropout
        if self.use_cudnn is True and not possible:
            raise ValueError(
                explain(
                    f"{type(self).__name__} layer {self.name!r}, use_cudnn=True",
                    "recurrent_dropout, or reset_after=False",
                    "neither of them",
                    "With use_cudnn='auto' such layers run step by step.",
                )
            )
        plain = type(cell) is self._cell_class and not (training and cell.dropout and cell._separate)
        return bool(self.use_cudnn and usual and possible and plain)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments; which kernel is used is not a property of the network."""
        config = super().get_config()
        del config["use_cudnn"]
        return config

    def _fuse(self, x: Tensor, states: list[Any]) -> Any:
        """Return the outputs of all steps and the last states."""
        raise NotImplementedError

    def _spread(self, outputs: Tensor, states: list[Any], mask: Tensor) -> tuple[Tensor, list[Any]]:
        """Give every step its output: that of the last step that counted, 0 before the first."""
        counted = mask.cumsum(1)
        last = counted[:, -1:]
        state = _pick(outputs, last, states[0].unsqueeze(1)).squeeze(1)
        where = counted if self.return_sequences else last
        kept = mask if self.return_sequences else mask[:, -1:]
        result = _pick(outputs, where, torch.zeros_like(outputs[:, :1]))
        if self.zero_output_for_mask:
            result = result * kept.unsqueeze(-1)
        return (result if self.return_sequences else result.squeeze(1)), [state]


def _to_the_front(x: Tensor, mask: Tensor) -> Tensor:
    """Move the steps that count before the others, in their order."""
    order = torch.argsort(~mask, dim=1, stable=True)
    return x.gather(1, order.unsqueeze(-1).expand_as(x))


def _pick(outputs: Tensor, counted: Tensor, otherwise: Tensor) -> Tensor:
    """Return, for every step, the output of the ``counted``-th of those moved to the front; ``otherwise`` for 0."""
    index = (counted - 1).clamp(min=0).unsqueeze(-1).expand(-1, -1, outputs.shape[-1])
    return torch.where(counted.unsqueeze(-1) > 0, outputs.gather(1, index), otherwise)


class GRU(_Fused, cell=GRUCell):
    """Gated recurrent unit (Cho et al. 2014): (batch, steps, features) → (batch, units). See :class:`GRUCell`.

    Args:
        use_cudnn: "auto" or True for the fused kernel where it can be used, False for the loop over steps.
        units and the others: those of :class:`GRUCell` and of :class:`RNN`.

    Raises:
        ValueError: ``use_cudnn=True`` with recurrent_dropout or without reset_after.
    """

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
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: random.Seed = None
    _: KW_ONLY  # for type checkers
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    reset_after: bool = True
    use_cudnn: Annotated[Any, one_of("auto", True, False)] = "auto"
    zero_output_for_mask: bool = field(default=False, kw_only=True)

    def _fuse(self, x: Tensor, states: list[Any]) -> Any:
        cell = self.cell
        weights = [_reset_first(kernel.t(), self.units) for kernel in (cell.kernel, cell.recurrent_kernel)]
        if cell.bias is not None:
            weights += [_reset_first(bias, self.units) for bias in cell.bias.unbind(0)]
        h = states[0].unsqueeze(0).contiguous()
        outputs, last = torch.gru(x, h, weights, cell.bias is not None, 1, 0.0, torch.is_grad_enabled(), False, True)
        return outputs, last[0]


def _reset_first(weight: Tensor, units: int) -> Tensor:
    """Change the order of the gates from Keras's, update, reset, new, to torch's, reset, update, new."""
    update, reset, new = weight.split(units)
    return torch.cat([reset, update, new])


class LSTM(_Fused, cell=LSTMCell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997): (batch, steps, features) → (batch, units).

    Args:
        use_cudnn: "auto" or True for the fused kernel where it can be used, False for the loop over steps.
        units and the others: those of :class:`LSTMCell` and of :class:`RNN`.

    Raises:
        ValueError: ``use_cudnn=True`` with recurrent_dropout.
    """

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
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: random.Seed = None
    _: KW_ONLY  # for type checkers
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    use_cudnn: Annotated[Any, one_of("auto", True, False)] = "auto"
    zero_output_for_mask: bool = field(default=False, kw_only=True)

    def _fuse(self, x: Tensor, states: list[Any]) -> Any:
        cell = self.cell
        weights = [cell.kernel.t(), cell.recurrent_kernel.t()]
        if cell.bias is not None:
            weights += [cell.bias, torch.zeros_like(cell.bias)]
        h, c = (state.unsqueeze(0).contiguous() for state in states)
        train = torch.is_grad_enabled()
        outputs, h, c = torch.lstm(x, (h, c), weights, cell.bias is not None, 1, 0.0, train, False, True)
        return outputs, h[0], c[0]
