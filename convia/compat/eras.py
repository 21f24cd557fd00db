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

# What tells eras apart: points for the first of two, or for the second, where a program says so. A row counts once.
_TENSORFLOW = re.compile(r"(tensorflow|tf)(\.python|\.compat\.v\d|\._api\.v2)?\.keras|tf_keras")
_ONLY_KERAS3 = r"keras\.(ops|random|tree|config|dtype_policies|distribution|export|visualization)\b"
_Evidence = tuple[tuple[str, int, str, str], ...]
_FIRST_OR_LATER: _Evidence = (
    ("first", 5, "names", r"(set_)?image_dim_ordering|get_output_shape_for|TimeDistributedDense|MaxoutDense|Highway"),
    ("first", 5, "names", r"AtrousConvolution\dD|Deconvolution2D|activity_l[12]|WeightRegularizer|l1l2|visualize_util"),
    ("first", 2, "keywords", r"nb_epoch"),
    ("first", 1, "names", r"Convolution2D"),
    ("first", 1, "names", r"Convolution2D\(n, n, n\)"),
    ("first", 3, "keywords", r"samples_per_epoch|nb_val_samples|nb_worker|max_q_size|show_accuracy|val_samples"),
    ("first", 3, "keywords", r"border_mode"),
    ("first", 3, "keywords", r"subsample|dim_ordering|[WbU]_(regularizer|constraint)|inner_(init|activation)"),
    (
        "first",
        3,
        "keywords",
        r"nb_(filter|row|col)|filter_length|kernel_dim\d|dropout_[WU]|(gamma|beta)_init|concat_axis",
    ),
    ("first", 1, "keywords", r"init|output_dim|p"),
    ("first", 2, "imported calls", r"[mM]erge"),
    ("first", 1, "modules", r"keras\.layers\.[mM]erge$"),
    ("first", 4, "modules", r"keras\.(initializations|layers\.containers|legacy\.models)\b|keras\.models\.Graph$"),
    ("first", 1, "modules", r"keras\.objectives\b"),
    ("first", 4, "modules", r"(tf|tensorflow)\.(mul|sub|neg|pack|unpack|batch_matmul)$"),  # gone before Keras 2
    ("later", 1, "keywords", r"epochs"),
    ("later", 3, "keywords", r"steps_per_epoch|validation_steps"),
    ("later", 3, "keywords", r"kernel_(initializer|regularizer|constraint)|bias_(initializer|regularizer)|use_bias"),
    ("later", 2, "keywords", r"kernel_size|units|dilation_rate|data_format|rate|num_classes"),
    ("later", 1, "keywords", r"padding|filters|strides|inputs|outputs"),
    ("later", 2, "names", r"Conv2DTranspose|CuDNN(LSTM|GRU)|plot_model|DepthwiseConv2D|multi_gpu_model|concatenate"),
    ("later", 2, "names", r"image_data_format|set_image_data_format|compute_output_shape|MobileNet(V\d)?|DenseNet\d+"),
    ("later", 1, "names", r"Conv[123]D|MaxPool2D"),
    ("later", 3, "modules", rf"keras\.(layers\.merge\.|utils\.Sequence|initializers\b)|{_ONLY_KERAS3}"),
)
_SECOND_OR_THIRD: _Evidence = (
    ("second", 2, "keywords", r"lr|decay"),
    ("second", 3, "names", r"compile\(optimizer, loss, metrics\)"),
    ("second", 2, "keywords", r"period|write_grads|max_queue_size|use_multiprocessing|nb_epoch|interpolation_order"),
    ("second", 3, "names", r"(fit|evaluate|predict)_generator|predict_(classes|proba)|ImageDataGenerator"),
    (
        "second",
        3,
        "names",
        r"to_yaml|get_output_at|CuDNN(LSTM|GRU)|np_utils|tensorflow_backend|set_session|multi_gpu_model",
    ),
    ("second", 2, "modules", r"keras\.backend\b"),
    ("second", 3, "modules", r"keras\.(engine|wrappers|legacy|objectives)\b|keras\.preprocessing\.(image|text)"),
    ("second", 3, "modules", r"keras\.(utils\.\w+_utils|layers\.[a-z_]+\.|applications\.[a-z_\d]+\.)"),
    ("second", 2, "modules", r"__future__\."),
    ("second", 1, "imports", r"keras\.(layers|models|optimizers|callbacks|datasets|utils)\."),
    ("second", 1, "texts", r".*\.(h5|hdf5)|(val_)?acc"),
    ("third", 6, "modules", _ONLY_KERAS3),
    ("third", 3, "modules", r"keras\.saving\b"),
    ("third", 6, "names", r"PyDataset|set_random_seed_generator|SeedGenerator|KerasTensor|FeatureSpace"),
    ("third", 6, "texts", r"KERAS_BACKEND"),
    ("third", 4, "texts", r".*\.(keras|weights\.h5)"),
    (
        "third",
        3,
        "names",
        r"image_dataset_from_directory|set_random_seed|Random(Flip|Rotation|Zoom|Contrast)|Rescaling",
    ),
    ("third", 3, "names", r"MultiHeadAttention|EinsumDense|GroupNormalization|AdamW|Lion|EfficientNet\w+|ConvNeXt\w+"),
    ("third", 3, "keywords", r"jit_compile|negative_slope|steps_per_execution|seed_generator"),
    ("third", 2, "modules", r"(torch|jax)\b"),
    ("third", 2, "names", r"train_step|compute_loss|stateless_call|convert_to_numpy|compute_metrics"),
    ("third", 3, "keywords", r"use_ema|weight_decay|global_clipnorm|warmup_target"),
    ("third", 1, "keywords", r"learning_rate|from_logits"),
    ("third", 1, "modules", r"keras$|keras\.(layers|models|optimizers|callbacks|datasets|utils|losses|metrics)$"),
    ("third", 1, "names", r"f-string"),
    ("third", 1, "names", r"super\(\)"),
)
_LOCAL_IMPORTS = 3  # how many files deep a program's own modules are read


