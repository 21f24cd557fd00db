"""What the frozen first part of a network makes of each sample, computed once and kept for all epochs of a ``fit``.

Numbers are those of a ``fit`` that keeps nothing: the frozen part always sees batches of one size, because kernels may
round differently by size, and the first batch that is answered from the cache is computed once more and compared.
Samples are told apart by their place in arrays or in a folder, and where they only pass by, as in pipelines, by a hash
of what they are.
"""

import hashlib
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import config, distributed, tree
from convia.errors import explain
from convia.images import Iterator as Flow
from convia.training.data import ArrayBatches, Batch, Batches, IterableBatches, as_tensors, class_weights, unpack
from convia.training.frozen import Split, split

_SPARE = 2  # the cache takes no more than this part of a disk's free space


@dataclass(frozen=True)
class FeatureCache:
    """How ``fit`` keeps the features of samples; for a model's attribute ``cache_features``.

    Args:
        views: how many randomly changed views of a sample to keep, where its images are changed at random; epoch
            by epoch they take turns. 0 keeps nothing of such images.
        memory: bytes up to which features are kept in memory; more are kept in a temporary file.
        folder: where that file is; the system's folder for such files by default.

    Raises:
        ValueError: a negative number.
    """

    views: int = 0
    memory: int = 2**30
    folder: Any = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("views", "memory"):
            if getattr(self, name) < 0:
                raise ValueError(explain(f"FeatureCache, argument {name!r}", getattr(self, name), "a number ≥ 0"))


class Features:
    """A batch of features in the place of a batch of inputs; a model that is called on it computes only the rest."""

    def __init__(self, values: list[Tensor], parts: Split) -> None:
        self.values, self._parts = values, parts

    def finish(self) -> Any:
        """Compute the outputs of the model."""
        return self._parts.finish(self.values)


class _Store:
    """Features by view and number of the sample."""

    def __init__(self, count: int, views: int, like: list[Tensor], settings: FeatureCache) -> None:
        self.known = torch.zeros(views, count, dtype=torch.bool)
        self.size = sum(views * count * value[:1].numel() * value.element_size() for value in like)
        in_memory = self.size <= settings.memory
        folder = Path(settings.folder or tempfile.gettempdir())
        self.fits = in_memory or self.size * _SPARE <= shutil.disk_usage(folder).free
        self.place = "in memory" if in_memory else "on disk"
        if self.fits:
            shapes = [(views, count, *value.shape[1:]) for value in like]
            self._rows = [
                torch.empty(shape, dtype=value.dtype, device=value.device)
                if in_memory
                else _mapped(shape, value, folder)
                for shape, value in zip(shapes, like, strict=True)
            ]

    def put(self, view: int, numbers: Tensor, values: list[Tensor]) -> None:
        """Keep the features of some samples."""
        for rows, value in zip(self._rows, values, strict=True):
            rows[view].index_copy_(0, numbers.to(rows.device), value.to(rows.device))
        self.known[view, numbers] = True

    def get(self, view: int, numbers: Tensor) -> list[Tensor]:
        """Return the features of some samples."""
        device = config.device()
        return [rows[view].index_select(0, numbers.to(rows.device)).to(device) for rows in self._rows]


def _mapped(shape: tuple[int, ...], like: Tensor, folder: Path) -> Tensor:
    """Return a tensor whose memory is a temporary file that goes away with it."""
    size = math.prod(shape) * like.element_size()
    with tempfile.TemporaryFile(dir=folder, prefix="convia-features-") as file:
        file.truncate(size)
        memory = np.memmap(file, np.uint8, "r+", shape=(size,))
    return torch.from_numpy(memory).view(like.dtype).view(shape)


# -- batches ----------------------------------------------------------------------------------------------------------

_Numbered = tuple[Tensor | None, Callable[[], Batch], Callable[[], Any]]  # samples, the batch, what else it draws


