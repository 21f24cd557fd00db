"""Examples of what a model predicts wrongly and rightly."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from convia.errors import explain
from convia.report.style import (
    BLUE,
    LINE,
    ORANGE,
    array,
    bare,
    classes_of,
    drawing,
    figure,
    names_for,
    place,
    shortened,
    showable,
    write,
)


def predictions(
    images: Any,
    y_true: Any,
    y_pred: Any = None,
    probabilities: Any = None,
    class_names: Sequence[Any] | None = None,
    columns: int = 8,
) -> Any:
    """Draw examples of what was predicted wrongly, the most certain mistakes first, and of what was right.

    Args:
        images: (N, H, W), (N, H, W, 1) or (N, H, W, 3).
        y_true: class numbers (N,), or one-hot rows.
        y_pred: class numbers (N,); by default the class with the largest probability.
        probabilities: of all classes, (N, classes), or of the predicted one, (N,).
        class_names: in the order of the numbers.
        columns: images per row; there are up to two rows of either kind.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: neither y_pred nor probabilities, or different numbers of images and labels.
    """
    if y_pred is None and probabilities is None:
        raise ValueError(explain("predictions", "neither y_pred nor probabilities", "one of them"))
    images, true = array(images), classes_of(y_true)
    predicted = classes_of(probabilities if y_pred is None else y_pred)
    if not len(images) == len(true) == len(predicted) or not len(true):
        received = f"{len(images)} images, {len(true)} labels and {len(predicted)} predictions"
        raise ValueError(explain("predictions", received, "the same number of each, at least one"))
    certainty = _certainty(probabilities, predicted)
    names = [shortened(name, 14) for name in names_for(int(max(true.max(), predicted.max())) + 1, class_names)]
    captions = [
        _caption(names[i] if i != j else None, names[j], sure)
        for i, j, sure in zip(true, predicted, certainty, strict=True)
    ]
    return _gallery(images, _groups(true, predicted, certainty, 2 * columns), captions, columns)


def _certainty(probabilities: Any, predicted: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the probability of each prediction, NaN where it is not known."""
    if probabilities is None:
        return np.full(len(predicted), np.nan)
    values = array(probabilities)
    if values.ndim == 2 and values.shape[1] > 1:
        certain: npt.NDArray[Any] = values[np.arange(len(predicted)), predicted]
        return certain
    return values.reshape(-1)


def _caption(mistaken: str | None, predicted: str, certainty: float) -> tuple[str, str]:
    sure = "" if np.isnan(certainty) else f" ({certainty:.0%})"
    return (f"✓ {predicted}{sure}", BLUE) if mistaken is None else (f"✗ {predicted}{sure}\nis {mistaken}", ORANGE)


def _groups(true: Any, predicted: Any, certainty: Any, most: int) -> list[tuple[str, npt.NDArray[Any]]]:
    """Return titles with the positions of images to show, wrong ones and right ones."""
    wrong, right = np.flatnonzero(true != predicted), np.flatnonzero(true == predicted)
    order = "" if np.isnan(certainty).any() or len(wrong) < 2 else ", the most certain first"
    groups = [
        (f"Wrong: {len(wrong)} of {len(true)}{order}", wrong[np.argsort(-certainty[wrong], kind="stable")]),
        (f"Right: {len(right)} of {len(true)}", _spread(right, true)),
    ]
    return [(title, chosen[:most]) for title, chosen in groups if len(chosen)]


def _spread(indices: npt.NDArray[Any], classes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Put examples of all classes in turn."""
    turn: npt.NDArray[np.int64] = np.zeros(len(indices), dtype=np.int64)
    for number in np.unique(classes[indices]):
        of_class = classes[indices] == number
        turn[of_class] = np.arange(of_class.sum())
    return indices[np.lexsort((classes[indices], turn))]


def _gallery(images: Any, groups: list[tuple[str, Any]], captions: list[tuple[str, str]], columns: int) -> Any:
    cell, gap, heading = 1.1, 0.12, 0.4
    above = [max(captions[index][0].count("\n") for index in chosen) * 0.14 + 0.22 for _, chosen in groups]
    rows = [-(-len(chosen) // columns) for _, chosen in groups]
    heights = [count * (cell + room) + heading for count, room in zip(rows, above, strict=True)]
    across = max(min(len(chosen), columns) for _, chosen in groups)
    with drawing():
        made = figure(max(across * (cell + gap) + gap, 4.0), sum(heights) + 0.15)
        top = 0.0
        for (title, chosen), room, height in zip(groups, above, heights, strict=True):
            write(made, gap, top + 0.14, title)
            for number, index in enumerate(chosen):
                row, column = divmod(number, columns)
                start = top + heading + row * (cell + room) + room
                axes = place(made, gap + column * (cell + gap), start, cell, cell)
                pixels, how = showable(images[index])
                axes.imshow(pixels, **how)
                bare(axes, *captions[index])
                axes.spines[:].set(visible=True, color=LINE)
            top += height
        return made
