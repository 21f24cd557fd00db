"""Folders of images, one per class: a data set that reads them batch by batch."""

import copy
import hashlib
import math
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from convia import config
from convia.errors import explain
from convia.images.decode import decode, decode_bilinear
from convia.images.files import UNREADABLE
from convia.images.listing import FORMATS, Listing, list_images
from convia.images.names import Names
from convia.images.reading import in_turn
from convia.images.resizing import check_interpolation, resize, resize_cropped, resize_with_pad
from convia.pipeline import Dataset, made_of

ON_ERROR = ("skip", "replace", "raise")  # what may be done about files that cannot be read
_WHO = "image_dataset_from_directory"
_READ_AT_ONCE = 32  # images, where there are no batches
_NAMED = 10  # unreadable files that a warning names
_CHOICES: dict[str, tuple[Any, ...]] = {
    "label_mode": ("int", "categorical", "binary", None),
    "color_mode": ("rgb", "rgba", "grayscale"),
    "subset": ("training", "validation", "both", None),
    "format": ("tf", "grain"),
    "on_error": ON_ERROR,
}


class ImageDataset(Dataset):
    """Batches of images read from files.

    Yields ``(images, labels)``, or ``images`` if there are no labels; float32 images (N, H, W, C) of values 0…255.
    At the end of an epoch a warning counts and names the files that could not be read, and ``unreadable`` has all of
    them, with the reasons. Batches stay full: the next files move up. The order of shuffled files is drawn file by
    file, so that those that can be read come as they would without the others.
    """

    def __init__(
        self,
        listing: Listing,
        read: Callable[[str], npt.NDArray[np.float32]],
        *,
        label_mode: str | None = None,
        batch_size: int | None = 32,
        shuffle: bool = False,
        seed: int = 0,
        on_error: str = "skip",
        root: str = "",
    ) -> None:
        super().__init__(self._batches, class_names=listing.class_names)
        self.divides = True
        self.file_paths = listing.paths
        self.batch_size, self.on_error = batch_size, on_error
        self.unreadable: dict[str, str] = {}
        self._read = read
        self._labels = _encode(listing, label_mode)
        self._keys = _digests(listing.paths, root) if shuffle else None
        self._seed = seed

    def cardinality(self) -> torch.Tensor:
        """Return the number of batches (of images, where batch_size is None), as far as is known."""
        gone = 0 if self.on_error == "replace" else len(self.unreadable)
        return torch.tensor(math.ceil((len(self.file_paths) - gone) / (self.batch_size or 1)))

    def _unbatched_size(self) -> int:
        return len(self.file_paths)

    def part(self, chosen: Sequence[int]) -> "ImageDataset":
        """Return a data set of the files at some positions in ``file_paths``, read, shuffled and batched as here."""
        made = copy.copy(self)
        paths, order = self.file_paths, np.asarray(chosen)
        made.file_paths = paths.take(order) if isinstance(paths, Names) else [paths[k] for k in chosen]
        made.unreadable, made._make = {}, made._batches
        made._labels = None if self._labels is None else self._labels[list(chosen)]
        made._keys = None if self._keys is None else self._keys[list(chosen)]
        return made

    def named_batches(self) -> Iterator[tuple[list[str], torch.Tensor]]:
        """Go once through the files in the order of ``file_paths``: (paths, images), without what cannot be read."""
        for part in self._parts(range(len(self.file_paths)), replaces=False):
            yield [self.file_paths[i] for i, _ in part], torch.from_numpy(np.stack([image for _, image in part]))

    def _batches(self) -> Iterator[Any]:
        order, number = np.arange(len(self.file_paths)), self._next_pass()
        if self._keys is not None:
            order = np.argsort(_mixed(self._keys, self._seed or 0, number), kind="stable")
        parts = self._parts(order.tolist(), replaces=self.on_error == "replace")
        return (self._batch([i for i, _ in part], [image for _, image in part]) for part in parts)

    def _parts(self, order: Iterable[int], replaces: bool) -> Iterator[list[tuple[int, npt.NDArray[np.float32]]]]:
        """Read files in some order and yield (number, image) in batches; name those that cannot be read at the end."""
        known = len(self.unreadable)
        found, some = self._images(order, replaces), False
        try:
            while part := [*islice(found, self.batch_size or 1)]:
                some = True
                yield part
            if not some:
                received = f"{len(self.file_paths)} files, none of which can be read"
                raise OSError(explain(_WHO, received, "images", next(iter(self.unreadable.values()), "")))
        finally:
            found.close()
            if len(self.unreadable) > known:
                self._report()

    def _images(
        self, order: Iterable[int], replaces: bool
    ) -> Generator[tuple[int, npt.NDArray[np.float32]], None, None]:
        for number, result in in_turn(order, self._try, self.batch_size or _READ_AT_ONCE):
            index, image = number, self._noted(number, result)
            if image is None and replaces:
                index, image = self._other(number)
            if image is not None:
                yield index, image

    def _try(self, index: int) -> npt.NDArray[np.float32] | Exception | None:
        """Read one file, in a thread."""
        path = self.file_paths[index]
        try:
            return None if path in self.unreadable else self._read(path)
        except UNREADABLE as error:
            return error

    def _noted(self, index: int, result: Any) -> npt.NDArray[np.float32] | None:
        if isinstance(result, Exception):
            if self.on_error == "raise":
                raise result
            self.unreadable[self.file_paths[index]] = str(result)
            return None
        image: npt.NDArray[np.float32] = result
        return image

    def _other(self, index: int) -> tuple[int, npt.NDArray[np.float32] | None]:
        """Return the next file after this one that can be read."""
        count = len(self.file_paths)
        images = ((k % count, self._noted(k % count, self._try(k % count))) for k in range(index + 1, index + count))
        return next(((k, image) for k, image in images if image is not None), (index, None))

    def _batch(self, indices: list[int], images: list[npt.NDArray[np.float32]]) -> Any:
        x = torch.from_numpy(np.stack(images))
        y = None if self._labels is None else self._labels[indices]
        if self.batch_size is None:
            x, y = x[0], None if y is None else y[0]
        return made_of(x if y is None else (x, y), [self.file_paths[k] for k in indices])

    def _report(self) -> None:
        names = [*self.unreadable][:_NAMED]
        more = f" and {len(self.unreadable) - _NAMED} more" if len(self.unreadable) > _NAMED else ""
        received = f"{len(self.unreadable)} files that cannot be read ({', '.join(names)}{more})"
        done = "left out" if self.on_error == "skip" else "replaced by others"
        remedy = f"They were {done}; the data set's 'unreadable' has the reasons."
        warnings.warn(explain("ImageDataset", received, "image files", remedy), stacklevel=3)


