"""Layers made of other layers, of functions or of numbers, and those within published networks, against Keras."""

from types import SimpleNamespace

import keras
import pytest
import torch
from keras.src.applications import convnext, inception_resnet_v2
from oracle import GRADIENT_TOLERANCE, against_keras, assert_close, compare_layer, random_inputs

from convia import layers
from convia.applications.convnext import LayerScale, StochasticDepth
from convia.applications.inception_resnet_v2 import CustomScaleLayer

VECTOR, SEQUENCE, IMAGE, FRAMES = (4, 6), (3, 5, 4), (2, 7, 6, 3), (2, 3, 7, 6, 3)
BOTH = (layers, keras.layers)


def shifted(x, by=1.0, training=None):
    return x * x + by


# rows of the layer, the shape of the input (or a list of shapes) and a function of the library's layers that makes it
CASES = [
    ("ActivityRegularization", VECTOR, lambda k: k.ActivityRegularization(0.1)),
    ("ActivityRegularization", SEQUENCE, lambda k: k.ActivityRegularization(l2=0.1)),
    ("ActivityRegularization", IMAGE, lambda k: k.ActivityRegularization(0.2, 0.3)),
    ("Bidirectional", SEQUENCE, lambda k: k.Bidirectional(k.LSTM(3))),
    ("Bidirectional", SEQUENCE, lambda k: k.Bidirectional(k.GRU(3, return_sequences=True), "sum")),
    ("Bidirectional", SEQUENCE, lambda k: k.Bidirectional(k.SimpleRNN(3), None, backward_layer=k.GRU(2, go_backwards=True))),
    ("Bidirectional", FRAMES, lambda k: k.Bidirectional(k.ConvLSTM2D(2, 3, padding="same"), "ave")),
    ("Lambda", VECTOR, lambda k: k.Lambda(shifted)),
    ("Lambda", SEQUENCE, lambda k: k.Lambda(shifted, arguments={"by": 2.0})),
    ("Lambda", IMAGE, lambda k: k.Lambda(lambda x: x.flatten(1).sin())),
    ("Masking", SEQUENCE, lambda k: k.Masking()),
    ("Masking", SEQUENCE, lambda k: k.Masking(mask_value=0.5)),
    ("Masking", IMAGE, lambda k: k.Masking(-1.0)),
    ("Normalization", VECTOR, lambda k: k.Normalization(mean=3.0, variance=2.0)),
    ("Normalization", SEQUENCE, lambda k: k.Normalization(-1, [1.0, 2.0, 3.0, 4.0], [4.0, 5.0, 6.0, 7.0])),
    ("Normalization", IMAGE, lambda k: k.Normalization((1, 3), mean=1.5, variance=0.2, invert=True)),
    ("Pipeline", IMAGE, lambda k: k.Pipeline([k.Rescaling(0.1), k.CenterCrop(4, 3)])),
    ("Pipeline", IMAGE, lambda k: k.Pipeline([k.RandomFlip(seed=1), k.RandomContrast(0.5, (-3, 3), seed=2)])),
    ("Pipeline", VECTOR, lambda k: k.Pipeline([k.Rescaling(0.5, -1.0), k.Dropout(0.5, seed=3)])),
    ("Rescaling", VECTOR, lambda k: k.Rescaling(1 / 255)),
    ("Rescaling", SEQUENCE, lambda k: k.Rescaling(2.0, -1.0)),
    ("Rescaling", IMAGE, lambda k: k.Rescaling([0.1, 0.2, 0.3], [1.0, 2.0, 3.0])),
    ("RNN", SEQUENCE, lambda k: k.RNN(k.LSTMCell(3))),
    ("RNN", SEQUENCE, lambda k: k.RNN(k.GRUCell(3, reset_after=False), return_sequences=True, go_backwards=True)),
    ("RNN", SEQUENCE, lambda k: k.RNN([k.GRUCell(3), k.SimpleRNNCell(2, "relu")], unroll=True)),
    ("StackedRNNCells", SEQUENCE, lambda k: k.RNN(k.StackedRNNCells([k.LSTMCell(3), k.GRUCell(4)]))),
    ("StackedRNNCells", SEQUENCE, lambda k: k.RNN(k.StackedRNNCells([k.SimpleRNNCell(3)]), return_sequences=True)),
    ("StackedRNNCells", SEQUENCE, lambda k: k.RNN(k.StackedRNNCells([k.GRUCell(3, use_bias=False), k.LSTMCell(2)]))),
    ("SpectralNormalization", VECTOR, lambda k: k.SpectralNormalization(k.Dense(5))),
    ("SpectralNormalization", IMAGE, lambda k: k.SpectralNormalization(k.Conv2D(4, 3), 3)),
    ("SpectralNormalization", SEQUENCE, lambda k: k.SpectralNormalization(k.Conv1D(2, 2, use_bias=False))),
    ("TimeDistributed", SEQUENCE, lambda k: k.TimeDistributed(k.Dense(3, activation="relu"))),
    ("TimeDistributed", FRAMES, lambda k: k.TimeDistributed(k.Conv2D(3, 3, padding="same"))),
    ("TimeDistributed", FRAMES, lambda k: k.TimeDistributed(k.BatchNormalization())),
    ("TimeDistributed", (2, 3, 4, 5), lambda k: k.TimeDistributed(k.LSTM(3))),
    ("CustomScaleLayer", [VECTOR, VECTOR], lambda k: within(k, CustomScaleLayer)(0.2)),
    ("CustomScaleLayer", [SEQUENCE, SEQUENCE], lambda k: within(k, CustomScaleLayer)(-1.5)),
    ("CustomScaleLayer", [IMAGE, IMAGE], lambda k: within(k, CustomScaleLayer)(1.0)),
    ("LayerScale", VECTOR, lambda k: within(k, LayerScale)(1e-6, 6)),
    ("LayerScale", SEQUENCE, lambda k: within(k, LayerScale)(0.5, 4)),
    ("LayerScale", IMAGE, lambda k: within(k, LayerScale)(0.1, 3)),
]  # fmt: skip


