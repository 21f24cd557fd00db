"""The report is one file that needs nothing else, says what happened, and can be read by everybody."""

import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

import convia as k
from convia.report import write_html
from convia.report.markup import Markup, table, tag, thumbnail
from convia.report.notebook import ReportPath

HOSTILE = '<script>alert("x")</script>&'
SECTIONS = [
    "summary",
    "dataset",
    "curves",
    "confusion",
    "classes",
    "mistakes",
    "calibration",
    "inside",
    "model",
    "repeat",
]
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Elements in order, and whether every one is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, text):
        self.text.append(text)

    def all(self, name):
        return [attributes for found, attributes in self.elements if found == name]


def part(count, classes, seed, channels=1):
    random = np.random.default_rng(seed)
    return SimpleNamespace(
        images=random.integers(0, 256, (count, 8, 8, channels)).astype("uint8"), labels=np.arange(count) % classes
    )


def run(folder, classes=3, channels=1, names=None, test=30, facts=None):
    """A run that was not trained, with its folder."""
    k.utils.set_random_seed(0)
    model = k.Sequential(
        [
            k.Input((8, 8, channels)),
            k.layers.Conv2D(4, 3, activation="relu"),
            k.layers.MaxPooling2D(),
            k.layers.Flatten(),
            k.layers.Dense(classes, activation="softmax"),
        ]
    )
    images = SimpleNamespace(
        class_names=names or [f"kind {number}" for number in range(classes)],
        training=part(60, classes, 1, channels),
        validation=part(12, classes, 2, channels),
        test=part(test, classes, 3, channels),
    )
    told = {
        "command": ["convia", "train", HOSTILE], "settings": {"data": "photos", "seed": 7}, "seed": 7,
        "class_names": images.class_names, "parameters": 100, "seconds": {"training": 3.25}, "device": "cpu",
        "versions": {"convia": "9.9"}, "unreadable": {"bad.png": "broken"},
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "result.json").write_text(json.dumps(told | (facts or {})))
    (folder / "history.csv").write_text(
        "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.5,1.0,0.4,1.1\n1,0.8,0.5,0.6,0.7\n2,0.9,0.3,0.7,0.6\n"
    )
    return folder, model, images


@pytest.fixture
def page(tmp_path):
    path = write_html(*run(tmp_path / "run"), lang="en")
    return Page(path.read_text())


