"""``convia convert --int8``: a model whose predictions are computed in 8 bits, and what accuracy that costs."""

from pathlib import Path
from typing import Any

import numpy as np

from convia.cli.evaluate import evaluate, labelled_files
from convia.cli.opened import open_model
from convia.errors import explain

_CALIBRATED, _BATCH = 256, 32  # images that show the ranges, evenly taken from all; images at once
_ENDINGS = (".keras", ".h5")


def quantized(source: str, target: str, folder: str) -> str:
    """Write the model of a file with ranges of 8 bits; return what it knows before and after, in words.

    Args:
        source: the file, or the folder of a run.
        target: ends in .keras or .h5.
        folder: a folder of images per class, or such folders of training, validation and test: the first of them shows
            the ranges, the last one is what accuracies are of.

    Raises:
        OSError: no such file or folder, or images that cannot be read.
        ValueError: another ending, classes that the model does not know, or layers that are not computed in 8 bits.
    """
    if not target.endswith(_ENDINGS):
        raise ValueError(explain("--int8", repr(target), f"a name that ends in {' or '.join(_ENDINGS)}"))
    opened = open_model(source)
    paths, labels, names = labelled_files(opened, folder, None, False)
    floats = evaluate(opened, paths, labels, names, _BATCH)
    shown = labelled_files(opened, folder, "training", False)[0]
    images: list[Any] = [
        image
        for image in opened.read_all(shown[:: max(1, len(shown) // _CALIBRATED)][:_CALIBRATED])
        if not isinstance(image, Exception)
    ]
    opened.model.quantize("int8", calibration_data=np.stack(images) if images else None)
    bytes_ = evaluate(opened, paths, labels, names, _BATCH)
    opened.model.save(target)
    drop = 100 * (floats["accuracy"] - bytes_["accuracy"])
    size = Path(target).stat().st_size / 1e6
    return (
        f"float32: accuracy {floats['accuracy']:.2%}, loss {floats['loss']:.4f} on {floats['images']} images\n"
        f"int8:    accuracy {bytes_['accuracy']:.2%}, loss {bytes_['loss']:.4f}; drop {drop:.2f} points "
        f"(ranges of {len(images)} images)\n{target}: {size:,.1f} MB, {opened.model.engine}"
    )
