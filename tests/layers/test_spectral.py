import inspect

import keras
import numpy as np
import pytest
import torch
from oracle import GRADIENT_TOLERANCE, against_keras, assert_close, compare_config, compare_layer, random_inputs

from convia import layers
from convia.graph import Input

STFT = [
    {},
    {"mode": "magnitude", "frame_length": 32, "frame_step": 8},
    {"mode": "stft", "frame_length": 24, "window": "hamming", "padding": "same", "scaling": None},
    {"mode": "psd", "frame_length": 16, "fft_length": 32, "scaling": "spectrum", "expand_dims": True},
    {"mode": "real", "frame_length": 16, "window": None, "periodic": True, "data_format": "channels_first"},
    {"mode": "imag", "frame_length": 16, "expand_dims": True, "data_format": "channels_first", "padding": "same"},
    {"mode": "angle", "frame_length": 16, "periodic": True},
]
MEL = [
    {},
    {"num_mel_bins": 12, "sampling_rate": 8000, "sequence_stride": 100, "fft_length": 256},
    {"fft_length": 512, "sequence_length": 400, "window": "hamming", "power_to_db": False, "mag_exp": 1.0},
    {"fft_length": 256, "min_freq": 100.0, "max_freq": 3000.0, "top_db": 20.0, "ref_power": 3.0, "num_mel_bins": 16},
]


@against_keras(("name", "arguments"), [("STFTSpectrogram", arguments) for arguments in STFT])
def test_stft_equals_keras(name, arguments):
    ours, theirs = (module.STFTSpectrogram(**arguments, name="it") for module in (layers, keras.layers))
    shape = (2, 3, 600) if "data_format" in arguments else (2, 600, 3)
    x = torch.tensor(random_inputs(shape)[0])
    if arguments.get("mode") != "angle":  # ±π where the sine is 0
        assert_close(ours(x), theirs(x), tolerance=1e-4 if ours.mode == "log" else 1e-5)
    else:
        ours(x), theirs(x)
    assert_close(ours.get_weights(), theirs.get_weights(), "weight", 1e-4)  # Keras computes them in float32
    compare_config(ours, theirs)
    for training in (False, True):
        compare_layer(
            ours, theirs, x.numpy(), training=training, tolerance=1e-4 if ours.mode in ("angle", "imag") else 1e-5
        )


@pytest.mark.parametrize("arguments", STFT)
def test_symbolic_shapes_of_stft(arguments):
    shape = (3, None) if "data_format" in arguments else (None, 3)
    layer = layers.STFTSpectrogram(**arguments)
    expected = keras.layers.STFTSpectrogram(**arguments)(keras.Input(shape)).shape
    assert layer(Input(shape)).shape == tuple(expected)


@pytest.mark.parametrize("shape", [(3000,), (2, 3000)])
@against_keras(("name", "arguments"), [("MelSpectrogram", arguments) for arguments in MEL])
def test_mel_equals_keras(name, arguments, shape):
    ours, theirs = (module.MelSpectrogram(**arguments, name="it") for module in (layers, keras.layers))
    time = np.arange(3000) / 8000
    x = (np.sin(2 * np.pi * 440 * time) + 0.1 * np.random.randn(*shape)).astype("float32")
    for training in (False, True):
        found = []
        for layer in (ours, theirs):
            leaf = torch.tensor(x, requires_grad=True)
            y = layer(leaf, training=training)
            found.append((y, *torch.autograd.grad(y.sum(), leaf)))
        assert_close(found[0][0], found[1][0])
        assert_close(found[0][1], found[1][1], "gradient", GRADIENT_TOLERANCE)
    compare_config(ours, theirs)
    assert not ours.weights


def test_symbolic_shape_of_mel():
    assert layers.MelSpectrogram(**MEL[1])(Input((1000,))).shape == (None, 12, 11)


@pytest.mark.parametrize("name", ["MelSpectrogram", "STFTSpectrogram"])
def test_signatures(name):
    def described(cls):
        parameters = inspect.signature(cls.__init__).parameters.values()
        return [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    assert described(getattr(layers, name)) == described(getattr(keras.layers, name))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.STFTSpectrogram(frame_length=8, frame_step=9), "frame_step.*from 1 to frame_length=8"),
        (lambda: layers.STFTSpectrogram(frame_length=8, fft_length=4), "fft_length.*at least"),
        (lambda: layers.STFTSpectrogram(mode="x"), "mode"),
        (lambda: layers.STFTSpectrogram(window="x"), "window"),
        (lambda: layers.STFTSpectrogram()(torch.zeros(2, 300)), "3 dimensions"),
        (lambda: layers.MelSpectrogram(fft_length=8, sequence_length=9), "no longer than the transform"),
    ],
)
def test_messages(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_types_that_have_no_spectrum():
    with pytest.raises(TypeError, match="bfloat16"):
        layers.STFTSpectrogram(dtype="bfloat16")(torch.zeros(2, 300, 1))


def test_a_length_that_is_slow():
    with pytest.warns(UserWarning, match="power of two"):
        layers.STFTSpectrogram(fft_length=300)
