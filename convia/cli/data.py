"""The images that the commands work on: of a folder, or of a data set that convia knows by name."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from convia.datasets import cifar10, cifar100, digits, fashion_mnist, mnist
from convia.errors import explain, nearest
from convia.images.files import UNREADABLE, header, load_img
from convia.images.listing import FORMATS, Listing, list_images

Arrays = npt.NDArray[Any]

READABLE = (*FORMATS, ".tif", ".tiff", ".webp")
LARGEST_AS_THEY_ARE = 64  # pixels; images of one size up to this are not resized
RESIZED = 48  # pixels; others become squares of this
_GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}  # Pillow's modes without colours
_THREADS = 4
_PARTS = {
    "training": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Part:
    """Images (N, H, W, C), uint8, their class numbers (N,), int64, and their files, where they are from files."""

    images: Arrays
    labels: Arrays
    files: Arrays | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: Any) -> "Part":
        """Return the images at some positions."""
        return Part(self.images[chosen], self.labels[chosen], None if self.files is None else self.files[chosen])


@dataclass(frozen=True)
class ImageData:
    """Images in three parts. Dividing pixels by ``largest`` brings them to 0…1."""

    name: str
    class_names: list[str]
    training: Part
    validation: Part
    test: Part
    largest: float = 255.0
    unreadable: dict[str, str] = field(default_factory=dict)  # file → reason

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images."""
        height, width, channels = self.training.images.shape[1:]
        return int(height), int(width), int(channels)


@dataclass(frozen=True)
class _Known:
    load: Callable[[], Any]
    class_names: Sequence[str]
    largest: float = 255.0


_DIGITS = tuple("0123456789")
KNOWN = {
    "cifar10": _Known(cifar10.load_data, cifar10.CLASS_NAMES),
    "cifar100": _Known(cifar100.load_data, [str(number) for number in range(100)]),
    "digits": _Known(digits.load_data, _DIGITS, largest=16.0),
    "fashion_mnist": _Known(fashion_mnist.load_data, fashion_mnist.CLASS_NAMES),
    "mnist": _Known(mnist.load_data, _DIGITS),
}


def load(
    source: str,
    image_size: int | None = None,
    validation_split: float = 0.15,
    test_split: float = 0.15,
    seed: int = 0,
    on_error: str = "skip",
    follow_links: bool = False,
) -> ImageData:
    """Read the images of a known data set, or of a folder, and split them with every class in every part.

    Args:
        source: a name in :data:`KNOWN`, or a folder that has a folder of images per class. Its classes may also be
            within ``train/`` and ``test/`` (and ``validation/``); the parts are then as they are there.
        image_size: side of the squares that all images become; see :data:`RESIZED` for the default.
        validation_split, test_split: shares of each class, at least one image; of what is not split already.
        seed: decides the split.
        on_error: what to do about files that cannot be read: "skip", "replace" (repeat an image of their class, for
            training only) or "raise".
        follow_links: also read what links out of the folder lead to.

    Raises:
        NotADirectoryError: neither a known name nor a folder.
        ValueError: fewer than two classes, no images, or a class with too few of them.
        OSError: no image can be read, or with ``on_error="raise"`` one cannot; a part is a link out of the folder.
    """
    if source in KNOWN:
        return _load_known(source, image_size, validation_split, seed)
    root = Path(source).expanduser()
    if not root.is_dir():
        remedy = nearest(source, KNOWN) if root.name == source else f"Data sets with a name: {', '.join(KNOWN)}."
        raise NotADirectoryError(explain("DATA", repr(source), "a folder of images, or the name of a data set", remedy))
    shares = {"validation": validation_split, "test": test_split}
    return _load_folder(root, image_size, shares, seed, on_error, follow_links)


def _load_known(name: str, image_size: int | None, validation_split: float, seed: int) -> ImageData:
    known = KNOWN[name]
    parts = []
    for array, labels in known.load():
        images = array[..., None] if array.ndim == 3 else array
        if image_size is not None and images.shape[1:3] != (image_size, image_size):
            images = np.stack([_resized(image, image_size) for image in images])
        parts.append(Part(images, labels.reshape(-1).astype(np.int64)))
    names = list(known.class_names)
    rest, validation = split(parts[0], {"validation": validation_split}, names, seed)
    return ImageData(name, names, rest, validation, parts[1], known.largest)


