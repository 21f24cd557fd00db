"""Memory that is not enough for a step: which layer asked for it, and about how many samples a batch may have."""

import gc
import math
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor

from convia import tree
from convia.errors import explain
from convia.layer import Layer
from convia.training import memory
from convia.training.blame import Reading, watched

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

_SPARE = 0.9  # of the free memory may be planned with: kernels need some for a moment, and blocks leave gaps
_CPU_TEXTS = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory")  # torch raises a RuntimeError


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory, on a GPU or in the process."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _CPU_TEXTS)


def explain_it(model: Any, error: BaseException, reading: Reading, mode: str) -> None:
    """Raise the error again, with the layer and the largest batch that would fit; return if it is about anything else.

    Args:
        mode: "train", "test" or "predict".
    """
    if not is_exhaustion(error) or "expected a batch of" in str(error):
        return
    layer = _layer_of(model, error.__traceback__)
    traceback.clear_frames(error.__traceback__)  # which hold the tensors of the step
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    size, sample = _first_sample(reading)
    received = f"a batch of {size} samples, for which memory is not enough in {layer} ({said})"
    if reading.batch is None:
        layer, received = "the engine", f"a network that takes more memory than there is ({said})"
    each = None if sample is None or model._shares is not None else _bytes_per_sample(model, sample, mode == "train")
    expected, remedy = "one for which there is enough", "Use a smaller batch_size, smaller images, or mixed precision."
    if each:
        most = min(max(int(_free() * _SPARE / each), 0), max(size - 1, 0))
        expected = f"a batch of at most about {most} samples: each takes {each / 2**20:.3g} MiB"
        remedy = f"Pass batch_size={most}, or use smaller images or mixed precision."
        if not most:
            remedy = "Use smaller images, mixed precision, or a smaller network."
    if mode == "train":
        remedy += " gradient_accumulation_steps of the optimizer makes up for smaller batches."
    kind = type(error) if isinstance(error, (torch.OutOfMemoryError, MemoryError)) else RuntimeError
    raise kind(explain(f"{_METHODS[mode]} of {model.name!r}", received, expected, remedy)) from error


_METHODS = {"train": "fit", "test": "evaluate", "predict": "predict"}


def _layer_of(model: Any, trace: TracebackType | None) -> str:
    """Name the innermost layer that was called, or say that gradients or the engine were computed."""
    found, inside = None, False
    while trace is not None:
        frame: FrameType = trace.tb_frame
        owner = frame.f_locals.get("self")
        if isinstance(owner, Layer) and owner is not model and frame.f_code.co_name in ("call", "forward"):
            found = owner
        inside = inside or frame.f_code.co_name in ("backward", "grad")
        trace = trace.tb_next
    if found is not None:
        return f"{type(found).__name__} layer {found.name!r}"
    largest = _largest(model)
    where = "the gradients" if inside else "the step"
    return where + (f"; the largest output is that of layer {largest!r}" if largest else "")


def _largest(model: Any) -> str:
    """Name the layer with the largest output, "" where the model has no graph of layers."""
    graph = getattr(model, "graph", None)
    sizes = {
        step.operation.name: sum(math.prod(size or 1 for size in out.shape) for out in step.node.outputs)
        for step in (graph.steps if graph is not None else ())
        if isinstance(step.operation, Layer)
    }
    return max(sizes, key=lambda name: sizes[name], default="")


def _first_sample(reading: Reading) -> tuple[int, Any]:
    """Return how many samples the batch has, and the first of its inputs."""
    batch = reading.batch if reading.batch is not None else getattr(reading.batches, "_tree", None)
    if batch is None or not all(isinstance(leaf, Tensor) and leaf.ndim for leaf in tree.flatten(batch[0])):
        return 0, None
    count = len(tree.flatten(batch[0])[0])
    if reading.batch is None:
        count = min(count, getattr(reading.batches, "batch_size", count))
    return count, tree.map_structure(lambda leaf: leaf[:1].clone(), batch[0])


def _bytes_per_sample(model: Any, sample: Any, training: bool) -> float | None:
    """Return the bytes that a sample takes: what two samples take more than one; None where that fails, too."""
    try:
        twice = tree.map_structure(lambda leaf: torch.cat([leaf, leaf]), sample)
        return max(_bytes(model, twice, training) - _bytes(model, sample, training), 1.0)
    except (RuntimeError, MemoryError, ValueError, TypeError):
        return None


def _bytes(model: Any, x: Any, training: bool) -> float:
    """Return about the bytes that a batch takes at most.

    Without gradients, the largest inputs and outputs of a layer. Otherwise what is kept for the gradients, and the
    largest inputs and outputs twice: their gradients, and the copies that kernels make.
    """
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}
    most = [0]

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def look(layer: Any, given: Any, outputs: Any) -> None:
        leaves = [leaf for leaf in tree.flatten((given, outputs)) if isinstance(leaf, Tensor)]
        most[0] = max(most[0], sum(leaf.numel() * leaf.element_size() for leaf in leaves))

    kept_for_gradients = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with watched(model, look), torch.set_grad_enabled(training), kept_for_gradients:
        model(x, training=training)
    return float(sum(kept.values()) + most[0] * (2 if training else 1))


def _free() -> float:
    """Return the bytes that are left on the device of the model, or for this process."""
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        return float(torch.cuda.mem_get_info()[0])
    memory.give_back()
    return min(_available(), _limited())


def _available() -> float:
    """Return the bytes that the system can give to processes; infinite where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return math.inf
    found = [line.split() for line in lines if line.startswith("MemAvailable:")]
    return float(found[0][1]) * 1024 if found else math.inf


def _limited() -> float:
    """Return the bytes up to the limit of the address space, as ``ulimit -v`` sets it."""
    if resource is None:
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return math.inf
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return float(max(limit - used, 0))
