"""Endless batches of images, as ImageDataGenerator's ``flow`` methods make them; those of arrays.

An iterator is also a sequence of an epoch's batches, which is how ``fit`` reads it.
"""

import functools
import math
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convia import config
from convia.errors import explain, nearest
from convia.images.files import array_to_img

Array = npt.NDArray[Any]
FORMATS = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")
_CHUNK = 2**15  # pixels that are warped at once, about what the processor's cache holds


@functools.cache
def _threads(process: int) -> ThreadPoolExecutor:
    """The threads of a process; a forked one makes its own."""
    return ThreadPoolExecutor(min(os.cpu_count() or 1, 8), "convia-images")


def augment(generator: Any, reads: Sequence[Callable[[], Any]], shape: Sequence[int]) -> list[Any]:
    """Read images, change them at random and normalize them; None stands for what cannot be read.

    Parameters are drawn one image after the other; the images are read and changed in threads.

    Args:
        generator: an ImageDataGenerator, what looks like one, or None.
        reads: functions that return an image that may be changed in place, or None.
        shape: of each image.
    """
    pool = _threads(os.getpid())
    if generator is not None and not getattr(generator, "draws_ahead", False):
        return [_augmented(generator, image, shape) for image in pool.map(lambda read: read(), reads)]
    drawn = [generator.get_random_transform(shape) if generator else {} for _ in reads]
    size = max(1, _CHUNK * 3 // math.prod(shape))

    def work(start: int) -> list[Any]:
        images: list[Any] = [read() for read in reads[start : start + size]]
        if generator is None:
            return images
        whole = [k for k, image in enumerate(images) if image is not None]
        changed = generator.apply_transforms([images[k] for k in whole], [drawn[start + k] for k in whole])
        for k, image in zip(whole, changed, strict=True):
            images[k] = generator.standardize(image)
        return images

    starts = range(0, len(reads), size)
    parts = map(work, starts) if len(starts) == 1 else pool.map(work, starts)
    return [image for part in parts for image in part]


def _augmented(generator: Any, image: Any, shape: Sequence[int]) -> Any:
    drawn = generator.get_random_transform(shape)
    return None if image is None else generator.standardize(generator.apply_transform(image, drawn))


def check_channels(who: str, shape: Sequence[int], axis: int) -> None:
    """Warn of images (a batch) whose channels are neither 1, 3 nor 4."""
    if shape[axis] not in (1, 3, 4):
        received = f"{shape[axis]} channels on axis {axis} of {tuple(shape)}"
        warnings.warn(explain(who, received, "1, 3 or 4", "Is data_format the right one?"), stacklevel=4)


def check_subset(subset: Any, generator: Any) -> float | None:
    """Return the share of the validation images, or None where there is no subset.

    Raises:
        ValueError: another subset than "training" and "validation".
    """
    if subset is None:
        return None
    if subset not in ("training", "validation"):
        remedy = nearest(str(subset), ("training", "validation"))
        raise ValueError(explain("flow, argument 'subset'", repr(subset), "'training', 'validation' or None", remedy))
    if not generator.validation_split:
        expected, remedy = "validation_split in ImageDataGenerator", "All images are for training."
        warnings.warn(explain("flow", f"subset={subset!r} without a split", expected, remedy), stacklevel=5)
    elif subset == "validation" and getattr(generator, "augments", False):
        remedy = "The validation images are changed too; take them from a generator of their own that changes nothing."
        received = "subset='validation' of a generator that changes images at random"
        warnings.warn(explain("flow", received, "a plain one", remedy), stacklevel=5)
    return float(generator.validation_split)


class Iterator:
    """Batches without end through ``next``, and an epoch's batches by number.

    A subclass defines ``_get_batches_of_transformed_samples(index_array)``.

    Args:
        n: number of samples.
        batch_size: samples per batch.
        shuffle: in a new order each epoch.
        seed: of NumPy's global generator, to which the number of batches so far is added before each.
        workers, use_multiprocessing, max_queue_size: accepted, as by PyDataset.

    Raises:
        ValueError: batch_size below 1.
    """

    white_list_formats = FORMATS
    data_format: str | None = None
    save_to_dir: Any = None
    save_prefix: str = ""
    save_format: str = "png"

    def __init__(
        self,
        n: int,
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        workers: int = 1,
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,
    ) -> None:
        if batch_size < 1:
            raise ValueError(explain(type(self).__name__, f"batch_size={batch_size}", "a whole number ≥ 1"))
        self.n, self.batch_size, self.shuffle, self.seed = n, batch_size, shuffle, seed
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size
        self.batch_index = 0
        self.total_batches_seen = 0
        self.lock = threading.RLock()
        self.index_array: Array | None = None

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(self.n / self.batch_size)

    def __getitem__(self, idx: int) -> Any:
        """Return a batch of the current epoch by its number.

        Raises:
            ValueError: a number beyond the epoch.
        """
        if not -len(self) <= idx < len(self):
            expected = f"a number below {len(self)}, the batches of an epoch"
            raise ValueError(explain(type(self).__name__, f"the index {idx}", expected))
        with self.lock:
            self._seed()
            self.total_batches_seen += 1
            if self.index_array is None:
                self._set_index_array()
            return self._batch(idx % len(self))

    def __iter__(self) -> "Iterator":
        return self

    def __next__(self) -> Any:
        with self.lock:
            self._seed()
            if self.batch_index == 0 or self.index_array is None:
                self._set_index_array()
            index = self.batch_index
            self.batch_index = (index + 1) % max(len(self), 1)
            self.total_batches_seen += 1
            return self._batch(index)

    next = __next__

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        self._set_index_array()

    def reset(self) -> None:
        """Let ``next`` begin an epoch."""
        self.batch_index = 0

    def _seed(self) -> None:
        if self.seed is not None:
            np.random.seed(self.seed + self.total_batches_seen)

    def _set_index_array(self) -> None:
        self.index_array = np.random.permutation(self.n) if self.shuffle else np.arange(self.n)

    def _batch(self, number: int) -> Any:
        order: Any = self.index_array
        return self._get_batches_of_transformed_samples(
            order[self.batch_size * number : self.batch_size * (number + 1)]
        )

    def _get_batches_of_transformed_samples(self, index_array: Array) -> Any:
        raise NotImplementedError(
            explain(type(self).__name__, "a batch to make", "a method _get_batches_of_transformed_samples")
        )

    def _save(self, batch: Array, index_array: Array, most: int) -> None:
        """Write a batch's images to ``save_to_dir``, with a random number below ``most`` in their names."""
        if not self.save_to_dir:
            return
        for image, index in zip(batch, index_array, strict=True):
            name = f"{self.save_prefix}_{index}_{np.random.randint(most)}.{self.save_format}"
            array_to_img(image, self.data_format, scale=True).save(Path(self.save_to_dir) / name)


class NumpyArrayIterator(Iterator):
    """Batches of images in memory: x, (x, y) or (x, y, sample_weight).

    Args:
        x: images, of rank 4; or (images, more) with an array or a list of arrays that go along unchanged.
        y: labels, or None.
        image_data_generator: changes the images.
        sample_weight: a weight per image.
        save_to_dir, save_prefix, save_format: where to save the changed images, to look at.
        subset: "training" or "validation"; the first images are for validation.
        ignore_class_split: allow classes that only one of the two has.

    Raises:
        ValueError: arrays of different lengths, images of another rank, or classes in only one of the subsets.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: Any,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        ignore_class_split: bool = False,
        dtype: Any = None,
    ) -> None:
        self.image_data_generator = image_data_generator
        self.data_format = config.standardize_data_format(data_format)
        self.dtype = dtype or config.floatx()
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format
        x, more = _inputs(x)
        parts = {"x": x, "y": y, "sample_weight": sample_weight, **{f"x[1][{k}]": v for k, v in enumerate(more)}}
        arrays = {name: np.asarray(part) for name, part in parts.items() if part is not None}
        if len({array.shape[:1] for array in arrays.values()}) > 1:
            sizes = ", ".join(f"{name}: {len(array) if array.ndim else array}" for name, array in arrays.items())
            raise ValueError(explain("flow", f"arrays of different lengths ({sizes})", "one entry per image in each"))
        share = check_subset(subset, image_data_generator)
        if share is not None:
            arrays = _subset(arrays, int(len(arrays["x"]) * share), subset == "validation", ignore_class_split)
        self.x = arrays.pop("x").astype(self.dtype, copy=False)
        self.y, self.sample_weight = arrays.pop("y", None), arrays.pop("sample_weight", None)
        self.x_misc = [*arrays.values()]
        if self.x.ndim != 4:
            remedy = "Add an axis for the channels: x[..., None]." if self.x.ndim == 3 else ""
            raise ValueError(explain("flow", f"x of shape {self.x.shape}", "images, of rank 4", remedy))
        check_channels("flow", self.x.shape, 3 if self.data_format == "channels_last" else 1)
        super().__init__(len(self.x), batch_size, shuffle, seed)

    def _get_batches_of_transformed_samples(self, index_array: Array) -> Any:
        reads = [lambda j=j: self.x[j].copy() for j in index_array]
        batch = np.zeros((len(index_array), *self.x.shape[1:]), self.dtype)
        for k, image in enumerate(augment(self.image_data_generator, reads, self.x.shape[1:])):
            batch[k] = image
        self._save(batch, index_array, 10**4)
        x = [batch, *(part[index_array] for part in self.x_misc)] if self.x_misc else batch
        if self.y is None:
            return x
        weight = () if self.sample_weight is None else (self.sample_weight[index_array],)
        return (x, self.y[index_array], *weight)


def _inputs(x: Any) -> tuple[Any, list[Any]]:
    """Split (images, other inputs); a list may hold one array or several as its second part."""
    if not isinstance(x, (tuple, list)):
        return x, []
    return x[0], x[1] if isinstance(x[1], list) else [x[1]]


def _subset(arrays: dict[str, Array], border: int, is_validation: bool, ignore_classes: bool) -> dict[str, Array]:
    y = arrays.get("y")
    if y is not None and not ignore_classes and not np.array_equal(np.unique(y[:border]), np.unique(y[border:])):
        remedy = "Shuffle x and y, which seem sorted by class, or pass ignore_class_split=True."
        raise ValueError(explain("flow, argument 'subset'", "classes that one subset lacks", "all in both", remedy))
    return {name: array[:border] if is_validation else array[border:] for name, array in arrays.items()}
