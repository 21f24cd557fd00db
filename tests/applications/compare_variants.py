"""Compare every variant with Keras's: layers, weights, outputs for the same weights. Too slow for the suite, so by hand.

Printed per variant: without top, without top but pooled, and with top, each with another size of pictures, how far
outputs are apart, relative to the largest; in brackets, how far Keras's change if its input grows by a millionth.

python tests/applications/compare_variants.py [TITLE ...]     (the results are in variants.md)
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import keras  # noqa: E402
import numpy as np  # noqa: E402
from make_golden import VARIANTS, build_theirs, facts, label  # noqa: E402
from test_published import TITLES, build, shaken  # noqa: E402

SMALLEST = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}
LIMIT, BRANCH = 1e-4, 0.3
RANGES = {None: (0, 255), "caffe": (-124, 151), "tf": (-1, 1), "torch": (-2.1, 2.6)}  # of pixels, by preprocessing


def shapes(title: str) -> dict[str, dict[str, Any]]:
    """Return what is tried of a network: of several sizes, without top and with."""
    side = SMALLEST.get(title, 32)
    return {
        "bare": {"include_top": False, "input_shape": (side, side + 3, 3)},
        "pooled": {"include_top": False, "input_shape": (side + 33, side + 16, 3), "pooling": "avg"},
        "with top": {"input_shape": (side + 5, side + 5, 3), "classes": 7, "classifier_activation": None},
    }


def closing(model: Any) -> list[Any]:
    """Return the normalizations that residual branches end in."""
    found = []
    for layer in model.layers:
        for tensor in layer.input if isinstance(layer, keras.layers.Add) else ():
            last = tensor._keras_history.operation
            while isinstance(last, keras.layers.Dropout):
                last = last.input._keras_history.operation
            if isinstance(last, keras.layers.BatchNormalization):
                found.append(last)
    return found


def calm(model: Any, x: Any) -> None:
    """Change random weights so that a network does not make more of round-off than one that has learnt.

    Residual branches add less to what passes by them, and the statistics of normalizations move halfway to those of a
    batch. Otherwise values grow from block to block, and in the deepest networks round-off with them, until outputs
    tell nothing: those of Keras's EfficientNetV2L change by 94 % if its input does by a millionth.
    """
    for layer in closing(model):
        layer.gamma.assign(layer.gamma * BRANCH)
    norms = [layer for layer in model.layers if hasattr(layer, "moving_variance")]
    for layer in norms:
        layer.momentum = 0.5
    if norms:
        model(x, training=True)


def relative(found: Any, expected: Any) -> float:
    """Return the largest difference, relative to the largest output; nan where the outputs tell nothing."""
    return float(np.abs(found - expected).max() / np.abs(expected).max()) if np.ptp(expected) > 0 else float("nan")


def difference(title: str, **arguments: Any) -> tuple[float, float]:
    """Return how far convia is from Keras, and Keras from itself if its input is a millionth larger."""
    theirs, ours = (make(title, **arguments) for make in (build_theirs, build))
    assert facts(ours) == facts(theirs), facts(theirs)
    theirs.set_weights(shaken(theirs))
    published = getattr(ours.inputs[0].node.operation, "published", None)
    low_high = RANGES[published.mode if published else "tf"]
    x = np.random.default_rng(0).uniform(*low_high, (2, *arguments["input_shape"])).astype("float32")
    calm(theirs, x)
    ours.set_weights([np.asarray(weight) for weight in theirs.weights])
    expected = theirs.predict(x, verbose=0)
    moved = theirs.predict(x * np.float32(1 + 1e-6), verbose=0)
    return relative(ours.predict(x, verbose=0), expected), relative(moved, expected)


def main() -> int:
    """Print a line per variant; return 1 if one differs by more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("titles", nargs="*", default=TITLES, metavar="TITLE")
    right = True
    for title in parser.parse_args().titles:
        for arguments in ({}, *VARIANTS.get(title, ())):
            found = [difference(title, **arguments, **more) for more in shapes(title).values()]
            right = right and all(value <= LIMIT for value, _ in found)
            line = "".join(f" | {value:.1e} ({own:.1e})" for value, own in found)
            print(f"| {label(title, arguments)}{line} |", flush=True)
    return int(not right)


if __name__ == "__main__":
    sys.exit(main())
