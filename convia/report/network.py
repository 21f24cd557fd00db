"""What a network looks for and what it sees: kernels of its first convolution, feature maps of an image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from convia import config
from convia.errors import explain
from convia.layer import Layer
from convia.models import Model
from convia.report.style import MAP, array, bare, columns_for, drawing, figure, mosaic, place, showable, write

_MOST_FILTERS = 64
_MOST_MAPS = 16
_MOST_LAYERS = 8
_CELL = 0.92  # inches


def _layers(model: Any) -> list[Layer]:
    """All layers, those of nested models in place of them."""
    nested = getattr(model, "layers", None)
    if not isinstance(model, Model) or nested is None:
        return [model]
    return [inner for layer in nested for inner in _layers(layer)]


def _is_convolution(layer: Any) -> bool:
    kernel = getattr(layer, "kernel", None)
    return kernel is not None and getattr(kernel, "ndim", 0) == 4 and getattr(layer, "rank", 0) == 2


def filters(model_or_layer: Any) -> Any:
    """Draw the kernels of a model's first two-dimensional convolution, or of the layer itself.

    Kernels over three channels are shown in colours; over one channel, blue is negative and orange positive; over
    more, their mean over the channels.

    Returns:
        A matplotlib Figure with up to 64 kernels.

    Raises:
        ValueError: no Conv2D with weights is there.
    """
    name, kernel = _first_kernel(model_or_layer)
    height, width, channels, count = kernel.shape
    shown = min(count, _MOST_FILTERS)
    title = f"What {name!r} looks for: {_of(shown, count)} filters of {height}×{width}"
    title += f", mean of {channels} channels" if channels not in (1, 3) else ""
    tiles = kernel.transpose(3, 0, 1, 2)[:shown]  # (filters, height, width, channels)
    columns, top = columns_for(shown), 0.5
    with drawing():
        across, down = columns * _CELL, -(-shown // columns) * _CELL
        made = figure(max(across + 1.2, 5.2), down + top + 0.1)
        write(made, 0.12, 0.14, title)
        axes = place(made, 0.12, top, across, down)
        axes.set_anchor("NW")
        bare(axes)
        if channels == 3:
            axes.imshow(mosaic(_stretched(tiles), columns))
            return made
        means = tiles.mean(3)
        limit = float(np.abs(means).max()) or 1.0
        drawn = axes.imshow(mosaic(means, columns), cmap=_diverging(), vmin=-limit, vmax=limit)
        bar = made.colorbar(drawn, cax=place(made, across + 0.25, top, 0.14, min(down, 2.5)), ticks=[-limit, 0, limit])
        bar.ax.set_yticklabels([f"−{limit:.2g}", "0", f"+{limit:.2g}"])
        bar.outline.set_visible(False)
        return made


def _first_kernel(model_or_layer: Any) -> tuple[str, npt.NDArray[np.float32]]:
    """Return the name of the first convolution and its kernel (height, width, channels, filters)."""
    layer: Any = next((layer for layer in _layers(model_or_layer) if _is_convolution(layer)), None)
    if layer is None:
        received = f"{getattr(model_or_layer, 'name', model_or_layer)!r} without a Conv2D's kernel"
        remedy = "A model that was never called and has no Input has no weights yet."
        raise ValueError(explain("filters", received, "a Conv2D, or a model with one", remedy))
    kernel = array(layer.kernel).astype(np.float32)
    if "Depthwise" in type(layer).__name__:  # each filter looks at one channel
        kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
    return layer.name, kernel


def _of(shown: int, count: int) -> str:
    return str(count) if shown == count else f"{shown} of {count}"


def _stretched(tiles: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn weights into colours, each filter as strong as possible; zero is grey."""
    stretched: npt.NDArray[Any] = tiles / (2 * np.maximum(np.abs(tiles).max((1, 2, 3), keepdims=True), 1e-12)) + 0.5
    return stretched


def _diverging() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signs", ["#0b4f83", "#5fa2cf", "#f6f6f4", "#e58a45", "#a33c00"])


