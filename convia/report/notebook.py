"""What notebooks show of models and of trainings; lent to their classes here, because pictures stand above them."""

import base64
from pathlib import Path
from typing import Any

from convia.callbacks import History
from convia.models import Model
from convia.report.curves import learning_curves
from convia.report.html_inside import layer_table
from convia.report.markup import tag


class ReportPath(type(Path())):  # type: ignore[misc]
    """The path of a report. As the last value of a cell it shows the report itself.

    It is a page of its own within the notebook's: styles stay apart, and links to its sections work.
    """

    def _repr_html_(self) -> str:
        source = f"data:text/html;charset=utf-8;base64,{base64.b64encode(self.read_bytes()).decode()}"
        return tag("iframe", src=source, title=self.name, style="width:100%;height:40rem;border:1px solid #8885")


def plot(history: History) -> Any:
    """Draw the loss and every metric over the epochs; see :func:`convia.report.learning_curves`.

    Returns:
        A matplotlib Figure, which shows itself in a notebook.

    Raises:
        ValueError: nothing was trained.
    """
    return learning_curves(history)


def table_of(model: Model) -> str:
    """Return a model's layers as an HTML table; of a model without weights yet, its name."""
    name = tag("p", tag("strong", type(model).__name__), f" {model.name}")
    if not model.built:
        return name
    learning = sum(weight.numel() for weight in model.trainable_weights)
    return tag("div", name, layer_table(model), tag("p", f"{model.count_params():,} parameters, {learning:,} learn"))


History.plot = plot  # type: ignore[attr-defined]
Model._repr_html_ = table_of  # type: ignore[attr-defined]
