"""The table of a model's layers, output shapes and numbers of parameters, as Keras prints it."""

import html
import math
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from convia import config, tree
from convia.errors import explain
from convia.layer import Layer
from convia.layers import BatchNormalization
from convia.models import notebook
from convia.training.frozen import Flat

_LEARNS = 9  # characters of the column that says what learns


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Any = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Any = None,
) -> None:
    """Print the table; with ``print_fn`` it is given the whole text instead.

    Raises:
        ValueError: the model is not built, so that shapes and weights do not exist yet.
    """
    if not model.built and not model.layers:
        raise ValueError(
            explain(
                f"summary of {model.name!r}",
                "a model that is not built",
                "a built one",
                "Call it on data, build(input_shape) it, or start it with an Input.",
            )
        )
    from rich.console import Console
    from rich.text import Text

    width = line_length or min(shutil.get_terminal_size((80, 24)).columns, 100)
    console = Console(width=max(width, 40), highlight=False, record=print_fn is not None, force_jupyter=False)
    table = _table(model, expand_nested, show_trainable, layer_range, positions, console.width)
    lines = [Text(f'Model: "{model.name}"', style="bold"), table, *_totals(model)]
    if show_trainable and (by_batch := _statistics(model)):
        batch = sum(by_batch.values())
        counts = f"{batch} by the batch's statistics, {len(by_batch) - batch} by moving averages"
        lines.append(Text(f" BatchNormalization in training: {counts}", style="bold"))
    in_notebook = print_fn is None and notebook.is_one()
    if print_fn is None and not in_notebook:
        for line in lines:
            console.print(line)
        return
    with console.capture() as capture:
        for line in lines:
            console.print(line)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capture.get())
    if print_fn is not None:
        print_fn(plain)
    else:
        notebook.display(plain, _html(table, [str(line) for line in lines if line is not table]))


def _html(table: Any, lines: list[str]) -> str:
    """Return the table, below its title and above what is said of the whole."""
    title, *totals = (html.escape(line.strip()) for line in lines)
    head = "".join(f"<th>{html.escape(str(column.header))}</th>" for column in table.columns)
    columns = (
        [
            f'<td style="text-align:{column.justify};white-space:pre">{html.escape(str(cell))}</td>'
            for cell in column.cells
        ]
        for column in table.columns
    )
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in zip(*columns, strict=True))
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<p><strong>{title}</strong></p>{whole}<p>{'<br>'.join(totals)}</p>"


def _table(model: Any, expand: bool, show_trainable: bool, layer_range: Any, positions: Any, width: int) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    connected = model.graph is not None and not _is_chain(model)
    shares = positions or ((0.32, 0.26, 0.14, 0.28) if connected else (0.45, 0.32, 0.23))
    headings = ["Layer (type)", "Output Shape", "Param #", *(["Connected to"] if connected else [])]
    table = Table(box=box.HEAVY_HEAD, width=width, show_lines=False, pad_edge=True)
    room = width - (_LEARNS + 3 if show_trainable else 0)
    for heading, share in zip(headings, shares, strict=False):
        justify: Any = "right" if heading == "Param #" else "left"
        table.add_column(
            Text(heading), justify=justify, overflow="fold", width=None if positions else int(room * share) - 3
        )
    if show_trainable:
        table.add_column("Trainable", justify="center", width=_LEARNS)
    by_batch = _statistics(model) if show_trainable else {}
    for layer, depth in _rows(model, expand, layer_range):
        cells = [f"{'  └ ' * depth}{layer.name} ({type(layer).__name__})", output_shape(layer), _parameters(layer)]
        if connected:
            cells.append(_sources(layer, model))
        if show_trainable:
            cells.append(_learns(layer, by_batch))
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _learns(layer: Any, by_batch: dict[int, bool]) -> str:
    """Return whether a layer learns, and of a BatchNormalization by which statistics training normalizes.

    A model within a model of which some layers learn says so, whatever its own ``trainable`` is: its weights learn.
    """
    if not layer.weights:
        return "-"
    within = {inner.trainable for inner in layer._flatten_layers(include_self=False) if inner.weights}
    if len(within) > 1:
        return "part"
    learns = "Y" if layer.trainable else "N"
    return f"{learns} {'batch' if by_batch[id(layer)] else 'moving'}" if id(layer) in by_batch else learns


