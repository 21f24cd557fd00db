"""The doctor's command: what ``convia.images.examine`` found, as tables, as JSON, as pictures, as a list of files."""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from convia.cli.reported import Debug, Language, reported
from convia.cli.words import words
from convia.images.examine import KINDS, Examination, Finding, examine
from convia.report.folder import class_counts, contact_sheet
from convia.texts import Say

FOUND = 3  # the exit code where something spoils training
_MOST_CLASSES = 20
_PICTURES = {
    "class_counts.png": None,
    "duplicates.png": tuple(kind for kind in KINDS if kind.endswith(("leak", "conflict", "duplicate"))),
    "problems.png": tuple(kind for kind in KINDS if not kind.endswith(("leak", "conflict", "duplicate"))),
}

EXAMPLES = f"""[bold]Examples[/bold]

convia doctor photos

convia doctor photos --output checkup

convia doctor photos --quarantine bad.csv --no-alike

convia doctor photos --json | jq '.findings[] | select(.kind == "leak")'


[bold]FOLDER[/bold] has a folder of images per class, also within train/, validation/ and test/. Nothing in it is
changed, moved or deleted: what training does better without is written to a list.


[bold]Exit codes[/bold]  0: nothing that spoils training (there may be notes). {FOUND}: something does. 1: no such
folder, or no images. 2: wrong usage. 130: stopped.
"""


def doctor_command(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder of images.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    output: Annotated[
        str | None, typer.Option(help="Folder for report.json, quarantine.csv and .txt, and the pictures.")
    ] = None,
    quarantine: Annotated[
        str | None,
        typer.Option(help="File for the list of images to leave out: .csv with reasons, else a path per line."),
    ] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also read what links out of the folder lead to.")
    ] = False,
    alike: Annotated[
        bool, typer.Option("--alike/--no-alike", help="Look for images that look alike, too, not only for equal files.")
    ] = True,
    most: Annotated[int, typer.Option(help="How many findings of each kind to name in the table.")] = 5,
    workers: Annotated[
        int | None, typer.Option(help="How many files to read at once. By default as many as there are processors.")
    ] = None,
    lang: Language = None,
    debug: Debug = False,
) -> None:
    """Look for what is wrong with a folder of images: broken files, duplicates, leaks between the parts, and more."""
    with reported(debug):
        code = doctor(
            folder, as_json=as_json, output=output, quarantine=quarantine, follow_links=follow_links, alike=alike,
            most=most, workers=workers, lang=lang,
        )  # fmt: skip
    raise typer.Exit(code)


def doctor(
    folder: str,
    *,
    as_json: bool = False,
    output: str | None = None,
    quarantine: str | None = None,
    follow_links: bool = False,
    alike: bool = True,
    most: int = 5,
    workers: int | None = None,
    lang: str | None = None,
) -> int:
    """Examine a folder, show what was found, and return the exit code.

    Args:
        folder: see :func:`convia.images.examine.examine`.
        as_json: print JSON instead of tables.
        output: folder for report.json, quarantine.csv and the pictures.
        quarantine: file for the list of what to leave out: .csv, or a path per line.
        follow_links, alike, workers: see ``examine``.
        most: files that are named per kind.
        lang: "en" or "es"; by default that of the locale.
    """
    errors, say = Console(stderr=True), words(lang)
    columns = (TextColumn(say("reading")), BarColumn(bar_width=30), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("", total=None)
        found = examine(
            folder, follow_links, alike, workers, lambda done, total: bar.update(task, completed=done, total=total)
        )
    console = Console()
    if as_json:
        json.dump(found.to_dict(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print(console, found, most, say)
    told = errors if as_json else console
    if quarantine is not None:
        number = found.write_quarantine(quarantine)
        text = say("quarantine_of", count=f"{number:,}", file=quarantine)
        told.print(f"{say('quarantine'):<10}  {text}", highlight=False, markup=False, soft_wrap=True)
    if output is not None:
        write(found, Path(output))
        told.print(f"{say('results'):<10}  {output}", highlight=False, markup=False, soft_wrap=True)
    return 0 if found.is_healthy else FOUND


def write(found: Examination, folder: Path) -> None:
    """Write report.json, quarantine.csv, quarantine.txt and the pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(found.to_dict(), indent=2) + "\n", encoding="utf-8")
    for name in ("quarantine.csv", "quarantine.txt"):
        found.write_quarantine(folder / name)
    for name, kinds in _PICTURES.items():
        (class_counts(found) if kinds is None else contact_sheet(found, kinds)).savefig(folder / name)


def _print(console: Console, found: Examination, most: int, say: Say) -> None:
    _print_classes(console, found, say)
    by_kind = defaultdict(list)
    for finding in found.findings:
        by_kind[finding.kind].append(finding)
    if by_kind:
        table = Table(title=say("findings"), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        table.add_column("")
        table.add_column(say("number"), justify="right")
        table.add_column(say("finding"))
        table.add_column(say("where"), overflow="fold")
        for kind, findings in by_kind.items():
            key, style = ("problem", "bold red") if KINDS[kind].is_problem else ("note", "yellow")
            where = Text("\n".join(_lines(findings, most, say)))
            table.add_row(Text(say(key), style=style), f"{len(findings):,}", say(f"kind_{kind}"), where)
        console.print(table)
    bad = sum(facts.bad != "" for facts in found.files)
    problems = sum(KINDS[finding.kind].is_problem for finding in found.findings)
    leave = len(found.quarantine())
    for key, text in (
        ("images", say("readable_of", good=f"{len(found.files) - bad:,}", bad=f"{bad:,}")),
        ("found", say("found_of", problems=f"{problems:,}", notes=f"{len(found.findings) - problems:,}")),
        ("leave_out", say("leave_out_of", count=f"{leave:,}") if leave else say("nothing")),
    ):
        console.print(f"{say(key):<12}  {text}", highlight=False, markup=False, soft_wrap=True)


def _lines(findings: list[Finding], most: int, say: Say) -> list[str]:
    lines = [
        " = ".join(finding.paths[:4]) + (" = …" if len(finding.paths) > 4 else "") if finding.paths else finding.text
        for finding in findings[:most]
    ]
    return [*lines, *([say("more", count=f"{len(findings) - most:,}")] if len(findings) > most else [])]


def _print_classes(console: Console, found: Examination, say: Say) -> None:
    counts = found.counts()
    parts = [*next(iter(counts.values()))]
    title = say("images_in", place=found.root)
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.show_footer = True
    table.add_column(say("class"), footer=say("all"))
    for part in parts:
        total = sum(row[part] for row in counts.values())
        table.add_column(say(part or "images"), justify="right", footer=f"{total:,}")
    shown = sorted(counts.items(), key=lambda row: -sum(row[1].values()))
    for name, row in shown[:_MOST_CLASSES]:
        table.add_row(Text(name or say("no_class")), *(f"{row[part]:,}" for part in parts))
    if len(shown) > _MOST_CLASSES:
        smaller = say("and_smaller", count=f"{len(shown) - _MOST_CLASSES:,}")
        table.add_row(Text(smaller, style="bright_black"))
    console.print(table)
