"""``convia evaluate``: how well a model knows the classes of a folder."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from convia import report
from convia.cli.data import Arrays, list_parts
from convia.cli.opened import ClassNames, ImageSize, ModelFile, Opened, Preprocess, Rescale, open_model
from convia.cli.predict import UNREAD
from convia.cli.reported import Debug, Language, reported
from convia.cli.runs import write_json
from convia.cli.words import words
from convia.errors import explain, nearest
from convia.texts import Say

_TOP = 5
_CONFUSIONS = 5
_LEAST = 1e-12  # of a probability, in the loss

EXAMPLES = f"""[bold]Examples[/bold]

convia evaluate runs/photos photos

convia evaluate model.keras photos --part test --output judged

convia evaluate model.h5 photos --json --class-names cat,dog --rescale 0.00392157


[bold]FOLDER[/bold] has a folder of images per class, named as the model's classes, also within train/, validation/ and
test/: by default the first there is of test, validation, training.


[bold]Exit codes[/bold]  0: done. {UNREAD}: files that cannot be read are named and left out. 1: an error. 2: wrong
usage. 130: stopped.
"""


def evaluate_command(
    model: ModelFile,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder with a folder of images per class.")],
    part: Annotated[str | None, typer.Option(help="training, validation or test, where FOLDER has them.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Folder for evaluation.json and the pictures.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images at once.")] = 32,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also read what links out of the folder lead to.")
    ] = False,
    class_names: ClassNames = None,
    image_size: ImageSize = None,
    rescale: Rescale = None,
    preprocess: Preprocess = None,
    lang: Language = None,
    debug: Debug = False,
) -> None:
    """Test a model on images: accuracy, precision and recall of each class, what is mistaken for what."""
    with reported(debug):
        say = words(lang)
        if batch_size < 1:
            raise ValueError(explain("--batch-size", batch_size, "a whole number ≥ 1"))
        opened = open_model(model, class_names, image_size, rescale, preprocess)
        paths, labels, names = labelled_files(opened, folder, part, follow_links)
        facts = evaluate(opened, paths, labels, names, batch_size, Path(output) if output else None)
        facts = {"model": model, "folder": folder} | facts
        if output:
            write_json(Path(output) / "evaluation.json", facts)
        if as_json:
            sys.stdout.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
        else:
            _print(facts, output, say)
    for path, reason in facts["unreadable"].items():
        typer.secho(f"{path}: {say('not_read')}. {reason.removeprefix(f'{path}: ')}", fg="yellow", err=True)
    raise typer.Exit(UNREAD if facts["unreadable"] else 0)


def labelled_files(
    opened: Opened, folder: str, part: str | None, follow_links: bool
) -> tuple[list[str], Arrays, list[str]]:
    """Return files, the numbers of their classes among the model's, and the names of all of the model's classes.

    Raises:
        ValueError: no such part, or a class that the model does not know. NotADirectoryError: no such folder.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise NotADirectoryError(explain("FOLDER", repr(folder), "a folder with a folder of images per class"))
    parts = list_parts(root, follow_links)
    chosen = part or next(name for name in ("test", "validation", "training") if name in parts)
    if chosen not in parts:
        raise ValueError(explain("--part", repr(part), f"one of {[*parts]}, which {folder} has"))
    listing = parts[chosen]
    there = listing.class_names or []
    shape = opened.model.output_shape
    count = shape[-1] if isinstance(shape, tuple) else len(there)
    names = opened.names(max(count, 2)) if opened.class_names else [*(parts["training"].class_names or ())]
    if len(names) != max(count, 2):
        remedy = "Pass --class-names in the order of the outputs."
        raise ValueError(explain("FOLDER", f"{len(names)} classes", f"the model's {max(count, 2)}", remedy))
    for name in there:
        if name not in names:
            raise ValueError(explain("FOLDER", f"the class {name!r}", "the model's classes", nearest(name, names)))
    numbers = np.array([names.index(name) for name in there])
    return list(listing.paths), numbers[np.asarray(listing.labels).astype(int)], names


