"""Write errors.json: of which kind Keras's errors are, for arguments that do not go together.

python tests/applications/make_errors.py
"""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from make_golden import GOLDEN, Asked, their_mobile_nasnet

ERRORS = Path(__file__).with_name("errors.json")
TITLES = [label for label, row in json.loads(GOLDEN.read_text()).items() if not row["arguments"]]
_IMAGENET, _BARE = {"weights": "imagenet"}, {"include_top": False}
CASES: dict[str, dict[str, Any]] = {
    "unknown weights": {"weights": "image_net"},
    "weights that are no text": {"weights": 3},
    "no such file": {"weights": "nothing.weights.h5"},
    "other classes than the weights'": {**_IMAGENET, "classes": 10},
    "other activation than the weights'": {**_IMAGENET, "classifier_activation": "relu"},
    "too small": {"input_shape": (31, 40, 3)},
    "too small without top": {"input_shape": (40, 31, 3), **_BARE},
    "two sizes": {"input_shape": (64, 64)},
    "two sizes without top": {"input_shape": (64, 64), **_BARE},
    "four sizes": {"input_shape": (64, 64, 3, 1), **_BARE},
    "a text": {"input_shape": "64", **_BARE},
    "no pixels": {"input_shape": (0, 0, 3), **_BARE},
    "an unknown side": {"input_shape": (None, 64, 3)},
    "unknown sides": {"input_shape": (None, None, 3)},
    "another size than the weights'": {**_IMAGENET, "input_shape": (64, 64, 3)},
    "other channels than the weights'": {**_IMAGENET, **_BARE, "input_shape": (64, 64, 1)},
    "other channels and a top": {**_IMAGENET, "input_shape": (224, 224, 1)},
    "an array for input": {"input_tensor": np.zeros((1, 64, 64, 3))},
    "an array for input, and a shape": {"input_tensor": np.zeros((1, 64, 64, 3)), "input_shape": (64, 64, 3)},
    "an argument that is not there": {"clases": 3},
}


def kind(function: Callable[..., Any], arguments: dict[str, Any]) -> str:
    """Return the name of the kind of an error; "Asked" if a file of weights was asked for, "" if there was none."""
    try:
        function(**{"weights": None, **arguments})
    except Exception as error:
        return type(error).__name__
    return ""


def main() -> None:
    """Call all of Keras's functions with all arguments, and write case → kind → titles."""
    import keras
    from keras.src.utils import file_utils

    warnings.simplefilter("ignore")
    table: dict[str, dict[str, list[str]]] = {case: {} for case in CASES}
    with mock.patch.object(file_utils, "get_file", side_effect=Asked):
        for title in TITLES:
            function = their_mobile_nasnet if title == "NASNetMobile" else getattr(keras.applications, title)
            for case, arguments in CASES.items():
                table[case].setdefault(kind(function, arguments), []).append(title)
            keras.backend.clear_session()
            print(title, flush=True)
    rows = [f"  {json.dumps(case)}: {json.dumps(row)}" for case, row in table.items()]
    ERRORS.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
