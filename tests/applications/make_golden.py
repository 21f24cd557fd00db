"""Write golden.json: what Keras's networks are made of, so that tests need not build the large ones.

python tests/applications/make_golden.py
"""

import hashlib
import inspect
import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

os.environ["KERAS_BACKEND"] = "torch"

GOLDEN = Path(__file__).with_name("golden.json")


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


def main() -> None:
    """Build all of Keras's networks and write what they are made of."""
    import keras
    from keras.src.applications import nasnet
    from keras.src.initializers.random_initializers import VarianceScaling
    from keras.src.utils import file_utils

    def mobile(name: str = "nasnet_mobile", **arguments: Any) -> Any:  # Keras refuses it on torch
        options = {"penultimate_filters": 1056, "num_blocks": 4, "stem_block_filters": 32, "skip_reduction": False}
        return nasnet.NASNet(**options, filter_multiplier=2, default_size=224, name=name, **arguments)

    table = {}
    zeros = lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)  # noqa: E731
    with mock.patch.object(file_utils, "get_file") as get_file, mock.patch.object(VarianceScaling, "__call__", zeros):
        for title, function in sorted(vars(keras.applications).items()):
            if not inspect.isfunction(function):
                continue
            build = mobile if title == "NASNetMobile" else function
            keras.backend.clear_session()
            table[title] = facts(build(weights=None))
            shape = (224, 224, 3) if title.startswith("Mobile") else None
            tops = [asked(build, get_file, include_top=top, input_shape=shape) for top in (True, False)]
            table[title]["files"] = tops
            print(title, table[title], flush=True)
    rows = [f"  {json.dumps(title)}: {json.dumps(row)}" for title, row in table.items()]
    GOLDEN.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
