"""The tools that write parts of the documentation: reference, picture of the imports, page of benchmarks."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import bench
import imports_picture
import reference

import convia
from convia import layers

ROOT = Path(__file__).parents[2]


def test_reference_has_every_public_name_with_its_arguments():
    text = reference.reference("convia.layers")
    assert all(f"### {name} {{ #convia.layers.{name} }}" in text for name in layers.__all__ if name != "conv")
    part = text.partition("### Conv2D {")[2].partition("\n### ")[0]
    assert "    kernel_size,\n    strides=(1, 1),\n" in part and "* `kernel_size`:" in part
    assert "self" not in part.partition("\n\n")[2][:200] and "0x" not in text and "``" not in text.replace("```", "")


def test_reference_of_one_object_and_of_methods():
    assert reference.reference("convia.transfer").startswith("## transfer { #convia.transfer }")
    assert "#### fit { #convia.Model.fit }" in reference.reference("convia.Model")


def test_reference_finds_what_a_docstring_says():
    def example(size, *, steps=1):
        """Do it.

        Args:
            size, steps: in pixels,
                or so.

        Raises:
            ValueError: no ``size``.

        ::

            example(3)
        """

    text = "\n\n".join(reference.entry("m.example", "example", example))
    assert "example(size, *, steps=1)" in text
    assert "* `size`, `steps`: in pixels, or so." in text
    assert "**Raises:** ValueError: no `size`." in text


def test_picture_of_the_imports_has_all_parts_and_no_upward_import():
    parts = imports_picture.order()
    place = {part: number for number, part in enumerate(parts)}
    assert {"layers", "graph", "ops", "cli"} <= set(parts)
    assert all(place[one] > place[other] for one, other in imports_picture.edges())
    circles = ElementTree.fromstring(imports_picture.picture()).iter("{http://www.w3.org/2000/svg}circle")
    spots = [(float(circle.get("cx")), float(circle.get("cy"))) for circle in circles]
    assert len(spots) == len(imports_picture.edges()) > 100
    assert all(x < y for x, y in spots), "a dot above the diagonal"
    assert imports_picture.FILE.exists()


def test_page_of_benchmarks(tmp_path):
    places = bench.Places(tmp_path / "results", tmp_path / "benchmarks.md", tmp_path / "pictures")
    places.results.mkdir()
    printed = "course fit  convia  0.5 ms  median 1\ncourse fit  keras  2.0 ms\ncourse fit → 4.0× the best\n"
    (tmp_path / "results" / "engine.txt").write_text("2030-01-01\n" + printed)
    known = bench.runnable()
    assert {"engine", "overhead", "hall_of_fame"} <= set(known) and not {"race", "networks"} & set(known)
    assert bench.times(printed) == {"course fit": {"convia": 0.5, "keras": 2.0}}
    columns = "      convia     keras   keras / convia\ncall of it   20.0 µs  8 frames  160.0 µs  8.0 ×\n"
    assert bench.times(columns) == {"call of it": {"convia": 0.02, "keras": 0.16}}
    blocks = "ResNet50, predict\n  convia  0.2500 s  (0.2 to 0.3)\n  torch-nchw  0.5 s   2.00 ×\n"
    assert bench.times(blocks) == {"ResNet50, predict": {"convia": 250.0, "torch-nchw": 500.0}}
    text = bench.section("engine", known["engine"], places)
    assert "pictures/benchmarks/engine.png" in text and printed in text and "2030-01-01" in text
    assert (tmp_path / "pictures" / "engine.png").stat().st_size > 1000
    assert bench.ratios(["engine", "overhead"], places.results).endswith(
        "|---|---|\n| engine | course fit → 4.0× the best |\n"
    )
    summary = "  → 2.00 × the time for the best peer, torch-nchw\n"
    (tmp_path / "results" / "images.txt").write_text("2030-01-01\n" + blocks + summary)
    assert "|\n| images | ResNet50, predict · → 2.00 × the time for the best peer, torch-nchw |\n" in bench.ratios(
        ["images"], places.results
    )
    assert "Not measured yet" in bench.section("overhead", known["overhead"], places)
    assert convia.__name__ in bench.machine() and "torch" in bench.machine()


def test_every_benchmark_says_how_it_runs_quickly():
    for name, docstring in bench.runnable().items():
        assert bench.command(name, docstring, quick=True)[1].endswith(f"{name}.py")


def test_quick_benchmarks_leave_the_page_alone(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "TRIED", bench.Places(tmp_path / "results", tmp_path / "page.md", tmp_path / "pictures"))
    monkeypatch.setattr(sys, "argv", ["bench.py", "--quick", "hall_of_fame"])
    page = bench.DOCS.page.read_text()
    bench.main()
    assert '("LeNet5", 1998' in capsys.readouterr().out
    assert '("LeNet5", 1998' in (tmp_path / "page.md").read_text() and bench.DOCS.page.read_text() == page
