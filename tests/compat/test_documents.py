"""The two documents that the project implements, run from first to last; without them there is nothing to run."""

import ast
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from convia import config
from convia.applications import _published
from convia.compat import programs
from convia.datasets import mnist

SHARED = Path(__file__).parents[3] / "shared"
NOTEBOOKS = sorted((SHARED / "seeds").glob("*.ipynb"))
CHAPTER = next(iter(sorted((SHARED / "seeds").glob("000_*.txt"))), None)

pytestmark = [
    pytest.mark.skipif(not NOTEBOOKS, reason="the documents are not here"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def _short(monkeypatch, tmp_path):
    """Short epochs, random weights in place of a download, the data in a cache of its own."""
    config.set_max_epochs(1)
    config.set_max_steps_per_epoch(2)
    monkeypatch.setattr(_published, "_weights_path", lambda *args: None)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    whole = mnist.load_data
    monkeypatch.setattr(mnist, "load_data", lambda: tuple((x[:3000], y[:3000]) for x, y in whole()))
    for folder, name in (("datasets", "mnist.npz"), ("models", "imagenet_class_index.json")):
        (tmp_path / "keras" / folder).mkdir(parents=True)
        shutil.copy(SHARED / "data" / name, tmp_path / "keras" / folder)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:3])
def test_the_notebook_runs_from_first_to_last(path, tmp_path, capfd):
    for name in ("sample_lenna.jpg", "elefante.jpg"):
        shutil.copy(SHARED / "data" / "elefante.jpg", tmp_path / name)
    shutil.copy(path, tmp_path / "lesson.ipynb")
    names = programs.run(tmp_path / "lesson.ipynb")
    out = capfd.readouterr().out
    assert names["preds"].shape == (1, 1000)
    assert "Test accuracy:" in out
    assert "Predicción: [(" in out


def blocks(text: str) -> list[str]:
    """The code blocks of the chapter; those that were torn apart are joined again, prose within them is cut off."""
    found: list[str] = []
    rest = ""
    for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL):
        whole = block.replace(", ...", "").replace("Dense(...)", "Dense(12)")  # the dots stand for more arguments
        rest += re.sub(r"(metrics=\['acc'\]\)).*", r"\1", whole, flags=re.DOTALL) if rest else whole
        try:
            ast.parse(rest)
        except SyntaxError:
            continue
        found.append(rest)
        rest = ""
    assert not rest
    return found


def fruits(folder: Path) -> str:
    """A folder of twelve classes of images, in place of the chapter's data set."""
    from PIL import Image

    for number in range(12):
        (folder / f"class_{number:02d}").mkdir(parents=True)
        for copy in range(4):
            pixels = np.random.default_rng(copy).integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class_{number:02d}" / f"{copy}.png")
    return str(folder)


BEFORE = """
import numpy as np
import keras
from tensorflow.keras.layers import AvgPool2D
filters, kernel_size, strides, padding, activation = 4, 3, 1, "same", None
"""
SMALL = """
model = Sequential([Conv2D(2, 3, strides=8, input_shape=(150, 150, 3)), Flatten(), Dense(12, activation="softmax")])
model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["acc"])
"""


@pytest.mark.usefixtures("_short")
def test_the_code_of_the_chapter_runs(tmp_path):
    folder = fruits(tmp_path / "fruits")
    parts = [BEFORE]
    for block in blocks(CHAPTER.read_text(encoding="utf-8")):
        if "model.fit(" in block:
            parts.append(SMALL)  # the chapter's network at this point is one for 28×28 pixels
        parts.append(re.sub(r"'/datasets?/(fruits_small/)?'", repr(folder), block))
    (tmp_path / "chapter.py").write_text("\n".join(parts), encoding="utf-8")
    names = programs.run(tmp_path / "chapter.py")
    assert names["model"].output_shape == (None, 12)
    assert not names["backbone"].trainable
