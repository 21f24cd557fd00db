"""The report of a training as one HTML file: nothing else is needed to read it, no network and no script."""

import csv
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from convia.errors import explain
from convia.report import html_inside, html_judged
from convia.report.charts import metric_curve
from convia.report.diagnosis import Course, Finding, diagnose
from convia.report.judged import Judged
from convia.report.markup import Markup, join, table, tag, thumbnail
from convia.report.notebook import ReportPath
from convia.texts import Say, language, speaker

_EXAMPLES = 4  # images per class
_MOST_CLASSES = 25  # of which examples are shown
_CURVES = ("loss", "accuracy", "learning_rate")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = Path(__file__).with_name("html.css")


class Part(Protocol):
    """Images (N, H, W, C) as the model takes them, and their class numbers (N,)."""

    @property
    def images(self) -> npt.NDArray[Any]:
        """(N, H, W, C)."""

    @property
    def labels(self) -> npt.NDArray[Any]:
        """(N,)."""


class Images(Protocol):
    """The images of a training, in three parts."""

    @property
    def class_names(self) -> Sequence[str]:
        """In the order of the numbers."""

    @property
    def training(self) -> Part:
        """What was learned from."""

    @property
    def validation(self) -> Part:
        """What decided which epoch was the best."""

    @property
    def test(self) -> Part:
        """What the network never saw."""


@dataclass(frozen=True)
class Told:
    """All that a report tells of: the run's files, the network, the images, and what it said of those for testing."""

    facts: Mapping[str, Any]
    history: Mapping[str, Sequence[float]]
    model: Any
    images: Images
    judged: Judged
    say: Say
    lang: str

    @property
    def names(self) -> list[str]:
        """Of the classes."""
        return list(self.judged.class_names)

    @cached_property
    def course(self) -> Course:
        """What the diagnosis looks at."""
        training = self.images.training.labels
        held_out = [self.images.validation, self.images.test]
        known = {_key(image) for image in self.images.training.images}
        duplicates = sum(_key(image) in known for part in held_out for image in part.images)
        return Course(
            history=self.history,
            images=np.bincount(np.asarray(training, int), minlength=len(self.names)).tolist(),
            class_names=self.names,
            tested=len(self.judged.labels),
            held_out=sum(len(part.labels) for part in held_out),
            duplicates=duplicates,
            border=border(self.facts),
            accuracy=self.judged.accuracy,
        )

    @cached_property
    def findings(self) -> list[Finding]:
        """The diagnosis."""
        return diagnose(self.course, self.say)


def _key(image: Any) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).digest()


def write_html(
    folder: str | os.PathLike[str],
    model: Any,
    images: Images,
    probabilities: Any = None,
    lang: str | None = None,
    path: str | os.PathLike[str] | None = None,
    parts: bool = True,
) -> Path:
    """Write the report of a run, and its charts as files of their own.

    Args:
        folder: of the run, with ``result.json`` and ``history.csv``.
        model: the trained model.
        images: in three parts, pixels as the model takes them; see :class:`Images`.
        probabilities: what the model says of the test images, (N, classes); by default it is asked.
        lang: "en" or "es"; by default that of the locale.
        path: of the file; by default ``report.html`` in the folder.
        parts: whether to write the charts into ``report/`` beside the file, as SVG and PNG.

    Returns:
        The file's path; the last value of a notebook's cell, it shows the report there.

    Raises:
        ValueError: a folder that is no run's, no test images, or a language that is not spoken.
    """
    folder = Path(folder)
    facts, history = read_run(folder)
    if probabilities is None:
        probabilities = model.predict(images.test.images, verbose=0)
    judged = Judged.of(images.test.labels, probabilities, images.class_names)
    told = Told(facts, history, model, images, judged, speaker(lang), language(lang))
    target = Path(path) if path is not None else folder / "report.html"
    target.write_text(page(told), encoding="utf-8")
    if parts:
        write_parts(told, target.with_suffix(""))
    return ReportPath(target)


