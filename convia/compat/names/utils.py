"""``keras.utils`` and ``keras.preprocessing.image`` under older names and with older arguments."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import torch

from convia import config, registry, saving
from convia.callbacks import Progbar
from convia.compat.report import note
from convia.images import load_img as _load_img
from convia.models import Model
from convia.models.plot import plot_model
from convia.models.summary import print_summary
from convia.numerical import to_categorical as _to_categorical
from convia.training.data import PyDataset

Sequence = PyDataset


def load_img(path: Any, grayscale: bool = False, color_mode: str = "rgb", target_size: Any = None,
             interpolation: str = "nearest", keep_aspect_ratio: bool = False) -> Any:  # fmt: skip
    """Read an image file; ``grayscale=True`` is Keras 2's color_mode="grayscale"."""
    if isinstance(grayscale, str):
        color_mode, grayscale = grayscale, False
    if grayscale:
        note("grayscale", "color_mode")
        color_mode = "grayscale"
    return _load_img(path, color_mode, target_size, interpolation, keep_aspect_ratio)


def to_categorical(y: Any, num_classes: Any = None, nb_classes: Any = None, dtype: Any = "float32") -> Any:
    """Return one-hot rows; Keras 1 called the number of classes ``nb_classes``."""
    if nb_classes is not None:
        note("nb_classes", "num_classes")
    found = _to_categorical(y, num_classes if nb_classes is None else nb_classes)
    return found.astype(dtype) if isinstance(found, np.ndarray) else found


def categorical_probas_to_classes(p: Any) -> np.ndarray:
    """Return the class of the greatest probability."""
    classes: np.ndarray = np.argmax(p, axis=1)
    return classes


def probas_to_classes(y_pred: Any) -> np.ndarray:
    """Return classes of probabilities (N, classes) or (N, 1)."""
    classes: np.ndarray = (
        np.argmax(y_pred, axis=1) if np.ndim(y_pred) > 1 and np.shape(y_pred)[1] > 1 else (y_pred > 0.5) * 1
    )
    return classes


def conv_output_length(input_length: Any, filter_size: int, border_mode: str = "valid", stride: int = 1,
                       dilation: int = 1, **kwargs: Any) -> Any:  # fmt: skip
    """Return how long the output of a convolution is."""
    if input_length is None:
        return None
    span = filter_size + (filter_size - 1) * (dilation - 1)
    padding = kwargs.get("padding", border_mode)
    length = {"same": input_length, "causal": input_length, "valid": input_length - span + 1,
              "full": input_length + span - 1}[padding]  # fmt: skip
    return (length + stride - 1) // stride


