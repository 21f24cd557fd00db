"""Predictions by published networks in every library that can make them; times do not depend on the random weights."""

import importlib.util
import io
import os
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

SIDES = {"ResNet50": 224, "InceptionV3": 299, "MobileNetV2": 224, "EfficientNetB0": 224}
KERAS_LIKE = ("convia", "keras", "tensorflow")
INSTALLED = tuple(name for name in ("openvino", "onnxruntime") if importlib.util.find_spec(name))
PREDICTORS = (*KERAS_LIKE, "torch-nhwc", "torch-nchw", "torch-compiled", *INSTALLED)


def keras_like(name: str) -> Any:
    """Return a library with the Keras API; ``convia-torch`` is convia without its engine."""
    if name == "tensorflow":
        from tensorflow import keras

        return keras
    library = __import__(name.removesuffix("-torch"))
    if name == "convia-torch":
        library.config.set_engine("torch")
    return library


def shares(work: str, model: Any, run: Callable[[], Any], mode: str = "TRAIN") -> None:
    """Print, for each convolution of convia's network, billions of operations a second of a thread, and their share of
    what one core can do; every tap counts as if it were multiplied.
    """
    from convia import engine
    from convia.training import plans

    peak = engine.native().peak(engine.instruction_set())  # type: ignore[union-attr]
    for row in plans.profile(model, run, getattr(plans, mode)):
        if row.operations:
            speed = row.operations / row.seconds
            print(f"  {work} {row.step} {row.work}: {speed / 1e9:.0f} GFLOP/s, {speed / peak:.0%} of the peak")


def prediction(name: str, title: str, batch: int, half: bool = False) -> Callable[[], Any]:
    """Return what predicts one batch, after a first time; ``half``: in bfloat16, as each library offers it."""
    x = np.random.default_rng(0).uniform(-1, 1, (batch, SIDES[title], SIDES[title], 3)).astype("float32")
    if name in KERAS_LIKE:
        library = keras_like(name)
        if half:
            library.mixed_precision.set_global_policy("mixed_bfloat16")
        model = getattr(library.applications, title)(weights=None)
        run = lambda: model.predict(x, batch_size=batch, verbose=0)  # noqa: E731
    else:
        run = {"openvino": in_openvino, "onnxruntime": in_onnxruntime}.get(name, in_torch)(title, x, name, half)
    run()
    return run


def in_torch(title: str, x: np.ndarray, name: str, half: bool) -> Callable[[], Any]:
    """Return a call of the same graph of torch's functions, one after the other or compiled; ``half``: all bfloat16."""
    import torch

    import convia

    convia.config.set_engine("torch")
    if name.endswith("nchw"):
        convia.config.set_image_data_format("channels_first")
        x = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    if half:
        convia.config.set_dtype_policy("bfloat16")
    dtype = torch.bfloat16 if half else torch.float32
    model, tensor = getattr(convia.applications, title)(weights=None), torch.from_numpy(x).to(dtype)
    if name.endswith("compiled"):
        model = torch.compile(torch.export.export(model, (tensor,)).module())

    @torch.inference_mode()
    def run() -> Any:
        return model(tensor)

    return run


def in_openvino(title: str, x: np.ndarray, _: str, half: bool) -> Callable[[], Any]:
    """Return a call of the network compiled by OpenVINO, which is told the type to compute in."""
    import openvino
    import torch

    import convia

    model = getattr(convia.applications, title)(weights=None)
    converted = openvino.convert_model(model, example_input=torch.from_numpy(x), input=list(x.shape))
    compiled = openvino.compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "bf16" if half else "f32"})
    return lambda: compiled(x)


def in_onnxruntime(title: str, x: np.ndarray, _: str, __: bool) -> Callable[[], Any]:
    """Return a run of the exported network by ONNX Runtime, in float32."""
    import onnxruntime
    import torch

    import convia

    convia.config.set_engine("torch")
    model, written = getattr(convia.applications, title)(weights=None), io.BytesIO()
    torch.onnx.export(model, (torch.from_numpy(x),), written, dynamo=False)
    session = onnxruntime.InferenceSession(written.getvalue(), providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {session.get_inputs()[0].name: x})
