"""Networks as they were published: the arguments that all of them have, checks, input, top, and official weights."""

import inspect
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from convia import activations, config, fetch
from convia.errors import explain
from convia.graph import Input
from convia.layers import BatchNormalization, Dense, GlobalAveragePooling2D, GlobalMaxPooling2D
from convia.models import Model
from convia.symbolic import KerasTensor
from convia.training.advice import Published

P = ParamSpec("P")
R = TypeVar("R")
ORIGIN = "https://storage.googleapis.com/tensorflow/keras-applications/"
OLDER_ORIGIN = "https://storage.googleapis.com/keras-applications/"
IMAGENET, IMAGENET_CLASSES = "imagenet", 1000


@dataclass(frozen=True)
class WeightFile:
    """A file of official weights.

    Attributes:
        url: where it is.
        file_hash: its MD5 or SHA-256; None where none was published.
        name: in the cache, if not the last part of the URL.
    """

    url: str
    file_hash: str | None = None
    name: str | None = None

    def path(self) -> str:
        """Return the path in the cache, downloading the file at the first time; see :func:`fetch.get_file`.

        The environment's CONVIA_MIRRORS may name further places, separated by spaces, that have the official files in
        the same folders; they are tried in turn when the official place fails.
        """
        below = self.url.removeprefix(ORIGIN).removeprefix(OLDER_ORIGIN)
        places = os.environ.get("CONVIA_MIRRORS", "").split() if below != self.url else []
        mirrors = [f"{place.rstrip('/')}/{below}" for place in places]
        options: dict[str, Any] = {"mirrors": mirrors} if mirrors else {}
        return fetch.get_file(self.name, self.url, cache_subdir="models", file_hash=self.file_hash, **options)


@dataclass(frozen=True)
class Weights:
    """The official weights of a network: with its classifier, and without."""

    top: WeightFile
    no_top: WeightFile


def tf_kernels(folder: str, name: str, top: str, no_top: str) -> Weights:
    """Return the files of a network whose names follow the older pattern, with their hashes."""
    stem = f"{ORIGIN}{folder}/{name}_weights_tf_dim_ordering_tf_kernels"
    return Weights(WeightFile(f"{stem}.h5", top), WeightFile(f"{stem}_notop.h5", no_top))


@dataclass(frozen=True)
class Options:
    """The arguments that every network has, as a user gave them."""

    include_top: bool
    weights: Any
    input_tensor: Any
    input_shape: Any
    pooling: str | None
    classes: int
    classifier_activation: Any
    name: str | None

    @property
    def is_imagenet(self) -> bool:
        """Whether the official weights are wanted."""
        return isinstance(self.weights, str) and self.weights == IMAGENET


def dense_head(x: KerasTensor, options: Options, pool: str | None = "avg_pool") -> KerasTensor:
    """Average over the positions, then a probability per class: (N, h, w, C) → (N, classes)."""
    x = GlobalAveragePooling2D(name=pool)(x)
    return Dense(options.classes, activation=options.classifier_activation, name="predictions")(x)


@dataclass(frozen=True)
class Network:
    """A network as it was published.

    Attributes:
        title: its name in messages.
        body: pictures (N, height, width, channels) → feature map.
        files: the official weights, None where there are none for these arguments.
        size: side of the pictures it was trained with.
        smallest: least side of a picture, in pixels.
        head: feature map and options → a probability per class.
        pools: names of the layers of average and of maximum pooling when there is no head.
        end: what follows the pooling then.
        channels_last_only: whether it refuses the other data format.
        channels: of the pictures it was trained with.
    """

    title: str
    body: Callable[[KerasTensor, Options], KerasTensor]
    files: Weights | None = None
    size: int = 224
    smallest: int = 32
    head: Callable[[KerasTensor, Options], KerasTensor] = dense_head
    pools: tuple[str | None, str | None] = (None, None)
    end: Callable[[KerasTensor], KerasTensor] | None = None
    channels_last_only: bool = False
    channels: int = 3

    def shape_of_input(self, options: Options) -> tuple[int | None, ...]:
        """Check the shape of the pictures and return it; see :func:`obtain_input_shape`."""
        return obtain_input_shape(self.title, options, self.size, self.smallest)


def make(network: Network, options: Options, shape: tuple[int | None, ...] | None = None) -> Model:
    """Make a network, with weights if they are asked for.

    Raises:
        ValueError: arguments that do not go together, with what to change.
        ConnectionError: the official weights can be neither found in the cache nor downloaded.
    """
    check(network, options)
    shape = shape or network.shape_of_input(options)
    weights = _weights_path(network, options)  # first, as it is what may fail
    source = _input(network.title, options.input_tensor, shape)
    x = network.body(source, options)
    x = network.head(x, options) if options.include_top else _pooled(x, network, options.pooling)
    inputs = source if options.input_tensor is None else sources(source)
    model = Model(inputs, x, name=options.name)
    if weights is not None:
        model.load_weights(weights)
    return model


