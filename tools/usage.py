"""How much of what real programs use is there: reads counts of uses and resolves each name through the import hook.

    python tools/usage.py [FOLDER]

FOLDER holds usage_symbols.tsv, usage_import_paths.tsv, usage_methods.tsv, usage_kwargs.tsv and usage_tf.tsv. A symbol
is there if it can be imported, a keyword if its callable takes or translates it, a method if an object of its kind
has it.
Names that only the programs' own subclasses define are no part of Keras; such rows are counted apart.
"""

import csv
import importlib
import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["CONVIA_COMPAT"] = "on"

import numpy as np

from convia import compat
from convia.compat import arguments

ERAS_OF = {"k1": "keras1", "k2": "keras2", "tfkeras": "tfkeras", "k3": "keras3"}
Row = dict[str, str]

# What belongs to the programs' own subclasses, to Python's lists, or is a slip of the pen in one program
OWN = {
    "keras.activations.append", "Callback.absolute_max_string_len", "Callback.generate", "Callback.get_output_size",
    "Callback.next_train", "Callback.next_val", "Callback.times", "Callback.list_metrics", "Model.adversarial_compile",
    "Model.alyers", "Model.append", "Model.cur_block", "Model.decode", "Model.decoder", "Model.encode", "Model.encoder",
    "Model.extract", "Model.generate", "Model.generator", "Model.last_epoch", "Model.model", "Model.normalize",
    "Model.num_embeddings", "Model.parameters", "Model.preprocessor", "Model.reparameterize", "Model.sample",
    "Model.vqvae", "Model.zero_grad", "tensor.append", "tensor.pop", "LayerList.pop", "tf.data.Dataset.shape",
    "tf.data.Dataset.get_mini_dataset", "Layer.w", "tf.data.Dataset.next", "Layer.get_layer", "Layer.layers",
    "Layer.b (self)",
    "Layer.W (self)", "Layer.total", "Layer.get_vocabulary", "tf.Checkpoint.step", "tf.Checkpoint.checkpoints",
    *(
        f"Model.compile({name})"
        for name in "g_optimizer d_optimizer c_optimizer loss_fn temperature student_loss_fn "  # noqa: SIM905
        "distillation_loss_fn alpha learning_rate gen_loss_fn gen_G_optimizer gen_F_optimizer g_loss_fn disc_loss_fn "
        "disc_Y_optimizer disc_X_optimizer d_loss_fn".split()
    ),
    *(f"Model.build({name})" for name in ["weightsPath", "numClasses", "numChannels", "imgRows", "imgCols", "classes"]),
}  # fmt: skip


def rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t")


def found(path: str) -> Any:
    """Return what a dotted name is, by importing modules as far as they go; raises AttributeError or ImportError."""
    parts = path.split(".")
    item: Any = importlib.import_module(parts[0])
    for place, part in enumerate(parts[1:], 2):
        try:
            item = getattr(item, part)
        except AttributeError:
            item = importlib.import_module(".".join(parts[:place]))
    return item


def is_there(path: str) -> bool:
    """Whether a dotted name exists."""
    try:
        found(path.removesuffix(".*").removesuffix("()"))
    except (AttributeError, ImportError):
        return False
    return True


def objects() -> dict[str, Any]:
    """An object of each kind whose methods are counted."""
    keras = importlib.import_module("keras")
    layers = keras.layers
    model = keras.models.Sequential([layers.Dense(2, input_shape=(3,))])
    model.compile("sgd", "mse", metrics=["accuracy"])
    images = keras.preprocessing.image.ImageDataGenerator()
    folder = Path(tempfile.mkdtemp())
    (folder / "one").mkdir()
    keras.preprocessing.image.save_img(folder / "one" / "a.png", np.zeros((4, 4, 3)))
    kinds = {
        "Model": model,
        "Layer": model.layers[0],
        "Layer of images": layers.Conv2D(2, 3),
        "Layer of pools": layers.MaxPooling2D(),
        "Layer of numbers": layers.Normalization(),
        "Optimizer": model.optimizer,
        "History": model.fit(np.ones((2, 3)), np.ones((2, 2)), verbose=0),
        "ImageDataGenerator": images,
        "ImageIterator": images.flow_from_directory(folder, target_size=(4, 4)),
        "Metric": keras.metrics.Mean(),
        "Loss": keras.losses.MeanSquaredError(),
        "Callback": keras.callbacks.Callback(),
        "Progbar": keras.utils.Progbar(3),
        "keras.utils.Sequence": keras.utils.Sequence(),
    }
    kinds["Callback"].set_model(model)
    kinds["Callback"].set_params({})
    try:
        tf = importlib.import_module("tensorflow")
        kinds["tensor"] = tf.constant([1.0])
        kinds["GradientTape"] = tf.GradientTape()
        kinds["tf.data.Dataset"] = kinds["tfds"] = tf.data.Dataset.from_tensor_slices([1.0])
        kinds["tf.Checkpoint"] = tf.train.Checkpoint()
    except (ImportError, AttributeError) as error:
        print(f"(tensorflow: {error})", file=sys.stderr)
    return kinds


