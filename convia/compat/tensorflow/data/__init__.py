"""``tf.data``: pipelines of elements."""

from types import SimpleNamespace
from typing import Any

from convia.compat.tensorflow import graphs
from convia.compat.tensorflow.data.dataset import Dataset, of_batches
from convia.compat.tensorflow.data.flow import DatasetIterator, Options
from convia.compat.tensorflow.data.pipeline import AUTOTUNE, INFINITE, UNKNOWN
from convia.compat.tensorflow.data.records import TextLineDataset, TFRecordDataset
from convia.compat.tensorflow.data.v1_iterators import GraphIterator, initializable, one_shot


def _with(transformation: str) -> Any:
    """The older form of a method: a function that ``dataset.apply`` takes."""
    return lambda *args, **kwargs: lambda dataset: getattr(dataset, transformation)(*args, **kwargs)


def _map_and_batch(
    map_func: Any,
    batch_size: Any,
    num_parallel_batches: Any = None,
    drop_remainder: bool = False,
    num_parallel_calls: Any = None,
) -> Any:
    return lambda dataset: dataset.map(map_func, num_parallel_calls).batch(batch_size, drop_remainder)


def _shuffle_and_repeat(buffer_size: Any, count: Any = None, seed: Any = None) -> Any:
    return lambda dataset: dataset.shuffle(buffer_size, seed).repeat(count)


def _assert_cardinality(expected_cardinality: Any) -> Any:
    return lambda dataset: dataset._same(dataset._start, int(expected_cardinality))


_ANY = SimpleNamespace
EXPERIMENTAL: dict[str, Any] = {
    "AUTOTUNE": AUTOTUNE,
    "AutoShardPolicy": _ANY(AUTO=0, FILE=1, DATA=2, HINT=3, OFF=-1),
    "Counter": Dataset.counter,
    "INFINITE_CARDINALITY": INFINITE,
    "RandomDataset": Dataset.random,
    "UNKNOWN_CARDINALITY": UNKNOWN,
    "assert_cardinality": _assert_cardinality,
    "cardinality": lambda dataset: dataset.cardinality(),
    "choose_from_datasets": Dataset.choose_from_datasets,
    "enumerate_dataset": _with("enumerate"),
    "ignore_errors": lambda log_warning=False: lambda dataset: dataset,
    "map_and_batch": _map_and_batch,
    "parallel_interleave": _with("interleave"),
    "prefetch_to_device": lambda device, buffer_size=None: lambda dataset: dataset,
    "sample_from_datasets": Dataset.sample_from_datasets,
    "shuffle_and_repeat": _shuffle_and_repeat,
    "take_while": _with("take_while"),
    "unbatch": _with("unbatch"),
    "unique": _with("unique"),
}
DATA: dict[str, Any] = {
    "AUTOTUNE": AUTOTUNE,
    "Dataset": Dataset,
    "INFINITE_CARDINALITY": INFINITE,
    "Iterator": GraphIterator,
    "NumpyIterator": DatasetIterator,
    "Options": Options,
    "TFRecordDataset": TFRecordDataset,
    "TextLineDataset": TextLineDataset,
    "ThreadingOptions": Options,
    "make_initializable_iterator": initializable,
    "make_one_shot_iterator": lambda dataset: one_shot(dataset) if graphs.in_use() else iter(dataset),
    "UNKNOWN_CARDINALITY": UNKNOWN,
}
__all__ = ["DATA", "EXPERIMENTAL", "Dataset", "of_batches"]
