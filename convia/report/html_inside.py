"""Sections of the report about the network: its filters, what its layers see, the table of them, how to repeat it."""

import shlex
from typing import Any

import numpy as np
import numpy.typing as npt

from convia import explain
from convia.explain import layer_paths
from convia.models.summary import output_shape
from convia.report.markup import Markup, picture, png_of, table, tag, thumbnail
from convia.report.style import MAP, columns_for, mosaic

_MOST_FILTERS, _MOST_MAPS, _MOST_LAYERS, _IMAGES = 48, 16, 6, 2
_CODE = """import convia as keras

model = keras.models.load_model("model.keras")
probabilities = model.predict(images)  # (N, height, width, channels) → (N, classes)"""
_SEEING = ("Conv", "Pool")


def inside(told: Any) -> list[Any]:
    """Return the first layer's filters and the feature maps of an image that is right and of one that is wrong."""
    return [_filters(told), tag("h3", told.say("maps")), [_maps(told, index) for index in _chosen(told)]]


def _first_convolution(told: Any) -> tuple[str, npt.NDArray[Any]] | None:
    """Return the name and the kernels (filters, height, width, channels) of the first convolution."""
    for path, layer in layer_paths(told.model).items():
        if getattr(getattr(layer, "kernel", None), "ndim", 0) == 4 and getattr(layer, "rank", 0) == 2:
            kernels = explain.filters(told.model, layer)
            if "Depthwise" in type(layer).__name__:  # each filter looks at one channel
                kernels = kernels.transpose(0, 3, 1, 2).reshape(-1, *kernels.shape[1:3], 1)
            return path, kernels
    return None


def _filters(told: Any) -> list[Any]:
    found = _first_convolution(told)
    if found is None:
        return []
    say, (name, kernels) = told.say, found
    count, height, width, channels = kernels.shape
    how = say("filters_colour" if channels == 3 else "filters_signs")
    shown = min(count, _MOST_FILTERS)
    text = say("filters_text", name=name, shown=shown, count=count, height=height, width=width, how=how)
    drawn = picture(filters_png(kernels), text)
    return [tag("h3", say("filters")), tag("p", text), tag("p", drawn, class_="maps")]


def filters_png(kernels: npt.NDArray[Any]) -> bytes:
    """Return kernels (filters, height, width, channels) side by side; over three channels in colours."""
    chosen = kernels[:_MOST_FILTERS]
    columns = columns_for(len(chosen), 12)
    if chosen.shape[3] == 3:
        strongest = np.maximum(np.abs(chosen).max((1, 2, 3), keepdims=True), 1e-12)
        gaps = np.isnan(mosaic(chosen[..., 0], columns, 44, 4))
        return png_of(_opaque(mosaic(chosen / (2 * strongest) + 0.5, columns, 44, 4), gaps))
    means = chosen.mean(3)
    limit = float(np.abs(means).max()) or 1.0
    return png_of(_coloured(mosaic(means / limit, columns, 44, 4), _signs))