def feature_maps(model: Any, image: Any, layers: Sequence[Any] | None = None) -> Any:
    """Draw what the layers of a model make of one image, a grid of maps per layer; bright is strong.

    Args:
        model: a model of images.
        image: (H, W, C), or a batch of one, as the model takes it; a grey image may lack its channel.
        layers: names of layers, or layers; by default the first 8 convolutions and poolings.

    Returns:
        A matplotlib Figure with up to 16 maps per layer.

    Raises:
        ValueError: a layer's name that is not there, or no layer that makes maps.
    """
    chosen = _chosen(model, layers)
    pixels, maps = _record(model, chosen, image)
    if not maps:
        received = f"the layers {[layer.name for layer in chosen]} of {model.name!r}"
        raise ValueError(explain("feature_maps", received, "at least one layer whose output is feature maps"))
    return _sheet(pixels, maps)


def _chosen(model: Any, layers: Sequence[Any] | None) -> list[Layer]:
    if layers is not None:
        return [model.get_layer(layer) if isinstance(layer, str) else layer for layer in layers]
    every = [layer for layer in _layers(model) if _is_convolution(layer) or "Pool" in type(layer).__name__]
    return every[:_MOST_LAYERS]


def _record(model: Any, layers: list[Layer], image: Any) -> tuple[Any, list[tuple[Layer, npt.NDArray[Any]]]]:
    """Run the model on the image; return the image, and the first output of each layer as (H, W, maps)."""
    pixels = array(image)
    batch = pixels if pixels.ndim == 4 else (pixels[..., None] if pixels.ndim == 2 else pixels)[None]
    first = batch[0] if config.image_data_format() == "channels_last" else batch[0].transpose(1, 2, 0)
    outputs: dict[int, Any] = {}
    hooks = [
        layer.register_forward_hook(lambda module, _, output: outputs.setdefault(id(module), output))
        for layer in layers
    ]
    try:
        with torch.no_grad():
            model(torch.as_tensor(batch[:1], device=config.device()), training=False)
    finally:
        for hook in hooks:
            hook.remove()
    found = []
    for layer in layers:
        output = outputs.get(id(layer))
        if isinstance(output, torch.Tensor) and output.ndim == 4:
            values = array(output.float())[0]  # (H, W, maps)
            is_first = getattr(layer, "data_format", config.image_data_format()) == "channels_first"
            found.append((layer, values.transpose(1, 2, 0) if is_first else values))
    return first, found


def _sheet(image: Any, maps: list[tuple[Layer, npt.NDArray[Any]]]) -> Any:
    heading, left = 0.42, 2.05
    shown = [values[..., :_MOST_MAPS].transpose(2, 0, 1) for _, values in maps]
    columns = max(columns_for(len(tiles)) for tiles in shown)
    heights = [-(-len(tiles) // columns) * _CELL + heading for tiles in shown]
    with drawing():
        made = figure(left + max(columns * _CELL + 0.1, 3.2), max(sum(heights) + 0.1, 2.4))
        write(made, 0.12, 0.14, "The image")
        pixels, how = showable(image)
        axes = place(made, 0.12, heading, 1.7, 1.7)
        axes.imshow(pixels, **how)
        axes.set_anchor("NW")
        bare(axes)
        top = 0.0
        for (layer, values), tiles, height in zip(maps, shown, heights, strict=True):
            size = "×".join(map(str, values.shape[:2]))
            write(made, left, top + 0.14, f"{layer.name}: {_of(len(tiles), values.shape[2])} maps of {size}")
            axes = place(made, left, top + heading, columns * _CELL, height - heading)
            axes.imshow(mosaic(_levels(tiles), columns), cmap=MAP, vmin=0, vmax=1)
            axes.set_anchor("NW")
            bare(axes)
            top += height
        return made


def _levels(tiles: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Stretch each map from its least to its largest value; a constant one is dark."""
    low = tiles.min((1, 2), keepdims=True)
    spread = tiles.max((1, 2), keepdims=True) - low
    levels: npt.NDArray[Any] = (tiles - low) / np.where(spread > 0, spread, 1)
    return levels