class FeatureBatches(Batches):
    """Batches of features instead of inputs, each computed or remembered.

    Attributes:
        note: what is kept, for the progress line.
    """

    note = ""

    def __init__(
        self, model: Any, source: Batches, parts: Split, settings: FeatureCache | None, training: bool
    ) -> None:
        self.steps, self.samples, self._training = source.steps, source.samples, training
        self._model, self._source, self._parts, self._settings = model, source, parts, settings
        size = getattr(source, "batch_size", None) or getattr(_flow(source), "batch_size", None)
        self._size = size and min(size, self.samples or size)
        self._store: _Store | None = None
        self._labels: dict[int, Any] = {}
        self._contents: dict[bytes, int] = {}
        self._epochs, self._is_proven = 0, False

    def epoch(self) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        if not self._parts.is_in_place:
            self._renew()
        view = self._epochs % max(1, self._settings.views if self._settings else 0)
        self._epochs += 1
        for numbers, read, skip in self._numbered():
            if not self._parts.is_valid:  # callbacks may have changed weights
                self._renew()
            if numbers is not None and self._store is not None and bool(self._store.known[view, numbers].all()):
                batch = self._remembered(view, numbers, read, skip)
            else:
                batch = self._computed(view, numbers, read())
            yield batch

    @property
    def sources(self) -> Sequence[Any]:
        return self._source.sources

    def names(self, number: int) -> Sequence[str]:
        """Return what the source says."""
        return self._source.names(number)

    def _renew(self) -> None:
        """Begin anew after weights, or what is frozen, have changed."""
        again = split(self._model, self._parts.is_random)
        self._store, self._is_proven, self.note = None, False, ""
        self._parts = again or self._parts

    def _computed(self, view: int, numbers: Tensor | None, batch: Batch) -> Batch:
        x, y, weight = batch
        values = self._features(x)
        if self._settings is not None and numbers is not None and len(values[0]) == len(numbers):
            self._keep(view, numbers, values)
            if self._store is not None and _flow(self._source) is not None:
                self._labels.update(zip(numbers.tolist(), _rows((y, weight), len(numbers)), strict=True))
        return Features(values, self._parts), y, weight

    def _features(self, x: Any) -> list[Tensor]:
        """Compute features in a batch of the usual size, whose last samples are repeated where there are too few."""
        count = len(tree.flatten(x)[0])
        self._size = self._size or count
        missing = self._size - count
        if missing > 0:
            x = tree.map_structure(lambda leaf: torch.cat([leaf, leaf[-1:].expand(missing, *leaf.shape[1:])]), x)
        values = self._parts.features(x, self._training)
        return [value[:count] for value in values] if missing > 0 else values

    def _keep(self, view: int, numbers: Tensor, values: list[Tensor]) -> None:
        settings = self._settings
        if self._store is None and settings is not None:
            count = int(getattr(_flow(self._source), "n", 0) or 0) or self._most
            store = _Store(count, max(1, settings.views), values, settings)
            if not store.fits:
                self._settings, self.note = None, f"features not kept: {_bytes(store.size)} are more than the disk has"
                return
            self._store = store
        if self._store is not None:
            self._store.put(view, numbers, values)

    def _remembered(self, view: int, numbers: Tensor, read: Callable[[], Batch], skip: Callable[[], Any]) -> Batch:
        assert self._store is not None
        values = self._store.get(view, numbers)
        is_flow, drawn = _flow(self._source) is not None, bool(self._settings and self._settings.views)
        if not self._is_proven and not drawn:
            batch = read()
            again = self._features(batch[0])
            self._is_proven = all(torch.equal(a, b) for a, b in zip(values, again, strict=True))
            if not self._is_proven:  # these kernels round differently by the place in the batch
                self._settings, self._store, self.note = None, None, "features not kept: they differ by batch"
            return Features(again, self._parts), batch[1], batch[2]
        skip()
        size, count = _bytes(self._store.size), int(self._store.known.any(0).sum())
        self.note = f"features of {count} images kept {self._store.place} ({size})"
        y, weight = _stacked([self._labels[k] for k in numbers.tolist()]) if is_flow else read()[1:]
        return Features(values, self._parts), y, weight

    def _numbered(self) -> Iterator[_Numbered]:
        """Yield each batch of the source with the numbers of its samples, where they are known, and unread."""
        flow = _flow(self._source)
        if isinstance(self._source, ArrayBatches):
            yield from _of_arrays(self._source)
        elif flow is not None and self._settings is not None:
            yield from _of_flow(flow, self._source)
        else:
            for batch in self._source.epoch():
                yield self._by_content(batch[0]), lambda batch=batch: batch, lambda: None  # type: ignore[misc]

    @property
    def _most(self) -> int:
        """How many samples there can be."""
        return self.samples or (self.steps or 0) * (self._size or 0)

    def _by_content(self, x: Any) -> Tensor | None:
        """Number samples by what they are; None, and nothing is kept, once there are more than an epoch has."""
        digests = _digests(x) if self._settings is not None else None
        if digests is None:
            return None
        self._size = self._size or len(digests)
        numbers = [self._contents.setdefault(digest, len(self._contents)) for digest in digests]
        if len(self._contents) <= self._most:
            return torch.tensor(numbers)
        self._settings, self._store, self._contents = None, None, {}
        self.note = "features not kept: the images change"
        return None


