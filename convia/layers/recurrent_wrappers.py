"""Masking of steps, and layers around a layer: at every step of a sequence, and in both directions of time."""

from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch import Tensor

from convia import masks, registry, tree
from convia.args import converter
from convia.errors import explain
from convia.layer import Layer, _policy_config
from convia.layers.core import Lambda, Wrapper
from convia.layers.norm import LayerNormalization
from convia.layers.one_tensor import _OneTensor
from convia.layers.recurrent import RNN
from convia.layers.recurrent_cells import _Cell, build_inside

__all__ = ["Bidirectional", "Masking", "TimeDistributed"]


class Masking(_OneTensor, Layer):
    """Skip the steps whose features all are ``mask_value``: layers after this one that support masks pass over them.

    Inputs (batch, steps, …, features) are returned with 0 in those steps.
    """

    _makes_masks = True
    mask_value: Annotated[Any, converter(registry.deserialize)] = 0.0

    def call(self, inputs: Tensor) -> Tensor:
        """Put 0 into the skipped steps, and attach the mask."""
        mask = self.compute_mask(inputs)
        kept: Tensor = masks.attach(torch.where(mask[..., None], inputs, 0), mask)
        return kept

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return where any feature differs from ``mask_value``, shape (batch, steps, …)."""
        return torch.any(torch.ne(inputs, self.mask_value), -1)


class TimeDistributed(Wrapper):
    """Apply a layer to every step of a sequence: (batch, steps, …) → (batch, steps, …).

    Steps go through the layer one by one where they would influence one another (batch statistics, dropout, a layer
    of the user's own), otherwise all at once as further examples of the batch.

    Raises:
        ValueError: an input without steps; a mask whose first two sizes are not the input's.
    """

    supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        """Build the layer inside for one step."""
        self._check_rank(input_shape)
        build_inside(self, self.layer, (input_shape[0], *input_shape[2:]))

    def _check_rank(self, shape: Any) -> None:
        if not isinstance(shape, (tuple, list)) or len(shape) < 3:
            raise ValueError(
                explain(
                    f"TimeDistributed layer {self.name!r}",
                    f"an input of shape {shape}",
                    "at least 3 dimensions: (batch, steps, …)",
                )
            )

    def compute_output_shape(self, input_shape: Any, *_: Any) -> Any:
        """Return the shape of the layer's output with the steps put in."""
        self._check_rank(input_shape)
        batch, steps, *step = input_shape
        _, *rest = self.layer.compute_output_shape((batch, *step))
        return (batch, steps, *rest)

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        """Apply the layer to all steps; it gets the mask of each if it takes one."""
        if mask is not None and tuple(mask.shape[:2]) != tuple(inputs.shape[:2]):
            raise ValueError(
                explain(
                    f"TimeDistributed layer {self.name!r}",
                    f"a mask of shape {tuple(mask.shape)} for an input of shape {tuple(inputs.shape)}",
                    f"a mask (batch, steps, …) whose first sizes are {tuple(inputs.shape[:2])}",
                )
            )
        takes_mask = mask is not None and "mask" in self.layer._call_names
        if inputs.is_meta or _independent(self.layer, bool(training)):
            keyword = {"mask": mask.flatten(0, 1)} if takes_mask else {}  # type: ignore[union-attr]
            y: Tensor = self._step(inputs.flatten(0, 1), training, keyword).unflatten(0, inputs.shape[:2])
            return y
        keywords = [{"mask": each} for each in mask.unbind(1)] if takes_mask else [{}] * inputs.shape[1]  # type: ignore[union-attr]
        steps = zip(inputs.unbind(1), keywords, strict=True)
        return torch.stack([self._step(x, training, keyword) for x, keyword in steps], 1)

    def _step(self, x: Tensor, training: bool | None, keyword: dict[str, Any]) -> Tensor:
        y: Tensor = (
            self.layer(x, training=training, **keyword) if self.layer._takes_training else self.layer(x, **keyword)
        )
        return y


_PLAIN = {
    f"convia.layers.{name}" for name in ("activation", "conv", "conv_transpose", "core", "merge", "pool", "shape")
}


def _independent(layer: Any, training: bool) -> bool:
    """Whether a layer treats each example by itself, so that steps may be examples."""
    for each in layer._flatten_layers():
        ours = type(each).__module__.startswith("convia.") and not isinstance(each, Lambda)
        graph = getattr(each, "graph", None)
        functions = graph is not None and not all(isinstance(operation, Layer) for operation in graph.operations)
        if not ours or functions or getattr(each, "stateful", False):
            return False
        if training and type(each).__module__ not in _PLAIN and not isinstance(each, (RNN, _Cell, LayerNormalization)):
            return False
        if training and isinstance(each, _Cell) and (each.dropout or each.recurrent_dropout):
            return False
    return True


_MERGE: dict[str | None, Callable[[Tensor, Tensor], Any]] = {
    "sum": torch.add,
    "mul": torch.mul,
    "ave": lambda y, back: (y + back) / 2,
    "concat": lambda y, back: torch.cat([y, back], -1),
    None: lambda y, back: (y, back),
}


class Bidirectional(Layer):
    """Run a recurrent layer forwards and another one backwards, and merge what they say of each step.

    Args:
        layer: the recurrent layer, of which fresh copies are made for both directions; it may be any layer with
            ``go_backwards``, ``return_sequences``, ``return_state`` and ``stateful``.
        merge_mode: "concat", "sum", "mul", "ave", or None for both outputs.
        weights: the first weights, those of the forward layer and then those of the backward layer.
        backward_layer: the layer for the way back, instead of a copy.

    Raises:
        ValueError: not layers; another ``merge_mode``; two layers that go the same way or return different things.
    """

    supports_masking = True

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        for name, value in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(value, Layer) and not (value is None and name == "backward_layer"):
                raise ValueError(explain(f"Bidirectional, argument {name!r}", repr(value), "a recurrent layer"))
        if merge_mode not in _MERGE:
            raise ValueError(
                explain("Bidirectional, argument 'merge_mode'", repr(merge_mode), f"one of {list(_MERGE)}")
            )
        super().__init__(**kwargs)
        self.merge_mode = merge_mode
        self.forward_layer = _direction(layer, "forward")
        self.backward_layer = (
            _direction(layer, "backward", go_backwards=True) if backward_layer is None else backward_layer
        )
        for each in (self.forward_layer, self.backward_layer):
            if hasattr(layer, "use_cudnn"):
                each.use_cudnn = layer.use_cudnn
            if hasattr(each, "zero_output_for_mask"):
                each.zero_output_for_mask = each.return_sequences
        self._check_directions()
        if weights:
            half = len(weights) // 2
            self.forward_layer._hints["weights"], self.backward_layer._hints["weights"] = weights[:half], weights[half:]
        self.stateful, self.return_sequences = layer.stateful, layer.return_sequences
        self.return_state, self.input_spec = layer.return_state, layer.input_spec

    def _check_directions(self) -> None:
        one, other = self.forward_layer, self.backward_layer
        for name, equal in (
            ("go_backwards", False),
            ("stateful", True),
            ("return_sequences", True),
            ("return_state", True),
        ):
            values = getattr(one, name), getattr(other, name)
            if (values[0] == values[1]) != equal:
                raise ValueError(
                    explain(
                        "Bidirectional",
                        f"a layer with {name}={values[0]} and a backward_layer with {name}={values[1]}",
                        f"{'equal' if equal else 'different'} values of {name}",
                    )
                )

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build both layers."""
        for layer in (self.forward_layer, self.backward_layer):
            build_inside(self, layer, sequences_shape)

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None, *_: Any) -> Any:
        """Return the shape of the merged output, with ``return_state`` followed by those of both layers' states."""
        output = self.forward_layer.compute_output_shape(sequences_shape)
        states: tuple[Any, ...] = ()
        if self.return_state:
            output, states = output[0], tuple(output[1:])
        if self.merge_mode == "concat":
            output = (*output[:-1], output[-1] * 2)
        if self.merge_mode is None:
            return (output, output, *states, *states)
        return (output, *states, *states) if self.return_state else output

    def call(self, sequences: Tensor, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        """Run both ways. Of ``initial_state``, the first half is for the forward layer."""
        states: list[Any] = []
        outputs = []
        half = len(initial_state) // 2 if initial_state is not None else 0
        starts = (None, None) if initial_state is None else (initial_state[:half], initial_state[half:])
        for layer, start in zip((self.forward_layer, self.backward_layer), starts, strict=True):
            given = {"initial_state": start, "mask": mask, "training": training}
            output = layer(sequences, **{name: value for name, value in given.items() if name in layer._call_names})
            if self.return_state:
                output, *state = output
                states += state
            outputs.append(output)
        if self.return_sequences:
            outputs[1] = outputs[1].flip(1)
        merged = _MERGE[self.merge_mode](*outputs)
        if self.merge_mode is None:
            return (*merged, *states)
        return (merged, *states) if self.return_state else merged

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        """Return the mask for the outputs of all steps; one output and states have none."""
        mask = tree.flatten(mask)[0] if self.return_sequences else None
        return [mask] * 2 if self.merge_mode is None else mask

    @property
    def states(self) -> tuple[Any, ...] | None:
        """The states that stateful layers keep, those of the forward layer first."""
        kept = [layer.states for layer in (self.forward_layer, self.backward_layer)]
        return tuple(kept[0] + kept[1]) if all(kept) else None

    def reset_state(self) -> None:
        """Set the states of stateful layers to 0.

        Raises:
            AttributeError: the layers are not stateful.
        """
        if not self.stateful:
            raise AttributeError(explain(f"Bidirectional layer {self.name!r}", "reset_state()", "a stateful layer"))
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """Set the states of stateful layers to 0."""
        self.reset_state()

    def get_config(self) -> dict[str, Any]:
        """Return the merge mode and the configs of both layers."""
        described = {name: registry.serialize(getattr(self, f"{name}_layer")) for name in ("forward", "backward")}
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": _policy_config(self.dtype_policy),
            "merge_mode": self.merge_mode,
            "layer": described["forward"],
            "backward_layer": described["backward"],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Bidirectional":
        """Make a layer from a config."""
        layers = {
            name: registry.deserialize(config[name], custom_objects, "keras.layers")
            for name in ("layer", "backward_layer")
            if config.get(name) is not None
        }
        return cls(**{**config, **layers})


def _direction(layer: Layer, direction: str, **changes: Any) -> Any:
    """Return an unbuilt copy of a layer, named after its direction."""
    name = f"{direction}_{layer.name.removeprefix(f'{direction}_')}"
    return type(layer).from_config({**layer.get_config(), "name": name, **changes})