def _weights_path(network: Network, options: Options) -> Any:
    if not options.is_imagenet:
        return options.weights
    if network.files is None:
        remedy = "There is no official file of them; train it, or give a file of yours."
        raise ValueError(explain(f"{network.title}, argument 'weights'", "'imagenet'", "None or a path", remedy))
    return (network.files.top if options.include_top else network.files.no_top).path()


def _pooled(x: KerasTensor, network: Network, pooling: str | None) -> KerasTensor:
    if pooling == "avg":
        x = GlobalAveragePooling2D(name=network.pools[0])(x)
    elif pooling == "max":
        x = GlobalMaxPooling2D(name=network.pools[1])(x)
    return network.end(x) if network.end else x


# -- checks -----------------------------------------------------------------------------------------------------------


def check(network: Network, options: Options) -> None:
    """Check what does not depend on the shape of the pictures; see :func:`make`."""
    title, weights = network.title, options.weights
    if network.channels_last_only and config.image_data_format() == "channels_first":
        remedy = "Call set_image_data_format('channels_last')."
        raise ValueError(explain(title, "image_data_format 'channels_first'", "'channels_last'", remedy))
    is_path = isinstance(weights, (str, os.PathLike))
    if weights is not None and not options.is_imagenet and not (is_path and Path(weights).exists()):
        expected = "'imagenet', None for random weights, or the path of an existing file"
        raise ValueError(explain(f"{title}, argument 'weights'", repr(weights), expected))
    if options.is_imagenet and options.include_top and options.classes != IMAGENET_CLASSES:
        remedy = "include_top=False leaves the classifier to you; weights=None starts from random weights."
        expected = "1000 with weights='imagenet' and include_top=True"
        raise ValueError(explain(f"{title}, argument 'classes'", options.classes, expected, remedy))
    if options.include_top and weights is not None:
        softmax, linear = activations.get("softmax"), activations.get(None)
        if activations.get(options.classifier_activation) not in (softmax, linear):
            received, expected = repr(options.classifier_activation), "'softmax' or None with trained weights"
            raise ValueError(explain(f"{title}, argument 'classifier_activation'", received, expected))


def sides(shape: Any) -> tuple[Any, Any]:
    """Return height and width of a shape without the batch."""
    return tuple(shape[1:3] if config.image_data_format() == "channels_first" else shape[:2])


def arranged(height: Any, width: Any, channels: Any = 3) -> tuple[Any, ...]:
    """Return a shape without the batch in the order of the data format."""
    first = config.image_data_format() == "channels_first"
    return (channels, height, width) if first else (height, width, channels)


def obtain_input_shape(title: str, options: Options, size: int, smallest: int) -> tuple[int | None, ...]:
    """Return the shape of the pictures: as given, or that of training with a top and any size without.

    Raises:
        ValueError: not three sizes, smaller than the network allows, other than it was trained with (official weights
            with a top), without 3 channels (official weights), or unknown sizes with a top.
    """
    who, given = f"{title}, argument 'input_shape'", options.input_shape
    shape = tuple(given) if given is not None else None
    default = arranged(size, size)
    if shape and len(shape) == 3 and not options.is_imagenet:
        channels = shape[0 if config.image_data_format() == "channels_first" else -1]
        default = arranged(size, size, channels)
        if channels not in (1, 3):
            warnings.warn(explain(who, f"{channels} channels", "1 or 3, as pictures have"), stacklevel=5)
    if options.is_imagenet and options.include_top:
        if shape not in (None, default):
            remedy = "include_top=False takes other sizes."
            raise ValueError(explain(who, shape, f"{default} with weights='imagenet' and include_top=True", remedy))
        return default
    if not shape:
        return default if options.include_top else arranged(None, None)
    _check_shape(who, shape, smallest, options)
    return shape


def _check_shape(who: str, shape: tuple[Any, ...], smallest: int, options: Options) -> None:
    if len(shape) != 3:
        raise ValueError(explain(who, shape, f"three sizes: {arranged('height', 'width', 'channels')}"))
    channels = shape[0 if config.image_data_format() == "channels_first" else -1]
    if options.is_imagenet and channels != 3:
        remedy = "Grey images become three equal channels by numpy.repeat(x, 3, axis=-1)."
        raise ValueError(explain(who, shape, "3 channels with weights='imagenet'", remedy))
    check_sides(who, shape, smallest)
    if options.include_top and None in shape:
        raise ValueError(explain(who, shape, "known sizes with include_top=True"))


def check_sides(who: str, shape: tuple[Any, ...], smallest: int) -> None:
    """Raise ValueError for pictures that are too small for a network."""
    if any(side is not None and side < smallest for side in sides(shape)):
        remedy = "Enlarge the pictures, or take a shallower network."
        raise ValueError(explain(who, shape, f"at least {smallest}×{smallest} pixels", remedy))


def _input(title: str, tensor: Any, shape: tuple[int | None, ...]) -> KerasTensor:
    return Input(shape) if tensor is None else symbolic(title, tensor)


def symbolic(title: str, tensor: Any, kind: type[Exception] = ValueError) -> KerasTensor:
    """Return an ``input_tensor``; raise an error of a kind if it is not symbolic."""
    if not isinstance(tensor, KerasTensor):
        received, expected = type(tensor).__name__, "a symbolic tensor, as Input(shape) returns"
        raise kind(explain(f"{title}, argument 'input_tensor'", received, expected))
    return tensor


