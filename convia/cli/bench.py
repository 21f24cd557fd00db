"""``convia bench``: how fast a model is on this machine, with its own engine and with torch."""

import json
import sys
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer

from convia import config
from convia.cli.opened import ImageSize, ModelFile, Opened, open_model
from convia.cli.reported import Debug, reported
from convia.errors import explain

_TIMES = 5  # of each measurement, the least counts; before them one that does not count
_AT_LEAST = 0.05  # seconds of a measurement
_BATCHES = (1, 8, 32)
EXAMPLES = """[bold]Examples[/bold]

convia bench runs/photos

convia bench model.keras --batch-size 64 --json

convia bench resnet50.keras --image-size 224 --no-training


Images per second of [bold]predict[/bold] and of training steps, with what convia chooses by itself (its own engine
where it can) and with torch, in turns. Pixels are random: their values do not change the time.


[bold]Exit codes[/bold]  0: done. 1: an error. 2: wrong usage. 130: stopped.
"""

Measured = dict[str, dict[str, float]]


def bench_command(
    model: ModelFile,
    batch_size: Annotated[
        list[int] | None, typer.Option(help=f"Images at once; may be repeated. By default {_BATCHES}.")
    ] = None,
    image_size: ImageSize = None,
    training: Annotated[bool, typer.Option("--training/--no-training", help="Also time training steps.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    debug: Debug = False,
) -> None:
    """Measure how many images per second a model predicts and learns from on this machine."""
    with reported(debug):
        sizes = tuple(batch_size or _BATCHES)
        if min(sizes) < 1:
            raise ValueError(explain("--batch-size", min(sizes), "a whole number ≥ 1"))
        opened = open_model(model, image_size=image_size)
        if opened.preprocessing.image_size is None:
            raise ValueError(explain("MODEL", "a model that takes any size", "a size to measure", "Pass --image-size."))
        engines, measured = measure(opened, sizes, training)
        if as_json:
            facts = {"model": opened.model.name, "engine": engines, "images_per_second": measured}
            sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        else:
            _print(opened, engines, measured)


def measure(opened: Opened, sizes: tuple[int, ...], training: bool) -> tuple[str, Measured]:
    """Return what computes by default, and images per second: "predict 32" → {"auto", "torch"}."""
    model, before = opened.model, config.engine()
    shape = (*opened.preprocessing.image_size, model.input_shape[-1])  # type: ignore[misc]
    engine, measured = model.engine, {}
    if training:
        model.compile("adam", "mse")
    try:
        for size in sizes:
            x = np.random.default_rng(0).random((size, *shape), np.float32)
            measured[f"predict {size}"] = _rates(size, lambda x=x, size=size: model.predict(x, size, verbose=0))
            if training:
                y = np.asarray(model.predict(x, size, verbose=0))
                measured[f"train {size}"] = _rates(
                    size, lambda x=x, y=y, size=size: model.fit(x, y, batch_size=size, shuffle=False, verbose=0)
                )
    finally:
        config.set_engine(before)
    return engine, measured


def _rates(images: int, job: Any) -> dict[str, float]:
    """Return images per second of a job, by engine, each measured several times in turn."""
    engines, repeats = ("auto", "torch"), {}
    taken: dict[str, list[float]] = {engine: [] for engine in engines}
    for engine in engines:
        config.set_engine(engine)
        job()
        repeats[engine] = max(1, round(_AT_LEAST / max(_seconds(job, 1), 1e-6)))
    for _ in range(_TIMES):
        for engine in engines:
            config.set_engine(engine)
            taken[engine].append(_seconds(job, repeats[engine]))
    return {engine: round(images / min(seconds), 1) for engine, seconds in taken.items()}


def _seconds(job: Any, repeats: int) -> float:
    began = perf_counter()
    for _ in range(repeats):
        job()
    return (perf_counter() - began) / repeats


def _print(opened: Opened, engine: str, measured: Measured) -> None:
    height, width = opened.preprocessing.image_size  # type: ignore[misc]
    typer.echo(f"{opened.model.name}, images of {height}×{width}, on {config.device()}; by default: {engine}\n")
    typer.echo(f"{'images at once':<16}{'convia':>12}{'torch alone':>14}   images/s")
    for name, rates in measured.items():
        ratio = rates["auto"] / rates["torch"]
        typer.echo(f"{name:<16}{rates['auto']:>12,.0f}{rates['torch']:>14,.0f}   {ratio:.1f} ×")
