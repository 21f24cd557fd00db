"""Run the benchmarks and write docs/benchmarks.md: machine, versions, ratios, spreads and plots.

    python tools/bench.py                       # all of benchmarks/, some hours
    python tools/bench.py overhead distributed  # some; what was measured before of the others stays
    python tools/bench.py --page                # none: only write the page again
    python tools/bench.py --quick               # each with the least that it can do, to see that it runs

What a benchmark prints is kept in benchmarks/results/; what a quick run prints, and its page, lie in build/benchmarks/.
TensorFlow is measured, too, where `make tensorflow` has put it or CONVIA_TENSORFLOW names a Python that has it.
"""

import argparse
import ast
import datetime
import math
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
TENSORFLOW = Path(os.environ.get("CONVIA_TENSORFLOW") or ROOT / ".venv-tensorflow" / "bin" / "python")
COLOURS = {  # by the first words of contenders' names
    "convia": "#d55e00",
    "torch": "#0072b2",
    "keras": "#009e73",
    "openvino": "#cc79a7",
    "tensorflow": "#56b4e9",
    "onnxruntime": "#e69f00",
    "loop": "#999999",
}
LIBRARIES = tuple(COLOURS)
_TIME = re.compile(rf"\b((?:{'|'.join(LIBRARIES)})[\w-]*)\s+([\d.]+) (m?s)\b", re.I)
_HEADER = re.compile(rf"^\s*((?:{'|'.join(LIBRARIES)})[\w-]*)\s+((?:{'|'.join(LIBRARIES)})[\w-]*)\b", re.I)
_MICROSECONDS = re.compile(r"([\d.]+) µs")
_LONG = 200  # lines, of which not all are on the page
_RATIO = re.compile(r"×|\bratio\b")
_QUICK = re.compile(r"^Quick: (.*)$", re.M)


class Places(NamedTuple):
    """Where things are written."""

    results: Path
    page: Path
    pictures: Path


DOCS = Places(BENCHMARKS / "results", ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "pictures" / "benchmarks")
_BUILD = ROOT / "build" / "benchmarks"
TRIED = Places(_BUILD / "results", _BUILD / "benchmarks.md", _BUILD / "pictures" / "benchmarks")

ABOUT = """# Benchmarks

`make bench` runs everything in `benchmarks/` and writes this page. Every benchmark measures peers beside convia, in
the same run and in turns, so that what else the machine does meets all of them. Ratios count; times are one machine's.

"""