def _resized(image: Arrays, size: int) -> Arrays:
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR)).reshape(size, size, -1)


def _load_folder(
    root: Path, image_size: int | None, shares: dict[str, float], seed: int, on_error: str, follow_links: bool
) -> ImageData:
    listings = list_parts(root, follow_links)
    names = listings["training"].class_names or []
    unreadable: dict[str, str] = {}
    looked = {path: _look(path, unreadable) for listing in listings.values() for path in listing.paths}
    facts = [fact for fact in looked.values() if fact is not None]
    stop_at(unreadable, on_error)
    if not facts:
        received = f"{len(unreadable)} files, none of which can be read" if looked else "no images"
        remedy = next(iter(unreadable.values()), "Put the images of each class into a folder of their own.")
        raise OSError(explain(str(root), received, f"files ending in {', '.join(READABLE)}", remedy))
    width, height = common_size({size for size, _ in facts}, image_size)
    colour = common_colour({mode for _, mode in facts})
    parts = {
        part: _read(listing, names, colour, (height, width), unreadable, part) for part, listing in listings.items()
    }
    stop_at(unreadable, on_error)
    missing = {part: share for part, share in shares.items() if part not in parts}
    divided = split(parts["training"], missing, names, seed)
    parts.update(zip(missing, divided[1:], strict=True))
    if on_error == "replace":
        divided[0] = _refilled(divided[0], listings["training"], unreadable)
    return ImageData(root.resolve().name, names, divided[0], parts["validation"], parts["test"], 255.0, unreadable)


def common_size(sizes: set[tuple[int, int]], image_size: int | None) -> tuple[int, int]:
    """Return the width and height that images of some sizes get; small ones of one size keep theirs."""
    width, height = next(iter(sizes)) if len(sizes) == 1 else (RESIZED, RESIZED)
    if image_size is not None or max(width, height) > LARGEST_AS_THEY_ARE:
        width = height = image_size or RESIZED
    return width, height


def common_colour(modes: set[str]) -> str:
    """Return the colour mode for images of some of Pillow's modes."""
    return "grayscale" if modes <= _GREY else "rgb"


def stop_at(unreadable: dict[str, str], on_error: str) -> None:
    """Raise OSError for what cannot be read, where it is not to be skipped."""
    if on_error == "raise" and unreadable:
        reason = next(iter(unreadable.values()))
        raise OSError(f"{reason} With --on-error skip it is left out.")


def _refilled(part: Part, listing: Listing, unreadable: dict[str, str]) -> Part:
    """Repeat an image of its class for each file of a listing that cannot be read."""
    labels = np.array([label for path, label in zip(listing.paths, listing.labels, strict=True) if path in unreadable])  # type: ignore[arg-type]
    places = [np.resize(np.flatnonzero(part.labels == label), (labels == label).sum()) for label in np.unique(labels)]
    return part.take(np.concatenate([np.arange(len(part)), *places]))


def list_parts(root: Path, follow_links: bool) -> dict[str, Listing]:
    """List the files of a folder by part; only "training" if it holds classes.

    Raises:
        ValueError: fewer than two classes, or one in another part that is not among those of training.
        OSError: a part that is a link out of the folder.
    """
    folders = {
        part: next((root / name for name in names if _holds_folders(root / name)), None)
        for part, names in _PARTS.items()
    }
    if folders["training"] is None:
        folders = {"training": root}
    for folder in folders.values():
        if folder and not follow_links and not folder.resolve().is_relative_to(root.resolve()):
            remedy = "Pass --follow-links if you trust it."
            raise OSError(explain(str(folder), "a link that leads out of the folder", "a folder inside it", remedy))
    listings = {
        part: _without_empty(list_images(folder, follow_links=follow_links, formats=READABLE))
        for part, folder in folders.items()
        if folder
    }
    names = listings["training"].class_names or []
    if len(names) < 2:
        place = str(folders["training"])
        received = f"images of one class ({names[0]})" if names else "no folders with images in them"
        remedy = "Make a folder per class: " + f"{place}/cats/1.jpg, {place}/dogs/1.jpg, …"
        raise ValueError(explain(place, received, "a folder of images for each of at least 2 classes", remedy))
    for part, listing in listings.items():
        unknown = sorted(set(listing.class_names or ()) - set(names))
        if unknown:
            raise ValueError(
                explain(f"{folders[part]}", f"the class {unknown[0]!r}", f"the classes of training: {', '.join(names)}")
            )
    return listings


