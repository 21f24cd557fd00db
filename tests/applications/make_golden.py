"""Write golden.json: what Keras's networks are made of, so that tests need not build the large ones.

python tests/applications/make_golden.py
"""

import contextlib
import hashlib
import inspect
import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

os.environ["KERAS_BACKEND"] = "torch"

GOLDEN = Path(__file__).with_name("golden.json")
_RAW = {"include_preprocessing": False}
_NARROW = tuple({"alpha": alpha} for alpha in (0.25, 0.5, 0.75))
_MODERN = ({"alpha": 0.75}, {"minimalistic": True}, _RAW)
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {  # besides the one with default arguments
    "MobileNet": (*_NARROW, {"depth_multiplier": 2}),
    "MobileNetV2": tuple({"alpha": alpha} for alpha in (0.35, 0.5, 0.75, 1.3, 1.4)),
    "MobileNetV3Small": _MODERN,
    "MobileNetV3Large": _MODERN,
    "EfficientNetV2B0": (_RAW,),
    "EfficientNetV2S": (_RAW,),
    "ConvNeXtTiny": (_RAW,),
}


def label(title: str, arguments: dict[str, Any]) -> str:
    """Return the key of a variant: ``MobileNet alpha=0.5``."""
    return " ".join([title, *(f"{key}={value}" for key, value in arguments.items())])


def digest(value: Any) -> str:
    """Return a short hash of a JSON value."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def facts(model: Any) -> dict[str, Any]:
    """Return numbers and hashes of the layers' names and of the weights' names and shapes, in order."""
    weights = [["/".join(weight.path.split("/")[-2:]), list(weight.shape)] for weight in model.weights]
    return {
        "parameters": model.count_params(),
        "layers": len(model.layers),
        "names": digest([layer.name for layer in model.layers]),
        "weights": digest(weights),
    }


class Asked(Exception):
    """A file of weights was asked for."""


def asked(build: Any, get_file: Any, **arguments: Any) -> list[Any]:
    """Return name, URL and hash of the file that a network asks for; ``get_file`` is patched."""
    get_file.reset_mock()
    get_file.side_effect = Asked
    try:
        build(weights="imagenet", **arguments)
    except Asked:
        call = get_file.call_args
        name, url = [*call.args, None, None][:2]
        assert call.kwargs["cache_subdir"] == "models"
        return [name or url.rpartition("/")[2], url, call.kwargs.get("file_hash")]
    raise AssertionError(build)


def files(build: Any, title: str, get_file: Any, **arguments: Any) -> list[list[Any]]:
    """Return what :func:`asked` does for the official weights with top and without."""
    shape = (224, 224, 3) if title.startswith("Mobile") else None
    return [asked(build, get_file, include_top=top, input_shape=shape, **arguments) for top in (True, False)]


def their_mobile_nasnet(name: str = "nasnet_mobile", **arguments: Any) -> Any:
    """Return Keras's NASNetMobile, which Keras itself refuses to make on torch."""
    from keras.src.applications import nasnet

    options = {"penultimate_filters": 1056, "num_blocks": 4, "stem_block_filters": 32, "skip_reduction": False}
    if not arguments.get("include_top", True):
        arguments = {"input_shape": (224, 224, 3), **arguments}
    return nasnet.NASNet(**options, filter_multiplier=2, default_size=224, name=name, **arguments)


def build_theirs(title: str, **arguments: Any) -> Any:
    """Return a network of Keras with random weights, its layers named as in a new program."""
    import keras

    keras.backend.clear_session()
    function = their_mobile_nasnet if title == "NASNetMobile" else getattr(keras.applications, title)
    return function(**{"weights": None, **arguments})


def main() -> None:
    """Build all of Keras's networks and write what they are made of."""
    import keras
    from keras.src.initializers.random_initializers import RandomInitializer
    from keras.src.utils import file_utils

    functions = {title: f for title, f in sorted(vars(keras.applications).items()) if inspect.isfunction(f)}
    starts = [
        start for start in vars(keras.initializers).values() if RandomInitializer in getattr(start, "__mro__", ())
    ]
    zeros = lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)  # noqa: E731
    table = {}
    with contextlib.ExitStack() as stack:
        get_file = stack.enter_context(mock.patch.object(file_utils, "get_file"))
        for start in starts:  # zeros are made faster
            stack.enter_context(mock.patch.object(start, "__call__", zeros))
        for title, function in functions.items():
            build = their_mobile_nasnet if title == "NASNetMobile" else function
            for arguments in ({}, *VARIANTS.get(title, ())):
                row = facts(build_theirs(title, **arguments))
                row["bare"] = facts(build_theirs(title, include_top=False, **arguments))
                if "depth_multiplier" not in arguments:
                    row["files"] = files(build, title, get_file, **arguments)
                table[label(title, arguments)] = {"arguments": arguments, **row}
                print(label(title, arguments), row, flush=True)
    rows = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in table.items()]
    GOLDEN.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