def _statistics(model: Any) -> dict[int, bool]:
    """Return, by id of each BatchNormalization, whether training normalizes by the batch's statistics."""
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, BatchNormalization)]
    found = {id(layer): layer.trainable for layer in norms}
    if getattr(model, "graph", None) is not None:  # a call may say training=False
        for call in Flat(model.graph).calls:
            if call.training is False:
                found |= {id(layer): False for layer in norms if layer is call.operation}
    return found


def _is_chain(model: Any) -> bool:
    steps = model.graph.steps
    return all(step.only is not None for step in steps) and len(model.graph.inputs) == 1 and _each_used_once(model)


def _each_used_once(model: Any) -> bool:
    fed = [id(tensor) for step in model.graph.steps for tensor in step.node.inputs]
    return len(fed) == len(set(fed))


def _rows(model: Any, expand: bool, layer_range: Any, depth: int = 0) -> Iterator[tuple[Layer, int]]:
    layers = (
        model.operations if depth == 0 and model.graph is not None and not hasattr(model, "_stack") else model.layers
    )
    for layer in _within(layers, layer_range, model.name):
        yield layer, depth
        if expand and getattr(layer, "graph", None) is not None:
            yield from _rows(layer, expand, None, depth + 1)


def _within(layers: list[Any], layer_range: Any, name: str) -> list[Any]:
    if not layer_range:
        return layers
    first, last = (
        next((i for i, layer in enumerate(layers) if re.match(pattern, layer.name)), None) for pattern in layer_range
    )
    if first is None or last is None:
        raise ValueError(
            explain(f"summary of {name!r}", f"layer_range={layer_range!r}", "the names of two of its layers")
        )
    return layers[min(first, last) : max(first, last) + 1]


def output_shape(layer: Any) -> str:
    """Return the shape of a layer's output as Keras writes it: (None, 26, 26, 8); "?" when it is not known."""
    nodes = getattr(layer, "_inbound_nodes", [])
    if nodes:
        shapes = [str(tensor.shape) for tensor in nodes[0].outputs]
    elif getattr(layer, "graph", None) is not None:
        shapes = [str(tensor.shape) for tensor in tree.flatten(layer.output)]
    else:
        return "?"
    return ", ".join(shapes)


def _parameters(layer: Any) -> str:
    if not isinstance(layer, Layer):
        return "0"
    if not layer.built and not layer.weights:
        return "0 (unbuilt)"
    return f"{sum(v.numel() for v in layer.weights):,}"


def _sources(layer: Any, model: Any) -> str:
    mine = {id(step.node) for step in model.graph.steps}
    nodes = [node for node in layer._inbound_nodes if id(node) in mine]
    names = [
        f"{t.node.operation.name}[{t.node.operation._inbound_nodes.index(t.node)}][{t.index}]"
        for node in nodes
        for t in node.inputs
        if t.node is not None
    ]
    return ", ".join(names) or "-"


def _totals(model: Any) -> list[Any]:
    from rich.text import Text

    trainable = model.trainable_weights
    frozen = model.non_trainable_weights
    lines = [("Total params", [*trainable, *frozen]), ("Trainable params", trainable), ("Non-trainable params", frozen)]
    texts = [Text(f" {title}: {_count(weights)} ({readable_bytes(weights)})", style="bold") for title, weights in lines]
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and getattr(optimizer, "built", False):
        state = optimizer.variables
        texts[0] = Text(
            f" Total params: {_count([*trainable, *frozen, *state])} ({readable_bytes([*trainable, *frozen, *state])})",
            style="bold",
        )
        texts.append(Text(f" Optimizer params: {_count(state)} ({readable_bytes(state)})", style="bold"))
    return texts


def _count(weights: list[Any]) -> str:
    return f"{sum(math.prod(w.shape) for w in weights):,}"


def readable_bytes(weights: list[Any]) -> str:
    """Return the memory of weights as text: "3.14 KB"."""
    size = float(sum(math.prod(w.shape) * config.torch_dtype(w.dtype).itemsize for w in weights))
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            return f"{size:.2f} {unit}"
        size /= 1024
    raise AssertionError
