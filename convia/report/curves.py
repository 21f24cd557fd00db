"""How loss and metrics went from epoch to epoch."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from convia.errors import explain
from convia.report.style import BLUE, FAINT, LINE, ORANGE, drawing, figure

_PLAIN = {"acc": "accuracy", "mse": "mean squared error", "mae": "mean absolute error", "lr": "learning rate"}
_SHARES = ("acc", "accuracy", "auc", "precision", "recall", "f1_score", "top_k_categorical_accuracy")


def learning_curves(history: Any, border: int = 0) -> Any:
    """Draw the loss and every metric over the epochs, of training and of validation, and mark the best epoch.

    The best epoch is that of the least validation loss, or of the least loss where nothing was validated.

    Args:
        history: what ``fit`` returned, or its dictionary: name → values, one per epoch.
        border: how many epochs there were before fine-tuning began, which is marked; 0 where there was none.

    Returns:
        A matplotlib Figure with one panel per metric.

    Raises:
        ValueError: no loss, or no epoch.
    """
    logs: Mapping[str, Any] = history if isinstance(history, Mapping) else getattr(history, "history", {})
    names = [name for name in logs if f"val_{name}" in logs or not name.startswith("val_")]
    names = sorted((name for name in names if name not in ("learning_rate", "lr")), key=lambda name: name != "loss")
    if not names or names[0] != "loss" or not len(logs["loss"]):
        received = f"a history of {sorted(logs) or 'nothing'}"
        raise ValueError(
            explain("learning_curves", received, "a loss for at least one epoch", "Train the model first.")
        )
    best = int(np.argmin(np.nan_to_num(np.asarray(logs.get("val_loss", logs["loss"]), float), nan=np.inf)))
    with drawing():
        columns = min(len(names), 3)
        rows = -(-len(names) // columns)
        made = figure(4.6 * columns, 3.3 * rows, layout="constrained")
        panels = made.subplots(rows, columns, squeeze=False).flat
        for name, axes in zip(names, panels, strict=False):
            _panel(axes, name, np.asarray(logs[name], float), logs.get(f"val_{name}"), best)
            if 0 < border < len(logs[name]):
                _mark(axes, border + 0.5)
        for axes in list(panels):
            axes.remove()
        return made


def _panel(axes: Any, name: str, train: Any, validation: Any, best: int) -> None:
    lines = [("training", train, BLUE, "o")]
    if validation is not None:
        lines.append(("validation", np.asarray(validation, float), ORANGE, "s"))
    for label, values, colour, mark in lines:
        every = {"marker": mark, "markersize": 3.5} if len(values) <= 12 else {}
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, label=label, **every)
    value = lines[-1][1][min(best, len(lines[-1][1]) - 1)]
    axes.axvline(best + 1, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.plot(best + 1, value, "o", color=lines[-1][2], markersize=8, markerfacecolor="white", markeredgewidth=1.8)
    is_share = name in _SHARES
    shown = f"{value:.1%}" if is_share else f"{value:.3g}"
    plain = _PLAIN.get(name, name.replace("_", " "))
    axes.set_title(f"{plain[0].upper()}{plain[1:]}: {shown} at the best epoch, {best + 1}", pad=9)
    axes.set_xlabel("epoch")
    _scale(axes, len(train), is_share)
    axes.grid(axis="y")
    axes.legend(loc="lower right" if is_share else "upper right")


def _mark(axes: Any, x: float) -> None:
    """Draw where fine-tuning begins."""
    axes.axvline(x, color=LINE, linewidth=1.2, zorder=0)
    axes.annotate(" fine-tuning", (x, 0.5), xycoords=("data", "axes fraction"), color=FAINT, fontsize=8, rotation=90,
                  va="center", ha="right")  # fmt: skip


def _scale(axes: Any, epochs: int, is_share: bool) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.set_xlim(0.5 if epochs < 12 else 1 - epochs / 40, epochs + max(0.5, epochs / 40))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10]))
    if is_share:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
        axes.set_ylim(top=min(axes.get_ylim()[1], 1.0) if axes.get_ylim()[1] > 0.9 else None)
    else:
        axes.set_ylim(bottom=0 if axes.get_ylim()[0] > -0.2 * axes.get_ylim()[1] else None)