def has_method(kinds: dict[str, Any], row: Row) -> bool:
    """Whether an object of a kind has a method or attribute."""
    receiver, name = row["receiver"], row["method"].split(" ")[0]
    item = kinds.get(receiver)
    if item is None:
        return False
    if receiver == "tensor" and name in ("_keras_shape", "get_shape", "name"):
        item = importlib.import_module("keras").Input((2,))
    if receiver == "tf.data.Dataset" and name == "class_names":
        return True  # of image_dataset_from_directory's result alone
    relatives = [other for kind, other in kinds.items() if kind.startswith(f"{receiver} of")]
    return any(hasattr(other, name) for other in (item, *relatives))


def takes(kinds: dict[str, Any], row: Row) -> bool:
    """Whether a callable takes a keyword, or so many arguments by position."""
    name, keyword = row["callable"], row["keyword"]
    owner, _, method = name.partition(".")
    if owner == "Layer" and method == "adapt":
        owner = "Layer of numbers"
    try:
        if owner in kinds and method:
            target = getattr(kinds[owner], method)
        elif name.startswith("tf.data.Dataset."):
            target = getattr(kinds["tf.data.Dataset"], name.rpartition(".")[2])
        else:
            target = found(name)
    except (AttributeError, ImportError, KeyError):
        return False
    if keyword.startswith(("#", "*")):
        return True
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return True
    called = getattr(target, "__name__", method or name.rpartition(".")[2])
    tables = arguments.rows(
        arguments.LAYERS, arguments.OPTIMIZERS, arguments.CALLBACKS, arguments.OTHERS, arguments.METHODS
    )
    joined = {old for olds, _ in arguments.JOINED for old in olds.split()}
    if keyword in parameters or keyword in tables.get(called, {}) or keyword in joined:
        return True
    if called == "Deconvolution2D":  # its own table
        return keyword in ("subsample", "border_mode", "activation")
    is_layer = inspect.isclass(target) and name.startswith("keras.layers")
    return (
        (
            is_layer
            and keyword in ("input_shape", "batch_input_shape", "input_dim", "weights", "name", "trainable", "dtype")
        )
        or (name.startswith("keras.optimizers") and keyword in ("decay", "clipnorm", "clipvalue"))
        or (name == "keras.callbacks.ModelCheckpoint" and keyword == "period")
        or (name == "keras.models.Model" and keyword in ("input", "output"))
        or (method in ("fit_generator", "evaluate_generator", "predict_generator"))
        or (any(p.kind is p.VAR_KEYWORD for p in parameters.values()) and not is_layer)
    )


def by_era(row: Row) -> str:
    """The era in which most of a row's programs were written."""
    counts = {era: int(row.get(column) or 0) for column, era in ERAS_OF.items()}
    return max(counts, key=lambda era: counts[era])


def table(name: str, path: Path, label: Callable[[Row], str], check: Callable[[Row], bool]) -> float:
    """Print how many of the uses in a table are covered, and the rows that are not; returns the share."""
    total = covered = own = 0
    missing = []
    for row in rows(path):
        uses = int(row["uses"])
        if any(label(row) == item or label(row).startswith(f"{item} ") for item in OWN):
            own += uses
            continue
        compat.set_era(by_era(row))
        total += uses
        if check(row):
            covered += uses
        else:
            missing.append((uses, label(row)))
    share = covered / total
    print(f"{name:<14}{covered:>7} of {total:>6} uses  {share:7.2%}   ({own} uses are the programs' own)")
    for uses, text in sorted(missing, reverse=True):
        print(f"    {uses:>5}  {text}")
    return share


def main(folder: Path) -> int:
    """Print the coverage of all tables; 0 if each is at least 97 %."""
    compat.activate()
    kinds = objects()
    shares = [
        table("symbols", folder / "usage_symbols.tsv", lambda r: r["symbol"], lambda r: is_there(r["symbol"])),
        table("import paths", folder / "usage_import_paths.tsv", lambda r: r["import_path"],
              lambda r: is_there(r["import_path"])),
        table("methods", folder / "usage_methods.tsv", lambda r: f"{r['receiver']}.{r['method']}",
              lambda r: has_method(kinds, r)),
        table("keywords", folder / "usage_kwargs.tsv", lambda r: f"{r['callable']}({r['keyword']})",
              lambda r: takes(kinds, r)),
        table("tensorflow", folder / "usage_tf.tsv", lambda r: r["tf_symbol"],
              lambda r: is_there(r["tf_symbol"].replace("(import) ", "").replace("tf.", "tensorflow.", 1))),
    ]  # fmt: skip
    return int(min(shares) < 0.97)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared" / "usage")))
