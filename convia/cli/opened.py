"""A model from a file or a run folder, with what is known of its classes and its images, and the images it is asked."""

import importlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from PIL import Image

from convia import config
from convia.errors import explain, nearest
from convia.images.files import UNREADABLE, img_to_array, load_img
from convia.saving import load_model
from convia.saving.kept import Preprocessing
from convia.training import plans

Arrays = npt.NDArray[Any]
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_MODELS = ("model.keras", "model.h5")
_COLOURS = {1: "grayscale", 3: "rgb", 4: "rgba"}
_THREADS = 4

ModelFile = Annotated[
    str, typer.Argument(metavar="MODEL", help="A .keras or .h5 file, or the folder of a run that has one.")
]
ClassNames = Annotated[
    str | None, typer.Option(help="Names of the classes in the order of the outputs: cat,dog. By default the model's.")
]
ImageSize = Annotated[
    str | None, typer.Option(help="Side, or HEIGHTxWIDTH, that images are resized to. By default the model's.")
]
Rescale = Annotated[
    float | None, typer.Option(help="Multiply pixels of 0 to 255 by this, such as 0.00392157. By default the model's.")
]
Preprocess = Annotated[
    str | None, typer.Option(help="The published network whose preprocess_input is applied, such as vgg16.")
]


@dataclass(frozen=True)
class Opened:
    """A model, the names of its classes (none if nobody knows them) and how its images are made."""

    model: Any
    class_names: tuple[str, ...]
    preprocessing: Preprocessing

    def names(self, classes: int) -> list[str]:
        """Return a name per class, its number where there is no name.

        Raises:
            ValueError: names are known, but of another number of classes.
        """
        if not self.class_names:
            return [str(number) for number in range(classes)]
        if len(self.class_names) != classes:
            received = f"{len(self.class_names)} names ({', '.join(self.class_names[:4])}, …)"
            raise ValueError(explain("--class-names", received, f"{classes}, one for each of the model's classes"))
        return [*self.class_names]

    def read(self, path: str | Image.Image) -> Arrays:
        """Return an image file, or one that Pillow opened, (H, W, C) as the model takes it, float32.

        Raises:
            OSError, PIL.Image.DecompressionBombError: it cannot be read.
        """
        steps = self.preprocessing
        pixels = img_to_array(load_img(path, steps.color_mode or "rgb", steps.image_size, steps.interpolation))
        pixels = pixels * np.float32(steps.rescale) if steps.rescale != 1 else pixels
        return prepared(steps.function, pixels) if steps.function else pixels

    def read_all(self, paths: Sequence[str]) -> list[Arrays | Exception]:
        """Return each image, or why it cannot be read."""

        def attempt(path: str) -> Arrays | Exception:
            try:
                return self.read(path)
            except UNREADABLE as error:
                return error

        if len(paths) == 1:
            return [attempt(paths[0])]
        with ThreadPoolExecutor(_THREADS) as pool:
            return [*pool.map(attempt, paths)]

    def predict(self, images: Sequence[Arrays]) -> Arrays:
        """Return a row of probabilities (or scores) per image; of a single output, those of both classes."""
        if len({image.shape for image in images}) > 1:
            return np.concatenate([self.predict([image]) for image in images])
        outputs = self.model.predict(np.stack(images), batch_size=len(images), verbose=0)
        while isinstance(outputs, (list, tuple, dict)):
            outputs = next(iter(outputs.values() if isinstance(outputs, dict) else outputs))
        rows = np.asarray(outputs, dtype=np.float64).reshape(len(images), -1)
        return rows if rows.shape[1] > 1 else np.concatenate([1 - rows, rows], 1)

    def walk(self, paths: Sequence[str], batch_size: int) -> Iterator[tuple[str, Arrays | None, Exception | None]]:
        """Read and predict files batch by batch; yield file, row of probabilities, and the error of unreadable ones."""
        before = config.engine()
        if len(paths) <= batch_size and before == "auto" and plans.ranges(self.model) is None:
            config.set_engine("torch")  # for a single batch, to make a plan for the engine takes longer than it saves
        try:
            for start in range(0, len(paths), batch_size):
                some = paths[start : start + batch_size]
                read = self.read_all(some)
                images = [one for one in read if not isinstance(one, Exception)]
                rows = iter(self.predict(images) if images else ())
                for path, one in zip(some, read, strict=True):
                    yield (path, None, one) if isinstance(one, Exception) else (path, next(rows), None)
        finally:
            config.set_engine(before)


