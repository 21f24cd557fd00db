"""Endless batches of images, as ImageDataGenerator's ``flow`` methods make them; those of arrays.

An iterator is also a sequence of an epoch's batches, which is how ``fit`` reads it.
"""

import math
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convia import config
from convia.errors import explain, nearest
from convia.images.ahead import Ahead, Batch, DeviceBatch, is_light
from convia.images.device import check as check_device
from convia.images.effects import Mixture
from convia.images.files import array_to_img

Array = npt.NDArray[Any]
FORMATS = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")
AHEAD = 2  # batches that are made in the background


def check_channels(who: str, shape: Sequence[int], axis: int) -> None:
    """Warn of images (a batch) whose channels are neither 1, 3 nor 4."""
    if shape[axis] not in (1, 3, 4):
        received = f"{shape[axis]} channels on axis {axis} of {tuple(shape)}"
        warnings.warn(explain(who, received, "1, 3 or 4", "Is data_format the right one?"), stacklevel=4)


def check_mixing(who: str, fits: bool, received: str, remedy: str) -> None:
    """Raise ValueError where mixup or cutmix meet labels that cannot be mixed."""
    if not fits:
        expected = "one-hot labels, or numbers such as 0.0 and 1.0"
        raise ValueError(explain(f"{who}, with mixup or cutmix", received, expected, f"Use {remedy}."))


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

    Attributes:
        kept: what BackupAndRestore keeps of it.

    Raises:
        ValueError: batch_size below 1.
    """

    white_list_formats = FORMATS
    kept: tuple[str, ...] = ("index_array", "batch_index", "total_batches_seen")
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
            return self._deliver(idx % len(self))

    def __iter__(self) -> "Iterator":
        return self

    def __next__(self) -> Any:
        with self.lock:
            return self._deliver(None)

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

    def _chosen(self, request: int | None) -> Array:
        """Go on to a batch of the epoch, or to the next for None; return the numbers of its samples."""
        self._seed()
        if self.index_array is None or (request is None and self.batch_index == 0):
            self._set_index_array()
        number = self.batch_index if request is None else request
        if request is None:
            self.batch_index = (number + 1) % max(len(self), 1)
        self.total_batches_seen += 1
        order: Any = self.index_array
        chosen: Array = order[self.batch_size * number : self.batch_size * (number + 1)]
        return chosen

    def _deliver(self, request: int | None) -> Any:
        return self._get_batches_of_transformed_samples(self._chosen(request))

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


class ImagesIterator(Iterator):
    """Batches of images that threads make, some of them before they are asked for.

    A subclass defines ``_begin`` and ``_finish``.
    """

    image_data_generator: Any
    prefetch: int = AHEAD
    device: Any = None
    dtype: Any
    _ahead: Ahead | None = None
    _is_light = False
    _divides = False  # whether processes that share a training make each a part of every batch

    def _begin(self, index_array: Array) -> Batch:
        """Draw what is left to chance, and let threads make the images."""
        raise NotImplementedError

    def _finish(self, batch: Batch) -> Any:
        """Wait for the images, and put what else belongs to the batch beside them."""
        raise NotImplementedError

    def _batch(self, order: Array, read: Any, shape: tuple[int, ...], dtype: Any, stored: Any) -> Batch:
        """Begin a batch of images that are ``stored`` as one type and changed as another."""
        generator = self.image_data_generator
        if self.device is None:
            return Batch(generator, order, read, shape, dtype, self._divides)
        return DeviceBatch(generator, order, read, shape, stored, where=self.device, made=self.dtype)

    def _mixture(self, count: int) -> Mixture | None:
        mixes = getattr(self.image_data_generator, "mixes", False)
        return self.image_data_generator.mixture(count) if mixes else None

    def _get_batches_of_transformed_samples(self, index_array: Array) -> Any:
        return self._finish(self._begin(index_array))

    def _deliver(self, request: int | None) -> Any:
        if not self._looks_ahead:
            return super()._deliver(request)
        if self._ahead is None:
            begin = lambda request: self._begin(self._chosen(request))  # noqa: E731
            self._ahead = Ahead(begin, self._state, self._restore, self._following)
        return self._finish(self._ahead.take(request, self.prefetch))

    @property
    def _looks_ahead(self) -> bool:
        """Whether batches may be made ahead: not where a user's functions would be called too early."""
        generator = self.image_data_generator
        own = ("_get_batches_of_transformed_samples", "_set_index_array", "_begin", "_finish")
        known = all(getattr(type(self), name).__module__.startswith("convia.") for name in own)
        harmless = generator is None or getattr(generator, "draws_ahead", False)
        return bool(self.prefetch > 0 and self.n and known and harmless and not (self.save_to_dir or self._is_light))

    def _following(self, request: int | None) -> Any:
        if request is None:
            return None
        return request + 1 if request + 1 < len(self) else ()  # an epoch's end draws a new order

    def _state(self) -> Any:
        """Return what a batch depends on, and what else a batch changes."""
        generator, chance = self.image_data_generator, np.random.get_state()
        settings = () if generator is None else tuple(vars(generator).values())
        own = (self.seed, self.n, self.batch_size, self.shuffle, self.batch_index, self.total_batches_seen)
        return (own, settings, self.index_array, tuple(chance) if self.seed is None else ()), chance

    def _restore(self, state: Any) -> None:
        (own, _, self.index_array, _), chance = state
        self.batch_index, self.total_batches_seen = own[-2:]
        np.random.set_state(chance)

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        super().on_epoch_end()
        if self._ahead is not None and self._looks_ahead and self.batch_index == 0:
            with self.lock:
                self._ahead.drop()
                self._ahead.prepare(-1, self.prefetch)


