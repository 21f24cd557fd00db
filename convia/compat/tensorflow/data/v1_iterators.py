"""Iterators of TensorFlow 1: ``get_next()`` returns symbolic tensors, which are the next element in each run."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from convia import config, tree
from convia.compat.tensorflow import graphs
from convia.compat.tensorflow.checks import OutOfRangeError
from convia.compat.tensorflow.data.elements import Described, signature_of
from convia.compat.tensorflow.dtypes import torch_dtype
from convia.errors import explain
from convia.graph import Input
from convia.symbolic import KerasTensor, substitute, symbolic_leaves

_ROWS, _OTHERS = 512, 32  # sizes that stand in for unknown ones while the shapes of elements are found out


class Pending(Described):
    """A dataset of symbolic tensors: it is made when an iterator is initialized with what is fed for them.

    Args:
        symbols: the symbolic tensors.
        build: makes the dataset of their values, by id.
    """

    def __init__(self, symbols: list[KerasTensor], build: Callable[[dict[int, Any]], Any]) -> None:
        self.symbols, self.build = symbols, build

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(explain("A dataset of placeholders", repr(name), "a method of tf.data.Dataset"))
        return lambda *args, **kwargs: pending(lambda d, *a, **k: getattr(d, name)(*a, **k), self, *args, **kwargs)

    @property
    def element_spec(self) -> Any:
        """The shapes and types of the elements, found out with zeros."""
        return self.build({id(symbol): _zeros(symbol) for symbol in self.symbols}).element_spec

    def make_initializable_iterator(self, shared_name: Any = None) -> "GraphIterator":
        """Return an iterator whose ``initializer`` is run with what is fed."""
        return initializable(self)


def pending(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Pending:
    """Return the dataset that a function will make of its arguments, among them symbolic tensors and such datasets."""
    before = [part for part in args if isinstance(part, Pending)]
    symbols = [*(symbol for part in before for symbol in part.symbols), *symbolic_leaves(args, kwargs)]

    def build(values: dict[int, Any]) -> Any:
        made = [part.build(values) if isinstance(part, Pending) else substitute(part, values) for part in args]
        return function(*made, **substitute(kwargs, values))

    return Pending(symbols, build)


def _zeros(symbol: KerasTensor) -> Any:
    if not symbol.shape:
        return torch.ones((), dtype=config.torch_dtype(symbol.dtype))
    first, *others = symbol.shape
    sizes = (_ROWS if first is None else first, *(_OTHERS if size is None else size for size in others))
    return torch.zeros(sizes, dtype=config.torch_dtype(symbol.dtype))


class GraphIterator:
    """An iterator of a graph.

    Args:
        spec: the shapes and types of the elements.
        dataset: what it goes over; None if an operation of ``make_initializer`` says so.
        starts: whether it starts at the first run, else when it is initialized.
    """

    def __init__(self, spec: Any, dataset: Any = None, starts: bool = False) -> None:
        self.element_spec, self._dataset = spec, dataset
        self._elements: Iterator[Any] | None = iter(dataset) if starts else None
        self._calls = 0

    @staticmethod
    def from_structure(output_types: Any, output_shapes: Any = None, **ignored: Any) -> "GraphIterator":
        """Make an iterator for datasets of such elements."""
        graphs.use(graph=True)
        return GraphIterator(signature_of(output_types, output_shapes))

    @property
    def initializer(self) -> Any:
        """The operation that starts it."""
        return self.make_initializer(self._dataset)

    def make_initializer(self, dataset: Any, name: str | None = None) -> Any:
        """Return an operation that lets it go over a dataset from the beginning."""
        symbols = dataset.symbols if isinstance(dataset, Pending) else []

        def start(*values: Any) -> None:
            found = dict(zip(map(id, symbols), values, strict=True))
            self._elements = iter(dataset.build(found) if isinstance(dataset, Pending) else dataset)

        return graphs.Operation(start, symbols, name=name)

    def get_next(self, name: str | None = None) -> Any:
        """Return the next element as symbolic tensors, each time another one in a run.

        Raises:
            NotImplementedError: elements with texts, which no symbolic tensor holds.
        """
        key = (id(self), self._calls)
        self._calls += 1

        def symbol(place: int, spec: Any) -> Any:
            if spec.dtype.name == "string":
                raise NotImplementedError(explain("Iterator.get_next", "texts in elements", "numbers, read by map"))
            kind = torch_dtype(spec.dtype) or torch.float32
            made = Input(batch_shape=tuple(spec.shape), dtype=config.dtype_name(kind))
            return graphs.sourced(made, lambda run: self._drawn(run, key)[place])

        leaves = tree.flatten(self.element_spec)
        return tree.pack(self.element_spec, [symbol(place, spec) for place, spec in enumerate(leaves)])

    def _drawn(self, run: dict[Any, Any], key: Any) -> list[Any]:
        if key not in run:
            if self._elements is None:
                remedy = "Run iterator.initializer first."
                raise ValueError(explain("Iterator.get_next", "an iterator that is not initialized", "a run", remedy))
            element = next(self._elements, run)
            if element is run:
                raise OutOfRangeError(None, None, "End of sequence")
            run[key] = tree.flatten(element)
        drawn: list[Any] = run[key]
        return drawn


def initializable(dataset: Any, shared_name: Any = None) -> GraphIterator:
    """Return an iterator that starts when its ``initializer`` is run."""
    graphs.use(graph=True)
    return GraphIterator(dataset.element_spec, dataset)


def one_shot(dataset: Any, shared_name: Any = None) -> Any:
    """Return an iterator that starts by itself; an eager program's yields the elements."""
    graphs.use(graph=True)
    return GraphIterator(dataset.element_spec, dataset, starts=True) if graphs.in_use() else iter(dataset)


__all__ = ["GraphIterator", "Pending", "initializable", "one_shot", "pending"]
