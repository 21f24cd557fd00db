"""``tf.summary``: numbers, images and distributions for TensorBoard, written by torch's writer.

Without the package tensorboard nothing is written, and one warning says so.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from convia.compat.tensorflow.door import given
from convia.compat.tensorflow.files import path_of
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain

_open: list["SummaryWriter"] = []  # the writers whose blocks are open, the innermost last
_settings: dict[str, Any] = {"step": None, "record": True, "warned": False}


class SummaryWriter:
    """Writes a folder of events; ``with writer.as_default():`` makes summaries go there."""

    def __init__(self, logdir: Any) -> None:
        self._writer = _torch_writer(path_of(logdir))

    @contextmanager
    def as_default(self, step: Any = None) -> Iterator["SummaryWriter"]:
        """Make summaries within the block go here."""
        before = _settings["step"]
        _settings["step"] = before if step is None else step
        _open.append(self)
        try:
            yield self
        finally:
            _open.remove(self)
            _settings["step"] = before

    def set_as_default(self, step: Any = None) -> None:
        """Make all summaries from now on go here."""
        _settings["step"] = _settings["step"] if step is None else step
        _open.append(self)

    def flush(self) -> None:
        """Write out what is waiting."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Write out what is waiting and close the file."""
        if self._writer is not None:
            self._writer.close()

    init = flush


def _torch_writer(folder: str) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter as Writer
    except ImportError:
        if not _settings["warned"]:
            _settings["warned"] = True
            text = explain("tf.summary", "no package tensorboard", "it", "Nothing is written: pip install tensorboard.")
            warnings.warn(text, stacklevel=4)
        return None
    return Writer(folder)


def create_file_writer(
    logdir: Any, max_queue: Any = None, flush_millis: Any = None, filename_suffix: Any = None, name: Any = None
) -> SummaryWriter:
    """Return a writer of events in a folder."""
    return SummaryWriter(logdir)


def create_noop_writer() -> SummaryWriter:
    """Return a writer that writes nothing."""
    writer = SummaryWriter.__new__(SummaryWriter)
    writer._writer = None
    return writer


def _write(method: str, name: Any, value: Any, step: Any, **options: Any) -> bool:
    """Write with the innermost open writer; return whether there was one.

    Raises:
        ValueError: no step, neither here nor by ``tf.summary.experimental.set_step``.
    """
    if not _open or not _settings["record"]:
        return False
    step = _settings["step"] if step is None else step
    if step is None:
        raise ValueError(explain(f"tf.summary, {name!r}", "no step", "step=, the number of the step"))
    writer = _open[-1]._writer
    if writer is not None:
        getattr(writer, method)(str(name), value, int(step), **options)
    return writer is not None


def scalar(name: Any, data: Any, step: Any = None, description: Any = None) -> bool:
    """Write a number."""
    return _write("add_scalar", name, float(data), step)


def image(name: Any, data: Any, step: Any = None, max_outputs: int = 3, description: Any = None) -> bool:
    """Write images (N, H, W, C), the first few of them."""
    pictures = given(data)[:max_outputs].detach().cpu()
    several = len(pictures) > 1
    written = [
        _write("add_image", f"{name}/{i}" if several else name, picture.numpy(), step, dataformats="HWC")
        for i, picture in enumerate(pictures)
    ]
    return all(written)


def histogram(name: Any, data: Any, step: Any = None, buckets: Any = None, description: Any = None) -> bool:
    """Write how values are distributed."""
    return _write("add_histogram", name, given(data).detach().cpu().numpy(), step)


def text(name: Any, data: Any, step: Any = None, description: Any = None) -> bool:
    """Write a text, or several."""
    lines = np.atleast_1d(StringTensor(data).array).ravel()
    return _write("add_text", name, "\n\n".join(line.decode() for line in lines), step)


def audio(name: Any, data: Any, sample_rate: int, step: Any = None, max_outputs: int = 3, **ignored: Any) -> bool:
    """Write sounds (N, samples, channels) of values in −1…1."""
    sounds = given(data)[:max_outputs].detach().cpu()
    written = [_write("add_audio", f"{name}/{i}", s.T, step, sample_rate=sample_rate) for i, s in enumerate(sounds)]
    return all(written)


def flush(writer: Any = None, name: Any = None) -> None:
    """Write out what is waiting."""
    for one in [writer] if writer is not None else _open:
        one.flush()


@contextmanager
def record_if(condition: Any) -> Iterator[None]:
    """Within the block summaries are written only if a condition holds."""
    before = _settings["record"]
    _settings["record"] = bool(condition() if callable(condition) else condition)
    try:
        yield
    finally:
        _settings["record"] = before


def set_step(step: Any) -> None:
    """Set the step of summaries that are given none."""
    _settings["step"] = step


def get_step() -> Any:
    """Return the step of summaries that are given none."""
    return _settings["step"]


def trace_on(graph: bool = True, profiler: bool = False, **ignored: Any) -> None:
    """Do nothing: there is no graph to trace."""


def trace_export(name: Any, step: Any = None, profiler_outdir: Any = None) -> None:
    """Do nothing: there is no graph to trace."""


def should_record_summaries() -> bool:
    """Whether summaries are written here and now."""
    return bool(_open) and _settings["record"]


EXPERIMENTAL = {"get_step": get_step, "set_step": set_step}
SUMMARY = {
    "SummaryWriter": SummaryWriter, "audio": audio, "create_file_writer": create_file_writer,
    "create_noop_writer": create_noop_writer, "flush": flush, "histogram": histogram, "image": image,
    "record_if": record_if, "scalar": scalar, "should_record_summaries": should_record_summaries, "text": text,
    "trace_export": trace_export, "trace_on": trace_on,
}  # fmt: skip
__all__ = ["EXPERIMENTAL", "SUMMARY", "SummaryWriter"]