def _digests(paths: Sequence[str], root: str) -> npt.NDArray[np.uint64]:
    """Return 64 bits of the hash of each path relative to the root, below which all are."""
    start = len(os.path.join(root, "")) if root else 0  # noqa: PTH118 - as in the listing
    if isinstance(paths, Names):
        return paths.digests(start)
    names = (path[start:].encode(errors="surrogateescape") for path in paths)
    return np.frombuffer(b"".join(hashlib.blake2b(name, digest_size=8).digest() for name in names), "<u8")


def _mixed(keys: npt.NDArray[np.uint64], seed: int, epoch: int) -> npt.NDArray[np.uint64]:
    """Return pseudorandom numbers that depend on key, seed and epoch (SplitMix64; Steele, Lea, Flood 2014)."""
    x = keys ^ np.random.default_rng((seed, epoch)).integers(2**64, dtype=np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _encode(listing: Listing, label_mode: str | None) -> torch.Tensor | None:
    """Return all labels as int32 (N,), float32 (N, 1) for binary, or one-hot float32 (N, classes) for categorical."""
    if label_mode is None or listing.labels is None:
        return None
    labels = torch.as_tensor(listing.labels)
    if label_mode == "int":
        return labels.int()
    classes = torch.arange(len(listing.class_names or ()))
    return (labels[:, None] == classes).float() if label_mode == "categorical" else labels.float()[:, None]


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: int | tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
    *,
    on_error: str = "skip",
) -> Any:
    """Make a data set of the images in a folder with one subfolder per class.

    Args:
        directory: the folder.
        labels: "inferred" from the subfolders, None, or a list of whole numbers, one per file in sorted order.
        label_mode: "int" (int32, (N,)), "binary" (float32, (N, 1)), "categorical" (float32, (N, classes)), or None.
        class_names: the subfolders to use, in this order.
        color_mode: "rgb", "rgba" or "grayscale".
        batch_size: images per batch; None for single images.
        image_size: (height, width) that all images are resized to.
        shuffle: mix the files, and again each epoch; otherwise they are sorted.
        seed: decides the order; needed to split shuffled files.
        validation_split: the fraction of files, from 0 to 1, kept for validation.
        subset: "training", "validation", or "both" for a list of the two.
        interpolation: how to resize: one of :data:`convia.images.resizing.INTERPOLATIONS`.
        follow_links: also read what links outside the folder lead to.
        crop_to_aspect_ratio: cut off what would be distorted.
        pad_to_aspect_ratio: pad with zeros instead of distorting.
        data_format: "channels_last" or "channels_first"; the library's by default.
        format: "tf" or "grain", as in Keras; the data set is the same.
        verbose: print how many files and classes there are.
        on_error: "skip" files that cannot be read, counted and named at the end of the epoch; "replace" them by the
            next files that can, with the labels of these; or "raise".

    Returns:
        An :class:`ImageDataset`; for ``subset="both"`` a list of two.

    Raises:
        ValueError: arguments that do not fit together, or no images.
        NotADirectoryError: no such folder.
    """
    given = {"label_mode": label_mode, "color_mode": color_mode, "subset": subset, "format": format}
    given["on_error"] = on_error
    interpolation = str(interpolation).lower()
    _check_choices(given, crop_to_aspect_ratio and pad_to_aspect_ratio)
    check_interpolation(_WHO, interpolation)
    _check_labels(labels, class_names)
    _check_split(validation_split, subset, shuffle, seed)
    if labels is None or label_mode is None:
        labels = label_mode = None
    listing = list_images(directory, labels, class_names, follow_links)
    if label_mode == "binary" and len(listing.class_names or ()) != 2:
        received = f"the classes {listing.class_names}"
        raise ValueError(explain(f"{_WHO}, label_mode='binary'", received, "exactly 2", "Use 'int' or 'categorical'."))
    if verbose:
        classes = "" if listing.class_names is None else f" belonging to {len(listing.class_names)} classes"
        _say(f"Found {len(listing.paths)} files{classes}.")
    seed = int(np.random.randint(1_000_000)) if seed is None else seed
    if shuffle:
        listing = listing.shuffled(seed)
    read = _reader(
        color_mode,
        _size(image_size),
        interpolation,
        resize_cropped if crop_to_aspect_ratio else resize_with_pad if pad_to_aspect_ratio else resize,
        config.standardize_data_format(data_format),
    )
    made = []
    for part, files in _parts(listing, validation_split, subset).items():
        if not files.paths:
            kind = f"{part} images" if validation_split else "images"
            raise ValueError(
                explain(_WHO, f"no {kind} in {os.fspath(directory)}", f"files ending in {', '.join(FORMATS)}")
            )
        mixed = shuffle and not (subset == "both" and part == "validation")
        how: dict[str, Any] = {
            "label_mode": label_mode,
            "batch_size": batch_size,
            "on_error": on_error,
            "root": os.fspath(directory),
        }
        made.append(ImageDataset(files, read, shuffle=mixed, seed=seed, **how))
    return made if subset == "both" else made[0]


