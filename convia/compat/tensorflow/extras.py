"""Small namespaces: exports that are refused with advice, sound files, and old private paths."""

import io
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from convia import initializers, ops
from convia.compat.grafts.files import load_model, save_model
from convia.compat.tensorflow import control, devices, v1
from convia.compat.tensorflow.door import api, given, numbers
from convia.compat.tensorflow.files import GFile
from convia.compat.tensorflow.names import Namespace
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
_SPARSE = "There are no sparse tensors here; use dense ones."


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
SPARSE_TENSOR = _class("tf.SparseTensor", _SPARSE)
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


def _space(name: str, members: Any) -> Namespace:
    return Namespace(f"tensorflow.{name}", f"tf.{name}, as far as convia has it.", members)


def _python() -> Namespace:
    """Private paths that programs nevertheless import from."""
    framework = _space(
        "python.framework",
        {
            "ops": _space(
                "python.framework.ops",
                {
                    **v1.OPS,
                    "get_default_graph": v1.Graph,
                    "reset_default_graph": v1.ONLY_OLD["reset_default_graph"],
                },
            )
        },
    )
    device_lib = _space("python.client.device_lib", {"list_local_devices": devices.list_local_devices})
    file_io = _space("python.lib.io.file_io", {"FileIO": GFile})
    return _space(
        "python",
        {
            "client": _space("python.client", {"device_lib": device_lib}),
            "framework": framework,
            "lib": _space("python.lib", {"io": _space("python.lib.io", {"file_io": file_io})}),
        },
    )


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
    "profiler": _space(
        "profiler",
        {
            "experimental": _space(
                "profiler.experimental",
                {"Profile": control.block, "start": lambda *a, **k: None, "stop": lambda *a, **k: None},
            )
        },
    ),
    "python": _python(),
    "ragged": _space(
        "ragged", {"constant": _refused("tf.ragged.constant", _RAGGED), "stack": _refused("tf.ragged.stack", _RAGGED)}
    ),
    "saved_model": _space("saved_model", _SAVED),
    "sparse": _space(
        "sparse", {"to_dense": lambda sp_input, default_value=None, name=None: sp_input, "SparseTensor": SPARSE_TENSOR}
    ),
    "sysconfig": _space("sysconfig", {"get_build_info": lambda: {"is_cuda_build": torch.version.cuda is not None}}),
    "version": _space("version", {"VERSION": "2.15.1", "GIT_VERSION": "v2.15.1"}),
}
NUMPY = {name: getattr(ops.numpy, name) for name in vars(ops.numpy)["__all__"]}
__all__ = ["EXTRAS", "INITIALIZERS", "NUMPY", "RAGGED_SPEC", "RAGGED_TENSOR", "SPARSE_TENSOR", "make_tensor_proto"]
