"""Weights that the processes of a training share out among them, through torch's FSDP (``fully_shard``).

Each process holds a part of every chosen weight, of its gradient and of what the optimizer notes for it (ZeRO, stage 3;
Rajbhandari et al. 2020, arXiv:1910.02054). FSDP gathers the weights of a layer while it is called, and hands each
process the mean gradient of its part. A weight is cut along the first axis of its memory.

While weights are shared out, the layers' variables hold nothing; within :meth:`Shares.whole` they hold all, as
callbacks expect.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard

from convia import config, regularizers, tree
from convia.distributed.processes import any_of_us, is_first, size, sum_of
from convia.distributed.sharded_notes import Notes
from convia.errors import explain
from convia.layout import Perm, invert
from convia.variable import Variable

# layers do not write into what they are given, which is what this warns of
warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)
_ADDITIVE = (regularizers.L1, regularizers.L2, regularizers.L1L2)  # penalties that are sums over the elements


class Part(Variable):
    """This process's part of a weight, in the order of its memory: a view of what FSDP holds.

    Attributes:
        shard: the parameter that FSDP has put in place of the weight, a DTensor.
        variable: the weight.
    """

    shard: Any
    variable: Variable
    _perm: Perm
    _home: torch.device
    _strides: Perm

    @classmethod
    def of(cls, variable: Variable, shard: Any, perm: Perm) -> "Part":
        """Make the part of a weight whose memory has its axes in the order ``perm``, and let go of the weight."""
        part = torch.Tensor._make_subclass(cls, shard.to_local().detach(), False)
        part.__dict__.update(variable.__dict__, regularizer=None, constraint=None)
        part.shard, part.variable, part._perm = shard, variable, perm
        part._home, part._strides = variable.device, variable.stride()
        part.let_go(variable)
        return part

    @property
    def grad(self) -> Tensor | None:
        """The part of the processes' mean gradient."""
        return None if self.shard.grad is None else self.shard.grad.to_local()

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        self.shard.grad = value

    def collect(self, whole: Tensor | None, own: Tensor) -> None:
        """Let a tensor of the weight's shape hold what the processes have parts ``own`` of; None takes part only."""
        memory = DTensor.from_local(
            own.detach().as_subclass(Tensor), self.shard.device_mesh, [Shard(0)],
            shape=self.shard.shape, stride=self.shard.stride(),
        )  # fmt: skip
        gathered = memory.full_tensor()
        if whole is not None:
            whole.data = gathered.to(self._home).as_strided(self.variable.shape, self._strides)

    def cut(self, whole: Tensor, own: Tensor) -> None:
        """Set this process's part of a tensor of the weight's shape."""
        memory = whole.detach().as_subclass(Tensor).permute(self._perm)
        parts = memory.chunk(size())
        place = dist.get_rank()
        own.data.copy_(parts[place] if place < len(parts) else memory[:0])

    def let_go(self, whole: Tensor) -> None:
        """Free the memory of a tensor of the weight's shape: whoever looks at it sees NaN."""
        nothing = torch.full((), torch.nan, dtype=whole.dtype, device=whole.device)
        whole.data = nothing.expand(self.variable.shape)


class _Held(nn.Module):
    """What FSDP sees of a layer: the weights that are shared out, and a call that needs them.

    Args:
        layer: whose ``forward`` goes through this one until :meth:`let_go`.
        own: its weights, by name.
        inner: those of the layers inside.
    """

    def __init__(self, layer: Any, own: dict[str, Variable], inner: Sequence["_Held"] = ()) -> None:
        super().__init__()
        self.inner = nn.ModuleList(inner)
        self._layer = [layer]  # a list hides it from torch
        self._own = [(_place(layer, name), name, variable) for name, variable in own.items()]
        self._given: list[Tensor] = []
        self.perms = {name: _memory_order(variable) for name, variable in own.items()}
        for name, variable in own.items():
            memory = variable.data.permute(self.perms[name]).contiguous()
            self.register_parameter(name, nn.Parameter(memory, requires_grad=variable.requires_grad))
            del _place(layer, name)[name]
        computed = {name: _permuted(self, name, invert(perm)) for name, perm in self.perms.items()}
        self._computed = layer.__dict__.get("_computed", {})
        object.__setattr__(layer, "_computed", {**self._computed, **computed})
        layer.__dict__["forward"] = self._call_layer

    def _call_layer(self, *args: Any, **kwargs: Any) -> Any:
        self._given = _tensors((args, kwargs))
        return self(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer; its inputs get back what was noted on them, such as masks."""
        for before, now in zip(self._given, _tensors((args, kwargs)), strict=True):
            if now is not before:
                now.__dict__.update(before.__dict__)
        self._given = []
        layer = self._layer[0]
        return type(layer).forward(layer, *args, **kwargs)

    def let_go(self) -> None:
        """Give the layer its weights back."""
        layer = self._layer[0]
        del layer.__dict__["forward"]
        object.__setattr__(layer, "_computed", self._computed)
        for place, name, variable in self._own:
            place[name] = variable


def _place(layer: Any, name: str) -> dict[str, Any]:
    """Return where torch keeps a weight: those that were frozen from the start are buffers."""
    place: dict[str, Any] = layer._parameters if name in layer._parameters else layer._buffers
    return place


def _weights(layer: Any) -> dict[str, Variable]:
    """Return a layer's own weights by name, without statistics."""
    named = {**layer._parameters, **layer._buffers}
    own = {id(variable) for variable in layer._trainable_variables}
    return {name: variable for name, variable in named.items() if id(variable) in own}


def _tensors(structure: Any) -> list[Tensor]:
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, Tensor)]