def _holds_folders(folder: Path) -> bool:
    return folder.is_dir() and any(entry.is_dir() for entry in folder.iterdir())


def _without_empty(listing: Listing) -> Listing:
    """Leave out classes without files."""
    assert listing.labels is not None
    names = listing.class_names or []
    used = np.unique(listing.labels).astype(int)
    return Listing(listing.paths, np.searchsorted(used, listing.labels), [names[number] for number in used])


def _look(path: str, unreadable: dict[str, str]) -> tuple[tuple[int, int], str] | None:
    """Return an image's (width, height) and Pillow's mode, without reading its pixels."""
    try:
        return header(path)
    except UNREADABLE as error:
        unreadable[path] = str(error)
    return None


def _read(
    listing: Listing, names: list[str], colour: str, size: tuple[int, int], unreadable: dict[str, str], part: str
) -> Part:
    def try_to_read(path: str) -> Arrays | None:
        if path in unreadable:
            return None
        try:
            return pixels_of(load_img(path, colour, size, "bilinear"))
        except UNREADABLE as error:
            unreadable[path] = str(error)
            return None

    with ThreadPoolExecutor(_THREADS) as pool:
        images = list(pool.map(try_to_read, listing.paths))
    numbers = np.array([names.index(name) for name in listing.class_names or ()])
    labels = numbers[np.asarray(listing.labels)].astype(np.int64)
    is_there = np.array([image is not None for image in images])
    if not is_there.any():
        raise OSError(explain(f"the {part} images", "no file that can be read", "at least one per class"))
    files = np.array(listing.paths)[is_there]
    return Part(np.stack([image for image in images if image is not None]), labels[is_there], files)


def pixels_of(image: Image.Image) -> Arrays:
    """Return (H, W, C) as uint8; grey images of 16 bits are scaled down."""
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        pixels = np.clip(pixels.astype(np.float32) / 257, 0, 255).astype(np.uint8)
    return pixels.reshape(*pixels.shape[:2], -1)


def split(part: Part, shares: dict[str, float], names: list[str], seed: int) -> list[Part]:
    """Take shares of each class away, at least one image each; return the rest first.

    Raises:
        ValueError: a class with so few images that nothing would be left.
    """
    random = np.random.RandomState(seed)  # its numbers never change from version to version
    chosen: list[list[Arrays]] = [[] for _ in range(len(shares) + 1)]
    for number, name in enumerate(names):
        places = random.permutation(np.flatnonzero(part.labels == number))
        counts = [max(1, round(share * len(places))) for share in shares.values()]
        if len(places) <= sum(counts):
            received = f"{len(places)} readable image{'s' if len(places) != 1 else ''}"
            expected = f"at least {len(shares) + 1}: one each for {' and '.join(['training', *shares])}"
            if len(places) > len(shares):
                expected = f"enough for shares of {', '.join(f'{share:.0%}' for share in shares.values())}"
            raise ValueError(explain(f"class {name!r}", received, expected, "Add images, or take the class away."))
        starts = np.cumsum([0, *counts])
        pieces = [places[starts[-1] :], *(places[a:b] for a, b in pairwise(starts))]
        for places_of_part, piece in zip(chosen, pieces, strict=True):
            places_of_part.append(piece)
    return [part.take(np.sort(np.concatenate(pieces))) for pieces in chosen]
