"""TensorBoard: logs for its dashboards, written by PyTorch's writer and the ``tensorboard`` package."""

import os
import warnings
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch

from convia import config, registry
from convia.callbacks.base import Callback, Logs, needed_if
from convia.callbacks.rates import log_rates
from convia.errors import explain

_IMAGES = 3  # of one weight; as many as TensorFlow writes


def _at_batches(callback: Any) -> bool:
    return callback.update_freq != "epoch" or callback._profiled is not None


class TensorBoard(Callback):
    """Writes logs of training to ``log_dir/train``, of validation to ``log_dir/validation``; see them with
    ``tensorboard --logdir=log_dir``. It needs the package tensorboard.

    Args:
        log_dir: a folder for this callback alone.
        histogram_freq: every how many epochs to write histograms of the weights; 0 for never.
        write_graph: write the config of the model, from which TensorBoard draws its graph.
        write_images: write the weights as images too, along with the histograms.
        write_steps_per_second: write the speed of training.
        update_freq: "epoch"; "batch"; or a number of batches, after which metrics are written as well.
        profile_batch: the batch, counted from 1, or the first and last of the batches to profile; 0 for none.
        embeddings_freq: every how many epochs to write the vectors of Embedding layers; 0 for never.
        embeddings_metadata: a file with one label per vector, or a dictionary from layers' names to such files.

    Raises:
        ValueError: ``profile_batch`` is no range of batches; unknown layers in ``embeddings_metadata``.
        ImportError: at the beginning of training, if tensorboard is not installed.
    """

    first_process_only = True

    kept = ("_batches",)

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        self._profiled = _batch_range(profile_batch)
        self._profiler: Any = None
        self._writers: dict[str, Any] = {}
        self._batches = 0
        self._batch_start = self._epoch_start = 0.0
        self._steps_before = 0

    def set_model(self, model: Any) -> None:
        """Write the model's config."""
        self._model = model
        self._close()
        self._writer_class = _writer_class()
        if self.embeddings_freq:
            self._check_metadata()
        if self.write_graph:
            self._write_graph()

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            self._writers[part] = self._writer_class(str(Path(self.log_dir) / part))
        return self._writers[part]

    @property
    def summary(self) -> Any:
        """The ``torch.utils.tensorboard.SummaryWriter`` of training, for what else you want to write."""
        return self._writer("train")

    def _write_graph(self) -> None:
        if type(self.model).__name__ not in ("Functional", "Sequential") or not hasattr(self.model, "to_json"):
            return
        try:
            text = self.model.to_json()
        except (TypeError, ValueError, NotImplementedError) as error:
            expected = "a model with a config"
            warnings.warn(explain("TensorBoard", str(error), expected, "The graph is not written."), stacklevel=2)
            return
        self._writer("train")._get_file_writer().add_summary(_graph_summary(text), 0)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin to count batches."""
        self._batches = 0

    def on_train_end(self, logs: Logs = None) -> None:
        """Close the files."""
        self._stop_profiler()
        self._close()

    def on_test_end(self, logs: Logs = None) -> None:
        """Write the metrics of validation against the optimizer's steps."""
        optimizer = self.model.optimizer
        if optimizer is not None and hasattr(optimizer, "iterations"):
            writer = self._writer("validation")
            for name, value in (logs or {}).items():
                _write_number(writer, f"evaluation_{name}_vs_iterations", value, int(optimizer.iterations))
            writer.flush()

    @needed_if(_at_batches)
    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Count, and begin to profile."""
        self._batches += 1
        self._batch_start = monotonic()
        if self._profiled and self._batches == self._profiled[0]:
            handler = torch.profiler.tensorboard_trace_handler(str(Path(self.log_dir) / "train"))
            self._profiler = torch.profiler.profile(on_trace_ready=handler)
            self._profiler.start()

    @needed_if(_at_batches)
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Write the metrics, if it is time, and end profiling."""
        if self._profiled and self._batches >= self._profiled[1]:
            self._stop_profiler()
        if self.update_freq == "epoch" or self._batches % self.update_freq:
            return
        values = dict(logs or {})
        if self.write_steps_per_second:
            values["steps_per_second"] = 1 / max(monotonic() - self._batch_start, 1e-9)
        for name, value in values.items():
            _write_number(self._writer("train"), f"batch_{name}", value, self._batches)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the time and the optimizer's steps."""
        if self.write_steps_per_second:
            self._steps_before = int(self.model.optimizer.iterations)
            self._epoch_start = monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write metrics, weights and embeddings."""
        if logs:
            self._write_epoch(epoch, logs)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings(epoch)
        for writer in self._writers.values():
            writer.flush()

    def _write_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        training = {name: value for name, value in logs.items() if not name.startswith("val_")}
        if hasattr(self.model.optimizer, "learning_rate") or hasattr(self.model.optimizer, "optimizers"):
            log_rates(self.model, training)
        if self.write_steps_per_second:
            steps = int(self.model.optimizer.iterations) - self._steps_before
            training["steps_per_second"] = steps / max(monotonic() - self._epoch_start, 1e-9)
        validation = {name.removeprefix("val_"): value for name, value in logs.items() if name.startswith("val_")}
        for part, values in {"train": training, "validation": validation}.items():
            for name, value in values.items():
                _write_number(self._writer(part), f"epoch_{name}", value, epoch)

    def _write_weights(self, epoch: int) -> None:
        writer = self._writer("train")
        for layer in self.model.layers:
            for variable, weight in zip(layer.weights, layer.get_weights(), strict=True):
                name = variable.path.replace(":", "_")
                writer.add_histogram(f"{name}/histogram", weight, epoch)
                images = _as_images(weight) if self.write_images else None
                if images is not None:
                    writer.add_images(f"{name}/image", images[:_IMAGES], epoch, dataformats="NHWC")

    def _embedding_layers(self) -> list[Any]:
        kind = registry.lookup("keras.layers", "Embedding")
        return [layer for layer in self.model.layers if kind is not None and isinstance(layer, kind)]

    def _check_metadata(self) -> None:
        names = [layer.name for layer in self._embedding_layers()]
        given = self.embeddings_metadata if isinstance(self.embeddings_metadata, dict) else {}
        unknown = sorted(set(given) - set(names))
        if unknown:
            expected = f"names of Embedding layers: {', '.join(names) or 'there are none'}"
            raise ValueError(explain("TensorBoard, argument 'embeddings_metadata'", ", ".join(unknown), expected))

    def _write_embeddings(self, epoch: int) -> None:
        given = self.embeddings_metadata
        for layer in self._embedding_layers():
            file = given.get(layer.name) if isinstance(given, dict) else given
            labels = Path(file).read_text(encoding="utf-8").splitlines() if file else None
            self._writer("train").add_embedding(layer.get_weights()[0], labels, global_step=epoch, tag=layer.name)

    def _stop_profiler(self) -> None:
        if self._profiler is not None:
            self._profiler.stop()
            self._profiler = None

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def _writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        remedy = "Install it: pip install tensorboard"
        raise ImportError(explain("TensorBoard", f"no such package ({error})", "tensorboard", remedy)) from None
    return SummaryWriter


def _graph_summary(text: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

    plugin = SummaryMetadata.PluginData(plugin_name="graph_keras_model", content=b"1")
    tensor = TensorProto(dtype="DT_STRING", string_val=[text.encode()])
    return Summary(value=[Summary.Value(tag="keras", tensor=tensor, metadata=SummaryMetadata(plugin_data=plugin))])


def _write_number(writer: Any, name: str, value: Any, step: int) -> None:
    if np.ndim(value) == 0 and not isinstance(value, str):
        writer.add_scalar(name, float(value), step, new_style=True)


def _batch_range(profile_batch: Any) -> tuple[int, int] | None:
    """Return the first and the last batch to profile, from 1; None for none. Older programs give "first,last"."""
    given = profile_batch.split(",") if isinstance(profile_batch, str) else profile_batch
    try:
        ends = [int(end) for end in given] if isinstance(given, (list, tuple)) else [int(given)]
    except (TypeError, ValueError):
        ends = []
    if len(ends) not in (1, 2) or not 0 <= ends[0] <= ends[-1]:
        expected = "a batch ≥ 0, or the first and the last batch"
        raise ValueError(explain("TensorBoard, argument 'profile_batch'", repr(profile_batch), expected))
    return (ends[0], ends[-1]) if ends[-1] else None


def _as_images(weight: np.ndarray) -> np.ndarray | None:
    """Return a weight as grey or colour images (N, H, W, C); None if its axes make no images."""
    image = np.squeeze(weight)
    if image.ndim == 1:  # a bias, as one line
        image = image[None, :, None, None]
    elif image.ndim == 2:  # a matrix, lying
        image = (image.T if image.shape[0] > image.shape[1] else image)[None, :, :, None]
    elif image.ndim == 3:  # kernels of one channel, each an image
        order = (2, 0, 1) if config.image_data_format() == "channels_last" else (0, 1, 2)
        image = image.transpose(order)[..., None]
    return image if image.ndim == 4 and image.shape[-1] in (1, 3, 4) else None