class NumpyArrayIterator(ImagesIterator):
    """Batches of images in memory: x, (x, y) or (x, y, sample_weight).

    Args:
        x: images, of rank 4; or (images, more) with an array or a list of arrays that go along unchanged.
        y: labels, or None.
        image_data_generator: changes the images.
        sample_weight: a weight per image.
        save_to_dir, save_prefix, save_format: where to save the changed images, to look at.
        subset: "training" or "validation"; the first images are for validation.
        ignore_class_split: allow classes that only one of the two has.
        prefetch: batches that are made in the background; they are the same without.
        device: where images are changed: None for the processor's threads; "cuda" or the like for torch on a device,
            to which they are copied as they are, and where batches then are, as tensors.

    Raises:
        ValueError: arrays of different lengths, images of another rank, classes in only one of the subsets, or changes
            that need the processor.
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
        *,
        prefetch: int = AHEAD,
        device: Any = None,
    ) -> None:
        self.image_data_generator, self.prefetch, self.device = image_data_generator, prefetch, device
        if device is not None:
            check_device("flow", image_data_generator)
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
        if getattr(image_data_generator, "mixes", False):
            kinds = (
                None
                if self.y is None
                else (self.y.dtype.kind in "fiub" and (self.y.ndim > 1 or self.y.dtype.kind == "f"))
            )
            check_mixing("flow", bool(kinds), "labels that are class numbers, or none", "keras.utils.to_categorical(y)")
        self._is_light = is_light(batch_size, self.x.shape[1:])
        super().__init__(len(self.x), batch_size, shuffle, seed)

    def _begin(self, index_array: Array) -> Batch:
        batch = self._batch(index_array, self.x, self.x.shape[1:], self.dtype, self.x.dtype)
        batch.mixture = self._mixture(len(index_array))
        return batch

    def _finish(self, batch: Batch) -> Any:
        used, order = batch.wait(), batch.order
        pixels = batch.pixels
        y = None if self.y is None else self.y[order]
        weight = None if self.sample_weight is None else self.sample_weight[order]
        if batch.mixture is not None:
            partners, last = batch.mixture.among(used), self.data_format == "channels_last"
            pixels, (y, weight) = batch.mixture.apply(pixels, (y, weight), partners, last)
        self._save(pixels, order, 10**4)
        x = [pixels, *(part[order] for part in self.x_misc)] if self.x_misc else pixels
        if y is None:
            return x
        return (x, y) if weight is None else (x, y, weight)


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
