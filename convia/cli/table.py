"""The results of a run as a table."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from convia.cli.train import Outcome

_MOST_CLASSES = 20
_WORST = 10
_NAMED = 5  # files that could not be read


def print_outcome(console: Console, outcome: Outcome) -> None:
    """Print the accuracy of every class (of many classes, the worst), of all, and the facts of the run."""
    rows = [(name, row["images"], row["right"]) for name, row in outcome.facts["test"]["classes"].items()]
    title = "Accuracy on the test images"
    if len(rows) > _MOST_CLASSES:
        rows = sorted((row for row in rows if row[1]), key=lambda row: row[2] / row[1])[:_WORST]
        title += f", the {_WORST} worst of {len(outcome.images.class_names)} classes"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_footer=True)
    total = len(outcome.images.test)
    right = round(outcome.accuracy * total)
    table.add_column("class", footer="all")
    table.add_column("images", justify="right", footer=f"{total:,}")
    table.add_column("right", justify="right", footer=f"{right:,}")
    table.add_column("accuracy", justify="right", footer=f"{outcome.accuracy:.1%}")
    table.add_column("", footer="")
    for name, images, hits in rows:
        share = f"{hits / images:.1%}" if images else "–"
        table.add_row(Text(name), str(images), str(hits), share, _bar(hits / images if images else 0.0))
    console.print()
    console.print(table)
    for line in _facts(outcome):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _bar(share: float, width: int = 20) -> Text:
    full = round(share * width)
    return Text("█" * full, style="blue") + Text("░" * (width - full), style="bright_black")


def _facts(outcome: Outcome) -> list[str]:
    facts = outcome.facts
    epochs, seconds, speed = facts["epochs"], facts["seconds"], facts["images_per_second"]
    unreadable = outcome.images.unreadable
    named = ", ".join([*unreadable][:_NAMED]) + (f" and {len(unreadable) - _NAMED} more" * (len(unreadable) > _NAMED))
    return [
        f"test accuracy  {outcome.accuracy:.2%}   (loss {facts['test']['loss']:.4f})",
        f"best epoch     {epochs['best']} of {epochs['run']}",
        f"time           {seconds['total']:.1f} s, of which {seconds['training']:.1f} s learning",
        f"speed          {speed['training']:,.0f} images/s learning, {speed['prediction']:,.0f} images/s predicting",
        f"parameters     {facts['parameters']:,}",
        *([f"unreadable     {len(unreadable)} ({outcome.facts['settings']['on_error']}): {named}"] * bool(unreadable)),
        f"results        {outcome.folder}",
    ]