def _signs(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return colours (…, 3) of values from −1 to 1: blue, white, orange."""
    ends = np.array([[0.04, 0.31, 0.51], [0.965, 0.965, 0.957], [0.64, 0.235, 0.0]])
    return np.stack([np.interp(values, (-1, 0, 1), ends[:, channel]) for channel in range(3)], -1)


def _bright(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    import matplotlib

    colours: npt.NDArray[Any] = matplotlib.colormaps[MAP](values)[..., :3]
    return colours


def _coloured(values: npt.NDArray[Any], paint: Any) -> npt.NDArray[Any]:
    """Return values (H, W) in colours; NaN, between the pictures, lets the page's background through."""
    gaps = np.isnan(values)
    return _opaque(paint(np.where(gaps, 0, values)), gaps)


def _opaque(colours: npt.NDArray[Any], gaps: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return colours (H, W, 3) as bytes, with transparency where there are gaps (H, W)."""
    whole = np.concatenate([np.where(gaps[..., None], 0, colours), ~gaps[..., None]], -1)
    levels: npt.NDArray[np.uint8] = np.round(np.clip(whole, 0, 1) * 255).astype(np.uint8)
    return levels


def _chosen(told: Any) -> list[int]:
    """Return an image that is right and the worst mistake."""
    right = np.flatnonzero(told.judged.is_right)[:1]
    return [int(index) for index in [*right, *told.judged.worst(1), *range(_IMAGES)]][: min(_IMAGES, len(right) + 1)]


def _maps(told: Any, index: int) -> Markup:
    say, image = told.say, told.images.test.images[index]
    name = told.names[int(told.judged.labels[index])]
    figures = [
        tag("figure", picture(content, caption), tag("figcaption", caption))
        for content, caption in ((maps_png(maps), _caption(told, path, maps)) for path, maps in seen(told.model, image))
    ]
    shown = tag("figure", thumbnail(image, name), tag("figcaption", say("maps_text", name=name)))
    return tag("div", shown, figures, class_="charts maps")


def _caption(told: Any, path: str, maps: npt.NDArray[Any]) -> str:
    height, width, count = maps.shape
    caption: str = told.say(
        "maps_of", layer=path, shown=min(count, _MOST_MAPS), count=count, height=height, width=width
    )
    return caption


def seen(model: Any, image: Any) -> list[tuple[str, npt.NDArray[Any]]]:
    """Return up to 6 layers, spread over the network's convolutions and poolings, with their maps (H, W, maps)."""
    paths = layer_paths(model)
    names = [path for path, layer in paths.items() if any(word in type(layer).__name__ for word in _SEEING)]
    spread = np.unique(np.linspace(0, len(names) - 1, min(_MOST_LAYERS, len(names))).round().astype(int))
    chosen = [paths[names[place]] for place in spread]
    maps = explain.feature_maps(model, np.asarray(image, np.float32), chosen) if chosen else {}
    return [(path, values) for path, values in maps.items() if values.ndim == 3]


def maps_png(maps: npt.NDArray[Any], most: int = _MOST_MAPS) -> bytes:
    """Return feature maps (H, W, maps) side by side, each stretched from its least to its largest value."""
    tiles = maps[..., :most].transpose(2, 0, 1)
    low = tiles.min((1, 2), keepdims=True)
    spread = tiles.max((1, 2), keepdims=True) - low
    levels = (tiles - low) / np.where(spread > 0, spread, 1)
    return png_of(_coloured(mosaic(levels, columns_for(len(tiles)), 56, 4), _bright))


def layers(told: Any) -> list[Any]:
    """Return the table of layers."""
    say, model = told.say, told.model
    weights, learning = model.weights, model.trainable_weights
    counts = (f"{sum(w.numel() for w in some):,}" for some in (weights, learning))
    return [
        tag("p", say("total_parameters", total=next(counts), trainable=next(counts))),
        layer_table(model, (say("layer"), say("type"), say("output_shape"), say("parameters"))),
    ]


def layer_table(model: Any, headings: tuple[str, ...] = ("layer", "type", "output shape", "parameters")) -> Markup:
    """Return a model's layers with their output shapes and numbers of parameters."""
    rows = [
        [layer.name, type(layer).__name__, output_shape(layer), f"{sum(w.numel() for w in layer.weights):,}"]
        for layer in model.layers
    ]
    return table([*headings], [[*row] for row in rows], numbers=3)


def repeat(told: Any) -> list[Any]:
    """Return the command, the versions and the settings, and how to use the network in Python."""
    say, facts = told.say, told.facts
    rows = [
        [say("seed"), facts.get("seed")],
        [say("device"), facts.get("device")],
        [say("began"), facts.get("began")],
        *([name, value] for name, value in facts.get("versions", {}).items()),
        *([f"{say('settings')}: {name}", value] for name, value in facts.get("settings", {}).items()),
    ]
    shown = [[str(name), "–" if value is None else str(value)] for name, value in rows]
    command = shlex.join(map(str, facts.get("command") or ()))
    return [
        [tag("h3", say("command")), tag("pre", command)] if command else None,
        tag("p", say("repeat_text")),
        tag("h3", say("in_python")),
        tag("pre", _CODE),
        tag("details", tag("summary", say("numbers")), table([say("fact"), say("value")], shown, numbers=2)),
    ]


def pictures(told: Any) -> dict[str, bytes]:
    """Return the filters and the feature maps as PNG files, by name."""
    found = _first_convolution(told)
    made = {"filters": filters_png(found[1])} if found else {}
    for path, maps in seen(told.model, told.images.test.images[_chosen(told)[0]]):
        made[f"maps-{path.replace('/', '-')}"] = maps_png(maps)
    return made
