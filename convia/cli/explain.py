"""``convia explain``: pictures of why a model decides as it does."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from convia import report
from convia.cli.completion import among
from convia.cli.opened import Arrays, ClassNames, ImageSize, ModelFile, Opened, Preprocess, Rescale, open_model
from convia.cli.reported import Debug, reported
from convia.errors import explain, nearest
from convia.explain import (
    feature_maps,
    grad_cam,
    grad_cam_plus_plus,
    layer_paths,
    occlusion,
    overlay,
    saliency,
    smooth_grad,
)
from convia.explain.inside import find_layer
from convia.images.files import load_img
from convia.report.style import bare, drawing, figure, place, write

HEAT: dict[str, tuple[Callable[..., Arrays], bool]] = {  # method → (function, whether it looks at one layer)
    "grad-cam": (grad_cam, True),
    "grad-cam++": (grad_cam_plus_plus, True),
    "saliency": (saliency, False),
    "smooth-grad": (smooth_grad, False),
    "occlusion": (occlusion, False),
}
METHODS = (*HEAT, "feature-maps", "filters", "all")
_SIDE = 3.2  # inches of a picture
_LEAST_SIDE = 224  # pixels of the written overlay

EXAMPLES = f"""[bold]Examples[/bold]

convia explain runs/photos cat.jpg

convia explain model.keras cat.jpg --method all --output why

convia explain resnet50.keras cat.jpg --method grad-cam++ --layer conv4_block6_out --preprocess resnet50

convia explain model.keras cat.jpg --class dog


[bold]Methods[/bold]  {", ".join(METHODS)}. grad-cam and grad-cam++ show where the evidence for a class lies, occlusion
by how much the probability falls where a part is covered, saliency and smooth-grad which pixels sway the score;
feature-maps shows what each layer makes of the image, filters the kernels of the first convolution.


[bold]Exit codes[/bold]  0: done. 1: an error. 2: wrong usage. 130: stopped.
"""


def explain_command(
    model: ModelFile,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="An image file.")],
    method: Annotated[
        str, typer.Option("--method", "-m", help="See below.", autocompletion=among(METHODS))
    ] = "grad-cam",
    layer: Annotated[str | None, typer.Option(help="Of grad-cam: by default the last with feature maps.")] = None,
    of_class: Annotated[
        str | None, typer.Option("--class", help="Name or number. By default what the model takes it for.")
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for the pictures.")] = "explained",
    class_names: ClassNames = None,
    image_size: ImageSize = None,
    rescale: Rescale = None,
    preprocess: Preprocess = None,
    debug: Debug = False,
) -> None:
    """Show where a model looks: Grad-CAM and others, laid over the image, and what its layers see."""
    with reported(debug):
        if method not in METHODS:
            raise ValueError(explain("--method", repr(method), "a method", nearest(method, METHODS)))
        opened = open_model(model, class_names, image_size, rescale, preprocess)
        pixels = opened.read(image)
        row = opened.predict([pixels])[0]
        names = opened.names(len(row))
        index = _class_number(of_class, names) if of_class is not None else int(row.argmax())
        typer.echo(f"{image}: {names[int(row.argmax())]} ({row.max():.1%})")
        title = f"Why {names[index]} ({row[index]:.1%})?"
        made = _pictures(opened, image, pixels, method, layer, index, title)
        Path(output).mkdir(parents=True, exist_ok=True)
        for name, save in made.items():
            path = Path(output, f"{Path(image).stem}-{name}.png")
            save(path)
            typer.echo(f"written    {path}")


def _class_number(text: str, names: list[str]) -> int:
    if text in names:
        return names.index(text)
    if text.isdigit() and int(text) < len(names):
        return int(text)
    raise ValueError(explain("--class", repr(text), "the name of a class, or its number", nearest(text, names)))


def _pictures(
    opened: Opened, path: str, pixels: Arrays, method: str, layer: str | None, index: int, title: str
) -> dict[str, Callable[[Path], None]]:
    """Return by name what writes each picture. All that can go wrong does so before the first is written."""
    model = opened.model
    seen = np.asarray(load_img(path, "rgb"))
    made: dict[str, Callable[[Path], None]] = {}
    for name, (function, of_layer) in HEAT.items():
        if method in (name, "all"):
            heat = function(model, pixels, index, **({"layer": layer} if of_layer else {}))
            made[name] = _beside(seen, heat, f"{title} {name}").savefig
            made[f"{name}-overlay"] = Image.fromarray(overlay(_large(seen), heat)).save
    if method in ("feature-maps", "all"):
        paths = [layer] if layer and method != "all" else [*feature_maps(model, pixels)]
        layers = [find_layer(model, one, "--layer") for one in paths]
        step = max(1, -(-len(layers) // 8))
        made["feature-maps"] = report.feature_maps(model, pixels, layers[::step]).savefig
    if method in ("filters", "all"):
        chosen = find_layer(model, layer, "--layer") if layer and method != "all" else _first_convolution(model)
        made["filters"] = report.filters(chosen).savefig
    return made


def _first_convolution(model: Any) -> Any:
    layers = layer_paths(model).values()
    return next((one for one in layers if getattr(getattr(one, "kernel", None), "ndim", 0) == 4), model)


def _large(image: Arrays) -> Arrays:
    """Enlarge small images, pixel by pixel, such that the map over them is smooth."""
    times = max(1, -(-_LEAST_SIDE // max(image.shape[:2])))
    return image.repeat(times, 0).repeat(times, 1)


def _beside(image: Arrays, heat: Arrays, title: str) -> Any:
    """Draw the image, the map alone, and the map laid over the image."""
    shown = _large(image)
    across, down = _SIDE, _SIDE * shown.shape[0] / shown.shape[1]
    with drawing():
        made = figure(3 * across + 0.4, down + 0.75)
        write(made, 0.1, 0.1, title)
        limit = float(np.abs(heat).max()) or 1.0
        colours = {"cmap": "coolwarm", "vmin": -limit, "vmax": limit} if heat.min() < 0 else {"cmap": "inferno"}
        smallest = f"it falls by {heat.min():.2g} to {heat.max():.2g}" if heat.min() < 0 else "where the evidence lies"
        panels = [("the image", shown, {}), (smallest, heat, colours), ("laid over it", overlay(shown, heat), {})]
        for number, (words, values, how) in enumerate(panels):
            axes = place(made, 0.1 + number * (across + 0.1), 0.6, across, down)
            axes.imshow(values, aspect="auto", **how)
            bare(axes, words)
    return made