class Shares:
    """A model whose weights are shared out, from its making until :meth:`end`.

    Args:
        model: a built model; all processes hold the same weights.
        chosen: says of a weight whether it is shared out.

    Raises:
        ValueError: a weight has a constraint, or a penalty that is no sum over its elements.
    """

    def __init__(self, model: Any, chosen: Callable[[Variable], bool]) -> None:
        self.parts: dict[int, Part] = {}
        self.notes: Notes | None = None
        self._held: list[_Held] = []
        self._is_whole = False
        layers = [*model._flatten_layers()]
        named = {id(v): v for layer in layers for v in _weights(layer).values()}
        wanted = {key: variable for key, variable in named.items() if chosen(variable)}
        for variable in wanted.values():
            _check(variable)
        mesh = init_device_mesh(config.device().type, (size(),))
        for layer in reversed(layers):
            own = {name: v for name, v in _weights(layer).items() if wanted.pop(id(v), None) is not None}
            if own or layer is model:
                self._share_out(layer, own, mesh, [*self._held] if layer is model else [])

    def _share_out(self, layer: Any, own: dict[str, Variable], mesh: DeviceMesh, inner: list[_Held]) -> None:
        """Put parts in place of a layer's weights, and let FSDP gather them for its calls."""
        held = _Held(layer, own, inner)
        fully_shard(held, mesh=mesh)
        for name, variable in own.items():
            self.parts[id(variable)] = Part.of(variable, held._parameters[name], held.perms[name])
        self._held.append(held)

    def of(self, variables: Sequence[Any]) -> list[Any]:
        """Return the parts of variables; those that are not shared out stay."""
        return [self.parts.get(id(variable), variable) for variable in variables]

    def learned(self, optimizer: Any, variables: Sequence[Any]) -> list[Any]:
        """Return what a step updates in place of variables; the optimizer's stand-in is then ``notes.optimizer``.

        Raises:
            ValueError: an optimizer that needs whole weights.
        """
        if self.notes is None:
            self.notes = Notes(optimizer, variables, self.of(variables))
        return self.of(variables)

    def penalty(self, variable: Any) -> Tensor | None:
        """Return the penalty of a weight that is shared out, None for others; its gradient is that of the own part."""
        part = self.parts.get(id(variable))
        if part is None:
            return None
        own: Tensor = variable.regularizer(part.shard.to_local())
        return own + (sum_of(own) - own.detach())

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Let the variables hold whole weights, and the first process's optimizer all that it notes.

        All processes take part. What is changed in the block is shared out again, as the first process has it.
        """
        if self._is_whole:
            yield
            return
        self._gather(is_first())
        before = self._versions()
        self._is_whole = True
        try:
            yield
        finally:
            self._is_whole = False
        if any_of_us(before != self._versions()):
            for part in self.parts.values():
                dist.broadcast(part.variable.data, 0)
                part.cut(part.variable, part)
        for part in self.parts.values():
            part.let_go(part.variable)
        if self.notes is not None:
            self.notes.let_go()

    def end(self) -> None:
        """Give the layers their whole weights back, and the model's optimizer all that it notes."""
        self._gather(True)
        for held in self._held:
            held.let_go()

    def _gather(self, with_notes: bool) -> None:
        for part in self.parts.values():
            part.collect(part.variable, part)
        if self.notes is not None:
            self.notes.gather(with_notes)

    def _versions(self) -> list[int]:
        return [part.variable._version for part in self.parts.values()]


def _check(variable: Variable) -> None:
    """See that a weight can be learned in parts."""
    for what, fits in {"constraint": (), "regularizer": _ADDITIVE}.items():
        found = getattr(variable, what)
        if found is not None and not isinstance(found, fits):
            received = f"the {what} {type(found).__name__}, which needs all of a weight"
            remedy = "Leave it out, or share the batches alone with DataParallel."
            raise ValueError(explain(f"Variable {variable.path!r}, shared out", received, "L1, L2 or none", remedy))


def _memory_order(tensor: Tensor) -> Perm:
    """Return the axes of a tensor in the order in which its memory runs through them, those of one element last."""
    return tuple(sorted(range(tensor.ndim), key=lambda axis: (tensor.shape[axis] == 1, -tensor.stride()[axis])))


def _permuted(held: nn.Module, name: str, perm: Perm) -> Callable[[], Tensor]:
    return lambda: held._parameters[name].permute(perm)  # type: ignore[union-attr]
