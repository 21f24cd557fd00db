"""The confusion matrix: which classes were taken for which."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from convia.errors import explain
from convia.report.style import (
    FAINT,
    INK,
    classes_of,
    drawing,
    figure,
    names_for,
    place,
    shortened,
    write,
)

_MOST_WITH_NUMBERS = 30  # classes; with more, cells are too small for text
_CELLS = ((2, 0.95), (4, 0.8), (12, 0.6), (30, 0.34), (55, 0.19), (10**9, 0.13))  # up to so many classes → inches
_LARGEST = 13.0  # inches


def count_confusions(y_true: Any, y_pred: Any, classes: int = 0) -> npt.NDArray[np.int64]:
    """Return how many images of class i (row) were taken for class j (column).

    Raises:
        ValueError: no labels, or another number of them than of predictions.
    """
    true, predicted = classes_of(y_true), classes_of(y_pred)
    if len(true) != len(predicted) or not len(true):
        received = f"{len(true)} labels and {len(predicted)} predictions"
        raise ValueError(explain("confusion_matrix", received, "as many of the one as of the other, at least one"))
    if min(true.min(), predicted.min()) < 0:
        raise ValueError(explain("confusion_matrix", "a negative class number", "classes counted from 0"))
    size = max(classes, int(true.max()) + 1, int(predicted.max()) + 1)
    return np.bincount(true * size + predicted, minlength=size * size).reshape(size, size)


def confusion_matrix(y_true: Any, y_pred: Any, class_names: Sequence[Any] | None = None) -> Any:
    """Draw which classes were taken for which: counts, and the share of each true class.

    With more than 30 classes cells have colours only, and the most frequent confusions are named below.

    Args:
        y_true: class numbers (N,), or one-hot rows (N, classes).
        y_pred: class numbers (N,), or probabilities (N, classes).
        class_names: in the order of the numbers.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: no labels, or another number of them than of predictions.
    """
    counts = count_confusions(y_true, y_pred, len(class_names or ()))
    size = len(counts)
    names = names_for(size, class_names)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    right, total = int(np.trace(counts)), int(counts.sum())
    cell = min(next(inches for most, inches in _CELLS if size <= most), _LARGEST / size)
    side, left, top = max(cell * size, 1.7), 0.62 + _text_width(names, cell), 0.55
    with drawing():
        upright = max(map(len, names)) * 0.085 <= cell
        below = 0.55 if upright else 0.4 + _text_width(names, cell)
        made = figure(max(left + side + 1.15, 4.9), top + side + below + 0.5)
        axes = place(made, left, top, side, side)
        drawn = axes.imshow(shares, cmap=_tints(), norm=_norm())
        _label(axes, names, cell, upright)
        if size <= _MOST_WITH_NUMBERS:
            _write_numbers(axes, counts, shares, cell)
        _scale(made, drawn, place(made, left + side + 0.2, top, 0.16, min(side, 3.2)))
        write(made, 0.15, 0.14, f"Confusion matrix: {right} of {total} right ({right / total:.1%})", 12)
        write(made, 0.15, top + side + below, _worst(counts, names), 8.5, color=FAINT, fontweight="normal")
        return made


def _text_width(names: list[str], cell: float) -> float:
    """Return the inches that the longest name takes."""
    return max(len(shortened(name)) for name in names) * _font(cell) * 0.62 / 72


def _font(cell: float) -> float:
    return float(np.clip(cell * 72 * 0.62, 5.0, 9.0))


def _scale(made: Any, drawn: Any, axes: Any) -> None:
    bar = made.colorbar(drawn, cax=axes, ticks=[0, 0.05, 0.25, 0.5, 1])
    bar.ax.set_yticklabels(["0%", "5%", "25%", "50%", "100%"], fontsize=8)
    bar.outline.set_visible(False)
    bar.set_label("share of the true class", fontsize=8.5)


def _tints() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("tints", ["#ffffff", "#cfe3f1", "#7fb4d8", "#2f7fb8", "#08416e"])


def _norm() -> Any:
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, 0, 1)  # few mistakes would not be seen beside the diagonal


def _label(axes: Any, names: list[str], cell: float, upright: bool) -> None:
    size, font = len(names), _font(cell)
    every = max(1, round(0.115 / cell))  # so many classes that only some can be named
    places, short = range(0, size, every), [shortened(name) for name in names[::every]]
    axes.set_xticks(places, short, fontsize=font, rotation=0 if upright else 90)
    axes.set_yticks(places, short, fontsize=font)
    axes.tick_params(length=0, pad=3)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.spines[:].set_visible(True)
    axes.set_xticks(np.arange(size - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(size - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="#e6eaee", linewidth=min(0.6, 2 * cell))
    axes.tick_params(which="minor", length=0)


def _write_numbers(axes: Any, counts: npt.NDArray[Any], shares: npt.NDArray[Any], cell: float) -> None:
    roomy = cell > 0.5
    for row, column in np.argwhere(counts > 0):
        share = shares[row, column]
        text = f"{counts[row, column]}\n{_percent(share)}" if roomy else str(counts[row, column])
        colour = "white" if share > 0.4 else INK
        axes.text(column, row, text, ha="center", va="center", fontsize=8 if roomy else 7, color=colour)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 or share == 0 else f"{share:.1%}"


def _worst(counts: npt.NDArray[Any], names: list[str]) -> str:
    mistakes = counts - np.diag(np.diag(counts))
    order = np.argsort(mistakes, axis=None, kind="stable")[::-1][:3]
    pairs = [(*divmod(int(place), len(names)), int(mistakes.flat[place])) for place in order]
    texts = [f"{shortened(names[i])} taken for {shortened(names[j])} ({count}×)" for i, j, count in pairs if count]
    return "Most frequent mistakes: " + ", ".join(texts) if texts else "No mistakes."
