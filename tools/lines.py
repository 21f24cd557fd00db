"""Count lines of code, without comments, docstrings and blank lines: convia's beside Keras's for the same subject.

Usage: python tools/lines.py
"""

import ast
import io
import tokenize
from importlib.util import find_spec
from pathlib import Path

CONVIA = Path(__file__).parent.parent / "convia"
SUBJECTS = {  # subject → files and folders of convia, of keras/src
    "layers": (
        ["layers", "layer.py", "books.py", "input_spec.py", "masks.py", "pixels.py"],
        ["layers"],
    ),
    "losses": (["losses"], ["losses"]),
    "metrics": (["metrics"], ["metrics"]),
    "optimizers": (["optimizers", "schedules.py"], ["optimizers"]),
    "ops": (["ops", "symbolic.py"], ["ops", "backend/torch", "backend/common/keras_tensor.py"]),
}
_TABLES = "category_encoding discretization feature_space hashed_crossing hashing index_lookup integer_lookup"
KERAS_ONLY = [  # subjects that convia leaves out, so they do not count
    *(f"layers/preprocessing/{name}.py" for name in [*_TABLES.split(), "string_lookup", "text_vectorization"]),
    "backend/torch/trainer.py",
    "backend/torch/optimizers",
]

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(path: Path) -> int:
    """Return the number of lines with code on them."""
    text = path.read_text()
    lines: set[int] = set()
    skip = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skip:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node):
            first = node.body[0]
            lines -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(lines)


def total(root: Path, names: list[str]) -> int:
    """Return the lines of files and folders, tests and left-out subjects aside."""
    paths = [root / name for name in names]
    files = {file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]) if file.exists()}
    left_out = tuple(str(root / name) for name in KERAS_ONLY)
    kept = [file for file in files if not file.name.endswith("_test.py") and not str(file).startswith(left_out)]
    return sum(code_lines(file) for file in kept)


def main() -> None:
    """Print the table."""
    spec = find_spec("keras")
    assert spec is not None and spec.origin is not None, "keras is not installed"
    keras = Path(spec.origin).parent / "src"
    sums = [0, 0]
    for subject, (ours, theirs) in SUBJECTS.items():
        counts = total(CONVIA, ours), total(keras, theirs)
        sums = [a + b for a, b in zip(sums, counts, strict=True)]
        print(f"{subject:12s} convia {counts[0]:6d}   keras {counts[1]:6d}   {counts[0] / counts[1]:.0%}")
    print(f"{'all':12s} convia {sums[0]:6d}   keras {sums[1]:6d}   {sums[0] / sums[1]:.0%}")


if __name__ == "__main__":
    main()