@dataclass
class Words:
    """What a program's text mentions."""

    modules: set[str] = field(default_factory=set)  # imported or spelled out: "keras.layers.core.Dense"
    imports: set[str] = field(default_factory=set)  # those that are imported by name
    names: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    keywords: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)

    def add(self, tree: ast.AST) -> None:
        """Add those of a piece of a program."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self.modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self.imports |= {node.module if a.name == "*" else f"{node.module}.{a.name}" for a in node.names}
                self.names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute):
                self.names.add(node.attr)
                self.modules |= {text for text in [_dotted(node)] if text.startswith(("keras.", "tf", "tensorflow."))}
            elif isinstance(node, ast.Name):
                self.names.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.texts.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                self.names.add("f-string")
            elif isinstance(node, ast.Call):
                self._add_call(node)
        self.modules |= self.imports
        self.modules = {re.sub(r"^keras\.(api\.|src\.)", "keras.", name) for name in self.modules}

    def _add_call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name):
            self.calls.add(node.func.id)
            if node.func.id == "super" and not node.args:
                self.names.add("super()")
        self.keywords |= {keyword.arg for keyword in node.keywords if keyword.arg}
        sizes = [arg.value for arg in node.args[:3] if isinstance(arg, ast.Constant) and isinstance(arg.value, int)]
        if getattr(node.func, "attr", "") == "compile" and len(node.args) > 2:
            self.names.add("compile(optimizer, loss, metrics)")
        if len(sizes) == 3:
            self.names.add(f"{getattr(node.func, 'attr', getattr(node.func, 'id', ''))}(n, n, n)")

    def points(self, evidence: _Evidence, first: str) -> int:
        """Return the points for the first of two eras, less those for the other."""
        return sum(
            points if era == first else -points
            for era, points, kind, pattern in evidence
            if any(map((re.compile(pattern).match if kind in ("modules", "imports") else re.compile(pattern).fullmatch),
                       self._of(kind)))
        )  # fmt: skip

    def _of(self, kind: str) -> set[str]:
        if kind == "imported calls":
            return {name for name in self.calls if f"keras.layers.{name}" in self.modules}
        found: set[str] = getattr(self, kind)
        return found


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
    if any(_TENSORFLOW.match(name) for name in words.modules) and not any(
        re.match(_ONLY_KERAS3, name) for name in words.modules
    ):
        return "tfkeras"
    if not any(re.match(r"keras\b", name) for name in words.modules):
        return "tfkeras"
    if words.points(_FIRST_OR_LATER, "first") > 0:
        return "keras1"
    return "keras3" if words.points(_SECOND_OR_THIRD, "third") > 0 else "keras2"


_AXES = re.compile(r"dim_ordering(?!\(\))|data_format")
_CHANNELS = r"(?:1|3|(?:img_|image_|nb_|n_|num_)?channels)"
_FIRST = re.compile(
    rf"\b(?:input_|img_|image_)?(?:shape|dim)\s*=\s*\(\s*{_CHANNELS}\s*,\s*[^,()]+,\s*(?!{_CHANNELS}\s*\))[^,()]+\)"
    r"|Convolution2D\(\s*\d+\s*,\s*\d+\s*,\s*\d+\s*,\s*\d+"
)
_LAST = re.compile(rf"\([^,()]+,[^,()]+,\s*{_CHANNELS}\s*\)")


def channels_first(source: str) -> bool:
    """Whether a program of Keras 1 relies on its first default: images (channels, height, width), as in Theano.

    One that asks for the order of axes may have shapes of both.
    """
    has_both = "image_dim_ordering()" in source and _LAST.search(source) is not None
    return _AXES.search(source) is None and not has_both and _FIRST.search(source) is not None


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


__all__ = ["ERAS", "OLD", "STANDALONE", "channels_first", "current", "detect", "known", "set_era"]
