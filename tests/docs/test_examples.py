"""Every example runs, on less data and for fewer epochs, and its notebook is that of its script."""

import json
import re
from pathlib import Path

import notebooks
import numpy as np
import pytest

from convia.datasets import digits

ROOT = Path(__file__).parents[2]

SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
SMALLER = [  # what makes an example small enough for a test
    (r"^EPOCHS(, STEPS)? = .*$", lambda found: "EPOCHS, STEPS = 1, 3" if found.group(1) else "EPOCHS = 1"),
    (r"\b(scenes|series|films)\((\d+)", lambda found: f"{found.group(1)}({min(int(found.group(2)), 48)}"),
    (r"\b(4000|600)\)$", lambda found: "64)"),
    (r"range\(80\)", lambda found: "range(12)"),
]


def small(text):
    for pattern, change in SMALLER:
        text = re.sub(pattern, change, text, flags=re.M)
    return text


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_runs(script, monkeypatch, tmp_path, capsys):
    text = script.read_text()
    assert re.search(r"^EPOCHS\b", text, re.M), "a number of epochs at the top, for tests to lower"
    (x, y), (x_test, y_test) = digits.load_data()
    monkeypatch.setattr(digits, "load_data", lambda: ((x[:300], y[:300]), (x_test[:96], y_test[:96])))
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    exec(compile(small(text), script.name, "exec"), names)
    printed = capsys.readouterr().out
    assert printed.strip(), "an example tells what came of it"
    assert "nan" not in printed.lower().split()
    for picture in re.findall(r'"(\w+\.png)"', text):
        assert (tmp_path / picture).stat().st_size > 500
    for name, value in names.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            assert np.isfinite(value).all(), name


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebook_is_that_of_the_script(script):
    text = script.read_text()
    made = notebooks.notebook(text)
    assert script.with_suffix(".ipynb").read_text() == made, "run python tools/notebooks.py"
    cells = json.loads(made)["cells"]
    code = "".join("".join(cell["source"]) + "\n" for cell in cells[2:] if cell["cell_type"] == "code")
    squeezed = re.sub(r"\s+", "", re.sub(r"^# %%.*$|^# .*$", "", text.partition('"""\n')[2], flags=re.M))
    assert re.sub(r"\s+", "", re.sub(r"^# .*$", "", code, flags=re.M)) == squeezed


def test_every_example_is_listed():
    listed = re.findall(r"`(\w+)\.py`", (ROOT / "docs" / "examples.md").read_text())
    assert sorted(listed) == [script.stem for script in SCRIPTS]
