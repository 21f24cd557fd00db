"""The documentation is true: its code runs and prints what it says, its languages agree, its links lead somewhere."""

import re
import shutil
import sys
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).parents[2]

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
WITH_CODE = [page for page in PAGES if pages.blocks(page) and pages.SPANISH not in page.parts]
SPANISH = [page for page in PAGES if pages.SPANISH in page.parts]
SITE = ["mkdocs", "latex2mathml"]
NEEDS = {"onnx.md": "onnxruntime", "service.md": "fastapi"}
DRAWN_BY_GRAPHVIZ = {"two_outputs.svg", "residual.svg", "inception.svg"}


def name(page):
    return str(page.relative_to(DOCS))


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_code_runs_and_prints_what_it_says(page, monkeypatch):
    if page.name in NEEDS:
        pytest.importorskip(NEEDS[page.name])
    modules = set(sys.modules)
    with pages.workplace() as folder:
        for block, printed in pages.run(page):
            assert pages.agrees(block, printed), f"{block.code}\nmust print\n{block.expected}\nbut printed\n{printed}"
        made = {path.name for path in folder.iterdir()}
    for module in set(sys.modules) - modules:
        if not getattr(sys.modules[module], "__spec__", None):
            del sys.modules[module]
    missing = {Path(link).name for link in pages.pictures(page) if "pictures/course/" in link} - made
    assert missing <= (set() if shutil.which("dot") else DRAWN_BY_GRAPHVIZ), "pictures that the page does not make"


@pytest.mark.parametrize("page", SPANISH, ids=name)
def test_both_languages_have_the_same_code_and_pictures(page):
    english = DOCS / ("quickstart.md" if page.name == "quickstart.md" else f"course/{page.name}")
    assert pages.blocks(page) == pages.blocks(english)
    assert [Path(link).name for link in pages.pictures(page)] == [Path(link).name for link in pages.pictures(english)]
    structures = [re.findall(r"^(#+|!!!|\?\?\?|\{\{ .* \}\})", each.read_text(), re.M) for each in (page, english)]
    assert structures[0] == structures[1]


def test_every_chapter_is_there_in_both_languages():
    assert {page.name for page in SPANISH} == {page.name for page in (DOCS / "course").glob("*.md")} | {"quickstart.md"}


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_every_cell_is_shown(page):
    code = pages.code_of(page.read_text())
    if code:
        assert re.findall(r"\{\{ (\w+)", page.read_text()) == list(
            dict.fromkeys(re.findall(r"\{\{ (\w+)", page.read_text()))
        )
        assert set(re.findall(r"\{\{ (\w+)", page.read_text())) == set(pages.cells(code))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_pictures_are_small(page):
    text = pages._VERBATIM.sub("", page.read_text())
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        assert not target or (page.parent / target).is_file(), link
        if anchor and target:
            headings = re.findall(r"^#+ (.*)$", (page.parent / target).read_text(), re.M)
            assert anchor in {re.sub(r"[^\w]+", "-", heading.lower()).strip("-") for heading in headings}, link
    for link in pages.pictures(page):
        assert (page.parent / link).stat().st_size < 120_000, link


def test_results_are_compared_number_by_number():
    block = pages.Block("python", "", "", "loss 0.50, 3 images\n")
    assert pages.agrees(block, "loss  0.52, 3 images")
    assert not pages.agrees(block, "loss 0.60, 3 images")
    assert not pages.agrees(block, "loss 0.50, 4 images")
    assert not pages.agrees(block, "loss 0.50")
    assert pages.agrees(pages.Block("python", "", "", "a ... 0.1\n"), "a b c 0.1")
    assert not pages.agrees(pages.Block("python", "", "", None), "something")


def test_only_commands_of_convia_run():
    with pytest.raises(ValueError, match="no command of convia"):
        pages.command_line("rm -r /")
    with pytest.raises(RuntimeError, match="ended with 2"):
        pages.command_line("convia unheard-of")


def test_results_and_pictures_are_written_where_they_belong(tmp_path):
    page = tmp_path / "page.md"
    code = "from pathlib import Path\nPath('made.svg').write_text('<svg/>')\nprint(1 / 4)\n"
    page.write_text(f"![it](pictures/made.svg)\n\n```python\n{code}#> -\n```\n\n```py\nnever run\n```\n")
    with pages.workplace() as folder:
        pages.write(page, list(pages.run(page)), folder)
    assert f"```python\n{code}#> 0.25\n```" in page.read_text()
    assert (tmp_path / "pictures" / "made.svg").read_text() == "<svg/>"


def test_results_and_folded_code_are_shown_apart():
    shown = pages.shown("```python folded\nprint(1)\n#> 1\n```\n", "es")
    assert shown.splitlines()[0] == '??? example "Código"'
    assert "#>" not in shown and '    ```{.text title="Resultado"}\n    1\n    ```' in shown
    table = pages.shown("```python\nmodel.summary()\n#> │ dense │\n```\n", "en")
    assert '```{.text .columns title="Result"}\n│ dense │' in table


def test_formulas_become_mathml():
    pytest.importorskip("latex2mathml")
    text = pages.formulas("so $x^2$ costs `$5` and\n\n$$\\frac{a}{b}$$\n\n```sh\n$HOME\n```\n")
    assert text.count("<math") == 2 and "<mfrac>" in text and "`$5`" in text and "$HOME" in text


def test_site_builds_strictly(tmp_path):
    for module in SITE:
        pytest.importorskip(module)
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path)))
    html = (tmp_path / "curso" / "layers.html").read_text()
    assert '<html lang="es"' in html and "<math" in html
    assert "En esta página" in html and "Siguiente" in html and "Table of contents" not in html
    assert "convia.layers.Conv2D" in (tmp_path / "api" / "layers.html").read_text()
    outside = [
        match
        for page in tmp_path.rglob("*.html")
        for match in re.findall(r'(?:src|href)="(https?:[^"]+\.(?:js|css|woff2?|png|svg)[^"]*)"', page.read_text())
    ]
    assert not outside, "pages ask the network for something"
