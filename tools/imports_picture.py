"""The picture of the imports in docs/architecture.md: a matrix of the parts of the library, floors marked.

A dot says that the part of its row imports that of its column. Parts are in the order of their floors, so all dots lie
below the diagonal: imports go down.

Usage: python tools/imports_picture.py [FILE]
"""

import sys
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from test_architecture import FLOOR, FLOORS, PARSED, imports, unit  # noqa: E402

FILE = ROOT / "docs" / "pictures" / "imports.svg"
CELL, LABELS = 11, 118
INK, FAINT, BLUE, BAND = "#22272e", "#68717c", "#0072b2", "#e3ebf1"


@cache
def edges() -> set[tuple[str, str]]:
    """Return (importer, imported) of different parts: files and folders directly within convia."""
    found = {(unit(name), unit(other)) for name, tree in PARSED.items() for other in imports(tree)}
    return {(one, other) for one, other in found if one != other}


def order() -> list[str]:
    """Return the parts, lowest floor first; within a floor, those that others build on first."""
    known = {one for one, _ in edges()} | {other for _, other in edges()}
    below = {part: {other for one, other in edges() if one == part} for part in known}

    @cache
    def depth(part: str) -> int:
        same = [other for other in below[part] if FLOOR[other] == FLOOR[part]]
        return 1 + max(map(depth, same), default=0)

    return [part for floor in FLOORS for part in sorted(floor & known, key=lambda part: (depth(part), part))]


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" {more}>{escape(text)}</text>'


def picture() -> str:
    """Return the SVG."""
    parts = order()
    place = {part: LABELS + CELL * number for number, part in enumerate(parts)}
    side = LABELS + CELL * len(parts) + 44  # room for the last floor's name
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" font-family="sans-serif" font-size="9">',
        f'<rect width="{side}" height="{side}" fill="#ffffff"/>',
    ]
    for number, floor in enumerate(FLOORS):
        here = [place[part] for part in parts if part in floor]
        if here:
            length = CELL * len(here)
            lines.append(f'<rect x="{here[0]}" y="{here[0]}" width="{length}" height="{length}" fill="{BAND}"/>')
            lines.append(_text(here[0] + length + 4, here[0] + 9, f"floor {number}", f'fill="{FAINT}"'))
    for part, at in place.items():
        lines.append(_text(LABELS - 4, at + 9, part, f'text-anchor="end" fill="{INK}"'))
        turned = f'fill="{INK}" transform="rotate(-90 {at + 8.5} {LABELS - 4})"'
        lines.append(_text(at + 8.5, LABELS - 4, part, turned))
    for one, other in sorted(edges()):
        if other in place and one in place:
            x, y = place[other] + CELL / 2, place[one] + CELL / 2
            lines.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{BLUE}"/>')
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else FILE).write_text(picture(), encoding="utf-8")
