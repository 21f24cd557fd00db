"""The card of a model: what it is, what it costs, what it was trained on and how well it does, in Markdown or JSON."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from convia import config, tree
from convia.export.program import examples, signature
from convia.layer import Layer
from convia.saving import kept

_MEBI = 1 << 20
_MOST_NAMES = 20


@dataclass(frozen=True)
class Row:
    """One layer: what it makes of one sample, and at what cost."""

    name: str
    kind: str
    output_shape: tuple[int | None, ...] | None
    parameters: int
    multiply_adds: int | None


class Card:
    """What is known of a model. ``facts`` are plain values; ``print`` and notebooks show ``markdown``."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts

    def json(self, **kwargs: Any) -> str:
        """Return the facts as JSON; ``kwargs`` go to ``json.dumps``."""
        return json.dumps(self.facts, ensure_ascii=False, **{"indent": 2, **kwargs})

    @property
    def markdown(self) -> str:
        """The facts as headings and tables."""
        return "\n".join(_markdown(self.facts)) + "\n"

    def _repr_markdown_(self) -> str:
        return self.markdown

    def __str__(self) -> str:
        return self.markdown


def card(model: Any) -> Card:
    """Return the card of a built model.

    Multiply-adds and the memory of activations are of one sample, counted while it passes through (by torch's counter
    of operations: convolutions, matrix products, attention); unknown sizes besides the batch leave them out.

    Raises:
        ValueError: a model whose inputs are not known yet.
    """
    specs = signature("card", model)
    known = all(None not in spec.shape[1:] for spec in tree.flatten(specs))
    rows, activations = _counted(model, specs) if known else ([_row(layer, None) for layer in model.layers], None)
    kinds: dict[str, int] = {}
    for row in rows:
        if row.multiply_adds:
            kinds[row.kind] = kinds.get(row.kind, 0) + row.multiply_adds
    learning = sum(math.prod(v.shape) for v in model.trainable_weights)
    total = sum(math.prod(v.shape) for v in model.weights)
    steps, names = model.preprocessing, model.class_names
    facts = {
        "name": model.name,
        "type": type(model).__name__,
        "inputs": {spec.name: [*spec.shape] for spec in tree.flatten(specs)},
        "outputs": [[*shape] for shape in _output_shapes(model)],
        "parameters": {"total": total, "trainable": learning, "frozen": total - learning},
        "multiply_adds": {"total": sum(kinds.values()), "by_kind": kinds} if known else None,
        "memory": {
            "weights": sum(v.numel() * v.element_size() for v in model.weights),
            "activations_per_sample": activations,
        },
        "class_names": [*names] if isinstance(names, tuple) else None,
        "preprocessing": asdict(steps) if isinstance(steps, kept.Preprocessing) else None,
        "results": kept.results(model),
        "layers": [asdict(row) for row in rows],
    }
    return Card(facts)


def _output_shapes(model: Any) -> list[tuple[int | None, ...]]:
    return [tensor.shape for tensor in model.outputs] if model.graph is not None else []


def _leaves(model: Any) -> list[Layer]:
    """The layers that no other layer of Keras's stands for, each once."""
    found: dict[int, Layer] = {}
    for layer in model.layers:
        for leaf in _leaves(layer) if hasattr(layer, "layers") else [layer]:
            found.setdefault(id(leaf), leaf)
    return [*found.values()]


def _row(layer: Any, cost: int | None, output: Any = None) -> Row:
    nodes = getattr(layer, "_inbound_nodes", ())
    shape = tuple(nodes[0].outputs[0].shape) if nodes and output is None else output
    count = sum(math.prod(v.shape) for v in layer.weights)
    return Row(layer.name, type(layer).__name__, shape, count, cost)