def test_one_file_that_needs_no_other(page):
    for name, attributes in page.elements:
        for key in ("src", "href"):
            if key in attributes:
                assert attributes[key].startswith(("data:image/", "#")), (name, attributes[key][:80])
        assert name not in ("script", "iframe", "object", "base", "form")
        assert not any(key.startswith("on") for key in attributes)
    policy = next(a for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")["content"]
    assert policy.startswith("default-src 'none'; img-src data:")
    assert "url(" not in "".join(page.text) and "@import" not in "".join(page.text)


def test_charts_follow_the_colours_of_the_page(page):
    """Lines and texts of charts have classes, and each class has a colour of its own where the screen is dark."""
    style = "".join(page.text)
    dark = style.partition("@media screen and (prefers-color-scheme: dark) {")[2].partition("\n}")[0]
    drawn = [(name, a) for name, a in page.elements if {"stroke", "fill"} & set(a) - {"none"}]
    assert len(drawn) > 50
    for name, attributes in drawn:
        kind = attributes["class"]
        assert re.search(rf"\.{kind}\b[^}}]*{{ {kind.partition('-')[0]}: var\(--\w+\); }}", dark), (name, kind)


def test_epochs_are_whole_numbers(tmp_path):
    for epochs in (1, 2, 3, 7, 12, 18, 19, 40, 240):
        folder, model, images = run(tmp_path / str(epochs))
        lines = [f"{number},0.5,1.0,0.4,1.1\n" for number in range(epochs)]
        (folder / "history.csv").write_text("epoch,accuracy,loss,val_accuracy,val_loss\n" + "".join(lines))
        write_html(folder, model, images, lang="en")
        texts = ElementTree.parse(folder / "report" / "loss.svg").getroot().iter("{http://www.w3.org/2000/svg}text")
        marks = [each.text for each in texts if each.get("text-anchor") == "middle"]
        assert all(mark == "epoch" or mark.isdecimal() for mark in marks) and 2 <= len(marks) <= 10, marks


def test_sections_landmarks_and_names(page):
    assert [a["id"] for a in page.all("section")] == SECTIONS
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for attributes in page.all("section"):
        assert attributes["aria-labelledby"] in ids
    for name in ("header", "nav", "main", "footer", "h1"):
        assert len(page.all(name)) == 1
    assert all(a["alt"] for a in page.all("img")) and all(a["aria-label"] for a in page.all("svg"))
    assert page.all("html")[0]["lang"] == "en"
    assert all(a["href"][1:] in ids for a in page.all("a"))
    assert all("scope" in a for a in page.all("th"))
    assert len(page.all("title")) >= 1 and "width=device-width" in str(page.all("meta"))


def test_cells_open_their_images(tmp_path):
    folder, model, images = run(tmp_path / "run")
    rows = np.eye(3)[images.test.labels] * 0.8 + 0.1
    rows[:4] = [[0.0, 0.9, 0.1]] * 4  # the labels 0, 1, 2, 0
    text = write_html(folder, model, images, rows, "en").read_text()
    assert 'href="#cell-0-1" aria-label="kind 0 taken for kind 1: 2"' in text
    assert text.count('alt="image of kind 0, predicted kind 1"') == 4  # within its cell, and among the mistakes
    assert "27 of 30 test images were classified rightly: 90.0%" in text
    assert "The most frequent mistake: kind 0 taken for kind 1 (2 times)." in text
    assert "coloured where it spoke for kind 1" in text


def test_no_mistakes(tmp_path):
    folder, model, images = run(tmp_path / "run")
    text = write_html(folder, model, images, np.eye(3)[images.test.labels], "en").read_text()
    assert "There were no mistakes among the test images." in text


def test_spanish_throughout(tmp_path):
    text = write_html(*run(tmp_path / "run"), lang="es").read_text()
    page = Page(text)
    assert page.all("html")[0]["lang"] == "es"
    words = " ".join(page.text)
    for english in ("Which classes", "The images", "How to repeat", "Mistakes", "What to do", "share"):
        assert english not in words
    assert "Qué clases se confundieron" in words and "Diagnóstico" in words


def test_names_cannot_become_markup(tmp_path):
    text = write_html(*run(tmp_path / "run", names=[HOSTILE, 'b" onload="x', "c"]), lang="en").read_text()
    assert "<script" not in text and "&lt;script&gt;alert" in text
    assert not any("onload" in attributes for _, attributes in Page(text).elements)


@pytest.mark.parametrize(("classes", "channels"), [(40, 1), (2, 3)])
def test_many_classes_and_colours(tmp_path, classes, channels):
    page = Page(write_html(*run(tmp_path / "run", classes, channels, test=80), lang="en").read_text())
    assert ("the most frequent mistakes are listed" in " ".join(page.text)) == (classes == 40)
    assert all(a["href"][1:] in {b.get("id") for _, b in page.elements} for a in page.all("a"))


def test_leaks_are_found_by_pixels(tmp_path):
    folder, model, images = run(tmp_path / "run")
    images.test.images[:3] = images.training.images[:3]
    text = write_html(folder, model, images, lang="en").read_text()
    assert "Leak suspected: 3 of the images for validation and test" in text


def test_parts_as_files(tmp_path):
    folder, model, images = run(tmp_path / "run")
    write_html(folder, model, images, lang="en")
    names = sorted(path.name for path in (folder / "report").iterdir())
    assert names == [
        "accuracy.svg",
        "calibration.svg",
        "filters.png",
        "loss.svg",
        "maps-conv2d.png",
        "maps-max_pooling2d.png",
    ]
    for path in (folder / "report").glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    other = write_html(folder, model, images, path=tmp_path / "x.html", parts=False)
    assert isinstance(other, ReportPath)
    assert other == tmp_path / "x.html" and not (tmp_path / "x").exists()


def test_a_model_without_feature_maps(tmp_path):
    folder, _, images = run(tmp_path / "run")
    layers = [k.Input((8, 8, 1)), k.layers.Flatten(), k.layers.Dense(3, activation="softmax")]
    Page(write_html(folder, k.Sequential(layers), images, lang="en").read_text())


def test_a_run_of_one_epoch_that_diverged(tmp_path):
    folder, model, images = run(tmp_path / "run")
    (folder / "history.csv").write_text("epoch,loss,val_loss\n0,nan,nan\n")
    text = write_html(folder, model, images, lang="en").read_text()
    assert "The loss stopped being a number." in text
    Page(text)


@pytest.mark.parametrize("files", [{}, {"result.json": "[]"}, {"result.json": "{", "history.csv": "loss\n"}])
def test_a_folder_that_is_no_run(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(
        ValueError, match=r"report of .*: received a folder without what a training writes .*convia train"
    ):
        write_html(tmp_path, None, None)


def test_markup():
    assert tag("p", "a < b", None, [tag("b", "&")], class_="x", hidden=True, title=None, data_n=1) == (
        '<p class="x" hidden data-n="1">a &lt; b<b>&amp;</b></p>'
    )
    assert tag("img", src='"') == '<img src="&quot;">'
    assert isinstance(table(["a"], [["<i>"]]), Markup) and "&lt;i&gt;" in table(["a"], [["<i>"]])


@pytest.mark.parametrize(
    ("shape", "kind", "size"), [((8, 8, 1), "png", 112), ((28, 14, 3), "png", 112), ((200, 100, 3), "jpeg", 112)]
)
def test_thumbnails(shape, kind, size):
    image = np.random.default_rng(0).integers(0, 255, shape).astype("uint8")
    for heat in (None, np.ones((3, 3))):
        made = thumbnail(image, "x", heat)
        assert f"data:image/{kind};base64," in made and re.search(rf'height="{size}"', made)


def test_numbers_in_the_confusion_matrix_stand_out():
    """White or black on any shade has a contrast of 4.5 at least (WCAG 2.2)."""
    from convia.report.html_judged import _DARK, _SHADES, luminance

    assert (luminance((0, 0, 0)), luminance((255, 255, 255))) == (0, pytest.approx(1))
    for weight in np.linspace(0, 1, 101):
        level = luminance([round(a + weight * (b - a)) for a, b in zip(*_SHADES, strict=True)])
        contrast = 1.05 / (level + 0.05) if level < _DARK else (level + 0.05) / 0.05
        assert contrast >= 4.5
