"""Sections of the report about what the network said of the test images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from convia.explain import grad_cam
from convia.report.charts import calibration_curve
from convia.report.markup import Markup, table, tag, thumbnail
from convia.report.style import shortened

_MOST_CLASSES = 25  # in a table of confusions
_PER_CELL = 12  # images
_RIGHT = 6  # images of a class that were recognised
_MOST_PAIRS = 120  # cells that open their images
_WORST = 8
_SMALL_GAP = 0.02  # between certainty and accuracy
_SHADES = ((207, 227, 241), (8, 65, 110))  # of a share near 0 and of 1
_SHORT = 5  # letters of names that stand side by side above the columns
_DARK = 0.179  # the luminance below which white text stands out more than black one


def confusion(told: Any) -> list[Any]:
    """Return the confusion matrix, each cell a link to its images; of many classes, the most frequent mistakes."""
    say, names, judged = told.say, told.names, told.judged
    pairs = judged.pairs(_MOST_PAIRS)
    if len(names) > _MOST_CLASSES:
        rows = [[names[i], tag("a", names[j], href=f"#cell-{i}-{j}"), str(count)] for i, j, count in pairs]
        headings = [say("true_class"), say("predicted_class"), say("images")]
        opened = [(i, j) for i, j, _ in pairs]
        text = say("confusion_many", count=len(names))
        return [tag("p", text), table(headings, rows, numbers=2), [_cell(told, *place) for place in opened]]
    opened = [(i, j) for i, j, _ in pairs] + [(i, i) for i in range(len(names)) if judged.counts[i, i]]
    return [tag("p", say("confusion_text")), _matrix(told, set(opened)), [_cell(told, *place) for place in opened]]


def _matrix(told: Any, opened: set[tuple[int, int]]) -> Markup:
    say, names, counts = told.say, told.names, told.judged.counts
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    head: list[Markup] = [tag("td", tag("small", f"{say('predicted_class')} →", tag("br"), f"{say('true_class')} ↓"))]
    head += [tag("th", shortened(name, 14), scope="col") for name in names]
    rows = [
        tag("tr", tag("th", shortened(name, 14), scope="row"),
            [_entry(told, (i, j), float(shares[i, j]), (i, j) in opened) for j in range(len(names))])
        for i, name in enumerate(names)
    ]  # fmt: skip
    made = tag(
        "table",
        tag("thead", tag("tr", head)),
        tag("tbody", rows),
        class_="confusion upright" if max(map(len, names)) > _SHORT else "confusion",
    )
    return tag("div", made, class_="scroll", tabindex=0, role="region", aria_label=say("confusion"))


def _entry(told: Any, place: tuple[int, int], share: float, is_open: bool) -> Markup:
    count = int(told.judged.counts[place])
    if not count:
        return tag("td", "0", class_="zero")
    weight = float(np.sqrt(share))
    shade = [round(a + weight * (b - a)) for a, b in zip(*_SHADES, strict=True)]
    style = f"background:rgb({','.join(map(str, shade))});color:{'#fff' if luminance(shade) < _DARK else '#000'}"
    link = {"href": f"#cell-{place[0]}-{place[1]}", "aria_label": _cell_title(told, *place)} if is_open else {}
    return tag("td", tag("a", str(count), **link) if link else str(count), style=style)


def luminance(colour: Sequence[int]) -> float:
    """Return the relative luminance, 0 to 1, of red, green and blue, 0 to 255 (WCAG 2.2)."""
    parts = (level / 255 for level in colour)
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def _cell_title(told: Any, i: int, j: int) -> str:
    key, count = ("cell_right" if i == j else "cell"), int(told.judged.counts[i, j])
    title: str = told.say(key, true=told.names[i], predicted=told.names[j], count=count)
    return title


def _cell(told: Any, i: int, j: int) -> Markup:
    """Return the images of a cell, hidden until its link is followed."""
    say, judged = told.say, told.judged
    found = np.flatnonzero((judged.labels == i) & (judged.predicted == j))
    shown = found[np.argsort(-judged.certainty[found], kind="stable")][: _RIGHT if i == j else _PER_CELL]
    figures = [tag("li", _figure(told, index)) for index in shown]
    rest = say("shown_of", shown=len(shown), count=len(found)) if len(shown) < len(found) else None
    return tag(
        "div",
        tag("h3", _cell_title(told, i, j)),
        tag("ul", figures, class_="gallery"),
        tag("p", rest) if rest else None,
        tag("p", tag("a", say("close"), href="#confusion"), class_="back"),
        id=f"cell-{i}-{j}", class_="cell", tabindex=-1, role="group", aria_label=_cell_title(told, i, j),
    )  # fmt: skip


def _figure(told: Any, index: int, explained: bool = False) -> Markup:
    say, judged, names = told.say, told.judged, told.names
    true, predicted = int(judged.labels[index]), int(judged.predicted[index])
    image = told.images.test.images[index]
    said = say(
        "said",
        predicted=names[predicted],
        sure=f"{judged.certainty[index]:.0%}",
        true=names[true],
        other=f"{judged.probabilities[index, true]:.0%}",
    )
    pictures: list[Any] = [thumbnail(image, say("image_alt", true=names[true], predicted=names[predicted]))]
    if explained and (heat := heat_of(told, image, predicted)) is not None:
        pictures += [" ", thumbnail(image, say("cam_alt", predicted=names[predicted]), heat)]
    return tag("figure", pictures, tag("figcaption", said))


def heat_of(told: Any, image: Any, class_index: int) -> Any:
    """Return Grad-CAM's map, None where the network has no feature maps to draw it from."""
    try:
        return grad_cam(told.model, np.asarray(image, np.float32), class_index)
    except ValueError:
        return None


