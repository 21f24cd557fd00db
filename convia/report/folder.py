"""Pictures of a folder of images: how many there are of each class, and those in which something was found."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convia.images.examine import KINDS, Examination, Finding
from convia.images.files import UNREADABLE, load_img
from convia.report.style import BLUE, FAINT, GREEN, LINE, ORANGE, bare, drawing, figure, place, shortened, write

_PART_COLOURS = {"": BLUE, "training": BLUE, "validation": GREEN, "test": ORANGE}
_MOST_CLASSES = 60
_SIDE = 96  # pixels
_CELL, _ROOM, _GAP = 1.0, 0.34, 0.12  # inches: of a picture, for its caption, between pictures
_PLACES = 8  # pictures per row


def class_counts(found: Examination) -> Any:
    """Draw how many images that can be read each class has, in each part.

    Returns:
        A matplotlib Figure.
    """
    counts = sorted(found.counts().items(), key=lambda row: -sum(row[1].values()))
    shown = counts[:_MOST_CLASSES]
    left, row = 1.7, 0.24
    with drawing():
        made = figure(8.0, 0.95 + row * len(shown))
        more = f" (the {_MOST_CLASSES} largest of {len(counts)} classes)" if len(counts) > len(shown) else ""
        write(made, _GAP, 0.14, f"Images per class{more}")
        axes = place(made, left, 0.55, 8.0 - left - 0.8, row * len(shown))
        starts = np.zeros(len(shown))
        for part in shown[0][1]:
            widths = np.array([parts[part] for _, parts in shown])
            axes.barh(range(len(shown)), widths, left=starts, height=0.72, color=_PART_COLOURS[part], label=part)
            starts += widths
        for number, total in enumerate(starts):
            axes.text(total, number, f" {int(total):,}", va="center", color=FAINT, fontsize=8.5)
        axes.set_yticks(range(len(shown)), [shortened(name or "(no class)", 24) for name, _ in shown])
        axes.set(ylim=(len(shown) - 0.5, -0.5), xlim=(0, max(starts.max(), 1)))
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xticks([])
        if len(shown[0][1]) > 1:
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0)
    return made


def contact_sheet(found: Examination, kinds: Sequence[str] | None = None, rows: int = 2) -> Any:
    """Draw the images in which something was found: a heading per kind, groups of alike images side by side.

    Args:
        found: what ``examine`` returned.
        kinds: of findings; by default all that are about files.
        rows: of pictures per kind.

    Returns:
        A matplotlib Figure.
    """
    chosen = [kind for kind in kinds or KINDS if kind != "outside"]  # where links lead is not looked at
    groups = {kind: [finding for finding in found.of(kind) if finding.paths] for kind in chosen}
    groups = {kind: findings for kind, findings in groups.items() if findings}
    pictures = {kind: _pictures(findings, rows * _PLACES) for kind, findings in groups.items()}
    heights = {kind: 0.4 + -(-len(rows) // _PLACES) * (_CELL + _ROOM) for kind, rows in pictures.items()}
    across = _PLACES * (_CELL + _GAP) + _GAP
    with drawing():
        made = figure(across, max(sum(heights.values()) + 0.15, 0.6))
        if not groups:
            write(made, _GAP, 0.14, "Nothing was found")
        top = 0.0
        for kind, cells in pictures.items():
            write(made, _GAP, top + 0.14, _heading(kind, groups[kind]))
            for number, (path, caption, colour) in enumerate(cells):
                row, column = divmod(number, _PLACES)
                start = top + 0.4 + row * (_CELL + _ROOM)
                axes = place(made, _GAP + column * (_CELL + _GAP), start, _CELL, _CELL)
                _show(axes, str(Path(found.root, path)), colour)
                axes.text(0.5, -0.05, caption, transform=axes.transAxes, ha="center", va="top", fontsize=7, color=FAINT)
            top += heights[kind]
    return made


def _heading(kind: str, findings: Sequence[Finding]) -> str:
    words = KINDS[kind].words
    return f"{words[0].upper()}{words[1:]}: {len(findings)}"


def _pictures(findings: Sequence[Finding], most: int) -> list[tuple[str, str, str]]:
    """Return (path, caption, colour of the frame); the frames of neighbouring groups differ."""
    cells = []
    for number, finding in enumerate(findings):
        colour = (BLUE, ORANGE)[number % 2] if len(finding.paths) > 1 else LINE
        for path in finding.paths:
            *folders, name = Path(path).parts
            cells.append((path, f"{shortened('/'.join(folders), 20)}\n{shortened(name, 20)}", colour))
    return cells[:most]


def _show(axes: Any, path: str, colour: str) -> None:
    pixels = _pixels(path)
    if pixels is None:
        axes.text(0.5, 0.5, "?", transform=axes.transAxes, ha="center", va="center", fontsize=22, color=LINE)
    else:
        axes.imshow(pixels)
    bare(axes)
    axes.spines[:].set(visible=True, color=colour, linewidth=1.0 if colour == LINE else 2.0)


def _pixels(path: str) -> npt.NDArray[np.uint8] | None:
    """Return a small picture on grey ground, None of what cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            img = load_img(path)
    except UNREADABLE:
        return None
    img.thumbnail((_SIDE, _SIDE))
    canvas = np.full((_SIDE, _SIDE, 3), 236, np.uint8)
    top, left = (_SIDE - img.height) // 2, (_SIDE - img.width) // 2
    canvas[top : top + img.height, left : left + img.width] = np.asarray(img)
    return canvas