def runnable() -> dict[str, str]:
    """Return the name of each benchmark → what it says about itself."""
    found = {}
    for path in sorted(BENCHMARKS.glob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if f"benchmarks/{path.name}" in docstring:  # its usage; the others are parts
            found[path.stem] = docstring
    return found


def command(name: str, docstring: str, quick: bool = False) -> list[str]:
    """Return how a benchmark is run."""
    words = [sys.executable, str(BENCHMARKS / f"{name}.py")]
    if quick:
        return words + shlex.split(_QUICK.findall(docstring)[0])
    if "--tensorflow" in docstring and TENSORFLOW.exists():
        words += ["--tensorflow", str(TENSORFLOW)]
    return words


def measure(name: str, docstring: str, places: Places, quick: bool = False) -> None:
    """Run one benchmark; show and keep what it prints."""
    print(f"== {name}", flush=True)
    lines, start = [], time.monotonic()
    with subprocess.Popen(
        command(name, docstring, quick), stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise SystemExit(f"benchmarks/{name}.py ended with {process.returncode}")
    places.results.mkdir(parents=True, exist_ok=True)
    minutes = math.ceil((time.monotonic() - start) / 60)
    head = f"{datetime.date.today()} · convia {metadata.version('convia')} · {minutes} min\n"
    (places.results / f"{name}.txt").write_text(head + "".join(lines), encoding="utf-8")


def processor() -> str:
    """Return the name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"model name\s*: (.*)", text)
    return found.group(1) if found else platform.machine()


def installed(package: str, python: Path | None = None) -> str:
    """Return the version of a package, here or in another Python."""
    if python is not None:
        code = f"from importlib import metadata; print(metadata.version({package!r}))"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        return done.stdout.strip() or "not installed"
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def machine() -> str:
    """Return a table of machine and versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    rows = {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }
    rows |= {name: installed(name) for name in ("convia", "torch", "keras", "openvino", "onnxruntime", "numpy")}
    if TENSORFLOW.exists():
        rows["tensorflow"] = next(
            (v for p in ("tensorflow", "tensorflow-cpu") if (v := installed(p, TENSORFLOW)) != "not installed"), "?"
        )
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows.items())


def times(text: str) -> dict[str, dict[str, float]]:
    """Return what was measured → library → milliseconds, from the lines that a benchmark printed.

    Libraries stand before their times (s or ms), with what was measured before them or above, or above the times (µs).
    """
    found: dict[str, dict[str, float]] = {}
    columns: tuple[str, ...] = ()
    heading = ""
    for line in text.splitlines():
        if header := _HEADER.match(line):
            columns = header.groups()
        values = [float(value) / 1e3 for value in _MICROSECONDS.findall(line)]
        if columns and len(values) == len(columns):
            found[line.partition("  ")[0]] = dict(zip(columns, values, strict=True))
        matches = list(_TIME.finditer(line))
        what = " ".join(line[: matches[0].start()].split()) if matches else ""
        for match in matches:
            library, value, unit = match.groups()
            found.setdefault(what or heading, {})[library] = float(value) * (1e3 if unit == "s" else 1)
        heading = heading if matches else " ".join(line.split())
    return {what: libraries for what, libraries in found.items() if len(libraries) > 1}


def plot(name: str, measured: dict[str, dict[str, float]], pictures: Path) -> None:
    """Draw bars: one group for each thing that was measured, as multiples of convia's time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from PIL import Image

    rows = [
        (f"{what}: {library}" if what else library, value / ours, value, library)
        for what, libraries in measured.items()
        if (ours := next((v for key, v in libraries.items() if key == "convia"), 0))
        for library, value in libraries.items()
    ]
    if not rows:
        return
    figure, axis = plt.subplots(figsize=(7.5, 0.4 + 0.24 * len(rows)), layout="constrained")
    for place, (_, ratio, value, library) in enumerate(rows):
        colour = next(c for key, c in COLOURS.items() if library.lower().startswith(key))
        axis.barh(-place, ratio, color=colour, height=0.75)
        axis.text(ratio, -place, f" {value:g} ms", va="center", fontsize=7)
    axis.set_yticks([-place for place in range(len(rows))], [row[0] for row in rows], fontsize=7)
    axis.set_xlabel("time, convia = 1", fontsize=8)
    axis.axvline(1, color="#68717c", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlim(right=1.15 * max(row[1] for row in rows))
    pictures.mkdir(parents=True, exist_ok=True)
    path = pictures / f"{name}.png"
    figure.savefig(path, dpi=90)
    plt.close(figure)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(32).save(path, optimize=True)


def section(name: str, docstring: str, places: Places) -> str:
    """Return the part of the page about one benchmark."""
    summary = " ".join(docstring.partition("\n\n")[0].replace("``", "`").split())
    path = places.results / f"{name}.txt"
    made = f"## {name}\n\n{summary} (`python benchmarks/{name}.py`)\n\n"
    if not path.exists():
        return made + "Not measured yet.\n"
    head, _, text = path.read_text(encoding="utf-8").partition("\n")
    measured = times(text)
    plot(name, measured, places.pictures)
    if (places.pictures / f"{name}.png").exists():
        made += f"![Times of {name}, as multiples of convia's](pictures/benchmarks/{name}.png)\n\n"
    lines = text.rstrip().splitlines()
    short = [line for line in lines if "GFLOP/s" not in line or len(lines) <= _LONG]
    if left := len(lines) - len(short):
        made += f"{left} lines of GFLOP/s, one for each convolution, are in `benchmarks/results/{name}.txt`.\n\n"
    return made + "\n".join([f'```text title="{head}"', *short, "```", ""])


def ratios(names: list[str], results: Path) -> str:
    """Return a table of the lines that compare; of those that are indented only what is said in the end, after "→"."""
    rows = []
    for name in names:
        path, heading = results / f"{name}.txt", ""
        for line in path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else ():
            indented = line.startswith(" ")
            heading = heading if indented else line.strip()
            if _RATIO.search(line) and (not indented or line.strip().startswith("→")):
                cells = re.split(r"\s{2,}", line.strip())
                rows.append(f"| {name} | {' · '.join([heading, *cells] if indented else cells)} |\n")
    return "## All ratios\n\n| benchmark | compared |\n|---|---|\n" + "".join(rows) if rows else ""


def main() -> None:
    """Measure and write."""
    known = runnable()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="measure nothing")
    parser.add_argument("--quick", action="store_true", help="try whether all of it runs")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    places = TRIED if options.quick else DOCS
    for name in [] if options.page else options.names or known:
        measure(name, known[name], places, options.quick)
    sections = (section(name, text, places) for name, text in known.items())
    parts = [ABOUT + machine(), ratios(list(known), places.results), *sections]
    places.page.write_text("\n".join(filter(None, parts)), encoding="utf-8")
    print(f"wrote {places.page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
