"""Fully connected layers, and layers made of a function or around another layer."""

# It thinks that redeclared arguments keep their place, see convia/args.py:
# mypy: disable-error-code="misc"

import inspect
import math
import re
from typing import Annotated, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import activations, registry
from convia.args import Convert, PositiveInt, converter, field
from convia.errors import explain
from convia.initializers import VarianceScaling
from convia.input_spec import InputSpec
from convia.layer import Layer
from convia.layers.arguments import Activation as Function
from convia.layers.arguments import Constraint, Initializer, Regularizer, Unquantized
from convia.layers.floating import _Floating
from convia.layers.lora import Rank, _Adaptable
from convia.layers.one_tensor import _OneTensor
from convia.layers.same_shape import _SameShape
from convia.symbolic import KerasTensor

__all__ = [
    "Activation",
    "Dense",
    "EinsumDense",
    "Identity",
    "Lambda",
    "Wrapper",
    "deserialize",
    "serialize",
]


class Dense(_Adaptable, _Floating):
    """Fully connected: y = φ(x·W + b), (batch, …, features) → (batch, …, units).

    Args:
        units: number of outputs.
        activation: φ; None for none.
        use_bias: whether to add b.
        kernel_initializer, bias_initializer: first values of W (features, units) and b (units,).
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties on W, b and y.
        kernel_constraint, bias_constraint: functions applied to W and b after each step of training.
        lora_rank, lora_alpha: see :meth:`enable_lora`, which they call when the layer is built.

    Raises:
        ValueError: the number of features is unknown, or not that of the first call.
    """

    supports_masking = True
    units: PositiveInt
    activation: Function = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    lora_rank: Rank = None
    lora_alpha: Any = None
    quantization_config: Unquantized = None

    def __post_init__(self) -> None:
        """Note what inputs fit."""
        self.input_spec = InputSpec(min_ndim=2)

    @classmethod
    def _declares_regularizer(cls) -> bool:
        return False  # Keras writes this one to the config only when it is set

    def build(self, input_shape: Any) -> None:
        """Create ``kernel`` (features, units) and ``bias`` (units,)."""
        self._check_inputs((KerasTensor(input_shape, name="inputs"),))
        features = input_shape[-1]
        if features is None:
            raise ValueError(
                explain(
                    f"Dense layer {self.name!r}",
                    f"an input of shape {tuple(input_shape)}",
                    "a known last dimension",
                    "Give the image size in Input(shape=...), or use a global pooling instead of Flatten.",
                )
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features})
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            order=(1, 0),
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self._adapt(self.lora_rank, self.lora_alpha)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return (batch, …, units); known without a trial, for which torch would import its compiler."""
        return self._activated_shape((*input_shape[:-1], self.units))

    def call(self, inputs: Tensor) -> Tensor:
        """Multiply by the kernel, add the bias, apply the activation."""
        y = F.linear(inputs, self.kernel.t(), self.bias)
        return self.activation(y) if self._active else y

    def _input_remedy(self, shape: tuple[int | None, ...]) -> str:
        features = self.input_spec.axes.get(-1)
        if features is not None and None not in shape[1:] and math.prod(shape[1:]) == features:  # type: ignore[arg-type]
            return "Flatten the images first: put a Flatten() layer in front."
        return "Add the batch axis: x[None]." if len(shape) == 1 else ""


class Activation(_SameShape, Layer):
    """Apply an activation function by name ("relu") or itself."""

    supports_masking = True
    activation: Function

    def _keeps_shape(self, given: KerasTensor) -> bool:
        own = vars(activations).get(getattr(self.activation, "__name__", ""))
        return own is self.activation and own is not activations.glu and super()._keeps_shape(given)

    def call(self, inputs: Tensor) -> Tensor:
        """Apply the function."""
        y: Tensor = self.activation(inputs)
        return y


class Identity(_OneTensor, Layer):
    """Return the inputs, whatever they are."""

    supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Pass the inputs on."""
        return inputs


