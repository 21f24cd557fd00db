"""Layers that prepare data, the same way in training and inference: rescale, normalize, resize, crop."""

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import config, pixels, registry
from convia.args import PositiveInt, converter, field, one_of
from convia.errors import explain
from convia.layer import Layer
from convia.layers.images import DataFormat, ImageLayer, with_size
from convia.layers.one_tensor import _OneTensor

__all__ = ["CenterCrop", "MaxNumBoundingBoxes", "Normalization", "Rescaling", "Resizing"]

_CHUNK = 1 << 23  # elements of an array that are in double precision at a time


class Rescaling(_OneTensor, Layer):
    """inputs·scale + offset: ``Rescaling(1 / 255)`` takes pixels to [0, 1], ``Rescaling(1 / 127.5, -1)`` to [−1, 1].

    Args:
        scale: a number, or one per channel.
        offset: a number, or one per channel.
    """

    supports_masking = True
    scale: Annotated[Any, converter(registry.deserialize)]
    offset: Annotated[Any, converter(registry.deserialize)] = 0.0

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape; known without a trial, for which torch would import its compiler."""
        return input_shape

    def call(self, inputs: Tensor) -> Tensor:
        """Rescale; whole numbers become floats of the compute type."""
        scaled = inputs.to(self._input_dtype) * self._factor(self.scale, inputs)
        y: Tensor = (
            scaled
            if isinstance(self.offset, (int, float)) and not self.offset
            else (scaled + self._factor(self.offset, inputs))
        )
        return y

    def _factor(self, value: Any, inputs: Tensor) -> Any:
        if isinstance(value, (int, float)):
            return value
        factor = torch.as_tensor(value, dtype=self._input_dtype, device=inputs.device)
        if factor.ndim and config.image_data_format() == "channels_first":
            return factor.reshape(*factor.shape, *(1,) * (3 - factor.ndim))
        return factor


class Normalization(_OneTensor, Layer):
    """(inputs − mean) / √variance, with statistics that are given or learned from data by ``adapt``.

    Args:
        axis: the axes whose indices have statistics of their own (−1: every feature or channel), None for one mean
            and variance of everything.
        mean, variance: both or neither; broadcast to the sizes of those axes.
        invert: whether to undo a normalization: inputs·√variance + mean.

    Raises:
        ValueError: one of mean and variance without the other, or of different shapes, or with too many dimensions.
    """

    supports_masking = True

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.input_mean, self.input_variance, self.invert = mean, variance, invert
        shapes = np.shape(mean), np.shape(variance)
        if (mean is None) != (variance is None) or shapes[0] != shapes[1] or len(shapes[0]) > len(self.axis):
            raise ValueError(
                explain(
                    "Normalization",
                    f"mean={mean!r} and variance={variance!r}",
                    f"both or neither, of one shape with at most {len(self.axis)} dimensions (one per axis)",
                    "Leave both out and call adapt(data) to learn them.",
                )
            )

    @property
    def mean(self) -> Tensor | None:
        """The mean in a shape that can be broadcast to the inputs; None before the layer is built."""
        return self._statistic("mean") if self.built else None

    @property
    def variance(self) -> Tensor | None:
        """The variance in a shape that can be broadcast to the inputs; None before the layer is built."""
        return self._statistic("variance") if self.built else None

    def _statistic(self, which: str) -> Tensor:
        kept = self.__dict__["_buffers"]
        value = kept[f"adapt_{which}"] if f"adapt_{which}" in kept else kept[f"_given_{which}"]
        shaped: Tensor = value.to(self._input_dtype).view(self._broadcast_shape)
        return shaped

    def build(self, input_shape: Any) -> None:
        """Create the weights mean, variance and count, unless the statistics were given.

        Raises:
            ValueError: the inputs lack one of the axes, or its size is unknown.
        """
        rank = len(input_shape)
        if any(not -rank <= axis < rank or input_shape[axis] is None for axis in self.axis):
            raise ValueError(
                explain(
                    f"Normalization layer {self.name!r}",
                    f"an input of shape {tuple(input_shape)}",
                    f"known sizes on the axes {self.axis}",
                )
            )
        self._kept = tuple(sorted(axis % rank for axis in self.axis))
        self._reduced = tuple(axis for axis in range(rank) if axis not in self._kept)
        sizes = tuple(input_shape[axis] for axis in self._kept)
        self._broadcast_shape = tuple(input_shape[axis] if axis in self._kept else 1 for axis in range(rank))
        if self.input_mean is None:
            self.adapt_mean = self.add_weight(sizes, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(sizes, "ones", trainable=False, name="variance")
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")
        else:
            for name, given in (("_given_mean", self.input_mean), ("_given_variance", self.input_variance)):
                value = torch.as_tensor(given, dtype=self._input_dtype, device=config.device())
                self.register_buffer(name, value.expand(sizes).contiguous(), persistent=False)

    def call(self, inputs: Tensor) -> Tensor:
        """Normalize, or undo it."""
        inputs = inputs.to(self._input_dtype)
        mean, variance = self._statistic("mean"), self._statistic("variance")
        deviation = variance.sqrt().clamp(min=config.epsilon())
        return inputs * deviation + mean if self.invert else (inputs - mean) / deviation

    def adapt(self, data: Any) -> None:
        """Learn mean and variance from an array, or from an iterable of batches (x, or tuples that begin with x).

        Batches are merged by the formula of Chan, Golub & LeVeque 1979.

        Raises:
            TypeError: neither an array nor batches of arrays. ValueError: no data, or a shape that does not fit.
        """
        mean, variance, count = torch.zeros(()), torch.zeros(()), 0
        for batch in self._batches(data):
            if self._reduced:
                own_variance, own_mean = torch.var_mean(batch, self._reduced, correction=0)
                own_count = math.prod(batch.shape[axis] for axis in self._reduced)
            else:
                own_variance, own_mean, own_count = torch.zeros_like(batch), batch, 1
            count += own_count
            weight = own_count / count
            both = mean + (own_mean - mean) * weight
            variance = (variance + (mean - both) ** 2) * (1 - weight) + (own_variance + (own_mean - both) ** 2) * weight
            mean = both
        if not count:
            raise ValueError(explain(f"{self.name}.adapt", "no data", "an array or at least one batch"))
        if self.input_mean is None:
            self.adapt_mean.assign(mean)
            self.adapt_variance.assign(variance)

    def _batches(self, data: Any) -> Iterator[Tensor]:
        """Yield batches in double precision, and build the layer for the first one."""
        for batch in [data] if hasattr(data, "shape") else _each(data, self.name):
            x = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
            if not hasattr(x, "shape"):
                raise TypeError(explain(f"{self.name}.adapt", f"an element {x!r}", "arrays or tensors, one per batch"))
            if not self.built:
                self.build(tuple(x.shape))
                self._finish_build()
            if len(x.shape) != len(self._broadcast_shape) or any(
                x.shape[axis] != self._broadcast_shape[axis] for axis in self._kept
            ):
                wanted = [size if axis in self._kept else None for axis, size in enumerate(self._broadcast_shape)]
                raise ValueError(explain(f"{self.name}.adapt", f"shape {tuple(x.shape)}", f"shape {tuple(wanted)}"))
            x = torch.as_tensor(x).detach().cpu()  # Apple GPUs have no double precision
            rows = max(_CHUNK // max(x[:1].numel(), 1), 1) if 0 in self._reduced else len(x)
            yield from (chunk.double() for chunk in x.split(rows))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, the statistics as lists of numbers."""
        given = super().get_config()
        statistics = {"mean": self.input_mean, "variance": self.input_variance}
        return {**given, **{key: np.array(value).tolist() for key, value in statistics.items()}}


