"""Predictions that keep the names of their files."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convia.errors import explain

_HALF = 0.5  # from which probability on one output means the second class


class Row(NamedTuple):
    """What a model says of a file: its path, the likeliest class, and what the model's outputs are."""

    path: str
    class_name: str
    probabilities: npt.NDArray[Any]


def rows(model: Any, source: Any, class_names: Sequence[str] | None = None) -> list[Row]:
    """Predict the classes of the files of a folder, in the order of the listing; what cannot be read has no row.

    ::

        flow = ImageDataGenerator(rescale=1 / 255).flow_from_directory("photos", class_mode=None)
        for path, class_name, probabilities in rows(model, flow):
            print(path, class_name, probabilities.max())

    Args:
        model: one output: a probability per class, or a single one of the second of two classes.
        source: from ``flow_from_directory``, ``flow_from_dataframe`` or ``image_dataset_from_directory``; its shuffling
            does not matter.
        class_names: the classes by number; by default the source's, or where it has none "0", "1", ….

    Raises:
        TypeError: a source that does not know its files. ValueError: outputs that are no classes, or not these.
    """
    if not hasattr(source, "named_batches"):
        expected = "what flow_from_directory, flow_from_dataframe or image_dataset_from_directory returns"
        remedy = "What map, batch and the like return has no files: give what they were called on."
        raise TypeError(explain("rows, argument 'source'", type(source).__name__, expected, remedy))
    paths: list[str] = []

    def images() -> Iterator[Any]:
        for names, batch in source.named_batches():
            paths.extend(names)
            yield batch

    outputs = model.predict(images(), verbose=0)
    if not isinstance(outputs, np.ndarray) or outputs.ndim != 2:
        received = f"an output of shape {outputs.shape}" if hasattr(outputs, "shape") else "several outputs"
        raise ValueError(explain("rows, argument 'model'", received, "one output (N, classes)"))
    numbers = outputs.argmax(1) if outputs.shape[1] > 1 else (outputs[:, 0] > _HALF).astype(int)
    count = max(outputs.shape[1], 2)
    names = [*map(str, class_names or _names(source) or range(count))]
    if len(names) != count:
        received = f"{len(names)} class names for {count} classes of the model"
        raise ValueError(explain("rows, argument 'class_names'", received, "one name per class"))
    return [Row(path, names[number], output) for path, number, output in zip(paths, numbers, outputs, strict=True)]


def _names(source: Any) -> Sequence[str] | None:
    indices = getattr(source, "class_indices", None)
    return sorted(indices, key=indices.__getitem__) if indices else getattr(source, "class_names", None)
