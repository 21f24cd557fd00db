"""Compare every variant's outputs with Keras's for the same random weights: too slow for the suite, so by hand.

python tests/applications/compare_variants.py [TITLE ...]
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import numpy as np  # noqa: E402
from test_published import TABLE, build, build_theirs, shaken  # noqa: E402

SMALLEST = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}
LIMIT = 1e-4


def difference(title: str, side: int, **arguments: object) -> float:
    """Return the largest difference, relative to the largest output."""
    shape = (side, side + 3, 3)
    theirs, ours = (make(title, input_shape=shape, **arguments) for make in (build_theirs, build))
    values = shaken(theirs)
    theirs.set_weights(values)
    ours.set_weights(values)
    x = np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype("float32")
    expected = theirs.predict(x, verbose=0)
    return float(np.abs(ours.predict(x, verbose=0) - expected).max() / np.abs(expected).max())


def main() -> int:
    """Print a line per variant; return 1 if one differs by more than the limit."""
    worst = 0.0
    for title in sys.argv[1:] or TABLE:
        side = SMALLEST.get(title, 32)
        bare = difference(title, side, include_top=False)
        top = difference(title, side + 5, classes=7, classifier_activation=None)
        worst = max(worst, bare, top)
        print(f"{title:20} without top {bare:.1e}, with top {top:.1e}", flush=True)
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