def _each(data: Any, name: str) -> Iterable[Any]:
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (list, tuple)):
        return (data[index] for index in range(len(data)))
    if not hasattr(data, "__iter__"):
        raise TypeError(explain(f"{name}.adapt", repr(type(data)), "an array, a tensor or an iterable of batches"))
    batches: Iterable[Any] = data
    return batches


class Resizing(ImageLayer):
    """Resizes images to height × width pixels.

    Args:
        height, width: of the output.
        interpolation: "bilinear", "nearest" or "bicubic".
        crop_to_aspect_ratio: whether to cut away what does not fit instead of distorting.
        pad_to_aspect_ratio: whether to add borders of ``fill_value`` instead of distorting.
        fill_mode: "constant", the only one.
        antialias: whether to smooth before shrinking.

    Raises:
        ValueError: both cropping and padding; an unknown interpolation or fill mode.
    """

    always = True
    height: PositiveInt
    width: PositiveInt
    interpolation: Annotated[str, one_of(*pixels.INTERPOLATIONS)] = "bilinear"
    crop_to_aspect_ratio: bool = False
    pad_to_aspect_ratio: bool = False
    fill_mode: Annotated[str, one_of("constant")] = "constant"
    fill_value: float = 0.0
    antialias: bool = False
    data_format: DataFormat = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ValueError(explain("Resizing", "crop_to_aspect_ratio and pad_to_aspect_ratio", "at most one of them"))

    def _typed(self, images: Tensor) -> Tensor:
        return images

    def transform(self, images: Tensor, drawn: Any) -> Tensor:
        """Resize a batch."""
        return self._resized(images, self.interpolation)

    def transform_masks(self, masks: Tensor, drawn: Any) -> Tensor:
        """Resize masks without mixing their numbers."""
        return self._resized(masks, "nearest")

    def _resized(self, images: Tensor, interpolation: str) -> Tensor:
        size = (self.height, self.width)
        if self.crop_to_aspect_ratio:
            images = pixels.crop_to_aspect(images, size)
        elif self.pad_to_aspect_ratio:
            images = pixels.pad_to_aspect(images, size, self.fill_value)
        return pixels.resize(images, size, interpolation, self.antialias)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape with height and width replaced."""
        return with_size(input_shape, self.height, self.width, self.data_format)


class CenterCrop(ImageLayer):
    """Cuts out the middle height × width pixels; a smaller image is cropped to the ratio of sides and enlarged."""

    always = True
    height: PositiveInt
    width: PositiveInt
    data_format: DataFormat = None

    def transform(self, images: Tensor, drawn: Any) -> Tensor:
        """Crop a batch."""
        if images.shape[-2] >= self.height and images.shape[-1] >= self.width:
            return pixels.center_crop(images, self.height, self.width)
        size = (self.height, self.width)
        return pixels.resize(pixels.crop_to_aspect(images, size), size)

    def transform_masks(self, masks: Tensor, drawn: Any) -> Tensor:
        """Crop masks alike."""
        return self.transform(masks, drawn)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape with height and width replaced."""
        return with_size(input_shape, self.height, self.width, self.data_format)