def conv_input_length(output_length: Any, filter_size: int, border_mode: str, stride: int) -> Any:
    """Return how long the input of a convolution was."""
    if output_length is None:
        return None
    pad = {"same": filter_size // 2, "valid": 0, "full": filter_size - 1}[border_mode]
    return (output_length - 1) * stride - 2 * pad + filter_size


def convert_kernel(kernel: Any) -> np.ndarray:
    """Turn a kernel between Theano's and TensorFlow's: rotated by half a turn."""
    axes = tuple(range(np.ndim(kernel) - 2))
    return np.flip(kernel, axes)


def multi_gpu_model(model: Any, gpus: Any = None, cpu_merge: bool = True, cpu_relocation: bool = False) -> Any:
    """Return the model: it runs on one device; for several there is torch's DistributedDataParallel."""
    note("multi_gpu_model", "one device")
    return model


class HDF5Matrix:
    """A dataset in an HDF5 file, or part of it, read when it is asked for."""

    def __init__(self, datapath: Any, dataset: str, start: int = 0, end: int | None = None,
                 normalizer: Callable[[Any], Any] | None = None) -> None:  # fmt: skip
        self.data = h5py.File(datapath, "r")[dataset]
        self.start, self.end, self.normalizer = start, len(self.data) if end is None else end, normalizer

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the part."""
        return (len(self), *self.data.shape[1:])

    @property
    def dtype(self) -> Any:
        """The type of the numbers."""
        return self.data.dtype

    def __getitem__(self, key: Any) -> Any:
        part = self.data[self.start : self.end][key]
        return part if self.normalizer is None else self.normalizer(part)

    def to_numpy(self) -> np.ndarray:
        """Return the part as an array."""
        rows: np.ndarray = self[:]
        return rows

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        rows = self.to_numpy()
        return rows if dtype is None else rows.astype(dtype)


class SequenceEnqueuer:
    """Reads a generator or a dataset ahead, in threads."""

    def __init__(self, sequence: Any, use_multiprocessing: bool = False, shuffle: bool = False, **kwargs: Any) -> None:
        self.sequence, self.shuffle = sequence, shuffle
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, workers: int = 1, max_queue_size: int = 10) -> None:
        """Begin to read."""
        self.queue: queue.Queue[Any] = queue.Queue(max_queue_size)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _items(self) -> Iterator[Any]:
        if not hasattr(self.sequence, "__getitem__"):
            yield from self.sequence
            return
        while True:
            count = len(self.sequence)
            yield from (self.sequence[int(i)] for i in (np.random.permutation(count) if self.shuffle else range(count)))

    def _run(self) -> None:
        for item in self._items():
            while not self._stopping.is_set():
                with contextlib.suppress(queue.Full):
                    self.queue.put(item, timeout=0.1)
                    break
            if self._stopping.is_set():
                return

    def is_running(self) -> bool:
        """Whether it reads."""
        return self._thread is not None and self._thread.is_alive()

    def get(self) -> Iterator[Any]:
        """Yield the batches."""
        while self.is_running() or not self.queue.empty():
            yield self.queue.get()

    def stop(self, timeout: float | None = None) -> None:
        """Stop reading."""
        self._stopping.set()


OrderedEnqueuer = GeneratorEnqueuer = SequenceEnqueuer


def serialize_keras_object(instance: Any) -> Any:
    """Return the config of an object."""
    return saving.serialize_keras_object(instance)


def deserialize_keras_object(identifier: Any, module_objects: Any = None, custom_objects: Any = None,
                             printable_module_name: str = "object") -> Any:  # fmt: skip
    """Make an object of its config, or of a name in ``module_objects``."""
    if isinstance(identifier, str) and module_objects and identifier in module_objects:
        return module_objects[identifier]
    return saving.deserialize_keras_object(identifier, custom_objects=custom_objects)


def convert_all_kernels_in_model(model: Model) -> None:
    """Turn the kernels of all convolutions by half a turn: Theano's weights."""
    for layer in model.layers:
        if hasattr(layer, "kernel_size") and getattr(layer, "kernel", None) is not None:
            layer.kernel.assign(torch.as_tensor(convert_kernel(layer.kernel.numpy()).copy()))


def convert_dense_weights_data_format(dense: Any, previous_feature_map_shape: Any,
                                      target_data_format: str = "channels_first") -> None:  # fmt: skip
    """Reorder the rows of a Dense layer after Flatten from one axis order of images to the other."""
    kernel, bias = dense.get_weights()
    rows = np.arange(kernel.shape[0]).reshape(previous_feature_map_shape)
    rows = np.moveaxis(rows, -1, 0) if target_data_format == "channels_first" else np.moveaxis(rows, 0, -1)
    dense.set_weights([kernel[np.argsort(rows.ravel())] if target_data_format == "channels_last" else
                       kernel[rows.ravel()], bias])  # fmt: skip


def normalize_data_format(value: Any) -> str:
    """Return the axis order of images, the default for None."""
    return config.standardize_data_format(value)


def normalize_tuple(value: Any, n: int, name: str) -> tuple[int, ...]:
    """Return n numbers."""
    return (value,) * n if isinstance(value, int) else tuple(value)


def count_params(weights: Any) -> int:
    """Return the number of elements of weights."""
    return int(sum(np.prod(tuple(weight.shape)) for weight in weights))


def func_dump(func: Any) -> Any:
    """Return the function: code is not written to files."""
    return func


get_custom_objects = registry.get_custom_objects

plot = plot_model

__all__ = [
    "GeneratorEnqueuer",
    "HDF5Matrix",
    "OrderedEnqueuer",
    "Progbar",
    "Sequence",
    "SequenceEnqueuer",
    "categorical_probas_to_classes",
    "conv_input_length",
    "conv_output_length",
    "convert_all_kernels_in_model",
    "convert_dense_weights_data_format",
    "convert_kernel",
    "count_params",
    "deserialize_keras_object",
    "func_dump",
    "get_custom_objects",
    "load_img",
    "multi_gpu_model",
    "normalize_data_format",
    "normalize_tuple",
    "plot",
    "print_summary",
    "probas_to_classes",
    "serialize_keras_object",
    "to_categorical",
]