def sources(tensor: KerasTensor) -> list[KerasTensor]:
    """Return the inputs that a symbolic tensor was computed from."""
    found: dict[int, KerasTensor] = {}
    ahead, seen = [tensor], set()
    while ahead:
        current = ahead.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if current.node is None or current.node.is_input:
            found[id(current)] = current
        else:
            ahead.extend(reversed(current.node.inputs))
    return list(found.values())


# -- parts of bodies --------------------------------------------------------------------------------------------------


def channel_axis() -> int:
    """Return the axis of the channels in a batch."""
    return 1 if config.image_data_format() == "channels_first" else -1


def channels(x: KerasTensor) -> int:
    """Return the number of channels of a batch of feature maps."""
    count = x.shape[channel_axis()]
    assert count is not None  # convolutions know theirs
    return count


def norm(x: KerasTensor, name: str | None = None, **options: Any) -> KerasTensor:
    """Batch normalization of the channels."""
    return BatchNormalization(axis=channel_axis(), name=name, **options)(x)


def correct_pad(x: KerasTensor, kernel_size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the zeros to add so that a window with stride 2 and no padding sees what "same" in TensorFlow sees."""
    height, width = sides(x.shape[1:])
    even = (1, 1) if height is None else (1 - height % 2, 1 - width % 2)
    half = kernel_size // 2
    return (half - even[0], half), (half - even[1], half)


def divisible(channels: float, divisor: int = 8) -> int:
    """Round to a multiple of 8, at least 8, and never by more than a tenth down."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


# -- functions for users ----------------------------------------------------------------------------------------------

_ARGUMENTS = """
    Args:
        include_top: whether with the classifier.
        weights: "imagenet" for the official weights, a path of a file of weights, or None for random ones.
        input_tensor: a symbolic tensor to start from instead of a new input.
        input_shape: of a picture, without the batch.
        pooling: without the classifier: None for the feature map, "avg" or "max" for a vector.
        classes: number of classes; 1000 with the official classifier.
        classifier_activation: of the classifier; None for logits.
        name: of the model.{more}

    Raises:
        ValueError: arguments that do not go together; the message says what to change.
        ConnectionError: the official weights can be neither found in the cache nor downloaded.
    """

_MORE = {
    "alpha": "factor of the number of channels.",
    "depth_multiplier": "channels of a depthwise convolution per channel of its input.",
    "dropout": "rate of dropout before the classifier.",
    "dropout_rate": "rate of dropout before the classifier.",
    "minimalistic": "whether without squeeze-and-excitation, hard swish and windows of 5×5.",
    "include_preprocessing": "whether the network itself scales values of 0…255.",
}


def variant(
    build: Callable[Concatenate[R, P], Model], row: R, title: str, paper: str, **defaults: Any
) -> Callable[P, Model]:
    """Return the function that makes one network of a family, with its own defaults: ``build(row, ...)``.

    Args:
        build: makes any network of the family from its row and the user's arguments.
        row: what distinguishes the network.
        title: name of the function.
        paper: where it was published.
        defaults: of arguments, where they differ from the family's.
    """
    own = list(inspect.signature(build).parameters.values())[1:]
    own = [parameter.replace(default=defaults.get(parameter.name, parameter.default)) for parameter in own]
    signature = inspect.Signature(own, return_annotation=Model)

    def network(*args: P.args, **kwargs: P.kwargs) -> Model:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            expected = f"arguments ({', '.join(signature.parameters)})"
            received = ", ".join([*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())])
            raise TypeError(explain(title, f"({received})", expected, f"{str(error).capitalize()}.")) from None
        bound.apply_defaults()
        return _marked(build(row, *bound.args, **bound.kwargs), title, network.__module__, bound.arguments)

    network.__module__ = sys._getframe(1).f_globals["__name__"]  # where it can be found again, as by pickle
    network.__name__ = network.__qualname__ = title
    network.__signature__ = signature  # type: ignore[attr-defined]
    more = "".join(f"\n        {name}: {text}" for name, text in _MORE.items() if name in signature.parameters)
    network.__doc__ = f"Make {title} ({paper}).\n{_ARGUMENTS.format(more=more)}"
    return network


def _marked(model: Model, title: str, module: str, arguments: dict[str, Any]) -> Model:
    """Let the input of a network know how its pictures are prepared, so that ``fit`` and ``predict`` can look."""
    prepare = getattr(sys.modules[module], "preprocess_input", None)
    own_input = arguments["input_tensor"] is None and arguments.get("include_preprocessing", True)
    if prepare is not None and own_input:
        source = model.inputs[0].node
        assert source is not None
        has_weights = arguments["weights"] is not None
        source.operation.published = Published(title, prepare.mode, has_weights, module)
    return model


def standard(
    network: Network,
    include_top: bool = True,
    weights: Any = IMAGENET,
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    """Make a network that has the usual arguments in the usual order; see :func:`make`."""
    return make(
        network,
        Options(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name),
    )