def prepared(function: str, pixels: Arrays) -> Arrays:
    """Apply the ``preprocess_input`` of a published network.

    Raises:
        ValueError: no such network.
    """
    applications = importlib.import_module("convia.applications")  # by name: slow, and seldom needed
    known = [name for name in dir(applications) if hasattr(getattr(applications, name), "preprocess_input")]
    if function not in known:
        raise ValueError(explain("--preprocess", repr(function), "a published network", nearest(function, known)))
    return np.asarray(getattr(applications, function).preprocess_input(pixels))


def model_path(source: str) -> Path:
    """Return the file of a model, which may be named by the folder of a run; a .keras that was unpacked stays a folder.

    Raises:
        FileNotFoundError: a folder without a model.
    """
    path = Path(source).expanduser()
    if not path.is_dir() or (path / "config.json").is_file():
        return path
    found = next((path / name for name in _MODELS if (path / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(explain("MODEL", repr(source), f"a model, or a folder with {' or '.join(_MODELS)}"))
    return found


def open_model(
    source: str,
    class_names: str | None = None,
    image_size: str | None = None,
    rescale: float | None = None,
    preprocess: str | None = None,
) -> Opened:
    """Load a model with its classes and preprocessing: of the options, else of the file, else of the run beside it.

    Raises:
        OSError: no such file, or not a model.
        ValueError: options that make no sense, or a model whose input is not images.
    """
    path = model_path(source)
    model = load_model(path, compile=False)
    facts = _run_facts(path.parent)
    given = tuple(name.strip() for name in class_names.split(",")) if class_names else None
    names = given or model.class_names or tuple(facts.get("class_names") or ())
    steps = model.preprocessing or Preprocessing()
    changes = {"image_size": _size(image_size), "rescale": rescale, "function": preprocess}
    steps = replace(steps, **{name: value for name, value in changes.items() if value is not None})
    return Opened(model, tuple(names), _fitted(steps, model))


def _run_facts(folder: Path) -> dict[str, Any]:
    for name in ("result.json", "results.json"):
        if (folder / name).is_file():
            try:
                facts = json.loads((folder / name).read_text(encoding="utf-8"))
            except ValueError:
                continue
            return facts if isinstance(facts, dict) else {}
    return {}


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(side.isdigit() and int(side) for side in sides):
        raise ValueError(explain("--image-size", repr(text), "a number of pixels, or two: 64 or 48x64"))
    return int(sides[0]), int(sides[-1])


def _fitted(steps: Preprocessing, model: Any) -> Preprocessing:
    """Fill in what is not known from the shape of the model's input."""
    shape = model.input_shape if getattr(model, "graph", None) is not None else None
    if not isinstance(shape, tuple) or len(shape) != 4:
        received = f"{model.name!r} with an input of shape {shape}"
        raise ValueError(
            explain("MODEL", received, "a model with one input of images, (None, height, width, channels)")
        )
    height, width, channels = shape[1:]
    size = (height, width) if height and width else steps.image_size
    if steps.image_size not in (None, size):
        raise ValueError(explain("--image-size", str(steps.image_size), f"{height}x{width}, which the model takes"))
    colour = steps.color_mode or _COLOURS.get(channels)
    if colour is None:
        raise ValueError(explain("MODEL", f"images of {channels} channels", "1, 3 or 4 (grey, RGB, RGBA)"))
    return replace(steps, image_size=size, color_mode=colour)


def image_files(words: Sequence[str]) -> list[str]:
    """Return the files that words name: files as they are, of folders all images in them, in order of their names.

    Raises:
        FileNotFoundError: nothing of that name. ValueError: no images.
    """
    found: list[str] = []
    for word in words:
        path = Path(word).expanduser()
        if path.is_dir():
            inside = (
                os.path.join(folder, name)  # noqa: PTH118 – a Path per file is slow for large folders
                for folder, _, names in os.walk(path)
                for name in names
                if name.lower().endswith(ENDINGS) and not name.startswith(".")
            )
            found += sorted(inside)
        elif path.exists():
            found.append(str(path))
        else:
            raise FileNotFoundError(explain("FILES", repr(word), "image files, or folders of them"))
    if not found:
        raise ValueError(explain("FILES", ", ".join(map(repr, words)), f"images: files ending in {', '.join(ENDINGS)}"))
    return found