class EinsumDense(_Adaptable, _Floating):
    """Fully connected along the axes that an equation names, as in ``EinsumDense("abc,cd->abd", (None, 64))``.

    Args:
        equation: "input,kernel->output" with a letter per axis; "..." may stand for further axes, first or last.
        output_shape: of the output without the batch, None where it is the input's.
        activation: applied to the output.
        bias_axes: letters of the output along which the bias varies; None for no bias.
        kernel_initializer and the others: as for :class:`Dense`.

    Raises:
        ValueError: an equation of another form, sizes that contradict it.
    """

    equation: str
    output_shape: Annotated[Any, converter(lambda shape: (shape,) if isinstance(shape, int) else tuple(shape))]
    activation: Function = None
    bias_axes: str | None = None
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    lora_rank: Rank = None
    lora_alpha: Any = None
    gptq_unpacked_column_size: Unquantized = None
    quantization_config: Unquantized = None
    activity_regularizer: Regularizer = field(default=None, kw_only=True)

    @classmethod
    def _declares_regularizer(cls) -> bool:
        return True

    def build(self, input_shape: Any) -> None:
        """Create ``kernel``, with the sizes that the equation's letters have, and ``bias``."""
        source, weight, target = self._parse(len(input_shape))
        sizes = dict(zip(source, input_shape, strict=True))
        named = [letter for letter in target[1:] if not letter.isdigit()]
        if len(named) != len(self.output_shape):
            self._complain(f"output_shape={self.output_shape}", f"{len(named)} sizes, for {''.join(named)!r}")
        for letter, size in zip(named, self.output_shape, strict=True):
            if size is not None and sizes.setdefault(letter, size) not in (size, None):
                self._complain(f"size {size} for {letter!r} in output_shape", f"{sizes[letter]}, as in the input")
        unknown = [letter for letter in weight if sizes.get(letter) is None]
        if unknown:
            self._complain(f"no size for {unknown[0]!r} of the kernel", "one in the input's shape or in output_shape")
        self.kernel = self.add_weight(
            name="kernel",
            shape=tuple(sizes[letter] for letter in weight),
            initializer=self._fan_aware(
                [axis for axis, letter in enumerate(weight) if letter not in target],
                [axis for axis, letter in enumerate(weight) if letter in target],
            ),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = self._add_bias(target, sizes) if self.bias_axes else None
        self.input_spec = InputSpec(ndim=len(input_shape))
        self._adapt(self.lora_rank, self.lora_alpha)

    def _complain(self, received: str, expected: str) -> None:
        raise ValueError(explain(f"EinsumDense layer {self.name!r}, equation {self.equation!r}", received, expected))

    def _parse(self, rank: int) -> tuple[list[str], str, list[str]]:
        """Return the axes of input, kernel and output; those that "..." stands for are numbered."""
        match = re.fullmatch(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?", self.equation)
        if match is None or match[1] != match[5] or match[3] != match[7] or (match[1] and match[3]):
            self._complain("it", "the form 'ab,bc->ac', '...b,bc->...c' or 'ab...,bc->ac...'")
        _, source, _, weight, _, target, _ = match.groups()  # type: ignore[union-attr]
        more = [str(number) for number in range(rank - len(source))]
        if len(source) > rank or (more and not (match[1] or match[3])):  # type: ignore[index]
            self._complain(f"an input of {rank} dimensions", f"{len(source)}")
        stray = [letter for letter in target if letter not in source + weight]
        if stray:
            self._complain(f"{stray[0]!r} in the output alone", "letters of the input or the kernel")
        if match[1]:  # type: ignore[index]
            return [*more, *source], weight, [*more, *target]
        return [*source, *more], weight, [*target, *more]

    def _fan_aware(self, inputs: list[int], outputs: list[int]) -> Any:
        """Tell an initializer that scales with the fans which axes are inputs and which are outputs."""
        initializer = self.kernel_initializer
        if not isinstance(initializer, VarianceScaling) or None not in (
            initializer.input_axes,
            initializer.output_axes,
        ):
            return initializer
        config = {**initializer.get_config(), "input_axes": inputs, "output_axes": outputs, "seed": initializer.seed}
        return type(initializer).from_config(config)

    def _add_bias(self, target: list[str], sizes: dict[str, Any]) -> Any:
        stray = [letter for letter in self.bias_axes or "" if letter not in target]
        if stray:
            self._complain(f"{stray[0]!r} in bias_axes", f"letters of the output {''.join(target)!r}")
        first = min(target.index(letter) for letter in self.bias_axes or "")
        return self.add_weight(
            name="bias",
            shape=tuple(sizes[letter] if letter in (self.bias_axes or "") else 1 for letter in target[first:]),
            initializer=self.bias_initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )

    def call(self, inputs: Tensor) -> Tensor:
        """Multiply and sum as the equation says, add the bias, apply the activation."""
        y = torch.einsum(self.equation, inputs, self.kernel)
        if self.bias is not None:
            y = y + self.bias
        return self.activation(y) if self._active else y


class Lambda(Layer):
    """Call a function on the inputs.

    A config names the function; it is found again in ``custom_objects`` or by ``register_keras_serializable``. Code
    in a file is never run, so that a layer made of a ``lambda`` cannot be loaded: write a named function.

    Args:
        function: of the inputs; takes also ``mask`` and ``training`` if it has arguments of these names.
        output_shape: shape without the batch, or a function of the input's shape; found by itself when None.
        mask: what :meth:`compute_mask` returns: a mask, or a function of the inputs and their masks.
        arguments: further keyword arguments of the function.
    """

    function: Any
    output_shape: Any = None
    mask: Any = None
    arguments: Any = None

    def __post_init__(self) -> None:
        """Look for ``mask`` and ``training`` among the function's arguments."""
        self.arguments = dict(self.arguments or {})
        try:
            names = inspect.signature(self.function).parameters
        except ValueError:  # written in C
            names = {}  # type: ignore[assignment]
        self._wanted = tuple(name for name in ("mask", "training") if name in names)
        self.supports_masking = self._makes_masks = self.mask is not None

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Call the function."""
        given = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{name: given[name] for name in self._wanted})

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return the mask of the output: that of the constructor, or what the function given there makes of it."""
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return a symbolic output of the given shape, or of the one that the function has on such inputs."""
        if self.output_shape is None:
            return super().compute_output_spec(*args, **kwargs)
        first = args[0][0] if isinstance(args[0], (list, tuple)) else args[0]
        if callable(self.output_shape):
            return KerasTensor(self.output_shape(first.shape), self.compute_dtype)
        return KerasTensor((first.shape[0], *self.output_shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments; functions by name, a ``lambda`` as one that cannot be loaded."""
        config = super().get_config()
        for name in ("function", "output_shape", "mask"):
            value = getattr(self, name)
            found = registry.home(value) if callable(value) else None
            if getattr(value, "__name__", None) == "<lambda>":
                config[name] = {"class_name": "__lambda__", "config": None}
            elif found is not None:  # a function of the library: its name alone would not say where it is
                config[name] = {
                    "module": found[0],
                    "class_name": "function",
                    "config": found[1],
                    "registered_name": None,
                }
        return {key: value for key, value in config.items() if value is not None or key not in ("output_shape", "mask")}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Lambda":
        """Make a layer from a config.

        Raises:
            ValueError: the config holds code instead of a function's name, or an unknown name.
        """
        config = dict(config)
        for name in ("function", "output_shape", "mask", "arguments"):
            value = config.get(name)
            if isinstance(value, dict) and value.get("class_name") == "__lambda__":
                raise ValueError(
                    explain(
                        f"Lambda layer {config.get('name')!r}",
                        f"a Python lambda as {name!r} of its config",
                        "the name of a function",
                        "Code in files is not run. Write a named function, decorate it with "
                        "@register_keras_serializable(), make the model anew with it and load the weights alone.",
                    )
                )
            config[name] = registry.deserialize(value, custom_objects)
        return cls(**config)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Lambda":
        options = {key: getattr(self, key) for key in ("output_shape", "mask", "arguments", "name")}
        copy = Lambda(self.function, **options, dtype=self.dtype_policy, trainable=self.trainable)
        memo[id(self)] = copy
        return copy


def _layer(value: Any, owner: Any, name: str) -> Layer:
    layer = registry.deserialize(value, namespace="keras.layers") if isinstance(value, dict) else value
    if not isinstance(layer, Layer):
        raise ValueError(explain(f"{type(owner).__name__}, argument {name!r}", repr(value), "a layer"))
    return layer


class Wrapper(Layer):
    """Base of layers around another layer, ``self.layer``."""

    layer: Annotated[Any, Convert(_layer)]

    def build(self, input_shape: Any = None) -> None:
        """Build the layer inside."""
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer._finish_build()


def serialize(layer: Layer) -> dict[str, Any]:
    """Return the config of a layer with the name of its class."""
    plain: dict[str, Any] = registry.serialize(layer)
    return plain


def deserialize(config: Any, custom_objects: Any = None) -> Layer:
    """Make the layer that ``serialize`` described.

    Raises:
        ValueError: an unknown class.
    """
    layer: Layer = registry.deserialize(config, custom_objects, "keras.layers")
    return layer
