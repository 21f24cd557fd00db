"""Layers within a model by name, and what they make of an image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from convia import config
from convia.errors import explain, nearest
from convia.layer import Layer, hooked

Array = npt.NDArray[Any]


def layer_paths(model: Any) -> dict[str, Layer]:
    """Return all layers by name, in the model's order; those of nested models as "resnet50/conv1_conv"."""
    found: dict[str, Layer] = {}

    def visit(layers: Sequence[Layer], before: str) -> None:
        for layer in layers:
            if all(layer is not other for other in found.values()):
                found[f"{before}{layer.name}"] = layer
                visit(layer.sublayers(), f"{before}{layer.name}/")

    visit(model.sublayers(), "")
    return found


def find_layer(model: Any, layer: Any, who: str) -> Layer:
    """Return a layer by its name, by its path through nested models, or itself.

    Raises:
        ValueError: no such layer; several of that name within nested models.
    """
    if isinstance(layer, Layer):
        return layer
    paths = layer_paths(model)
    if layer in paths:
        return paths[layer]
    same = [path for path in paths if path.rsplit("/", 1)[-1] == layer]
    if len(same) == 1:
        return paths[same[0]]
    expected = f"the name of a layer of {model.name!r}" if not same else f"one of {same}"
    remedy = nearest(str(layer), [*paths, *(path.rsplit("/", 1)[-1] for path in paths)]) if not same else ""
    raise ValueError(explain(f"{who}, argument 'layer'", repr(layer), expected, remedy))


def batch_of(model: Any, image: Any, who: str) -> Tensor:
    """Return an image (H, W, C), (H, W) or a batch of one as a float tensor (1, H, W, C) on the model's device.

    Raises:
        ValueError: another rank, or several images.
    """
    pixels = torch.as_tensor(image.detach() if isinstance(image, Tensor) else np.asarray(image))
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    pixels = pixels[None] if pixels.ndim == 3 else pixels
    if pixels.ndim != 4 or len(pixels) != 1:
        received = f"an array of shape {tuple(np.shape(image))}"
        raise ValueError(explain(f"{who}, argument 'image'", received, "one image (H, W, C), as the model takes it"))
    own = next(iter(model.parameters()), None)
    return pixels.to(own.device if own is not None else config.device(), config.torch_dtype(config.floatx()))


def last_maps(layer: Layer, maps: Tensor) -> Tensor:
    """Return feature maps (1, …) as (H, W, maps), whatever the layer's order of axes."""
    first = getattr(layer, "data_format", None) or config.image_data_format()
    return maps[0].permute(1, 2, 0) if first == "channels_first" else maps[0]


def feature_maps(model: Any, image: Any, layers: Sequence[Any] | None = None) -> dict[str, Array]:
    """Return what layers make of an image: by the layer's path, its output without the batch's axis.

    Args:
        model: any model of images.
        image: (H, W, C), (H, W) or (1, H, W, C), as the model takes it.
        layers: names, paths ("resnet50/conv1_conv") or layers; by default all whose output is feature maps.

    Returns:
        path → (H, W, maps) in the order of the calls; what is no feature map keeps its shape.

    Raises:
        ValueError: no such layer, or not an image.
    """
    paths = layer_paths(model)
    wanted = paths.values() if layers is None else [find_layer(model, layer, "feature_maps") for layer in layers]
    outputs: dict[int, tuple[Layer, Tensor]] = {}

    def note(layer: Layer, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs[id(layer)] = layer, output.detach().float()

    with torch.no_grad(), hooked([*wanted], note):
        model(batch_of(model, image, "feature_maps"), training=False)
    names = {id(layer): path for path, layer in paths.items()}
    return {
        names[key]: (last_maps(layer, output) if output.ndim == 4 else output[0]).cpu().numpy()
        for key, (layer, output) in outputs.items()
        if layers is not None or output.ndim == 4
    }


def filters(model: Any, layer: Any = None) -> Array:
    """Return the kernels of a two-dimensional convolution as (filters, height, width, channels).

    Args:
        model: any model.
        layer: a name, a path or a layer; by default the first convolution.

    Raises:
        ValueError: no such layer, or one without such kernels.
    """
    found = [find_layer(model, layer, "filters")] if layer is not None else layer_paths(model).values()
    kernel = next(
        (own for own in (getattr(one, "kernel", None) for one in found) if getattr(own, "ndim", 0) == 4), None
    )
    if kernel is None:
        received = f"{layer!r}" if layer is not None else f"{model.name!r} without a convolution"
        raise ValueError(explain("filters", received, "a two-dimensional convolution with weights"))
    weights: Array = kernel.detach().permute(3, 0, 1, 2).float().cpu().numpy()
    return weights