def _counted(model: Any, specs: Any) -> tuple[list[Row], int]:
    """Run one sample and note each layer's operations and output."""
    inputs = [torch.from_numpy(array).to(config.device()) for array in examples(specs, batch=1)]
    leaves = _leaves(model)
    counter = FlopCounterMode(display=False)
    costs: dict[int, int] = {}
    outputs: dict[int, Any] = {}
    size = 0

    def before(layer: Any, _: Any) -> None:
        costs[id(layer)] = costs.get(id(layer), 0) - counter.get_total_flops()

    def after(layer: Any, _: Any, output: Any) -> None:
        nonlocal size
        costs[id(layer)] += counter.get_total_flops()
        tensors = [leaf for leaf in tree.flatten(output) if isinstance(leaf, Tensor)]
        size += sum(leaf.numel() * leaf.element_size() for leaf in tensors)
        outputs.setdefault(id(layer), (None, *tensors[0].shape[1:]) if tensors else None)

    with _hooks(leaves, before, after), counter, torch.no_grad():
        model(tree.pack(specs, inputs), training=False)
    rows = [_row(leaf, costs.get(id(leaf), 0) // 2, outputs.get(id(leaf))) for leaf in leaves]  # 2 per multiply-add
    return rows, size


@contextmanager
def _hooks(layers: list[Layer], before: Any, after: Any) -> Iterator[None]:
    handles = [handle for layer in layers for handle in
               (layer.register_forward_pre_hook(before), layer.register_forward_hook(after))]  # fmt: skip
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# -- Markdown ---------------------------------------------------------------------------------------------------------


def _markdown(facts: dict[str, Any]) -> Iterator[str]:
    parameters, memory, cost = facts["parameters"], facts["memory"], facts["multiply_adds"]
    yield f"# {_plain(facts['name'])}"
    yield ""
    lines = [
        ("Type", facts["type"]),
        ("Inputs", "; ".join(f"{_plain(name)} {_shape(shape)}" for name, shape in facts["inputs"].items())),
        ("Outputs", "; ".join(map(_shape, facts["outputs"])) or "unknown"),
        ("Parameters", f"{parameters['total']:,}, of which {parameters['trainable']:,} learn"),
        ("Multiply-adds per sample", f"{cost['total']:,}" if cost else "unknown: sizes of the input are open"),
        ("Memory of the weights", f"{memory['weights'] / _MEBI:,.2f} MiB"),
    ]
    if memory["activations_per_sample"] is not None:
        lines.append(("Memory of one sample's feature maps", f"{memory['activations_per_sample'] / _MEBI:,.2f} MiB"))
    names = facts["class_names"]
    if names:
        more = f", … ({len(names)} in all)" if len(names) > _MOST_NAMES else ""
        lines.append(("Classes", ", ".join(map(_plain, names[:_MOST_NAMES])) + more))
    if facts["preprocessing"]:
        lines.append(("Preprocessing", str(kept.Preprocessing(**facts["preprocessing"]))))
    lines += [
        (title, ", ".join(f"{_plain(k)} {v:.4g}" for k, v in values.items())) for title, values in _results(facts)
    ]
    yield from _table(("", ""), lines)
    if cost and cost["by_kind"]:
        yield from ("", "## Multiply-adds by kind of layer", "")
        rows = [(kind, f"{count:,}", f"{count / cost['total']:.1%}") for kind, count in cost["by_kind"].items()]
        yield from _table(("Kind", "Multiply-adds", "Share"), rows)
    yield from ("", "## Layers", "")
    yield from _table(
        ("Layer", "Kind", "Output", "Parameters", "Multiply-adds"), [_cells(row) for row in facts["layers"]]
    )


def _results(facts: dict[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    results = facts["results"]
    if results.get("last_epoch"):
        yield f"After epoch {results['epochs']}", results["last_epoch"]
    if results.get("evaluation"):
        yield "Evaluated", results["evaluation"]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    shape, cost = row["output_shape"], row["multiply_adds"]
    counts = f"{row['parameters']:,}", f"{cost:,}" if cost is not None else "?"
    return (_plain(row["name"]), row["kind"], _shape(shape) if shape else "?", *counts)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for cells in (heads, ("---",) * len(heads), *rows):
        yield f"| {' | '.join(cells)} |"


def _shape(shape: Any) -> str:
    return "(" + ", ".join("batch" if i == 0 and size is None else str(size) for i, size in enumerate(shape)) + ")"


def _plain(text: str) -> str:
    """Keep names from being read as Markdown or HTML."""
    escaped = "".join(f"\\{c}" if c in "\\|`*_[]#" else c for c in " ".join(str(text).split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


__all__ = ["Card", "Row", "card"]
