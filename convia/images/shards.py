"""Data sets of images in tar archives ("shards"): streamed, mixed, divided among the processes of a training.

The archives are dealt to lanes, from which samples are taken in turn. In a training shared by processes each process
reads and decodes the samples of its own lanes, and sends them to the others; so the batches are the same whatever the
number of processes, and every sample is read once.
"""

import io
import random
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from warnings import warn

import numpy as np
import numpy.typing as npt
import torch

from convia import config, distributed
from convia.errors import explain, nearest
from convia.images.archives import DAMAGED, Sample, expand, samples
from convia.images.files import UNREADABLE, load_img
from convia.images.resizing import check_interpolation, resize
from convia.pipeline import UNKNOWN, Dataset, made_of

_WHO = "image_dataset_from_shards"
_LANES, _THREADS, _NAMED = 16, 4, 10
_CHOICES: dict[str, tuple[Any, ...]] = {
    "label_mode": ("int", "categorical", "binary", None),
    "color_mode": ("rgb", "rgba", "grayscale"),
    "on_error": ("skip", "raise"),
}
Pixels = npt.NDArray[np.float32]
Row = tuple[str, Pixels, int]  # name, (H, W, C), class


@dataclass
class _Lane:
    """Samples of some archives, mixed within a buffer."""

    raw: Iterator[Sample]
    flaws: dict[str, str] = field(default_factory=dict)