class MaxNumBoundingBoxes(ImageLayer):
    """Makes the number of bounding boxes the same for all images: drops those that are too many, fills up with −1.

    It takes a dict of "images" and "bounding_boxes", itself a dict of "boxes" (n, 4) and "labels" (n,), or of batches
    of them; everything else is passed on.

    Args:
        max_number: number of boxes per image afterwards.
        fill_value: stands in the boxes and labels that are added.
        bounding_box_format: (keyword) "xyxy", …: has to be given.
    """

    always = True
    max_number: PositiveInt
    fill_value: int = -1
    data_format: DataFormat = field(default=None, kw_only=True)

    def call(self, data: Any, training: bool = True) -> Any:
        """Cut or fill.

        Raises:
            ValueError: there are boxes and no ``bounding_box_format``.
        """
        if not isinstance(data, dict) or "bounding_boxes" not in data:
            return data
        if not self.bounding_box_format:
            remedy = "Say what the numbers of a box are: bounding_box_format='xyxy', for example."
            raise ValueError(explain(self._who, "boxes without a format", "a bounding_box_format", remedy))
        boxes = data["bounding_boxes"]
        fitted = {"boxes": self._fitted(boxes["boxes"], 2), "labels": self._fitted(boxes["labels"], 1)}
        return {**data, "bounding_boxes": {**boxes, **fitted}}

    def _fitted(self, values: Any, axis: int) -> Tensor:
        """Bring an axis, counted from behind, to the wanted size."""
        given = torch.as_tensor(values)
        missing = self.max_number - given.shape[-axis]
        return F.pad(given, [0, 0] * (axis - 1) + [0, missing], value=self.fill_value)