def evaluate(
    opened: Opened, paths: Sequence[str], labels: Arrays, names: list[str], batch_size: int, output: Path | None = None
) -> dict[str, Any]:
    """Return accuracy, loss, numbers per class and mistakes; with ``output`` draw them, too.

    Args:
        opened: the model.
        paths, labels: files and the numbers of their classes.
        names: of all classes.
        batch_size: images at once.
        output: folder for confusion_matrix.png and predictions.png.

    Raises:
        OSError: none of the files can be read.
    """
    walked = list(opened.walk(paths, batch_size))
    unreadable = {path: str(error) for path, _, error in walked if error is not None}
    rows = [row for _, row, _ in walked if row is not None]
    if not rows:
        raise OSError(explain("FOLDER", f"{len(paths)} files, none of which can be read", "images"))
    seen = np.array([row is not None for _, row, _ in walked])
    scores, true = np.stack(rows), labels[seen]
    facts = measures(scores, true, names)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        report.confusion_matrix(true, scores, names).savefig(output / "confusion_matrix.png")
        shown = [path for path, there in zip(paths, seen, strict=True) if there]
        _draw_examples(opened, shown, true, scores, names).savefig(output / "predictions.png")
    return facts | {"unreadable": unreadable}


def measures(scores: Arrays, true: Arrays, names: Sequence[str]) -> dict[str, Any]:
    """Return what can be said of probabilities (N, classes) beside the true classes (N,).

    The loss is the mean of −log p of the true class. Precision is right / predicted as the class, recall is
    right / images of the class, F1 their harmonic mean; None where there is nothing to divide by.
    """
    counts = report.count_confusions(true, scores, len(names))
    right, images, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    of_true = scores[np.arange(len(true)), true]
    top = min(_TOP, len(names) - 1)
    classes = {
        name: {
            "images": int(images[i]),
            "right": int(right[i]),
            "precision": _share(right[i], predicted[i]),
            "recall": _share(right[i], images[i]),
            "f1": _share(2 * right[i], images[i] + predicted[i]),
        }
        for i, name in enumerate(names)
    }
    wrong = counts * (1 - np.eye(len(names), dtype=counts.dtype))
    worst = [divmod(int(place), len(names)) for place in wrong.ravel().argsort(kind="stable")[::-1][:_CONFUSIONS]]
    return {
        "images": len(true),
        "accuracy": float((scores.argmax(1) == true).mean()),
        f"top_{top}_accuracy": float(((scores > of_true[:, None]).sum(1) < top).mean()),
        "loss": float(-np.log(np.maximum(of_true, _LEAST)).mean()),
        "classes": classes,
        "mistakes": [
            {"is": names[i], "taken_for": names[j], "images": int(wrong[i, j])} for i, j in worst if wrong[i, j]
        ],
    }


def _share(part: Any, whole: Any) -> float | None:
    return round(float(part / whole), 6) if whole else None


def _draw_examples(opened: Opened, paths: Sequence[str], true: Arrays, scores: Arrays, names: Sequence[str]) -> Any:
    """Read again the images that are drawn: the surest mistakes and some of the rest."""
    wrong = scores.argmax(1) != true
    order = np.lexsort((-scores.max(1), ~wrong))[:64]
    read = opened.read_all([paths[place] for place in order])
    shown = [(place, image) for place, image in zip(order, read, strict=True) if not isinstance(image, Exception)]
    places = np.array([place for place, _ in shown])
    return report.predictions([image for _, image in shown], true[places], None, scores[places], names)


def _print(facts: dict[str, Any], output: str | None, say: Say) -> None:
    width = max(map(len, (*facts["classes"], say("class"))))
    columns = [
        f"{say('images'):>8}",
        f"{say('right'):>8}",
        f"{say('precision'):>9}",
        f"{say('recall'):>13}",
        f"{'F1':>6}",
    ]
    typer.echo("   ".join([f"{say('class'):<{width}}", *columns]))
    for name, row in facts["classes"].items():
        shares = (f"{row[key]:.1%}" if row[key] is not None else "–" for key in ("precision", "recall", "f1"))
        cells = "   ".join(f"{text:>{size}}" for text, size in zip(shares, (9, 13, 6), strict=True))
        typer.echo(f"{name:<{width}}   {row['images']:8,}   {row['right']:8,}   {cells}")
    top = next(key for key in facts if key.startswith("top_"))
    among = say("among_top", share=f"{facts[top]:.2%}", count=top.split("_")[1])
    rows = [
        ("accuracy", f"{facts['accuracy']:.2%}   ({among})"),
        ("loss", f"{facts['loss']:.4f}   ({say('cross_entropy')})"),
        ("images", f"{facts['images']:,}"),
        *(("mistaken", say("mistaken_for", true=row["is"], predicted=row["taken_for"], count=row["images"]))
          for row in facts["mistakes"]),
        *([("results", output)] if output else []),
    ]  # fmt: skip
    typer.echo()
    for key, text in rows:
        typer.echo(f"{say(key):<10} {text}")
