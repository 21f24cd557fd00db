"""``convia repro``: a run done again, and whether the same came out."""

import sys
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from convia.cli.reported import Debug, reported
from convia.cli.settings import Settings
from convia.cli.train import train
from convia.cli.version import versions
from convia.errors import explain
from convia.report.html import read_run
from convia.saving import load_model

DIFFERS = 3  # the exit code where something else came out
EXAMPLES = f"""[bold]Examples[/bold]

convia repro runs/digits

convia repro runs/photos --data /elsewhere/photos --output runs/photos-again


The run is done again with the settings and the seed in its result.json, and compared: every epoch's numbers, the
weights, and what it says of the test images. With other versions, on another processor, or where
several processes shared the run, sums are rounded otherwise: --tolerance says how much accuracies may differ.


[bold]Exit codes[/bold]  0: the same came out. {DIFFERS}: something else did. 1: an error. 2: wrong usage. 130: stopped.
"""


@dataclass(frozen=True)
class Comparison:
    """How far two runs lie apart."""

    epochs: tuple[int, int]
    history: float  # the largest difference of any number of any epoch; infinite where epochs are missing
    weights: float
    accuracy: tuple[float, float]
    versions: dict[str, tuple[str, str]]  # those that differ

    def is_same(self, tolerance: float) -> bool:
        """Whether everything is equal, or the accuracies lie within a tolerance above 0."""
        if tolerance:
            return abs(self.accuracy[0] - self.accuracy[1]) <= tolerance
        return self.history == 0 and self.weights == 0 and self.accuracy[0] == self.accuracy[1]


def repro_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run.")],
    source: Annotated[str | None, typer.Option("--data", help="Where the images are now, if they were moved.")] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Keep the new run in this folder. By default it is deleted.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="How much the test accuracies may differ, from 0 to 1; 0: nothing may differ.")
    ] = 0.0,
    debug: Debug = False,
) -> None:
    """Repeat a run with its settings and seed, and tell whether the same comes out."""
    with reported(debug):
        if not 0 <= tolerance <= 1:
            raise ValueError(explain("--tolerance", tolerance, "a share from 0 to 1"))
        with tempfile.TemporaryDirectory() as temporary:
            found = repeat(Path(run).expanduser(), Path(output or Path(temporary, "run")).expanduser(), source)
        _print(found, found.is_same(tolerance), tolerance)
    raise typer.Exit(0 if found.is_same(tolerance) else DIFFERS)


def repeat(run: Path, output: Path, source: str | None = None) -> Comparison:
    """Train again as a run did, into another folder, and compare.

    Raises:
        ValueError: a folder that is no run's. OSError: no images.
    """
    facts, history = read_run(run)
    known = {field.name for field in fields(Settings)}
    chosen = {name: value for name, value in facts["settings"].items() if name in known}
    changes: dict[str, Any] = {"output": str(output), "resume": False, "as_json": False, "check": False, "devices": 1}
    settings = Settings(**(chosen | changes | ({"data": source} if source else {})))
    again = train(settings, Console(stderr=True), command=["convia", *sys.argv[1:]])
    before = load_model(run / "model.keras", compile=False).get_weights()
    told, now = facts.get("versions", {}), versions()
    return Comparison(
        (len(history["loss"]), len(again.history["loss"])),
        _distance(list(history.values()), [again.history.get(name, []) for name in history]),
        _distance(before, again.model.get_weights()),
        (float(facts["test"]["accuracy"]), again.accuracy),
        {name: (str(told.get(name)), now[name]) for name in now if told.get(name) != now[name]},
    )


def _distance(some: list[Any], others: list[Any]) -> float:
    """Return the largest difference of two lists of arrays; infinite where their shapes differ."""
    if [np.shape(one) for one in some] != [np.shape(other) for other in others]:
        return float("inf")
    pairs = zip(some, others, strict=True)
    return max((float(np.abs(np.subtract(one, other)).max()) for one, other in pairs if np.size(one)), default=0.0)


def _print(found: Comparison, is_same: bool, tolerance: float) -> None:
    rows = [
        ("epochs", f"{found.epochs[0]} and {found.epochs[1]}"),
        ("history", _told(found.history)),
        ("weights", _told(found.weights)),
        ("accuracy", f"{found.accuracy[0]:.4%} and {found.accuracy[1]:.4%}"),
        *((f"{name}", f"{before}, now {now}") for name, (before, now) in found.versions.items()),
        ("verdict", "the same" if is_same and not tolerance else "within the tolerance" if is_same else "not the same"),
    ]
    for name, text in rows:
        typer.echo(f"{name:<10} {text}")


def _told(difference: float) -> str:
    return (
        "the same" if difference == 0 else "of other lengths" if difference == float("inf") else f"± {difference:.3g}"
    )
