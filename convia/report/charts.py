"""Charts as SVG, with their texts as text: sharp at any size, quick to make, read by screen readers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convia.report.judged import Bin
from convia.report.markup import Markup, tag
from convia.report.style import BLUE, FAINT, INK, LINE, ORANGE
from convia.texts import Say

_WIDTH, _HEIGHT = 400, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 20, 30, 40
_DASHES = ("", "6 3")  # lines are told apart without colours, too
_COLOURS = (BLUE, ORANGE)
_LABEL = "#a84600"  # orange that is dark enough for letters
_ROLES = {INK: "ink", FAINT: "faint", LINE: "line", BLUE: "blue", ORANGE: "orange", _LABEL: "label"}
_STEPS = (1, 2, 2.5, 5, 10)


class _Plane:
    """Where values are on the paper."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x, self.y = x, y

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return round(_LEFT + across * width, 1), round(_TOP + (1 - up) * height, 1)


def _ticks(low: float, high: float, most: int = 5, whole: bool = False) -> list[float]:
    """Return round numbers between two values."""
    if not high > low:
        return [low]
    raw = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(raw))
    steps = (step * scale for step in _STEPS if step * scale >= raw * 0.999)
    step = next(step for step in steps if not whole or step.is_integer())
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _stroke(colour: str, width: float, dashes: str | None = None) -> dict[str, Any]:
    """Return how a line looks: as attributes, and as a class to which a page in dark colours gives others."""
    return {
        "stroke": colour,
        "class_": f"stroke-{_ROLES[colour]}",
        "stroke_width": width,
        "stroke_dasharray": dashes or None,
    }


def _fill(colour: str) -> dict[str, str]:
    return {"fill": colour, "class_": f"fill-{_ROLES[colour]}"}


