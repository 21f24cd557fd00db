"""Pages of the documentation whose code runs: expands, runs and checks them, and builds them into the site.

    python tools/pages.py [--write] [PAGE …]     # run; --write puts results and pictures where they belong

A page is Markdown. Of its fenced blocks, ``python`` runs, all of a page in one namespace and in a folder of its own;
``python title="FILE"`` is written to that file; ``sh`` holds ``convia`` commands, which run; all others, such as ``py``
and ``shell``, are shown only. What a block must print follows it in lines that begin with ``#>``, in which ``...``
stands for anything.

The two languages of the course share their code: a page that says ``code: NAME`` at its top takes ``{{ cell }}`` from
``NAME.py`` in the course's folder of code, whose cells begin with ``# %% cell``; ``{{ cell folded }}`` is shown closed.

MkDocs calls the functions ``on_…`` (``hooks:`` in mkdocs.yml).
"""

import argparse
import contextlib
import doctest
import io
import math
import os
import re
import shlex
import shutil
import sys
import tempfile
import textwrap
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reference

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
CODE = DOCS / "course" / "code"
SPANISH = "curso"  # the folder of the pages in Spanish
TITLES = {"en": ("Code", "Result"), "es": ("Código", "Resultado")}
WORDS = {  # the theme's own, on Spanish pages
    "Back to top": "Volver arriba",
    "Clear": "Borrar",
    "Dark": "Oscuro",
    "Footer": "Pie",
    "Header": "Cabecera",
    "Initializing search": "Preparando la búsqueda",
    "Light": "Claro",
    "Navigation": "Navegación",
    "Next": "Siguiente",
    "Previous": "Anterior",
    "Search": "Buscar",
    "Skip to content": "Saltar al contenido",
    "Table of contents": "En esta página",
    "Tabs": "Pestañas",
}
INCLUDED = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}  # page → file beside docs/
WIDTH = "80"  # of tables that are printed

