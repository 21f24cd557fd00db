"""Batches of images from files: what folders and tables of file names share, and the iterator of folders."""

import os
import warnings
from collections.abc import Generator, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from convia import config
from convia.errors import explain, nearest
from convia.images.ahead import Batch
from convia.images.cache import CACHES, Cache
from convia.images.decode import DECODINGS, decode
from convia.images.device import check as check_device
from convia.images.directory import ON_ERROR
from convia.images.files import img_to_array
from convia.images.iterators import AHEAD, FORMATS, ImagesIterator, check_mixing, check_subset
from convia.images.listing import below, walk
from convia.images.names import Names

Array = npt.NDArray[Any]
MEMORY = 2**30  # bytes of decoded images that an iterator keeps
_CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1}
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
_NAMED = 10  # files that a warning names
_COMMON = (
    "image_data_generator", "class_mode", "on_error", "subset", "color_mode", "interpolation", "keep_aspect_ratio",
    "save_to_dir", "save_prefix", "save_format", "memory", "cache", "decoding", "prefetch", "device",
)  # fmt: skip  # arguments of iterators of files that are their attributes


class FilesIterator(ImagesIterator):
    """Batches of image files; what folders and tables of file names have in common.

    Decoded images (8 bits) are kept, see :class:`~convia.images.cache.Cache`, so that later epochs need not read the
    files.
    ``unreadable`` maps the files that could not be read to the reasons.
    """

    dtype: Any
    class_mode: str | None
    classes: Any
    class_indices: dict[str, int]
    filenames: Sequence[str]
    filepaths: Sequence[str]
    on_error: str
    subset: str | None
    color_mode: str
    interpolation: str
    keep_aspect_ratio: bool
    memory: int
    cache: str | None
    decoding: str
    sample_weight: Array | None = None
    _cache: Cache | None = None
    _divides = True
    _modes: tuple[str | None, ...] = ("categorical", "binary", "sparse", "input", None)

    def _configure(self, given: dict[str, Any]) -> None:
        """Check and set what is common among the arguments of an iterator."""
        who, generator = type(self).__name__, given["image_data_generator"]
        choices = {
            "class_mode": self._modes,
            "color_mode": (*_CHANNELS,),
            "interpolation": _INTERPOLATIONS,
            "on_error": ON_ERROR,
            "cache": CACHES,
            "decoding": DECODINGS,
        }
        for name, allowed in choices.items():
            if given[name] not in allowed:
                remedy = nearest(str(given[name]), [choice for choice in allowed if choice])
                expected = f"one of {[*allowed]}"
                raise ValueError(explain(f"{who}, argument {name!r}", repr(given[name]), expected, remedy))
        self.__dict__.update({name: given[name] for name in _COMMON})
        self.dtype = given["dtype"] or config.floatx()
        self.data_format = config.standardize_data_format(given["data_format"])
        self.target_size = (int(given["target_size"][0]), int(given["target_size"][1]))
        channels = _CHANNELS[self.color_mode]
        last = self.data_format == "channels_last"
        self.image_shape = (*self.target_size, channels) if last else (channels, *self.target_size)
        share = check_subset(self.subset, generator)
        self.split = None if share is None else (0, share) if self.subset == "validation" else (share, 1)
        self.unreadable: dict[str, str] = {}
        self._reported = 0
        if self.device is not None:
            check_device(who, generator)
        if getattr(generator, "mixes", False):
            fits = self.class_mode in ("categorical", "binary", "raw")
            check_mixing(who, fits, f"class_mode={self.class_mode!r}", "class_mode='categorical'")

    @property
    def labels(self) -> Any:
        """The classes of all files, by number."""
        return self.classes

    def _part(self, files: Any) -> Any:
        """Return those of a sequence that belong to the subset."""
        return files[slice(*(int(border * len(files)) for border in self.split))] if self.split else files

    def _read(self, index: int) -> Any:
        """Return a file's image, which must not be changed, or the error that keeps it from being read."""
        pixels = None if self._cache is None else self._cache.get(index)
        if pixels is not None:
            return pixels
        path = self.filepaths[index]
        if path in self.unreadable:
            return OSError(self.unreadable[path])
        how = self.color_mode, self.target_size, self.interpolation, self.keep_aspect_ratio
        try:
            picture = np.asarray(decode(path, *how, fast=self.decoding == "fast"))
        except (OSError, Image.DecompressionBombError) as error:
            return error
        if picture.dtype != np.uint8:
            return img_to_array(picture, self.data_format)
        pixels = img_to_array(picture, self.data_format, np.uint8)
        if self._cache is not None:
            self._cache.put(index, pixels)
        return pixels

    def _begin(self, index_array: Array) -> Batch:
        if self._cache is None and self.cache is not None:
            self._cache = Cache(self.n, self.image_shape, self.memory, self.cache)
        stored = np.float32 if self.color_mode == "grayscale" else np.uint8  # which may have more than 8 bits
        batch = self._batch(index_array, self._read, self.image_shape, config.floatx(), stored)
        batch.mixture = self._mixture(len(index_array))
        return batch

    def named_batches(self) -> Generator[tuple[list[str], Array], None, None]:
        """Go once through the files in the order of the listing: (paths, images), without what cannot be read."""
        for start in range(0, self.n, self.batch_size):
            used, images, _ = self._made(self._begin(np.arange(start, min(start + self.batch_size, self.n))))
            if len(used):
                yield [self.filepaths[j] for j in used], images

    def _made(self, batch: Batch) -> tuple[Array, Any, Array]:
        """Return the numbers of the files that could be read, their images, and their places in the batch."""
        places = batch.wait()
        self._note(batch)
        if self.device is not None:
            return batch.order[places], batch.pixels, places
        images = batch.pixels if len(places) == len(batch.order) else batch.pixels[places]
        return batch.order[places], images.astype(self.dtype, copy=False), places

    def _finish(self, batch: Batch) -> Any:
        used, images, places = self._made(batch)
        missing = len(batch.order) - len(used)
        if missing and (self.on_error == "replace" or not len(used)):
            others = self._others(int(batch.order[-1]), missing if self.on_error == "replace" else 1)
            others, more, _ = self._made(self._begin(others))
            join = np.concatenate if self.device is None else torch.cat
            used, images = np.concatenate((used, others)), join((images, more))
            lost = np.setdiff1d(np.arange(len(batch.order)), places)
            places = np.concatenate((places, lost[: len(others)]))
        y = None if self.class_mode is None else self._targets_of(used, images)
        weight = None if self.sample_weight is None else self.sample_weight[used]
        if batch.mixture is not None:
            partners, last = batch.mixture.among(places), self.data_format == "channels_last"
            images, (y, weight) = batch.mixture.apply(images, (y, weight), partners, last)
        self._save(images, used, 10**7)
        if y is None:
            return images
        return (images, y) if weight is None else (images, y, weight)

    def _note(self, batch: Batch) -> None:
        """Raise the first error of a batch, or remember the files that cannot be read."""
        known = len(self.unreadable)
        for place, error in sorted(batch.errors.items()):
            if self.on_error == "raise":
                raise error
            self.unreadable.setdefault(self.filepaths[batch.order[place]], str(error))
        self._warn(known)

    def _targets_of(self, index_array: Array, batch: Any) -> Any:
        """Return the labels of a batch."""
        if self.class_mode == "input":
            return batch.copy() if isinstance(batch, np.ndarray) else batch.clone()
        if self.class_mode == "multi_output":
            return [output[index_array] for output in self.labels]
        if self.class_mode == "raw":
            return self.labels[index_array]
        if self.class_mode != "categorical":
            return np.array([self.classes[j] for j in index_array], self.dtype)
        y = np.zeros((len(index_array), len(self.class_indices)), self.dtype)
        for k, j in enumerate(index_array):
            y[k, self.classes[j]] = 1  # a class, or a list of them
        return y

    def _others(self, index: int, count: int) -> Array:
        """Return the next files after this one that can be read, again from the first where there are too few."""
        after = (int(j) for j in (np.arange(1, self.n) + index) % self.n)
        found = [*islice((j for j in after if self._is_readable(j)), count)]
        if not found:
            received = f"{self.n} files, none of which can be read ({', '.join([*self.unreadable][:3])}, …)"
            why = next(iter(self.unreadable.values()), "")
            raise OSError(
                explain(type(self).__name__, received, "image files", f"The first says: {why}" if why else "")
            )
        return np.resize(found, count)

    def _is_readable(self, index: int) -> bool:
        image = self._read(index)
        if isinstance(image, Exception):
            self.unreadable.setdefault(self.filepaths[index], str(image))
        return not isinstance(image, Exception)

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch; count and name the files that could not be read."""
        super().on_epoch_end()
        self._warn(self._reported, f"{len(self.unreadable)} of {self.n} files in all")
        self._reported = len(self.unreadable)

    def _warn(self, known: int, count: str = "") -> None:
        new = [*self.unreadable][known:]
        if not new:
            return
        names = ", ".join(new[:_NAMED]) + (f" and {len(new) - _NAMED} more" if len(new) > _NAMED else "")
        received = f"{count or len(new)} that cannot be read: {names}"
        done = "left out, of predictions too" if self.on_error == "skip" else "replaced by others"
        remedy = f"They are {done}; 'unreadable' has the reasons. Pass on_error='raise' to stop there."
        warnings.warn(explain(type(self).__name__, received, "image files", remedy), stacklevel=4)


def say(text: str) -> None:
    """Print what was found, unless logging is off."""
    if config.is_interactive_logging_enabled():
        print(text)


class DirectoryIterator(FilesIterator):
    """Batches of the images in a folder with one subfolder per class.

    Args:
        directory: the folder.
        image_data_generator: changes the images; may be None.
        target_size: (height, width) that all images are resized to.
        color_mode: "rgb", "rgba" or "grayscale".
        classes: subfolders to use, in this order; all, sorted, by default.
        class_mode: labels as "categorical" (one-hot), "binary" or "sparse" (numbers), "input" (the images), None.
        save_to_dir, save_prefix, save_format: where to save the changed images, to look at.
        follow_links: also go where links out of the folder lead; else they are left out, with a warning.
        subset: "training" or "validation"; the first files of each class are for validation.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".
        keep_aspect_ratio: cut out the center rather than distort.
        on_error: "skip" files that cannot be read, with a warning that names them: batches lack their rows, so that
            ``predict`` has none for them (:func:`convia.images.rows` tells which are whose); "replace" them by the
            next files that can, with the labels of these, so that batches stay full; or "raise". Where no file of a
            batch can be read, it has one row of another.
        memory: bytes of main memory for decoded images.
        cache: where to keep those: "memory", as far as they fit; "disk", a temporary file; "auto", in memory if all
            fit, else on disk; None, nowhere.
        decoding: "exact", as Pillow does it; "fast", photographs (JPEG) of at least twice the target's size at half,
            a quarter or an eighth of their own.
        prefetch: batches that are made in the background; they are the same without.
        device: where images are changed, see :class:`~convia.images.iterators.NumpyArrayIterator`.

    Raises:
        FileNotFoundError: no such folder. ValueError: an unknown mode, or interpolation.
    """

    def __init__(
        self,
        directory: Any,
        image_data_generator: Any,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = None,
        *,
        on_error: str = "skip",
        memory: int = MEMORY,
        cache: str | None = "auto",
        decoding: str = "exact",
        prefetch: int = AHEAD,
        device: Any = None,
    ) -> None:
        self._configure(locals())
        self.directory = directory
        root = os.fspath(directory)
        if not Path(root).is_dir():
            raise FileNotFoundError(explain("flow_from_directory", repr(root), "a folder of images"))
        known = sorted(entry.name for entry in Path(root).iterdir() if entry.is_dir())
        names = [*classes] if classes else known
        _check_names(names, known)
        self.num_classes, self.class_indices = len(names), {name: k for k, name in enumerate(names)}
        found, counts = walk(root, names, follow_links, FORMATS)
        ends = np.cumsum([0, *counts])
        parts = [self._part(range(first, end)) for first, end in pairwise(ends.tolist())]
        chosen = [*chain(*parts)]
        self.filenames = found.take(np.array(chosen, int)) if isinstance(found, Names) else [found[k] for k in chosen]
        self.filepaths = below(root, self.filenames)
        self.classes = np.repeat(np.arange(len(parts), dtype="int32"), [*map(len, parts)])
        self.samples = len(self.filenames)
        say(f"Found {self.samples} images belonging to {self.num_classes} classes.")
        super().__init__(self.samples, batch_size, shuffle, seed)


def _check_names(names: Sequence[str], known: Sequence[str]) -> None:
    """Warn of classes without a folder."""
    for name in names:
        if name not in known and os.sep not in name:
            expected, remedy = "names of subfolders", f"It has no images. {nearest(str(name), known)}"
            text = explain("flow_from_directory, argument 'classes'", repr(name), expected, remedy)
            warnings.warn(text, stacklevel=4)
