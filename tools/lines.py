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
KERAS_ONLY = (  # subjects that convia leaves out, so they do not count
    "layers/preprocessing/string_lookup.py layers/preprocessing/integer_lookup.py layers/preprocessing/index_lookup.py "
    "layers/preprocessing/hashing.py layers/preprocessing/hashed_crossing.py layers/preprocessing/category_encoding.py "
    "layers/preprocessing/discretization.py layers/preprocessing/text_vectorization.py "
    "layers/preprocessing/feature_space.py backend/torch/trainer.py backend/torch/optimizers"
).split()


def code_lines(path: Path) -> int:
    """Return the number of lines with code on them."""
    text = path.read_text()
    lines: set[int] = set()
    skip = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skip:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node):
            first = node.body[0]
            lines -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(lines)


def total(root: Path, names: list[str]) -> int:
    """Return the lines of files and folders, tests and left-out subjects aside."""
    files = {path for name in names for path in ((root / name).rglob("*.py") if (root / name).is_dir() else [root / name])}
    kept = [path for path in files if path.exists() and not path.name.endswith("_test.py")]
    return sum(code_lines(path) for path in kept if not any(str(path.relative_to(root)).startswith(left) for left in KERAS_ONLY))


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
