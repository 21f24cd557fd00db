"""Write the notebooks in examples/ from the scripts beside them, so that both are always the same.

A script's docstring becomes the first cell of text; a line ``# %%`` begins a cell of code, ``# %% [markdown]`` one of
text in comments. ``--check`` writes nothing and fails where a notebook is not that of its script.

Usage: python tools/notebooks.py [--check]
"""

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parent.parent / "examples"
INSTALL = "# %pip install convia  # where it is not installed yet"


def cell(kind: str, text: str, number: int) -> dict[str, Any]:
    """Return a cell of a notebook."""
    made: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
    if kind == "code":
        made |= {"execution_count": None, "outputs": []}
    return made | {"source": text.strip("\n").splitlines(keepends=True)}


def texts(script: str) -> list[tuple[str, str]]:
    """Return (kind, text) of the cells of a script."""
    docstring = ast.get_docstring(ast.parse(script)) or ""
    title, _, rest = docstring.partition("\n")
    found = [("markdown", f"# {title}\n{rest}"), ("code", INSTALL)]
    for part in re.split(r"^# %%", script.partition('"""\n')[2], flags=re.M):
        kind, body = ("markdown", part.partition("\n")[2]) if part.startswith(" [markdown]") else ("code", part)
        if kind == "markdown":
            body = re.sub(r"^# ?", "", body, flags=re.M)
        if body.strip():
            found.append((kind, body))
    return found


def notebook(script: str) -> str:
    """Return the notebook of a script, as JSON."""
    cells = [cell(kind, text, number) for number, (kind, text) in enumerate(texts(script))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write or check."""
    stale = []
    for script in sorted(EXAMPLES.glob("*.py")):
        target, made = script.with_suffix(".ipynb"), notebook(script.read_text(encoding="utf-8"))
        if "--check" not in sys.argv:
            target.write_text(made, encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != made:
            stale.append(target.name)
    if stale:
        print(f"not those of their scripts: {', '.join(stale)}; run python tools/notebooks.py")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