def classes(told: Any) -> list[Any]:
    """Return precision, recall and F1 of every class, the worst first where there are many."""
    say, judged = told.say, told.judged
    precision, recall, f1 = judged.rates()
    order = np.argsort(np.nan_to_num(f1), kind="stable") if len(f1) > _MOST_CLASSES else np.arange(len(f1))
    rows = [
        [
            told.names[i],
            f"{judged.counts[i].sum():,}",
            *(_share(values[i]) for values in (precision, recall, f1)),
            _bar(f1[i]),
        ]
        for i in order
    ]
    headings = [say(key) for key in ("class", "images", "precision", "recall", "f1")]
    return [tag("p", say("classes_text")), table([*headings, ""], rows)]


def _share(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.1%}"


def _bar(share: float) -> Markup:
    width = 0 if np.isnan(share) else round(100 * share)
    return tag("span", class_="bar", style=f"width:{width}%", aria_hidden="true")


def mistakes(told: Any) -> list[Any]:
    """Return the most and the least certain mistakes, with what spoke for them."""
    say, judged = told.say, told.judged
    if judged.is_right.all():
        return [tag("p", say("no_mistakes"))]
    worst = judged.worst(_WORST)
    others = [index for index in judged.least_certain(2 * _WORST) if index not in set(worst)][:_WORST]
    groups = [("worst", worst), ("uncertain", others)]
    return [
        [
            tag("h3", say(key)),
            tag("p", say(f"{key}_text")),
            tag("ul", [tag("li", _figure(told, index, explained=True)) for index in chosen], class_="gallery"),
        ]
        for key, chosen in groups
        if len(chosen)
    ]


def calibration_chart(told: Any) -> Markup:
    """Return the calibration curve."""
    return calibration_curve(told.judged.bins(), told.say)


def calibration(told: Any) -> list[Any]:
    """Return how far certainty and accuracy agree."""
    say, judged = told.say, told.judged
    gap = float(judged.certainty.mean()) - judged.accuracy
    tendency = "calibrated" if abs(gap) < _SMALL_GAP else "too_sure" if gap > 0 else "too_timid"
    text = say("calibration_text", ece=f"{judged.calibration_error():.1%}", tendency=say(tendency))
    rows = [[f"{b.certainty:.1%}", f"{b.right:.1%}", f"{b.images:,}"] for b in judged.bins()]
    headings = [say("certainty"), say("share_right"), say("images")]
    return [
        tag("p", text),
        tag("div", tag("figure", calibration_chart(told)), class_="charts"),
        tag("details", tag("summary", say("numbers")), table(headings, rows)),
    ]
