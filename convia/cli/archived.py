"""The images of tar archives for ``convia train``: all are kept in memory, at the size that the network gets."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image

from convia.cli import data
from convia.errors import explain
from convia.images.archives import DAMAGED, Sample, expand, samples
from convia.images.files import UNREADABLE, load_img

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_AT_ONCE = 256  # files that are in memory as they are


def load_archives(
    source: str, image_size: int | None, shares: dict[str, float], seed: int, on_error: str
) -> data.ImageData:
    """Read archives twice, for sizes and then for pixels, and split the images as those of a folder.

    Raises:
        OSError: no image can be read, or with ``on_error="raise"`` one cannot.
        ValueError: fewer than two classes; ``on_error="replace"``.
    """
    if on_error == "replace":
        raise ValueError(explain("--on-error", "'replace' with tar archives", "skip or raise"))
    unreadable: dict[str, str] = {}
    shards = expand(source)
    facts = list(_facts(shards, unreadable))
    if not facts:
        raise OSError(explain(source, "no sample that can be read", "images, each with a label in .cls, .txt or .json"))
    data.stop_at(unreadable, on_error)
    labels = sorted({label for *_, label in facts}, key=lambda label: (isinstance(label, str), label))
    names = [str(label) for label in labels]
    if len(names) < 2:
        raise ValueError(explain(source, f"images of one class ({names[0]})", "images of at least 2 classes"))
    sizes, modes = {size for size, *_ in facts}, {mode for _, mode, _ in facts}
    width, height = data.common_size(sizes, image_size)
    colour = data.common_colour(modes)
    images, classes, files = [], [], []
    for sample, pixels in _pixels(shards, colour, (height, width), unreadable):
        images.append(pixels)
        classes.append(labels.index(sample.label))
        files.append(sample.name)
    data.stop_at(unreadable, on_error)
    whole = data.Part(np.stack(images), np.array(classes, np.int64), np.array(files))
    training, validation, test = data.split(whole, shares, names, seed)
    return data.ImageData(_name(source), names, training, validation, test, 255.0, unreadable)


def _name(source: str) -> str:
    place = PurePath(source.partition("://")[2] or source)
    stem = place.name.partition(".")[0]
    return stem if stem.isidentifier() else place.parent.name or "shards"


def _streamed(shards: list[str], unreadable: dict[str, str]) -> Iterator[Sample]:
    """Yield the samples that have an image and a label."""
    for shard in shards:
        try:
            for sample in samples(shard):
                if sample.flaw or sample.label is None:
                    unreadable[sample.name] = sample.flaw or "no label"
                else:
                    yield sample
        except DAMAGED as error:
            unreadable[shard] = str(error)


def _facts(shards: list[str], unreadable: dict[str, str]) -> Iterator[tuple[tuple[int, int], str, Any]]:
    """Yield (width, height), Pillow's mode and label of each."""
    for sample in _streamed(shards, unreadable):
        try:
            with Image.open(io.BytesIO(sample.image), formats=_FORMATS) as image:
                yield image.size, image.mode, sample.label
        except UNREADABLE as error:
            unreadable[sample.name] = str(error)


def _pixels(
    shards: list[str], colour: str, size: tuple[int, int], unreadable: dict[str, str]
) -> Iterator[tuple[Sample, data.Arrays]]:
    def read(sample: Sample) -> data.Arrays | None:
        if sample.name in unreadable:
            return None
        try:
            return data.pixels_of(load_img(io.BytesIO(sample.image), colour, size, "bilinear"))
        except UNREADABLE as error:
            unreadable[sample.name] = str(error)
            return None

    stream = _streamed(shards, unreadable)
    with ThreadPoolExecutor() as pool:
        while some := [*islice(stream, _AT_ONCE)]:
            yield from (
                (sample, found) for sample, found in zip(some, pool.map(read, some), strict=True) if found is not None
            )