_FENCE = re.compile(r"^( *)```(python|sh)((?: [^\n`]*)?)\n(.*?)^\1```$", re.M | re.S)
_CELL = re.compile(r"^( *)\{\{ (\w+)( folded)? \}\}$", re.M)
_IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
_MATH = re.compile(r"\$\$(.+?)\$\$|(?<![\w$\\])\$(?! )([^$\n]+?)(?<! )\$(?![\w$])", re.S)
_ENTRY = re.compile(r"^::: ([\w.]+)$", re.M)
_NUMBER = re.compile(r"\d+\.\d+(?:e[-+]\d+)?")  # whole numbers must be the same
_WORDS = re.compile(rf"(?<=[>\"])(\s*)({'|'.join(WORDS)})(?=\s*[<\":])")
_COLUMNS = re.compile(r"[│━]|\S {3,}\S")  # tables: their lines are not to be broken
_VERBATIM = re.compile(r"^```.*?^```$|`[^`\n]+`", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, the file it becomes (or ""), the code, and what it must print (None: not said)."""

    kind: str
    file: str
    code: str
    expected: str | None


def split(text: str) -> tuple[str, str | None]:
    """Return code and expected results of the text of a block."""
    lines = text.splitlines(keepends=True)
    results = [line.removeprefix("#>").removeprefix(" ") for line in lines if line.startswith("#>")]
    code = "".join(line for line in lines if not line.startswith("#>")).rstrip() + "\n"
    return code, "".join(results) if results else None


def joined(code: str, printed: str | None) -> str:
    """Return the text of a block with its results."""
    lines = (printed or "").rstrip("\n").splitlines()
    return code.rstrip("\n") + "\n" + "".join(f"#> {line}".rstrip() + "\n" for line in lines)


def cells(name: str) -> dict[str, str]:
    """Return name of a cell → its text, of a file of code."""
    parts = re.split(r"^# %% (\w+)\n", (CODE / f"{name}.py").read_text(encoding="utf-8"), flags=re.M)
    return {key: text.strip("\n") + "\n" for key, text in zip(parts[1::2], parts[2::2], strict=True)}


def code_of(text: str) -> str | None:
    """Return the name of a page's file of code, from the lines at its top."""
    found = re.match(r"---\n.*?^code: (\w+)$.*?^---$", text, re.M | re.S)
    return found.group(1) if found else None


def expand(text: str, code: str | None) -> str:
    """Return a page with its cells in place, as fenced blocks."""
    if code is None:
        return text
    known = cells(code)

    def fenced(found: re.Match[str]) -> str:
        margin, name, folded = found.groups()
        return textwrap.indent(f"```python{folded or ''}\n{known[name]}```", margin)

    return _CELL.sub(fenced, text)


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that run, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for _, kind, options, body in _FENCE.findall(expand(text, code_of(text))):
        title = re.search(r'title="([^"]+)"', options)
        found.append(Block(kind, title.group(1) if title else "", *split(textwrap.dedent(body))))
    return found


def pictures(page: Path) -> list[str]:
    """Return the links to images of a page."""
    return _IMAGE.findall(page.read_text(encoding="utf-8"))


# -- running ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Work in an empty folder, with a style for matplotlib that makes the same files again."""
    import matplotlib
    import torch

    torch.set_num_threads(1)  # sums are then rounded in the same order on any machine
    settings = {
        "svg.hashsalt": "convia",
        "savefig.dpi": 80,
        "savefig.bbox": "tight",
        "figure.constrained_layout.use": True,
    }
    settings |= {"axes.spines.top": False, "axes.spines.right": False, "font.size": 10, "image.cmap": "gray"}
    before, environment = Path.cwd(), dict(os.environ)
    with tempfile.TemporaryDirectory() as folder, matplotlib.rc_context(settings):
        os.environ.update(COLUMNS=WIDTH, SOURCE_DATE_EPOCH="0", NO_COLOR="1", CONVIA_COMPAT="on")
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(environment)


def command_line(code: str) -> str:
    """Run the lines of a block of commands; return what they print."""
    from typer.testing import CliRunner

    from convia.cli.app import app

    printed = []
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] != "convia":
            raise ValueError(f"{line!r} is no command of convia; a block of kind 'shell' is shown only")
        result = CliRunner().invoke(app, words[1:])
        printed.append(result.output)
        if result.exit_code:
            raise RuntimeError(f"{line!r} ended with {result.exit_code}:\n{result.output}") from result.exception
    return "".join(printed)


def execute(block: Block, names: dict[str, Any]) -> str:
    """Run one block; return what it prints."""
    if block.file:
        Path(block.file).write_text(block.code, encoding="utf-8")
        return ""
    if block.kind == "sh":
        return command_line(block.code)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(block.code, "<page>", "exec"), names)
    return output.getvalue()


def agrees(block: Block, printed: str) -> bool:
    """Whether a block printed what it must."""
    if block.expected is None:
        return block.kind == "sh" or not printed.strip()
    texts = [text.strip() + "\n" for text in (block.expected, printed)]
    if "..." not in block.expected:
        if not all(close(*pair) for pair in zip(*map(_NUMBER.findall, texts), strict=False)):
            return False
        texts = [_NUMBER.sub("0.0", text) for text in texts]
    return doctest.OutputChecker().check_output(*texts, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)


def close(expected: str, printed: str) -> bool:
    """Whether two numbers are the same but for a tenth, or two in the last place: trainings round differently."""
    places = len(expected.partition("e")[0].partition(".")[2])
    return math.isclose(float(expected), float(printed), rel_tol=0.1, abs_tol=2 * 10.0**-places)


def run(page: Path) -> Iterator[tuple[Block, str]]:
    """Run a page in the current folder; yield each block with what it printed."""
    from convia import naming

    naming.reset_uids()
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        yield block, execute(block, names)


