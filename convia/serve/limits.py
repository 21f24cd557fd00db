"""What a service serves, how much it takes on, and how it refuses."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from convia import tree
from convia.errors import explain

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Limits:
    """What one service takes on.

    Args:
        megabytes: of a request's body; beyond, 413.
        megapixels: of all images of a request, together, by their headers; beyond, 413.
        images: per request; beyond, 413.
        queue: images that may wait for the model; beyond, 503.
        seconds: for reading a request's body (408), and for answering it (504).
        batch: images that the model is given at once, at most.
        wait: milliseconds that a batch waits for images of requests that have begun to arrive.

    Raises:
        ValueError: one that is not above 0 (``wait``: below 0).
    """

    megabytes: float = 16
    megapixels: float = 40
    images: int = 64
    queue: int = 512
    seconds: float = 30
    batch: int = 32
    wait: float = 4

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not (value > 0 or (one.name == "wait" and value == 0)):
                raise ValueError(explain(f"Limits, argument {one.name!r}", repr(value), "a number above 0"))


@dataclass(frozen=True)
class Classifier:
    """A model of images.

    Attributes:
        model: whose first output is a row of probabilities per image, or one probability of two classes.
        read: an image file that Pillow opened, whose pixels are not read yet → (H, W, C) as the model takes it, such
            as ``lambda img: img_to_array(load_img(img, "rgb", (224, 224)))``.
        names: number of classes → their names.
    """

    model: Any
    read: Callable[[Image.Image], Array]
    names: Callable[[int], list[str]]

    def predict(self, images: list[Array]) -> list[Array]:
        """Return a row of probabilities per image; images of one shape go through the model together."""
        rows: list[Any] = [None] * len(images)
        for shape in {image.shape for image in images}:
            places = [place for place, image in enumerate(images) if image.shape == shape]
            some = np.stack([images[place] for place in places])
            outputs = tree.flatten(self.model.predict(some, batch_size=len(some), verbose=0))[0]
            values = np.asarray(outputs, np.float64).reshape(len(some), -1)
            values = values if values.shape[1] > 1 else np.concatenate([1 - values, values], 1)
            for place, row in zip(places, values, strict=True):
                rows[place] = row
        return rows


class Refused(Exception):  # noqa: N818 – it is no error of the service
    """A request that is answered with a status other than 200.

    Attributes:
        status: of HTTP.
        message: what the client did, and what is expected.
    """

    def __init__(self, status: int, received: str, expected: str, remedy: str = "") -> None:
        self.status, self.message = status, explain("request", received, expected, remedy)
        super().__init__(self.message)