class ShardDataset(Dataset):
    """Batches of images in tar archives; see :func:`image_dataset_from_shards`.

    Attributes:
        shards: the names of the archives.
        unreadable: what could not be read so far, by name, with the reasons: samples, and archives from there on.
    """

    def __init__(
        self, shards: list[str], *, label_mode: str | None, class_names: Sequence[str] | None, color_mode: str,
        batch_size: int, image_size: tuple[int, int], shuffle: int, seed: int | None, interpolation: str, on_error: str,
    ) -> None:  # fmt: skip
        super().__init__(self._batches, UNKNOWN, class_names)
        self.divides = True
        self.shards, self.batch_size, self.on_error = shards, batch_size, on_error
        self.unreadable: dict[str, str] = {}
        self._label_mode, self._shuffle, self._seed = label_mode, shuffle, seed
        self._pixels = color_mode, image_size, interpolation

    def _batches(self) -> Iterator[Any]:
        """Begin a pass; its order is drawn at once from NumPy's generator, so it comes again where that is put back."""
        drawn = int(np.random.randint(2**31)) if self._shuffle else 0
        if not distributed.is_together():
            return self._pass(random.Random(f"{self._seed} {drawn}"), 1, 0)
        drawn = distributed.gather(drawn)[0]
        return self._pass(random.Random(f"{self._seed} {drawn}"), distributed.size(), distributed.rank())

    def _pass(self, chance: random.Random, readers: int, own: int) -> Iterator[Any]:
        """Yield batches, as one of so many processes that read; the others read the other lanes."""
        names = chance.sample(self.shards, len(self.shards)) if self._shuffle else self.shards
        count = min(_LANES, len(names))
        seeds = [chance.random() for _ in range(count)]
        lanes = [_Lane(iter(())) for _ in range(count)]
        for number, lane in enumerate(lanes):
            if number % readers == own:
                lane.raw = self._mixed(names[number::count], lane, random.Random(seeds[number]))
        known, steps = len(self.unreadable), 0
        try:
            for rows in self._full(lanes, readers, own):
                steps += 1
                yield self._batch(rows)
            if not steps:
                remedy = next(iter(self.unreadable.values()), "")
                raise OSError(
                    explain(_WHO, f"{len(names)} archives without a sample that can be read", "images", remedy)
                )
            self._size = steps
        finally:
            if len(self.unreadable) > known:
                self._report()

    def _mixed(self, names: Sequence[str], lane: _Lane, chance: random.Random) -> Iterator[Sample]:
        """Yield the samples of some archives, each drawn from a buffer where they are to be mixed."""
        buffer: list[Sample] = []
        size = self._shuffle // min(_LANES, len(self.shards))
        for sample in self._streamed(names, lane):
            buffer.append(sample)
            if len(buffer) > size:
                place = chance.randrange(len(buffer))
                buffer[place], buffer[-1] = buffer[-1], buffer[place]
                yield buffer.pop()
        chance.shuffle(buffer)
        yield from buffer

    def _streamed(self, names: Sequence[str], lane: _Lane) -> Iterator[Sample]:
        for name in names:
            try:
                yield from samples(name)
            except DAMAGED as error:
                if self.on_error == "raise":
                    raise
                lane.flaws[name] = str(error) or type(error).__name__

    def _full(self, lanes: list[_Lane], readers: int, own: int) -> Iterator[list[Row]]:
        """Yield full batches, and what is left at the end, of samples taken from the lanes in turn."""
        alive, ready = deque(range(len(lanes))), deque[Row]()
        with ThreadPoolExecutor(_THREADS) as pool:
            while alive or ready:
                if alive and (wanted := self.batch_size - len(ready)) > 0:
                    turns = [alive[place % len(alive)] for place in range(wanted)]
                    here = [lane for lane in dict.fromkeys(turns) if lane % readers == own]
                    taken = {number: self._take(lanes[number], turns.count(number), pool) for number in here}
                    flaws = {name: why for number in taken for name, why in lanes[number].flaws.items()}
                    found: dict[int, list[Row]] = {}
                    for part, told in distributed.gather((taken, flaws)) if readers > 1 else [(taken, flaws)]:
                        found |= part
                        self.unreadable |= told
                    ended = {number for number in found if len(found[number]) < turns.count(number)}
                    ready += _in_turn(turns, found)
                    alive.rotate(-(wanted % len(alive)))
                    alive = deque(number for number in alive if number not in ended)
                    continue
                yield [ready.popleft() for _ in range(min(self.batch_size, len(ready)))]

    def _take(self, lane: _Lane, count: int, pool: ThreadPoolExecutor) -> list[Row]:
        """Read so many samples of a lane that can be read, fewer at its end."""
        rows: list[Row] = []
        while len(rows) < count:
            some = [sample for _, sample in zip(range(count - len(rows)), lane.raw, strict=False)]
            if not some:
                break
            for sample, result in zip(some, pool.map(self._read, some), strict=True):
                if isinstance(result, str):
                    lane.flaws[sample.name] = result
                else:
                    rows.append((sample.name, *result))
        return rows

    def _read(self, sample: Sample) -> tuple[Pixels, int] | str:
        """Return the pixels and the class of a sample, or why they cannot be read."""
        color_mode, size, interpolation = self._pixels
        try:
            label = self._class(sample)
            pixels = np.asarray(load_img(io.BytesIO(sample.image), color_mode))
            return resize(pixels.reshape(*pixels.shape[:2], -1), size, interpolation), label
        except (*UNREADABLE, ValueError) as error:
            if self.on_error == "raise":
                raise OSError(explain(_WHO, f"{sample.name} ({error})", "an image with its class")) from error
            return str(error)

    def _class(self, sample: Sample) -> int:
        """Return the number of a sample's class.

        Raises:
            ValueError: there is none, or it is none of the classes.
        """
        if sample.flaw:
            raise ValueError(sample.flaw)
        label, names = sample.label, self.class_names
        if self._label_mode is None:
            return -1
        if label is None:
            raise ValueError("no label")
        if isinstance(label, int) and (names is None or 0 <= label < len(names)):
            return label
        if names is None or str(label) not in names:
            raise ValueError(f"the label {label!r}: {nearest(str(label), names) if names else 'give class_names'}")
        return names.index(str(label))

    def _batch(self, rows: list[Row]) -> Any:
        x = torch.from_numpy(np.stack([pixels for _, pixels, _ in rows]))
        if config.image_data_format() == "channels_first":
            x = x.permute(0, 3, 1, 2)
        labels, files = torch.tensor([label for *_, label in rows]), [name for name, *_ in rows]
        if self._label_mode is None:
            return made_of(x, files)
        if self._label_mode == "categorical":
            return made_of((x, torch.nn.functional.one_hot(labels, len(self.class_names or ())).float()), files)
        return made_of((x, labels.int() if self._label_mode == "int" else labels.float()[:, None]), files)

    def _report(self) -> None:
        names = [*self.unreadable]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        received = f"{len(names)} that cannot be read ({', '.join(names[:_NAMED])}{more})"
        remedy = "They were left out; the data set's 'unreadable' has the reasons."
        warn(explain("ShardDataset", received, "samples with an image and a label", remedy), stacklevel=3)