def write(page: Path, results: list[tuple[Block, str]], folder: Path) -> None:
    """Put printed results and pictures where they belong."""
    text = page.read_text(encoding="utf-8")
    code = code_of(text)
    place = CODE / f"{code}.py" if code else page
    content = place.read_text(encoding="utf-8")
    for block, printed in results:
        if not agrees(block, printed):
            content = content.replace(joined(block.code, block.expected), joined(block.code, printed), 1)
    place.write_text(content, encoding="utf-8")
    for link in pictures(page):
        made = folder / Path(link).name
        if made.exists():
            target = page.parent / link
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made, target)


# -- the site ---------------------------------------------------------------------------------------------------------


def language(path: str) -> str:
    """Return "es" or "en" for the path of a page within the documentation."""
    return "es" if path.startswith(f"{SPANISH}/") else "en"


def shown(text: str, lang: str) -> str:
    """Return Markdown in which results stand in blocks of their own and folded code is closed."""
    folded_code, result = TITLES[lang]

    def block(found: re.Match[str]) -> str:
        margin, kind, options, body = found.groups()
        code, printed = split(textwrap.dedent(body))
        folded = options == " folded"
        parts = [f"```{kind}{'' if folded else options}\n{code}```"]
        if printed is not None:
            classes = "{.text .columns" if _COLUMNS.search(printed) else "{.text"
            parts.append(f'```{classes} title="{result}"}}\n{printed.rstrip()}\n```')
        made = "\n\n".join(parts)
        closed = f'??? example "{folded_code}"\n\n' + textwrap.indent(made, "    ")
        return textwrap.indent(closed if folded else made, margin)

    return _FENCE.sub(block, text)


def formulas(text: str) -> str:
    """Return Markdown with MathML in place of TeX, so that no script is needed to show it."""
    from latex2mathml.converter import convert

    def replaced(found: re.Match[str]) -> str:
        display, inline = found.groups()
        made = convert(display or inline, display="block" if display else "inline")
        return f"\n\n<div>{made}</div>\n\n" if display else made

    parts, place = [], 0
    for verbatim in _VERBATIM.finditer(text):
        parts += [_MATH.sub(replaced, text[place : verbatim.start()]), verbatim.group()]
        place = verbatim.end()
    return "".join([*parts, _MATH.sub(replaced, text[place:])])


def outside(name: str) -> str:
    """Return a file beside the documentation as one of its pages; links to other such files become plain text."""
    text = (ROOT / name).read_text(encoding="utf-8")
    pages = {target: source for source, target in INCLUDED.items()}
    text = re.sub(r"\]\(docs/", "](", text)
    return re.sub(
        r"\[([^\]]+)\]\((?!https?:)([A-Z][\w.]*)\)",
        lambda link: f"[{link.group(1)}]({pages[link.group(2)]})" if link.group(2) in pages else f"`{link.group(1)}`",
        text,
    )


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page's Markdown as it is shown."""
    if page.file.src_uri in INCLUDED:
        return outside(INCLUDED[page.file.src_uri])
    whole = _ENTRY.sub(lambda line: reference.reference(line.group(1)), expand(markdown, page.meta.get("code")))
    return formulas(shown(whole, language(page.file.src_uri)))


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Return a page's HTML with its language."""
    if language(page.file.src_uri) == "en":
        return output
    return _WORDS.sub(lambda found: found[1] + WORDS[found[2]], output.replace('<html lang="en"', '<html lang="es"', 1))


def main() -> int:
    """Run pages; say which blocks do not print what they must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("pages", nargs="*", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("MPLBACKEND", "Agg")
    failures = 0
    for page in [page.resolve() for page in options.pages] or sorted(DOCS.rglob("*.md")):
        start = time.process_time()
        with workplace() as folder:
            results: list[tuple[Block, str]] = []
            try:
                results += run(page)
            except Exception:
                failures += 1
                traceback.print_exc(limit=-3)
                continue
            finally:
                print(f"{page.relative_to(ROOT)}: {time.process_time() - start:.1f} s of work", flush=True)
            wrong = [(block, printed) for block, printed in results if not agrees(block, printed)]
            if options.write:
                write(page, results, folder)
        if not options.write:
            failures += len(wrong)
            for block, printed in wrong:
                print(f"{block.code}must print\n{block.expected}but printed\n{printed}")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
