"""Layer: a torch module that is built on its first input, keeps Keras's books of weights, and writes its own config."""

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from convia import config, masks, recomputation, regularizers, symbolic, tree
from convia.args import Configured, converter, field
from convia.books import Books
from convia.errors import explain
from convia.symbolic import KerasTensor, Node

_HINTS = ("input_shape", "batch_input_shape", "input_dim", "batch_size", "input_dtype", "weights")


class _Call(threading.local):
    """The outermost call in progress: whether it trains, whose it is, the path of names down to here."""

    training: bool | None = None
    root: "Layer | None" = None
    path: str = ""


_call = _Call()


class _Arguments(Configured):
    """What every layer's constructor takes besides its own arguments."""

    if not TYPE_CHECKING:  # type checkers would put it first where a layer declares it again, by position
        activity_regularizer: Annotated[Any, converter(regularizers.get)] = field(default=None, kw_only=True)
    else:  # hints about the input, see Layer._accept
        input_shape: Any = field(default=None, kw_only=True)
    trainable: bool = field(default=True, kw_only=True)
    dtype: Any = field(default=None, kw_only=True)
    autocast: bool = field(default=True, kw_only=True)
    name: Any = field(default=None, kw_only=True)


class Layer(_Arguments, Books):  # the arguments are properties of Books
    """Base of all layers. Subclass it, create weights in ``build(input_shape)`` and compute in ``call(inputs)``.

    Args:
        activity_regularizer: a penalty on the output, added to the loss per image.
        trainable: whether the weights learn.
        dtype: a type or policy ("float32", "mixed_bfloat16"); None for the global one.
        autocast: whether floating inputs are cast to the compute type.
        name: unique within a model; made from the class name when None.
    """

    _namespace: ClassVar[str | None] = "keras.layers"
    supports_masking = False  # whether masks of the inputs go on to the outputs, through compute_mask
    _makes_masks = False  # whether outputs have masks although the inputs have none
    _keeps_weights: ClassVar[bool] = False  # in their own type, where inputs have another
    _takes_mask: ClassVar[bool] = False
    _takes_training: ClassVar[bool] = False
    _call_names: ClassVar[tuple[str, ...]] = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls, *args, **kwargs)
        quiet = object.__setattr__
        quiet(self, "_losses", [])
        quiet(self, "_loss_layers", [])
        quiet(self, "_inbound_nodes", [])
        quiet(self, "_hints", {})
        quiet(self, "_simple", False)
        quiet(self, "_build_shapes", None)
        quiet(self, "input_spec", None)
        quiet(self, "_recomputation", recomputation.current())
        return self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _remember_build(cls.__dict__["build"])  # type: ignore[method-assign]
        if "call" in cls.__dict__:
            arguments = inspect.signature(cls.__dict__["call"]).parameters
            cls._call_names = tuple(name for name in arguments if name != "self")
            cls._takes_training = "training" in arguments
            cls._takes_mask = any(name == "mask" or name.endswith("_mask") for name in arguments)
        if "compute_mask" in cls.__dict__:
            cls.supports_masking = cls.__dict__.get("supports_masking", True)
            cls._makes_masks = cls.__dict__.get("_makes_masks", not cls.__module__.startswith("convia."))

    def _accept(self, extra: dict[str, Any]) -> None:
        """Take the hints about the input that older programs give to the first layer."""
        self._hints.update({key: extra.pop(key) for key in _HINTS if key in extra})
        super()._accept(extra)

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def compute_dtype(self) -> str:
        """The type of the computation and the outputs."""
        return self.dtype_policy.compute_dtype

    @property
    def input_dtype(self) -> str:
        """The type that floating inputs are cast to."""
        return self.compute_dtype

    @property
    def input_shape_hint(self) -> tuple[int | None, ...] | None:
        """The batch shape that the constructor was told (``input_shape=``, ``input_dim=``), None if it was not."""
        hints = self._hints
        if hints.get("batch_input_shape") is not None:
            return tuple(hints["batch_input_shape"])
        if hints.get("input_shape") is not None:
            given = hints["input_shape"]
            return (hints.get("batch_size"), *(given if isinstance(given, (list, tuple)) else (given,)))
        return (hints.get("batch_size"), hints["input_dim"]) if hints.get("input_dim") is not None else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    # -- building -----------------------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of a shape (batch included). Override it; the base has no weights."""

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the shapes the layer was built with, by argument where there are several; None if it is not built."""
        shapes = self._build_shapes
        if not shapes:
            return None
        return {"input_shape": next(iter(shapes.values()))} if len(shapes) == 1 else {"shapes_dict": shapes}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build with the shapes that ``get_build_config`` returned."""
        if config:
            shapes = config.get("shapes_dict", config)
            self.build(shapes["input_shape"]) if "input_shape" in shapes else self.build(**shapes)

    def _ensure_built(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.built:
            return
        object.__setattr__(self, "path", f"{_call.path}{self.name}")
        shapes = {name: _shapes(value) for name, value in self._named(args, kwargs).items() if _has_tensor(value)}
        wanted = [name for name in inspect.signature(self.build).parameters if name != "self"]
        if len(wanted) > 1:
            given = {
                name: shapes[name.removesuffix("_shape")] for name in wanted if name.removesuffix("_shape") in shapes
            }
        else:
            given = {wanted[0]: next(iter(shapes.values()), None)} if wanted else {}
        with symbolic.outside_tracing():
            self.build(**given)
        self._finish_build()

    def _finish_build(self) -> None:
        """Register stray weights with torch, take over the initial weights that were asked for, note the fast path."""
        self._register_strays()
        if self._hints.get("weights") is not None and self.weights:
            self.set_weights(self._hints.pop("weights"))
        plain = self.activity_regularizer is None and self.compute_dtype == self.variable_dtype
        ours = type(self).__module__.startswith("convia.")
        simple = plain and ours and self.autocast and not self._makes_masks and not self.sublayers()
        simple = simple and self._recomputation is None
        object.__setattr__(self, "_simple", simple)

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        names = self._call_names or ("inputs",)
        return {**dict(zip(names, args, strict=False)), **kwargs}

    # -- calling ------------------------------------------------------------------------------------------------

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs. Override it; take ``training=None`` to tell training from inference."""
        raise NotImplementedError(explain(f"Layer {self.name!r}", "a call", "a method call() in the subclass"))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer: convert and check what needs it, build on the first call, record symbolic calls."""
        if self._simple and len(args) == 1 and not kwargs:
            inputs = args[0]
            plain = type(inputs) is Tensor and inputs.dtype is self._input_dtype
            masked = masks.in_use and masks.mask_of(inputs) is not None
            if plain and not masked and not symbolic.rehearsing():
                try:
                    return (
                        self.call(inputs, training=self._is_training()) if self._takes_training else self.call(inputs)
                    )
                except (RuntimeError, IndexError, TypeError) as error:
                    if not symbolic.tracing():
                        self._blame(error, args)
                        raise
        return self._general_forward(args, kwargs)

    def _is_training(self) -> bool:
        return self.training if _call.training is None else _call.training

    def _general_forward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        args, kwargs = self._converted(args), self._converted(kwargs)
        if self._takes_training and len(args) > (place := self._call_names.index("training")):  # layer(x, True)
            args, kwargs = args[:place], {**dict(zip(self._call_names[place:], args[place:], strict=False)), **kwargs}
        if symbolic.any_symbolic(args, kwargs):
            return self._record(args, kwargs)
        training = kwargs.pop("training", None)
        training = self._is_training() if training is None else bool(training)
        self._ensure_built(args, kwargs)
        if self._takes_training:
            kwargs["training"] = training
        previous = masks.fill(self, args, kwargs)
        before = _enter(self, training)
        try:
            outputs = self._called(args, kwargs)
            if self.activity_regularizer is not None:
                self._add_activity_losses(outputs)
        except (RuntimeError, IndexError, TypeError) as error:
            self._blame(error, args)
            raise
        finally:
            _call.training, _call.root, _call.path = before
        if masks.in_use or self._makes_masks:
            masks.pass_on(self, args, kwargs, outputs, previous)
        return outputs

    def _called(self, args: Any, kwargs: Any) -> Any:
        scope = self._recomputation
        apart = scope is None or symbolic.tracing() or symbolic.rehearsing() or not torch.is_grad_enabled()
        if scope is None or apart or not scope.takes(self, args):
            return self._call_with_weights(args, kwargs)
        state = _call.training, _call.root, _call.path

        def call(args: Any, kwargs: Any) -> Any:  # also while gradients are computed, when nothing is in progress
            before = _call.training, _call.root, _call.path
            _call.training, _call.root, _call.path = state
            try:
                return self._call_with_weights(args, kwargs)
            finally:
                _call.training, _call.root, _call.path = before

        return recomputation.run(self, _call.root, call, args, kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Return the masks of the outputs, given the inputs and their masks; the base passes the masks on."""
        return previous_mask

    def _converted(self, structure: Any) -> Any:
        """NumPy arrays become tensors; floating tensors take the compute type."""
        if isinstance(structure, Tensor):
            wrong = self.autocast and structure.is_floating_point() and structure.dtype is not self._input_dtype
            return masks.carry(structure, structure.to(self._input_dtype)) if wrong else structure
        if isinstance(structure, np.ndarray):
            return self._converted(torch.as_tensor(structure, device=config.device()))
        if isinstance(structure, dict):
            return {key: self._converted(value) for key, value in structure.items()}
        if isinstance(structure, (list, tuple)) and not hasattr(structure, "_fields"):
            return type(structure)(self._converted(value) for value in structure)
        return structure

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._ensure_built(args, kwargs)
        self._check_inputs(args)
        filled = dict(kwargs)
        previous = masks.fill(self, args, filled)
        outputs = self.compute_output_spec(*args, **filled)
        Node(self, args, kwargs, outputs)
        if masks.in_use or self._makes_masks:
            masks.pass_on(self, args, kwargs, outputs, previous)
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return symbolic outputs for symbolic inputs."""
        if type(self).compute_output_shape is not Layer.compute_output_shape:
            shapes = [_shapes(value) for value in args]
            return specs_of(self.compute_output_shape(*shapes), self.compute_dtype)
        try:
            return symbolic.infer(self.forward, args, kwargs)
        except ValueError:
            raise
        except Exception as error:
            self._blame(error, args)
            raise

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Return the output's shape for an input shape (batch included, None for unknown sizes)."""
        inputs = [specs_of(shape, self.compute_dtype) for shape in (*args, *kwargs.values())]
        self._ensure_built(tuple(inputs), {})
        return tree.map_structure(lambda spec: spec.shape, symbolic.infer(self.forward, tuple(inputs), {}))

    def _call_with_weights(self, args: Any, kwargs: Any) -> Any:
        """Call with stand-ins for the weights where needed: shapes alone while tracing, casts in mixed policies."""
        if symbolic.rehearsing():
            own = {name: {key: _copy(value) for key, value in self.__dict__[name].items()} for name in _WEIGHTS}
        elif symbolic.tracing() and any(_is_meta(leaf) for leaf in tree.flatten([args, kwargs])):
            own = {name: {key: _to_meta(value) for key, value in self.__dict__[name].items()} for name in _WEIGHTS}
        elif self._parameters and self._casts_weights():
            own = {"_parameters": {key: _cast(value, self._input_dtype) for key, value in self._parameters.items()}}
        else:
            return self.call(*args, **kwargs)
        real = {name: self.__dict__[name] for name in own}
        self.__dict__.update(own)
        try:
            return self.call(*args, **kwargs)
        finally:
            self.__dict__.update(real)

    def _casts_weights(self) -> bool:
        return self.autocast and not self._keeps_weights and self.compute_dtype != self.variable_dtype

    # -- errors -------------------------------------------------------------------------------------------------

    def _check_inputs(self, args: tuple[Any, ...]) -> None:
        """Raise ValueError when an input contradicts ``input_spec``."""
        if self.input_spec is None or not args:
            return
        specs, inputs = tree.flatten(self.input_spec), tree.flatten(args[0])
        for spec, given in zip(specs, inputs, strict=False):
            shape = tuple(given.shape)
            complaint = spec.complaint(shape)
            if complaint:
                raise ValueError(
                    explain(
                        f"{type(self).__name__} layer {self.name!r}",
                        f"an input of shape {shape}",
                        complaint,
                        self._input_remedy(shape),
                    )
                )

    def _input_remedy(self, shape: tuple[int | None, ...]) -> str:
        """Say what to do about an input of the wrong shape; families of layers know better."""
        return ""

    def _blame(self, error: Exception, args: Any) -> None:
        """Raise an error of torch as an error of this layer, with its name and the inputs' shapes in the message.

        Errors that already name a layer pass.
        """
        if getattr(error, "_blamed", False) or isinstance(error, NotImplementedError):
            return
        if all(hasattr(leaf, "shape") for leaf in tree.flatten(list(args))):
            self._check_inputs(args)
        received = ", ".join(str(_shapes(value)) for value in args)
        reason = str(error).strip() or type(error).__name__
        text = f"{type(self).__name__} layer {self.name!r}: failed on an input of shape {received}. {reason}"
        kinds = (RuntimeError, TypeError, IndexError, torch.OutOfMemoryError)
        kind = type(error) if type(error) in kinds else ValueError
        blamed = kind(text)
        blamed._blamed = True  # type: ignore[attr-defined]
        raise blamed from error

    # -- losses -------------------------------------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Add a penalty, computed in ``call``, to what training minimizes."""
        if symbolic.tracing():
            return
        for value in tree.flatten(loss):
            self._losses.append(value)
        root = _call.root or self
        if not any(layer is self for layer in root._loss_layers):
            root._loss_layers.append(self)

    def _add_activity_losses(self, outputs: Any) -> None:
        for output in tree.flatten(outputs):
            if isinstance(output, Tensor):
                self.add_loss(self.activity_regularizer(output) / max(output.shape[0] if output.ndim else 1, 1))

    @property
    def losses(self) -> list[Any]:  # type: ignore[override]
        """The penalties of the last call, and those of the weights' regularizers."""
        added = [loss for layer in self._flatten_layers() for loss in layer._losses]
        penalized = [v for v in self.trainable_weights if getattr(v, "regularizer", None) is not None]
        return added + [v.regularizer(v) for v in penalized]

    # -- graph and config ---------------------------------------------------------------------------------------

    @property
    def input(self) -> Any:
        """The symbolic input of the first call.

        Raises:
            AttributeError: the layer has not been called on a symbolic tensor.
        """
        node = self._first_node("input")
        return node.args[0] if node.args else next(iter(node.kwargs.values()), node.output_tree)

    @property
    def output(self) -> Any:
        """The symbolic output of the first call.

        Raises:
            AttributeError: the layer has not been called on a symbolic tensor.
        """
        return self._first_node("output").output_tree

    def _first_node(self, what: str) -> Node:
        if not self._inbound_nodes:
            raise AttributeError(
                explain(
                    f"Layer {self.name!r}",
                    f"a question for its {what}",
                    "a layer that is part of a graph",
                    "Call it on an Input first.",
                )
            )
        node: Node = self._inbound_nodes[0]
        return node

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values."""
        given = super().get_config()
        for key in (
            "autocast",
            *(() if "activity_regularizer" in given and self._declares_regularizer() else ("activity_regularizer",)),
        ):
            given.pop(key, None)
        if self.activity_regularizer is not None:
            given.setdefault("activity_regularizer", regularizers.serialize(self.activity_regularizer))
        base = {"name": self.name, "trainable": self._trainable, "dtype": _policy_config(self.dtype_policy)}
        return {**base, **{key: value for key, value in given.items() if key not in base}}

    @classmethod
    def _declares_regularizer(cls) -> bool:
        entry = cls._fields.get("activity_regularizer")
        return entry is not None and not entry.keyword_only

    def __deepcopy__(self, memo: dict[int, Any]) -> "Layer":
        copy = type(self).from_config(self.get_config())
        memo[id(self)] = copy
        if self.built and self._build_shapes:
            copy.build_from_config(self.get_build_config() or {})
            copy._finish_build()
            copy.set_weights(self.get_weights())
        return copy


_WEIGHTS = ("_parameters", "_buffers")


def _policy_config(policy: config.DTypePolicy) -> dict[str, Any]:
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": policy.name}, "registered_name": None}


def _remember_build(build: Callable[..., None]) -> Callable[..., None]:
    """Wrap ``build``: note the shapes it was given, and that the layer is built."""
    if hasattr(build, "_remembers"):
        return build
    names = [name for name in inspect.signature(build).parameters if name != "self"]

    def wrapped(self: Layer, *args: Any, **kwargs: Any) -> None:
        if self._build_shapes is None:
            object.__setattr__(self, "_build_shapes", {**dict(zip(names, args, strict=False)), **kwargs})
        build(self, *args, **kwargs)
        object.__setattr__(self, "built", True)

    wrapped.__signature__ = inspect.signature(build)  # type: ignore[attr-defined]
    wrapped.__doc__ = build.__doc__
    wrapped._remembers = True  # type: ignore[attr-defined]
    return wrapped


Layer.build = _remember_build(Layer.build)  # type: ignore[method-assign]


def _enter(layer: Layer, training: bool) -> tuple[Any, ...]:
    """Note that a call is in progress and return what was; the outermost forgets the penalties of the call before."""
    before = _call.training, _call.root, _call.path
    if _call.root is None:
        _call.root = layer
        for owner in layer._loss_layers:
            owner._losses.clear()
        layer._loss_layers.clear()
    _call.training, _call.path = training, f"{_call.path}{layer.name}/"
    return before


def _shapes(structure: Any) -> Any:
    return tree.map_structure(lambda leaf: tuple(leaf.shape) if hasattr(leaf, "shape") else None, structure)


def _has_tensor(structure: Any) -> bool:
    return any(isinstance(leaf, (Tensor, KerasTensor)) for leaf in tree.flatten(structure))


def _is_shape(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(size is None or hasattr(size, "__index__") for size in value)


def specs_of(shape: Any, dtype: str) -> Any:
    """Turn a shape, or a structure of shapes, into symbolic tensors."""
    if _is_shape(shape):
        return KerasTensor([size if size is None else size.__index__() for size in shape], dtype)
    if isinstance(shape, dict):
        return {key: specs_of(value, dtype) for key, value in shape.items()}
    return type(shape)(specs_of(value, dtype) for value in shape)


def _is_meta(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_meta


def _to_meta(value: Tensor | None) -> Tensor | None:
    if value is None:
        return None
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")


def _copy(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.detach().clone()


def _cast(value: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return value.to(dtype) if value is not None and value.is_floating_point() else value


@contextmanager
def hooked(layers: Sequence[Layer], hook: Callable[..., Any]) -> Iterator[None]:
    """Have ``hook(layer, inputs, output)`` called at each call of the layers; a value it returns is the output."""
    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
