"""Within a tape frozen layers record for their weights, as in TensorFlow.

There ``layer.trainable = False`` says what ``trainable_variables`` lists; the variables themselves, which tapes watch,
do not change. Here it also keeps torch from recording, so a call within a tape lets the weights be differentiable for
as long as it lasts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from convia.layer import Layer
from convia.symbolic import tracing
from convia.variable import Variable

_handles: list[Any] = []
_depth = [0]
_thawed: dict[int, list[list[Any]]] = {}  # id of a layer → what each of its calls in progress has changed


def _is_frozen(variable: Any) -> bool:
    return isinstance(variable, Variable) and not variable.requires_grad and variable.is_floating_point()


def _before(module: Any, inputs: Any) -> None:
    if isinstance(module, Layer) and not tracing():
        found = [variable for variable in module._trainable_variables if _is_frozen(variable)]
        for variable in found:
            variable.requires_grad_(True)
        if found:
            _thawed.setdefault(id(module), []).append(found)


def _after(module: Any, inputs: Any, outputs: Any) -> None:
    calls = _thawed.get(id(module))
    if calls and not tracing():
        for variable in calls.pop():
            variable.requires_grad_(variable.trainable)
        if not calls:
            del _thawed[id(module)]


def begin() -> None:
    """A tape's block begins."""
    _depth[0] += 1
    if _depth[0] == 1:
        _handles[:] = [
            register_module_forward_pre_hook(_before),
            register_module_forward_hook(_after, always_call=True),
        ]


def end() -> None:
    """A tape's block ends."""
    _depth[0] -= 1
    if not _depth[0]:
        while _handles:
            _handles.pop().remove()


@contextmanager
def differentiable(sources: list[Any]) -> Iterator[None]:
    """Let frozen weights among the sources be differentiable within the block, in which gradients are computed."""
    found = [source for source in sources if _is_frozen(source) and source.is_leaf]
    for source in found:
        source.requires_grad_(True)
    try:
        yield
    finally:
        for source in found:
            source.requires_grad_(source.trainable)


__all__ = ["begin", "differentiable", "end"]
