"""Drawings of a model's graph: DOT text, and pictures of it where Graphviz is installed."""

import shutil
import subprocess
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convia.errors import explain
from convia.models.summary import output_shape


@dataclass
class Dot:
    """A drawing in Graphviz's language."""

    direction: str = "TB"
    dpi: int = 200
    splines: str = "ortho"
    statements: list[str] = field(default_factory=list)

    def to_string(self) -> str:
        """Return the DOT text."""
        style = (
            'node [shape=record, fontname="Helvetica", style="rounded,filled", fillcolor="#eef4fb", color="#5b7fa6"]'
        )
        body = "\n  ".join(
            [f"rankdir={self.direction}; dpi={self.dpi}; splines={self.splines}", style, *self.statements]
        )
        return f"digraph model {{\n  {body}\n}}\n"

    __str__ = to_string

    def create(self, format: str = "png") -> bytes:
        """Return the picture in a format of Graphviz: png, svg, pdf.

        Raises:
            FileNotFoundError: Graphviz is not installed; says how to get it.
        """
        if shutil.which("dot") is None:
            raise FileNotFoundError(
                explain(
                    "plot_model",
                    "no program 'dot'",
                    "Graphviz",
                    "Install it (apt install graphviz, brew install graphviz, graphviz.org), or use model.summary().",
                )
            )
        command = ["dot", f"-T{format}"]
        return subprocess.run(command, input=self.to_string().encode(), capture_output=True, check=True).stdout


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Dot:
    """Return the drawing of a model's graph.

    Raises:
        ValueError: the model has no graph yet.
    """
    if getattr(model, "graph", None) is None:
        raise ValueError(
            explain(f"plot of {model.name!r}", "a model without a graph", "a functional model or a built Sequential")
        )
    dot = Dot(rankdir, dpi, splines)
    shown = {
        "shapes": show_shapes,
        "dtype": show_dtype,
        "names": show_layer_names,
        "activations": show_layer_activations,
        "trainable": show_trainable,
    }
    _draw(dot, model, shown, expand_nested, "")
    return dot


def _draw(dot: Dot, model: Any, shown: dict[str, bool], expand: bool, prefix: str) -> None:
    in_graph = {id(node) for node in model.graph.nodes}
    for operation in model.graph.operations:
        key = f"{prefix}{operation.name}"
        if expand and getattr(operation, "graph", None) is not None:
            dot.statements.append(f'subgraph "cluster_{key}" {{ label="{operation.name}"; style=rounded')
            _draw(dot, operation, shown, expand, f"{key}/")
            dot.statements.append("}")
        else:
            dot.statements.append(f'"{key}" [label="{_label(operation, shown)}"]')
    for node in model.graph.nodes:
        for parent in node.parents:
            if id(parent) in in_graph:
                start, end = (_port(n.operation, prefix, expand, side) for n, side in ((parent, -1), (node, 0)))
                dot.statements.append(f'"{start}" -> "{end}"')


def _port(operation: Any, prefix: str, expand: bool, side: int) -> str:
    """The box an edge starts or ends at: of an expanded model its last or first layer."""
    key = f"{prefix}{operation.name}"
    if expand and getattr(operation, "graph", None) is not None:
        inner = operation.graph.outputs[0].node if side else operation.graph.inputs[0].node
        return _port(inner.operation, f"{key}/", expand, side)
    return key


def _label(operation: Any, shown: dict[str, bool]) -> str:
    kind = type(operation).__name__
    rows = [f"{operation.name} ({kind})" if shown["names"] else kind]
    activation = getattr(getattr(operation, "activation", None), "__name__", None)
    if shown["activations"] and activation:
        rows.append(f"activation: {activation}")
    if shown["dtype"]:
        rows.append(f"dtype: {getattr(operation, 'dtype', '')}")
    if shown["shapes"]:
        rows.append(f"output shape: {output_shape(operation)}")
    if shown["trainable"] and getattr(operation, "weights", None):
        rows.append("trainable" if operation.trainable else "frozen")
    return "{" + "|".join(rows) + "}"


def plot_model(
    model: Any,
    to_file: str = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draw a model into a file (png, svg, pdf or dot); in a notebook the picture is returned.

    Without Graphviz a warning says how to get it, the DOT text is written beside, and nothing fails.
    """
    dot = model_to_dot(
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi,
        show_layer_activations=show_layer_activations, show_trainable=show_trainable, splines=splines,
    )  # fmt: skip
    path = Path(to_file)
    if path.suffix == ".dot":
        path.write_text(dot.to_string())
        return None
    try:
        path.write_bytes(dot.create(path.suffix.lstrip(".") or "png"))
    except FileNotFoundError as error:
        path.with_suffix(".dot").write_text(dot.to_string())
        warnings.warn(f"{error} The drawing's text is in {path.with_suffix('.dot')}.", stacklevel=2)
        return None
    return _notebook_image(path)


def _notebook_image(path: Path) -> Any:
    try:
        from IPython import get_ipython
        from IPython.display import Image
    except ImportError:
        return None
    return Image(filename=str(path)) if get_ipython() is not None and path.suffix == ".png" else None