def _of_arrays(source: ArrayBatches) -> Iterator[_Numbered]:
    count, size = source.samples or 0, source.batch_size
    order = source._order(count)
    order = torch.arange(count) if order is None else order
    for start in range(0, count, size):
        numbers = order[start : start + size]

        def read(numbers: Tensor = numbers) -> Batch:
            taken = tree.map_structure(lambda leaf: source._taken(leaf, numbers), source._tree)
            return taken[0], taken[1], taken[2]

        yield numbers.cpu(), read, lambda: None


def _of_flow(flow: Any, source: Any) -> Iterator[_Numbered]:
    device = config.device()
    length = len(flow)
    for step in range(source.steps or length):
        index = step % length
        ahead = flow[index] if flow.index_array is None else None  # which draws the order first
        numbers = torch.as_tensor(flow.index_array[flow.batch_size * index : flow.batch_size * (index + 1)])

        def read(index: int = index, ahead: Any = ahead) -> Batch:
            x, y, weight = (as_tensors(part, device) for part in unpack(flow[index] if ahead is None else ahead))
            return x, y, class_weights(y, source._class_weight, weight) if source._class_weight else weight

        yield numbers, read, lambda numbers=numbers: _skip(flow, len(numbers))  # type: ignore[misc]
    flow.on_epoch_end()


def _skip(flow: Any, count: int) -> None:
    """Draw the random numbers that the images of a batch would have drawn, so that later ones are the same."""
    with flow.lock:
        flow._seed()
        flow.total_batches_seen += 1
        shape = flow.x.shape[1:] if hasattr(flow, "x") else flow.image_shape
        if flow.image_data_generator is not None:
            for _ in range(count):
                flow.image_data_generator.get_random_transform(shape)


def _digests(x: Any) -> list[bytes] | None:
    """Return a hash of each sample; None of what is no tensor."""
    leaves = tree.flatten(x)
    if not all(isinstance(leaf, Tensor) and leaf.numel() for leaf in leaves):
        return None
    parts = [leaf.detach().cpu().reshape(len(leaf), -1).contiguous().view(torch.uint8).numpy() for leaf in leaves]
    return [hashlib.blake2b(b"".join(map(bytes, rows)), digest_size=16).digest() for rows in zip(*parts, strict=True)]


def _flow(source: Batches) -> Any:
    """Return the flow of images behind batches, if it says which images are in a batch."""
    if not isinstance(source, IterableBatches) or not isinstance(source._source, Flow):
        return None
    flow = source._source
    return flow if type(flow).__module__.startswith("convia.images") and not flow.save_to_dir else None


def _repeats(source: Batches) -> bool:
    """Whether a sample is the same in each epoch."""
    flow = _flow(source)
    generator = getattr(flow, "image_data_generator", None)
    harmless = generator is None or (not generator.augments and generator.draws_ahead)
    return isinstance(source, ArrayBatches) or (flow is not None and harmless)


def _rows(parts: Any, count: int) -> list[Any]:
    return [tree.map_structure(lambda leaf, k=k: None if leaf is None else leaf[k], parts) for k in range(count)]


def _stacked(rows: list[Any]) -> Any:
    return tree.map_structure(lambda *leaves: None if leaves[0] is None else torch.stack(leaves), *rows)


def _bytes(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GB"


# -- for fit ----------------------------------------------------------------------------------------------------------


def prepare(model: Any, batches: Batches, validation: Batches | None) -> tuple[Batches, Batches | None]:
    """Return batches of features for a model whose first part is frozen; else those that were given."""
    chosen = getattr(model, "cache_features", True)
    settings = chosen if isinstance(chosen, FeatureCache) else FeatureCache() if chosen else None
    parts = split(model, by_chance=bool(settings and settings.views)) if distributed.size() < 2 else None
    if parts is None:
        return batches, validation

    def wrapped(source: Batches, training: bool) -> Batches:
        by_content = not isinstance(source, ArrayBatches) and _flow(source) is None and source.steps is not None
        changes = training and (parts.is_random or not (_repeats(source) or by_content))
        views = settings.views if settings and changes else 0
        kept = (views or not changes) and (_repeats(source) or _flow(source) is not None or by_content)
        return FeatureBatches(
            model, source, parts, replace(settings, views=views) if settings and kept else None, training
        )

    return wrapped(batches, True), None if validation is None else wrapped(validation, False)


def announce(batches: Batches, hooks: Any) -> None:
    """Let the progress line, and whatever else has a ``note``, say what is kept."""
    for shown in hooks.callbacks:
        if hasattr(shown, "note"):
            shown.note = getattr(batches, "note", "")
