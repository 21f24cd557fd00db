"""Published networks in 8 bits: convia, which measures the ranges itself, beside ONNX Runtime and OpenVINO.

The other two run one file: the network exported with channels first and quantized by ONNX Runtime, a scale for each
output channel, from the same images. WORK is ``ResNet50/16``, predicting a batch of 16. Each contender is a process of
its own; they take turns. Printed as by wide.py; ``convia-float32`` is the same network before ``quantize``.

Usage: python benchmarks/int8.py [WORK ...] [--contenders convia openvino] [--rounds 3]
Quick: MobileNetV2/1 --contenders convia convia-float32 --rounds 1
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import race
from published import INSTALLED, SIDES

IMAGES = 16  # that show the ranges
NETWORKS = ("ResNet50", "MobileNetV2")
WORKS = {f"{title}/{batch}": race.Work(f"{title}/{batch}, predict") for title in NETWORKS for batch in (1, 16)}
CONTENDERS = ("convia", "convia-float32", *INSTALLED)


def images(title: str) -> np.ndarray:
    """Return what the ranges are measured on."""
    side = SIDES[title]
    return np.random.default_rng(0).uniform(-1, 1, (IMAGES, side, side, 3)).astype("float32")


def by_convia(name: str, title: str, batch: int) -> Callable[[], Any]:
    """Return a call of ``predict``."""
    import convia

    model, x = getattr(convia.applications, title)(weights=None), images(title)
    if name == "convia":
        model.quantize("int8", calibration_data=x)
    return lambda: model.predict(x[:batch], batch_size=batch, verbose=0)


def quantized_file(title: str, batch: int, folder: Path) -> str:
    """Write the network, for so many images at once, in ONNX's 8 bits."""
    import torch
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    import convia

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self._all: Iterator[dict[str, np.ndarray]] = ({name: x[i : i + batch]} for i in range(0, IMAGES, batch))

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._all, None)

    convia.config.set_engine("torch")
    convia.config.set_image_data_format("channels_first")
    x = np.ascontiguousarray(np.moveaxis(images(title), -1, 1))
    model = getattr(convia.applications, title)(weights=None)
    paths = [str(folder / name) for name in ("float32.onnx", "prepared.onnx", "int8.onnx")]
    torch.onnx.export(model, (torch.from_numpy(x[:batch]),), paths[0], dynamo=False, input_names=["x"])
    quant_pre_process(paths[0], paths[1])
    quantize_static(paths[1], paths[2], Reader("x"), per_channel=True)
    return paths[2]


def by_others(name: str, title: str, batch: int) -> Callable[[], Any]:
    """Return a run of the file."""
    x = np.ascontiguousarray(np.moveaxis(images(title)[:batch], -1, 1))
    with tempfile.TemporaryDirectory() as folder:
        path = quantized_file(title, batch, Path(folder))
        if name == "openvino":
            import openvino

            compiled = openvino.compile_model(openvino.Core().read_model(path), "CPU")
            return lambda: compiled(x)
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"x": x})


def make(name: str, work: str) -> Callable[[], Any]:
    """Return what predicts one batch, after a first time."""
    title, _, batch = work.partition("/")
    run = (by_convia if name.startswith("convia") else by_others)(name, title, int(batch))
    run()
    return run


if __name__ == "__main__":
    race.main(__file__, __doc__, WORKS, make, lambda work: CONTENDERS)
