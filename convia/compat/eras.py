"""The eras of Keras, and how a program tells its own: by its imports, its names and its arguments.

Everything here is data about source text; nothing of the program is run. What is true of an era is in the tables of
``arguments`` and ``paths``.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convia.errors import explain, nearest

ERAS = {
    "keras1": "1.2.2",
    "keras2": "2.3.1",
    "tfkeras": "2.15.0",
    "keras3": "3.15.1",
}  # era → the version of Keras that a program of the era is told
STANDALONE = frozenset({"keras1", "keras2"})  # before Keras moved into TensorFlow
OLD = frozenset({"keras1", "keras2", "tfkeras"})

# What only one era says. The rows are read from top to bottom; the first that holds decides.
_TENSORFLOW = re.compile(r"(tensorflow|tf)(\.python|\.compat\.v\d|\._api\.v2)?\.keras|tf_keras")
_EVIDENCE: tuple[tuple[str, str, str], ...] = (
    ("keras3", "modules", r"keras\.(ops|random|saving|tree|config|dtype_policies|distribution|export|visualization)\b"),
    ("keras3", "names", r"PyDataset|KERAS_BACKEND|set_random_seed_generator"),
    ("tfkeras", "modules", _TENSORFLOW.pattern),
    ("keras1", "names", r"(set_)?image_dim_ordering|get_output_shape_for|TimeDistributedDense|MaxoutDense|Highway"),
    ("keras1", "names", r"AtrousConvolution\dD|Deconvolution2D|activity_l[12]|WeightRegularizer|l1l2"),
    ("keras1", "keywords", r"nb_epoch|samples_per_epoch|nb_val_samples|nb_worker|max_q_size|show_accuracy"),
    (
        "keras1",
        "keywords",
        r"border_mode|subsample|dim_ordering|[WbU]_(regularizer|constraint)|inner_(init|activation)",
    ),
    (
        "keras1",
        "keywords",
        r"nb_(filter|row|col)|filter_length|kernel_dim\d|dropout_[WU]|(gamma|beta)_init|concat_axis",
    ),
    ("keras1", "modules", r"keras\.(layers|engine)\.(merge|Merge)$|keras\.(initializations|layers\.containers)\b"),
    (
        "keras2",
        "keywords",
        r"epochs|steps_per_epoch|kernel_(size|initializer|regularizer)|use_bias|padding|units|filters",
    ),
    ("keras1", "modules", r"keras\.(objectives|legacy\.models)\b"),
    ("keras2", "keywords", r"lr|decay|period|write_grads|max_queue_size|use_multiprocessing|output_dim"),
    ("keras2", "names", r"(fit|evaluate|predict)_generator|predict_(classes|proba)|ImageDataGenerator|multi_gpu_model"),
    ("keras2", "names", r"to_yaml|get_output_at|CuDNN(LSTM|GRU)|np_utils|tensorflow_backend|set_session"),
    ("keras2", "modules", r"keras\.(engine|wrappers|legacy|objectives)\b|keras\.preprocessing\.(image|text)"),
    ("keras2", "modules", r"keras\.(backend|utils\.\w+_utils|layers\.[a-z_]+\.|applications\.[a-z_\d]+\.)"),
    ("keras3", "modules", r"keras\.layers$"),
    ("keras2", "modules", r"keras\.(layers|models|optimizers|callbacks|datasets|utils)\."),
    ("keras3", "modules", r"keras$"),
)
_LOCAL_IMPORTS = 3  # how many files deep a program's own modules are read


@dataclass
class Words:
    """What a program's text mentions."""

    modules: set[str] = field(default_factory=set)  # imported or spelled out: "keras.layers.core.Dense"
    names: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    keywords: set[str] = field(default_factory=set)

    def add(self, tree: ast.AST) -> None:
        """Add those of a piece of a program."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self.modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self.modules |= {node.module if a.name == "*" else f"{node.module}.{a.name}" for a in node.names}
                self.names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute):
                self.names.add(node.attr)
                self.modules |= {text for text in [_dotted(node)] if _TENSORFLOW.match(text)}
            elif isinstance(node, ast.Name):
                self.names.add(node.id)
            elif isinstance(node, ast.Call):
                called = node.func
                self.calls.add(called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", ""))
                self.keywords |= {keyword.arg for keyword in node.keywords if keyword.arg}
        self.modules = {re.sub(r"^keras\.(api\.|src\.)", "keras.", name) for name in self.modules}


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def detect(source: str, folder: Path | None = None) -> str | None:
    """Return the era of a program, None if it does not use Keras.

    Args:
        source: its text.
        folder: where it lies, to read the modules of its own that it imports.
    """
    words = Words()
    for tree in _trees(source, folder, _LOCAL_IMPORTS, set()):
        words.add(tree)
    if not any(re.match(r"keras\b|tensorflow\b|tf_keras\b", name) for name in words.modules):
        return None
    for era, kind, pattern in _EVIDENCE:
        whole = re.compile(pattern).match if kind == "modules" else re.compile(pattern).fullmatch
        if any(whole(word) for word in getattr(words, kind)):
            return era
    return "tfkeras"


def _trees(source: str, folder: Path | None, depth: int, seen: set[Path]) -> Iterator[ast.Module]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    yield tree
    if folder is None or not depth:
        return
    for node in ast.walk(tree):
        named = [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None) or ""]
        for path in (folder / f"{name.replace('.', '/')}.py" for name in named if name):
            if isinstance(node, (ast.Import, ast.ImportFrom)) and path not in seen and path.is_file():
                seen.add(path)
                yield from _trees(path.read_text(encoding="utf-8", errors="replace"), folder, depth - 1, seen)


# -- the era of the running program -----------------------------------------------------------------------------------

_DEFAULT = "keras2"
_state: dict[str, str | None] = {"era": None}


def current() -> str:
    """Return the era of the running program: the one that was set, else Keras 2."""
    return _state["era"] or _DEFAULT


def known() -> bool:
    """Whether the era has been set."""
    return _state["era"] is not None


def set_era(era: str | None) -> None:
    """Set the era: keras1, keras2, tfkeras or keras3; None forgets it.

    Raises:
        ValueError: another name.
    """
    if era is not None and era not in ERAS:
        raise ValueError(explain("set_era", repr(era), f"one of {list(ERAS)}", nearest(era, list(ERAS))))
    _state["era"] = era


__all__ = ["ERAS", "OLD", "STANDALONE", "current", "detect", "known", "set_era"]