def within(library, cls):
    """Take a layer within a published network: ours, or Keras's of the same name."""
    home = convnext if hasattr(convnext, cls.__name__) else inception_resnet_v2
    return cls if library is layers else getattr(home, cls.__name__)


@against_keras(("name", "shapes", "make"), CASES)
def test_equals_keras(name, shapes, make):
    inputs = random_inputs(*(shapes if isinstance(shapes, list) else [shapes]))
    keras.utils.clear_session()  # weights without a name are counted
    if name == "Masking":
        inputs[0][:, 1] = make(layers).mask_value
    for training in (False, True):
        ours, theirs = (make(library) for library in BOTH)
        compare_layer(ours, theirs, *inputs, training=training)
        assert len(ours.losses) == len(theirs.losses)
        if ours.losses:
            assert_close(sum(ours.losses), sum(theirs.losses), "penalty")


@against_keras(
    ("name", "arguments", "shape"),
    [
        ("StochasticDepth", {"drop_path_rate": 0.5}, VECTOR),
        ("StochasticDepth", {"drop_path_rate": 0.2}, SEQUENCE),
        ("StochasticDepth", {"drop_path_rate": 0.8}, IMAGE),
    ],
)
def test_stochastic_depth_with_the_same_draws(name, arguments, shape, monkeypatch):
    monkeypatch.setattr(convnext, "random", SimpleNamespace(uniform=lambda shape, low, high: torch.rand(shape)))
    array = random_inputs(shape)[0]
    for training in (False, True):
        found = []
        for cls in (StochasticDepth, convnext.StochasticDepth):
            torch.manual_seed(1)
            x = torch.tensor(array, requires_grad=True)
            y = cls(**arguments)(x, training=training)
            found.append((y, torch.autograd.grad(y.square().sum(), x)[0]))
        assert_close(found[0][0], found[1][0])
        assert_close(found[0][1], found[1][1], "gradient", GRADIENT_TOLERANCE)


@pytest.mark.parametrize("training", [False, True])
@against_keras(
    ("name", "options", "shape", "dtype"),
    [
        ("Embedding", {}, (2, 5), "int32"),
        ("Embedding", {"embeddings_initializer": "ones", "activity_regularizer": "l2"}, (2, 5, 3), "int64"),
        ("Embedding", {"mask_zero": True, "embeddings_constraint": "unit_norm"}, (4,), "uint8"),
    ],
)
def test_embedding(name, options, shape, dtype, training):
    compare_layer(*(k.Embedding(10, 4, **options) for k in BOTH), *random_inputs(shape, dtype=dtype), training=training)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("training", [False, True])
@against_keras(
    ("name", "options"),
    [
        ("ReversibleEmbedding", {}),
        ("ReversibleEmbedding", {"tie_weights": False}),
        ("ReversibleEmbedding", {"tie_weights": False, "logit_soft_cap": 0.5}),
    ],
)
def test_reversible_embedding(name, options, training, reverse):
    ours, theirs = (k.ReversibleEmbedding(7, 4, **options) for k in BOTH)
    x = torch.randn(2, 3, 4) if reverse else torch.tensor([[1, 6, 0]])
    found = []
    for layer in (ours, theirs):
        layer(torch.tensor([[1, 6, 0]]))
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        other.assign(mine.detach())
    for layer in (ours, theirs):
        y = layer(x, reverse=reverse, training=training)
        weights = [getattr(v, "value", v) for v in layer.trainable_weights]
        found.append((y, torch.autograd.grad(y.square().sum(), weights, allow_unused=True)))
    assert_close(found[0][0], found[1][0])
    for mine, other in zip(found[0][1], found[1][1], strict=True):
        assert (mine is None) == (other is None)
        if mine is not None:
            assert_close(mine, other, "gradient", GRADIENT_TOLERANCE)