def _frame(plane: _Plane, x_ticks: Sequence[float], y_ticks: Sequence[float], x_label: str, is_share: bool) -> Any:
    parts = []
    for value in y_ticks:
        left, y = plane(plane.x[0], value)
        parts.append(tag("line", x1=left, x2=_WIDTH - _RIGHT, y1=y, y2=y, **_stroke(LINE, 0.8)))
        parts.append(_text(f"{value:.4g}" if not is_share else f"{100 * value:.4g}%", left - 6, y + 4, "end"))
    bottom = _HEIGHT - _BOTTOM
    for value in x_ticks:
        x = plane(value, plane.y[0])[0]
        parts.append(_text(f"{value:.4g}" if plane.x != (0, 1) else f"{100 * value:.4g}%", x, bottom + 16, "middle"))
    parts.append(_text(x_label, (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, "middle"))
    return parts


def _text(text: str, x: float, y: float, anchor: str = "start", colour: str = FAINT, **how: Any) -> Markup:
    return tag("text", text, x=round(x, 1), y=round(y, 1), text_anchor=anchor, **_fill(colour), **how)


def _svg(alt: str, *children: Any) -> Markup:
    return tag(
        "svg",
        tag("title", alt),
        children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=alt,
        font_family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif",
        font_size=12,
    )


def _line(plane: _Plane, xs: Any, ys: Any, number: int) -> list[Markup]:
    points = [plane(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
    drawn = " ".join(f"{x},{y}" for x, y in points)
    style = _stroke(_COLOURS[number], 2, _DASHES[number])
    parts = [tag("polyline", points=drawn, fill="none", stroke_linejoin="round", **style)]
    if len(points) <= 25:
        parts += [tag("circle", cx=x, cy=y, r=2.6, **_fill(_COLOURS[number])) for x, y in points]
    return parts


def _legend(labels: Sequence[str]) -> list[Markup]:
    parts, x = [], float(_LEFT)
    for number, label in enumerate(labels):
        line = _stroke(_COLOURS[number], 2, _DASHES[number])
        parts += [tag("line", x1=x, x2=x + 22, y1=14, y2=14, **line), _text(label, x + 27, 18, colour=INK)]
        x += 45 + 7 * len(label)
    return parts


def metric_curve(history: Any, name: str, label: str, best: int, say: Say, border: int = 0) -> Markup:
    """Draw a metric over the epochs, of training and of validation.

    Args:
        history: name → values, one per epoch.
        name: of the metric; validation's is "val_…".
        label: what it is called.
        best: the best epoch, from 0.
        say: the language.
        border: how many epochs there were before fine-tuning; 0 where there was none.
    """
    found = [(key, np.asarray(history[key], float)) for key in (name, f"val_{name}") if key in history]
    finite = np.concatenate([values[np.isfinite(values)] for _, values in found] + [np.zeros(0)])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    is_share = low >= 0 and high <= 1 and "loss" not in name and "rate" not in name
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    bottom = max(low - room, 0.0) if low >= 0 else low - room
    epochs = len(found[0][1])
    plane = _Plane((1, max(epochs, 2)), (bottom, min(high + room, 1.0) if is_share else high + room))
    shown: Callable[[float], str] = (lambda value: f"{value:.1%}") if is_share else (lambda value: f"{value:.3g}")
    ends = [shown(values[-1]) for _, values in found]
    later = say("chart_validation", value=ends[1]) if len(ends) > 1 else ""
    alt = say("chart_alt", name=label, epochs=epochs, train=ends[0], validation=later, best=best + 1)
    alt += say("chart_border", epoch=border + 1) if border else ""
    x, top = plane(best + 1, plane.y[1])
    lines = [_line(plane, range(1, len(values) + 1), values, n) for n, (_, values) in enumerate(found)]
    return _svg(
        alt,
        _frame(plane, _ticks(1, epochs, 8, True), _ticks(*plane.y), say("epoch"), is_share),
        tag("line", x1=x, x2=x, y1=top, y2=_HEIGHT - _BOTTOM, **_stroke(FAINT, 1, "3 3")),
        _border(plane, border + 0.5, say("fine_tuning")) if border else (),
        lines,
        _legend([say("training"), say("validation")][: len(found)] if len(found) > 1 else [label]),
    )


def _border(plane: _Plane, epoch: float, label: str) -> list[Markup]:
    x, top = plane(epoch, plane.y[1])
    line = tag("line", x1=x, x2=x, y1=top, y2=_HEIGHT - _BOTTOM, **_stroke(FAINT, 0.8))
    return [line, _text(label, x + 4, top + 9, font_size=10)]


def calibration_curve(bins: Sequence[Bin], say: Say) -> Markup:
    """Draw the share that is right over the certainty; the larger a point, the more images."""
    plane = _Plane((0, 1), (0, 1))
    most = max(part.images for part in bins)
    points = ", ".join(say("calibration_point", sure=f"{b.certainty:.0%}", right=f"{b.right:.0%}") for b in bins)
    (x1, y1), (x2, y2) = plane(0, 0), plane(1, 1)
    dots = [
        tag("circle", tag("title", b.images), cx=x, cy=y, r=round(3 + 6 * math.sqrt(b.images / most), 1),
            fill_opacity=0.75, **_fill(BLUE))
        for b in bins
        for x, y in [plane(b.certainty, b.right)]
    ]  # fmt: skip
    marks = [0, 0.25, 0.5, 0.75, 1]
    return _svg(
        say("calibration_alt", points=points),
        _frame(plane, marks, marks, say("certainty"), True),
        tag("line", x1=x1, x2=x2, y1=y1, y2=y2, **_stroke(ORANGE, 1.5, "6 3")),
        _text(say("perfect"), *plane(0.3, 0.36), "end", _LABEL),
        _line(plane, [b.certainty for b in bins], [b.right for b in bins], 0)[:1],
        dots,
        _text(say("share_right"), _LEFT, 18, colour=INK),
    )
