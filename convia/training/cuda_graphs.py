"""Networks whose kernels a GPU runs from a recording: a CUDA graph, where the graph of layers is static.

A processor needs microseconds to start each kernel, which small networks are done with sooner; a recording is started
as a whole. ``compile(jit_compile="auto")`` records where nothing but numbers changes from batch to batch.
"""

import warnings
from typing import Any

import torch
from torch import Tensor

from convia import config, distributed, masks, tree
from convia.errors import explain
from convia.layer import Layer

_WARM_UP = 3  # calls before a recording, in which libraries choose their kernels and take memory


def reason_against(model: Any, training: bool) -> str:
    """Say why the calls of a model cannot be recorded; "" where they can."""
    graph = getattr(model, "graph", None)
    inputs = graph.inputs if graph is not None else ()
    layers = [layer for layer in model._flatten_layers(include_self=False) if isinstance(layer, Layer)]
    reasons = {
        "chosen by compile": not model.jit_compile or model.run_eagerly,
        f"the device is {config.device()}": config.device().type != "cuda",
        "several processes share the training": distributed.size() > 1,
        "the model has no graph of layers": graph is None,
        "masks come with the inputs": masks.in_use,
        "layers add losses or metrics": bool(model._loss_layers) or any(layer._metrics for layer in layers),
        "sizes of its inputs differ from batch to batch": any(None in tensor.shape[1:] for tensor in inputs),
    }
    found = (why for why, holds in reasons.items() if holds)
    return next(found, "") or next((why for layer in layers if (why := _changes(layer, training))), "")


def _changes(layer: Any, training: bool) -> str:
    """Say what a recording of a layer would leave out, "" where that is nothing."""
    who = f"{type(layer).__name__} layer {layer.name!r}"
    if not type(layer).__module__.startswith("convia."):
        return f"{who} runs code of its own"
    if training and getattr(layer, "seed_generator", None) is not None:
        return f"{who} draws from a generator of its own"
    if getattr(layer, "stateful", False):
        return f"{who} is stateful"
    return f"{who} has hooks" if layer._forward_hooks or layer._forward_pre_hooks else ""


def _on_gpu(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.device.type == "cuda"


class Recorder:
    """Calls of a model, recorded for the sizes of the first batch, and run as usual for all others."""

    def __init__(self, model: Any, training: bool) -> None:
        self._training = training  # and not the model, which would then only go with the next garbage collection
        self.reason = reason_against(model, training)
        self._shapes: list[Any] | None = None
        self._form: Any = None
        self._play: Any = None

    def __call__(self, model: Any, x: Any) -> Any:
        """Return the outputs for a batch; None where it has to be called as usual."""
        if self.reason:
            return None
        leaves = tree.flatten(x)
        if not all(map(_on_gpu, leaves)):
            return None
        shapes = [(leaf.shape, leaf.dtype, leaf.stride()) for leaf in leaves]
        if self._shapes is None:  # the first batch is called as usual, which shows whether it fits
            self._shapes = shapes
            return None
        if shapes != self._shapes:
            return None
        if self._play is None:
            self._record(model, x, leaves)
        if self._play is None:
            return None
        found = self._play(*leaves)
        return tree.pack(self._form, list(found) if isinstance(found, (tuple, list)) else [found])

    def _record(self, model: Any, x: Any, leaves: list[Tensor]) -> None:
        """Record a call; leave weights, moving statistics and the random numbers as they were."""
        before = [(buffer, buffer.clone()) for buffer in model.buffers()]
        random = torch.cuda.get_rng_state()
        make = _with_gradients if self._training else _without_gradients
        try:
            self._play = make(_Flat(model, x, self._training, self), leaves)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.reason = str(error).splitlines()[0]
            expected, remedy = (
                "one that can be recorded",
                "It runs as usual; jit_compile=False keeps it from being tried.",
            )
            received = f"a network that CUDA cannot record ({self.reason})"
            warnings.warn(explain(f"jit_compile of {model.name!r}", received, expected, remedy), stacklevel=6)
        finally:
            with torch.no_grad():
                for buffer, value in before:
                    buffer.copy_(value)
            torch.cuda.set_rng_state(random)


class _Flat(torch.nn.Module):
    """A model as a function from tensors to tensors, which is what can be recorded."""

    def __init__(self, model: Any, x: Any, training: bool, recorder: Recorder) -> None:
        super().__init__()
        self.model, self._form, self._training, self._recorder = model, x, training, recorder

    def forward(self, *leaves: Tensor) -> tuple[Tensor, ...]:
        outputs = self.model(tree.pack(self._form, list(leaves)), training=self._training)
        self._recorder._form = tree.map_structure(lambda leaf: None, outputs)
        return tuple(tree.flatten(outputs))


def _with_gradients(step: _Flat, leaves: list[Tensor]) -> Any:
    """See https://pytorch.org/docs/stable/notes/cuda.html, "Whole-network capture" of partial networks."""
    examples = tuple(torch.zeros_like(leaf) for leaf in leaves)
    return torch.cuda.make_graphed_callables(step, examples, num_warmup_iters=_WARM_UP, allow_unused_input=True)


def _without_gradients(step: _Flat, leaves: list[Tensor]) -> Any:
    """Warm up in a stream of its own, record, and copy what comes in and what goes out, as the same notes say."""
    inputs = [leaf.clone() for leaf in leaves]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            step(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        outputs = step(*inputs)

    def play(*given: Tensor) -> list[Tensor]:
        for place, leaf in zip(inputs, given, strict=True):
            place.copy_(leaf)
        graph.replay()
        return [output.clone() for output in outputs]

    return play