def read_run(folder: Path) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Return what ``result.json`` and ``history.csv`` of a run say.

    Raises:
        ValueError: they are not there, or are none.
    """
    try:
        facts = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        history = {name: [float(row[name]) for row in rows] for name in rows[0] if name != "epoch"}
        known = facts["settings"]["data"], facts["class_names"]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        received = f"a folder without what a training writes ({type(error).__name__}: {error})"
        expected = "a folder with result.json, history.csv and model.keras"
        raise ValueError(explain(f"report of {folder}", received, expected, "convia train makes one.")) from error
    assert known
    return facts, history


def border(facts: Mapping[str, Any]) -> int:
    """Return how many epochs there were before fine-tuning began, 0 where nothing was fine-tuned."""
    first, *others = facts.get("stages") or [None]
    return int(first["epochs"]) if others else 0


def page(told: Told) -> str:
    """Return the whole report."""
    say = told.say
    sections = [
        ("summary", _summary),
        ("dataset", _dataset),
        ("curves", _curves),
        ("confusion", html_judged.confusion),
        ("classes", html_judged.classes),
        ("mistakes", html_judged.mistakes),
        ("calibration", html_judged.calibration),
        ("inside", html_inside.inside),
        ("model", html_inside.layers),
        ("repeat", html_inside.repeat),
    ]
    made = [(name, join(write(told))) for name, write in sections]
    title = f"{say('report')}: {_data_name(told)}"
    body = [
        tag("a", say("skip"), href="#main", class_="skip"),
        tag("header", tag("h1", title)),
        tag("nav", tag("ul", [tag("li", tag("a", say(n), href=f"#{n}")) for n, _ in made]), aria_label=say("contents")),
        tag("main", [_section(say(name), name, content) for name, content in made], id="main", tabindex=-1),
        tag("footer", tag("p", say("made_by"))),
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", title),
        tag("style", Markup(_STYLE.read_text(encoding="utf-8"))),
    ]
    return "<!doctype html>\n" + tag("html", tag("head", head), tag("body", body), lang=told.lang) + "\n"


def _section(title: str, name: str, content: Markup) -> Markup:
    return tag("section", tag("h2", title, id=f"h-{name}"), content, id=name, aria_labelledby=f"h-{name}")


def _data_name(told: Told) -> str:
    return Path(str(told.facts["settings"]["data"])).name or "."


def _summary(told: Told) -> list[Any]:
    say, judged, facts = told.say, told.judged, told.facts
    low, high = judged.interval()
    right, total = int(judged.is_right.sum()), len(judged.labels)
    seconds = facts.get("seconds", {}).get("training")
    epochs = len(told.history["loss"])
    cards = {
        f"{say('accuracy')} ({say('test')})": f"{judged.accuracy:.1%}",
        say("best_epoch"): f"{told.course.best + 1} / {epochs}",
        say("parameters"): f"{facts.get('parameters', 0):,}",
        **({say("time"): f"{seconds:,.1f} s"} if seconds is not None else {}),
    }
    headline = say(
        "headline", right=right, total=total, share=f"{right / total:.1%}", low=f"{low:.1%}", high=f"{high:.1%}"
    )
    pairs = [
        tag("p", say("worst_pair", true=told.names[i], predicted=told.names[j], count=count))
        for i, j, count in judged.pairs(1)
    ]
    return [
        tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in cards.items()], class_="figures"),
        tag("p", headline),
        pairs,
        tag("h3", say("diagnosis")),
        [_finding(found, say) for found in told.findings],
    ]


def _finding(found: Finding, say: Say) -> Markup:
    kind = "finding problem" if found.is_problem else "finding" if found.rule == "healthy" else "finding note"
    remedy = None if found.rule == "healthy" else tag("p", tag("strong", say("what_to_do")), " ", found.remedy)
    return tag("div", tag("p", found.text), remedy, class_=kind, data_rule=found.rule)


def _dataset(told: Told) -> list[Any]:
    say, images, names = told.say, told.images, told.names
    parts = {"training": images.training, "validation": images.validation, "testing": images.test}
    counts = {part: np.bincount(np.asarray(of.labels, int), minlength=len(names)) for part, of in parts.items()}
    height, width, channels = images.training.images.shape[1:]
    kind = say("grey" if channels == 1 else "colour")
    text = say("dataset_text", name=_data_name(told), classes=len(names), height=height, width=width, kind=kind)
    rows = [[name, *(f"{counts[part][number]:,}" for part in parts)] for number, name in enumerate(names)]
    rows.append([say("all"), *(f"{counts[part].sum():,}" for part in parts)])
    many = len(names) > _MOST_CLASSES
    listing = table([say("class"), *map(say, parts)], rows)
    unreadable = told.facts.get("unreadable") or {}
    return [
        tag("p", text),
        tag("p", say("unreadable", count=len(unreadable))) if unreadable else None,
        tag("details", tag("summary", say("numbers")), listing) if many else listing,
        tag("div", [_examples(told, number) for number in range(min(len(names), _MOST_CLASSES))], class_="examples"),
    ]


def _examples(told: Told, number: int) -> Markup | None:
    part, name = told.images.training, told.names[number]
    found = np.flatnonzero(np.asarray(part.labels) == number)[:_EXAMPLES]
    title = told.say("examples_of", name=name)
    cells = [tag("li", thumbnail(part.images[index], title)) for index in found]
    caption = tag("h3", name)
    return tag("div", caption, tag("ul", cells, class_="gallery small", aria_label=title)) if len(found) else None


def _curve_names(told: Told) -> list[str]:
    every = [name for name in told.history if not name.startswith("val_")]
    rates = told.history.get("learning_rate", ())
    every = [name for name in every if name != "learning_rate" or len(set(rates)) > 1]
    return sorted(every, key=lambda name: _CURVES.index(name) if name in _CURVES else 1.5)


def _label(told: Told, name: str) -> str:
    return told.say(name) if name in _CURVES else name.replace("_", " ")


def _curve(told: Told, name: str) -> Markup:
    return metric_curve(told.history, name, _label(told, name), told.course.best, told.say, told.course.border)


def _curves(told: Told) -> list[Any]:
    say = told.say
    figures = [tag("figure", tag("figcaption", _label(told, name)), _curve(told, name)) for name in _curve_names(told)]
    names = list(told.history)
    epochs = [
        [str(number + 1), *(f"{told.history[name][number]:.4g}" for name in names)]
        for number in range(len(told.history["loss"]))
    ]
    headings = [say("epoch"), *(name.replace("_", " ") for name in names)]
    return [
        tag("div", figures, class_="charts"),
        [_finding(found, say) for found in told.findings if found.rule in _ABOUT_CURVES],
        tag("details", tag("summary", say("numbers")), table(headings, epochs)),
    ]


_ABOUT_CURVES = ("diverged", "rate_too_high", "not_learning", "overfitting", "underfitting", "not_converged", "healthy")


def write_parts(told: Told, folder: Path) -> None:
    """Write the charts of a report into a folder, as SVG, and the pictures of the network as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {name: _curve(told, name) for name in _curve_names(told)}
    made["calibration"] = html_judged.calibration_chart(told)
    for name, svg in made.items():
        (folder / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")
    for name, content in html_inside.pictures(told).items():
        (folder / f"{name}.png").write_bytes(content)