def _in_turn(turns: Sequence[int], found: dict[int, list[Row]]) -> Iterator[Row]:
    """Yield the lanes' rows in the order of the turns; a lane that has ended is passed over."""
    rows = {number: iter(part) for number, part in found.items()}
    for number in turns:
        if (row := next(rows[number], None)) is not None:
            yield row


def image_dataset_from_shards(
    shards: str | Sequence[str],
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int = 32,
    image_size: int | tuple[int, int] = (256, 256),
    shuffle: bool | int = True,
    seed: int | None = None,
    interpolation: str = "bilinear",
    on_error: str = "skip",
) -> ShardDataset:
    """Make a data set of the images in tar archives, in which the files of a sample have one name up to the first dot.

    Nothing is extracted, and no more than some batches and the buffer is in memory. In a training shared by processes
    each reads its own archives.

    Args:
        shards: names or addresses of archives, or patterns of them: ``data/{000..009}.tar``, ``s3://bucket/{0..9}.tar``
            (any address that fsspec knows, with the extra "remote"), ``data/*.tar``.
        label_mode: "int" (int32, (N,)), "binary" (float32, (N, 1)), "categorical" (float32, (N, classes)), or None.
            Labels are in ``.cls`` or ``.txt`` files, or in ``.json`` files as "label", "cls" or "class".
        class_names: the names of classes; needed where labels are names, or categorical.
        color_mode: "rgb", "rgba" or "grayscale".
        batch_size: images per batch; in a training shared by processes, of all together.
        image_size: (height, width) that all images are resized to.
        shuffle: mix the order of archives, and the samples within a buffer: of 1024, or of so many.
        seed: decides the order, together with NumPy's generator (``set_random_seed``), from which each pass draws.
        interpolation: how to resize: one of :data:`convia.images.resizing.INTERPOLATIONS`.
        on_error: "skip" what cannot be read, counted and named at the end of the pass; or "raise".

    Returns:
        A :class:`ShardDataset` of float32 images (N, H, W, C) of values 0…255; its length is known after a pass.

    Raises:
        ValueError: arguments that do not fit together.
        FileNotFoundError: no archive.
        OSError: while it is gone through: no sample can be read.
    """
    for name, value in {"label_mode": label_mode, "color_mode": color_mode, "on_error": on_error}.items():
        if value not in _CHOICES[name]:
            raise ValueError(explain(f"{_WHO}, argument {name!r}", repr(value), f"one of {list(_CHOICES[name])}"))
    if label_mode == "categorical" and class_names is None:
        raise ValueError(explain(f"{_WHO}, label_mode='categorical'", "no class_names", "the names of the classes"))
    if batch_size < 1:
        raise ValueError(explain(f"{_WHO}, argument 'batch_size'", batch_size, "a whole number ≥ 1"))
    check_interpolation(_WHO, interpolation)
    size = (image_size, image_size) if isinstance(image_size, int) else (int(image_size[0]), int(image_size[1]))
    buffer = 1024 if shuffle is True else int(shuffle)
    return ShardDataset(
        expand(shards), label_mode=label_mode, class_names=class_names, color_mode=color_mode, batch_size=batch_size,
        image_size=size, shuffle=buffer, seed=seed, interpolation=interpolation, on_error=on_error,
    )  # fmt: skip
