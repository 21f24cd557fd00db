"""Compare every variant with Keras's: layers, weights, outputs for the same weights. Too slow for the suite, so by hand.

python tests/applications/compare_variants.py [TITLE ...]
"""

import os
import sys
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import numpy as np  # noqa: E402
from make_golden import VARIANTS, build_theirs, facts, label  # noqa: E402
from test_published import TITLES, build, shaken  # noqa: E402

SMALLEST = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}
LIMIT = 1e-4


def shapes(title: str) -> dict[str, dict[str, Any]]:
    """Return what is tried of a network: of several sizes, without top and with."""
    side = SMALLEST.get(title, 32)
    return {
        "bare": {"include_top": False, "input_shape": (side, side + 3, 3)},
        "pooled": {"include_top": False, "input_shape": (side + 33, side + 16, 3), "pooling": "avg"},
        "with top": {"input_shape": (side + 5, side + 5, 3), "classes": 7, "classifier_activation": None},
    }


def attune(model: Any, x: Any) -> None:
    """Move the statistics of normalizations halfway to those of a batch.

    With random weights, values would grow from block to block, and round-off with them: to 20 % in EfficientNetV2S.
    """
    norms = [layer for layer in model.layers if hasattr(layer, "moving_variance")]
    for layer in norms:
        layer.momentum = 0.5
    if norms:
        model(x, training=True)


def difference(title: str, **arguments: Any) -> float:
    """Return the largest difference, relative to the largest output; nan where the outputs tell nothing."""
    theirs, ours = (make(title, **arguments) for make in (build_theirs, build))
    assert facts(ours) == facts(theirs), facts(theirs)
    theirs.set_weights(shaken(theirs))
    low, high = (0, 255) if arguments.get("include_preprocessing", True) else (-1, 1)
    x = np.random.default_rng(0).uniform(low, high, (2, *arguments["input_shape"])).astype("float32")
    attune(theirs, x)
    ours.set_weights([np.asarray(weight) for weight in theirs.weights])
    expected = theirs.predict(x, verbose=0)
    unlike = float(np.abs(ours.predict(x, verbose=0) - expected).max() / np.abs(expected).max())
    return unlike if np.ptp(expected) > 0 else float("nan")


def main() -> int:
    """Print a line per variant; return 1 if one differs by more than the limit."""
    right = True
    for title in sys.argv[1:] or TITLES:
        for arguments in ({}, *VARIANTS.get(title, ())):
            found = {name: difference(title, **arguments, **more) for name, more in shapes(title).items()}
            right = right and all(value <= LIMIT for value in found.values())
            line = ", ".join(f"{name} {value:.1e}" for name, value in found.items())
            print(f"{label(title, arguments):35} {line}", flush=True)
    return int(not right)


if __name__ == "__main__":
    sys.exit(main())
