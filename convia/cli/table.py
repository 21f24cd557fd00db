"""The results of a run as a table."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from convia.cli.train import Outcome
from convia.cli.words import words
from convia.texts import Say

_MOST_CLASSES = 20
_WORST = 10
_NAMED = 5  # files that could not be read


def print_outcome(console: Console, outcome: Outcome) -> None:
    """Print the accuracy of every class (of many classes, the worst), of all, and the facts of the run."""
    say = words(outcome.facts["settings"].get("lang"))
    rows = [(name, row["images"], row["right"]) for name, row in outcome.facts["test"]["classes"].items()]
    title = say("table_title")
    if len(rows) > _MOST_CLASSES:
        rows = sorted((row for row in rows if row[1]), key=lambda row: row[2] / row[1])[:_WORST]
        title += say("table_worst", worst=_WORST, count=len(outcome.images.class_names))
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_footer=True)
    total = len(outcome.images.test)
    right = round(outcome.accuracy * total)
    table.add_column(say("class"), footer=say("all"))
    table.add_column(say("images"), justify="right", footer=f"{total:,}")
    table.add_column(say("right"), justify="right", footer=f"{right:,}")
    table.add_column(say("accuracy"), justify="right", footer=f"{outcome.accuracy:.1%}")
    table.add_column("", footer="")
    for name, images, hits in rows:
        share = f"{hits / images:.1%}" if images else "–"
        table.add_row(Text(name), str(images), str(hits), share, _bar(hits / images if images else 0.0))
    console.print()
    console.print(table)
    for line in _facts(outcome, say):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _bar(share: float, width: int = 20) -> Text:
    full = round(share * width)
    return Text("█" * full, style="blue") + Text("░" * (width - full), style="bright_black")


def _facts(outcome: Outcome, say: Say) -> list[str]:
    facts = outcome.facts
    seconds = {name: f"{value:.1f}" for name, value in facts["seconds"].items()}
    speed = {name: f"{value:,.0f}" for name, value in facts["images_per_second"].items()}
    unreadable = outcome.images.unreadable
    named = ", ".join([*unreadable][:_NAMED])
    named += say("and_more", count=len(unreadable) - _NAMED) if len(unreadable) > _NAMED else ""
    rows = [
        ("test_accuracy", f"{outcome.accuracy:.2%}   ({say('loss')} {facts['test']['loss']:.4f})"),
        ("best_epoch", say("best_epoch_of", **facts["epochs"])),
        ("time", say("time_of", **seconds)),
        ("speed", say("speed_of", **speed)),
        ("parameters", f"{facts['parameters']:,}"),
        *([("unreadable", f"{len(unreadable)} ({facts['settings']['on_error']}): {named}")] * bool(unreadable)),
        ("results", str(outcome.folder)),
    ]
    return [f"{say(key):<13}  {text}" for key, text in rows]