def _parts(listing: Listing, validation_split: float | None, subset: str | None) -> dict[str, Listing]:
    if not validation_split:
        return {"all": listing}
    parts = dict(zip(("training", "validation"), listing.split(validation_split), strict=True))
    wanted = {name: files for name, files in parts.items() if subset in (name, "both")}
    for name, files in wanted.items():
        _say(f"Using {len(files.paths)} files for {name}.")
    return wanted


def _say(text: str) -> None:
    if config.is_interactive_logging_enabled():
        print(text)


def _reader(
    color_mode: str, size: tuple[int, int], interpolation: str, fit: Callable[..., npt.NDArray[np.float32]], order: str
) -> Callable[[str], npt.NDArray[np.float32]]:
    """Return a function that reads one file as float32 of one size."""

    def read(path: str) -> npt.NDArray[np.float32]:
        if fit is resize and (color_mode, interpolation) == ("rgb", "bilinear"):
            pixels = decode_bilinear(path, size)
        else:
            pixels = np.asarray(decode(path, color_mode, None, "nearest", False))
            pixels = fit(pixels.reshape(*pixels.shape[:2], -1), size, interpolation)  # (H, W, C)
        return pixels.transpose(2, 0, 1) if order == "channels_first" else pixels

    return read


def _size(image_size: Any) -> tuple[int, int]:
    pair = (image_size, image_size) if isinstance(image_size, int) else image_size
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or min(pair) < 1:
        raise ValueError(explain(f"{_WHO}, argument 'image_size'", repr(image_size), "(height, width)"))
    return int(pair[0]), int(pair[1])


def _check_choices(given: dict[str, Any], crops_and_pads: bool) -> None:
    for name, value in given.items():
        if value not in _CHOICES[name]:
            raise ValueError(explain(f"{_WHO}, argument {name!r}", repr(value), f"one of {list(_CHOICES[name])}"))
    if crops_and_pads:
        raise ValueError(explain(_WHO, "crop_to_aspect_ratio and pad_to_aspect_ratio", "only one of them"))


def _check_labels(labels: Any, class_names: Any) -> None:
    if labels is not None and not (isinstance(labels, (list, tuple)) or labels == "inferred"):
        received = type(labels).__name__ if not isinstance(labels, str) else repr(labels)
        raise ValueError(
            explain(f"{_WHO}, argument 'labels'", received, "'inferred', None, or a list of whole numbers")
        )
    if class_names and labels != "inferred":
        raise ValueError(explain(f"{_WHO}, argument 'class_names'", repr(class_names), "None unless labels='inferred'"))


def _check_split(validation_split: float | None, subset: str | None, shuffle: bool, seed: int | None) -> None:
    who = f"{_WHO}, argument 'validation_split'"
    if validation_split and not 0 < validation_split < 1:
        raise ValueError(explain(who, repr(validation_split), "a number between 0 and 1"))
    if bool(validation_split) != bool(subset):
        received = f"validation_split={validation_split} and subset={subset!r}"
        raise ValueError(explain(who, received, "both or neither", "subset is 'training', 'validation' or 'both'."))
    if validation_split and shuffle and seed is None:
        remedy = "Give the same seed for both subsets, else they would overlap."
        raise ValueError(explain(who, "shuffle=True without a seed", "a seed", remedy))
