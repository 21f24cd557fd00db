"""Small namespaces: exports that are refused with advice, and sound files."""

import io
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from convia import initializers, ops, tree
from convia.compat.grafts.files import load_model, save_model
from convia.compat.tensorflow import control
from convia.compat.tensorflow.door import api, given, numbers
from convia.compat.tensorflow.inner import PYTHON
from convia.compat.tensorflow.names import Namespace
from convia.compat.tensorflow.sparse import SPARSE
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain
from convia.models import Model


def _refused(who: str, remedy: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(explain(who, "a call", "another way", remedy))

    return refuse


@api
def decode_wav(contents: Any, desired_channels: int = -1, desired_samples: int = -1) -> Any:
    """Return sound (samples, channels) in −1…1 and its rate, from the content of a WAV file of 16-bit numbers.

    Raises:
        InvalidArgumentError: another kind of file.
    """
    try:
        with wave.open(io.BytesIO(StringTensor(contents).array.item())) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        received = f"no WAV file ({error})"
        raise control.InvalidArgumentError(None, None, explain("tf.audio.decode_wav", received, "one")) from None
    if width != 2:
        received = f"{8 * width}-bit sound"
        raise control.InvalidArgumentError(None, None, explain("tf.audio.decode_wav", received, "16-bit sound"))
    sound = torch.from_numpy(np.frombuffer(data, "<i2").reshape(-1, channels) / np.float32(32768))
    sound = sound if desired_channels < 1 else sound[:, :desired_channels]
    if desired_samples >= 0:
        sound = torch.nn.functional.pad(sound[:desired_samples], (0, 0, 0, max(desired_samples - len(sound), 0)))
    return sound, torch.tensor(rate, dtype=torch.int32)


@api
def encode_wav(audio: Any, sample_rate: Any) -> Any:
    """Return the content of a WAV file with sound (samples, channels) in −1…1."""
    sound = given(audio).clamp(-1, 1).cpu().numpy()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((sound.shape[1], 2, int(sample_rate), 0, "NONE", "not compressed"))
        file.writeframes(np.clip(np.round(sound * 32768), -32768, 32767).astype("<i2").tobytes())
    return StringTensor(buffer.getvalue())


_MODEL = "Use model.save('model.keras'), or model.export for ONNX and others."
_LITE = "There is no TensorFlow Lite here; export to ONNX with model.export."


def _save_model(obj: Any, export_dir: Any, signatures: Any = None, options: Any = None) -> None:
    """Write a model to a folder, as ``model.save`` does.

    Raises:
        NotImplementedError: not a model of Keras.
    """
    if not isinstance(obj, Model):
        _refused("tf.saved_model.save", _MODEL)()
    save_model(obj, export_dir)


_SAVED = {
    "contains_saved_model": lambda export_dir: Path(export_dir, "config.json").is_file(),
    "load": lambda export_dir, tags=None, options=None: load_model(export_dir, compile=False),
    "save": _save_model,
}
_RAGGED = "There are no ragged tensors here; fill rows up to one length, as keras.utils.pad_sequences does."


def _class(who: str, remedy: str, *methods: str) -> Any:
    refuse = _refused(who, remedy)
    return type(who.rpartition(".")[2], (), {"__init__": refuse, **{m: staticmethod(refuse) for m in methods}})


_LITE_NAMES: dict[str, Any] = {
    "Interpreter": _class("tf.lite.Interpreter", _LITE),
    "OpsSet": SimpleNamespace(TFLITE_BUILTINS="TFLITE_BUILTINS", SELECT_TF_OPS="SELECT_TF_OPS"),
    "Optimize": SimpleNamespace(DEFAULT="DEFAULT"),
    "TFLiteConverter": _class("tf.lite.TFLiteConverter", _LITE, "from_keras_model", "from_saved_model"),
}
RAGGED_TENSOR = _class("tf.RaggedTensor", _RAGGED, "from_tensor", "from_row_splits", "from_row_lengths")
RAGGED_SPEC = _class("tf.RaggedTensorSpec", _RAGGED)
INITIALIZERS: dict[str, Any] = {
    "constant_initializer": initializers.Constant,
    "ones_initializer": initializers.Ones,
    "random_normal_initializer": initializers.RandomNormal,
    "random_uniform_initializer": initializers.RandomUniform,
    "zeros_initializer": initializers.Zeros,
}


def make_tensor_proto(values: Any, dtype: Any = None, shape: Any = None, **ignored: Any) -> Any:
    """Return a tensor: there are no protocol buffers here."""
    tensor = given(values, dtype)
    return tensor if shape is None else tensor.reshape(numbers(shape))


def _map_structure(func: Any, *structure: Any, **options: Any) -> Any:
    return tree.map_structure(func, *structure)


NEST = {
    "assert_same_structure": lambda nest1, nest2, check_types=True, **options: tree.assert_same_structure(nest1, nest2),
    "flatten": lambda structure, **options: tree.flatten(structure),
    "is_nested": tree.is_nested,
    "map_structure": _map_structure,
    "pack_sequence_as": lambda structure, flat_sequence, **options: tree.pack_sequence_as(structure, flat_sequence),
}


def _space(name: str, members: Any) -> Namespace:
    return Namespace(f"tensorflow.{name}", f"tf.{name}, as far as convia has it.", members)


EXTRAS: dict[str, Any] = {
    "audio": _space("audio", {"decode_wav": decode_wav, "encode_wav": encode_wav}),
    "autograph": _space(
        "autograph",
        {
            "experimental": _space("autograph.experimental", {"do_not_convert": control.do_not_convert}),
            "set_verbosity": control.no_op,
        },
    ),
    "lite": _space("lite", _LITE_NAMES),
    "nest": _space("nest", NEST),
    "profiler": _space(
        "profiler",
        {
            "experimental": _space(
                "profiler.experimental",
                {"Profile": control.block, "start": lambda *a, **k: None, "stop": lambda *a, **k: None},
            )
        },
    ),
    "python": PYTHON,
    "ragged": _space(
        "ragged", {"constant": _refused("tf.ragged.constant", _RAGGED), "stack": _refused("tf.ragged.stack", _RAGGED)}
    ),
    "saved_model": _space("saved_model", _SAVED),
    "sparse": _space("sparse", SPARSE),
    "sysconfig": _space("sysconfig", {"get_build_info": lambda: {"is_cuda_build": torch.version.cuda is not None}}),
    "version": _space("version", {"VERSION": "2.15.1", "GIT_VERSION": "v2.15.1"}),
}
NUMPY = {name: getattr(ops.numpy, name) for name in vars(ops.numpy)["__all__"]}
__all__ = ["EXTRAS", "INITIALIZERS", "NUMPY", "RAGGED_SPEC", "RAGGED_TENSOR", "make_tensor_proto"]
