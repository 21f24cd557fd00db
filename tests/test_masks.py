"""Masks against Keras: who makes them, who hands them to ``call``, who passes them on."""

import warnings

import keras
import numpy as np
import pytest
import torch

import convia
from convia import layers, masks

TOKENS = np.array([[3, 0, 5, 0], [1, 2, 0, 0]])
SEQUENCE = np.array([[[1, 2], [0, 0], [3, 0]], [[0, 0], [0, 4], [0, 0]]], dtype="float32")


def mask_after(library, *stack, inputs=SEQUENCE):
    """The mask of the output of layers in a row, as a list; None where there is none."""
    x = torch.tensor(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, options in stack:
            x = getattr(library.layers, name)(**options)(x)
    mask = getattr(x, "_keras_mask", None)
    return None if mask is None else mask.tolist()


AFTER = [
    ("Activation", {"activation": "relu"}),
    ("ActivityRegularization", {"l1": 0.1}),
    ("AlphaDropout", {"rate": 0.5}),
    ("BatchNormalization", {}),
    ("Conv1D", {"filters": 2, "kernel_size": 1}),
    ("Dense", {"units": 3}),
    ("Dropout", {"rate": 0.5}),
    ("ELU", {}),
    ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (3, 4)}),
    ("Flatten", {}),
    ("GaussianDropout", {"rate": 0.5}),
    ("GaussianNoise", {"stddev": 0.5}),
    ("GlobalAveragePooling1D", {}),
    ("GlobalMaxPooling1D", {}),
    ("GroupNormalization", {"groups": 1}),
    ("Identity", {}),
    ("LayerNormalization", {}),
    ("LeakyReLU", {}),
    ("MaxPooling1D", {"pool_size": 1}),
    ("PReLU", {}),
    ("RMSNormalization", {}),
    ("ReLU", {}),
    ("Rescaling", {"scale": 2.0}),
    ("Reshape", {"target_shape": (3, 2)}),
    ("SpatialDropout1D", {"rate": 0.5}),
    ("UnitNormalization", {}),
]


@pytest.mark.parametrize(("name", "options"), AFTER, ids=[name for name, _ in AFTER])
def test_who_passes_masks_on(name, options):
    stack = (("Masking", {}), (name, options))
    assert mask_after(convia, *stack) == mask_after(keras, *stack)


@pytest.mark.parametrize("mask_zero", [True, False])
def test_embedding(mask_zero):
    stack = (("Embedding", {"input_dim": 9, "output_dim": 2, "mask_zero": mask_zero}), ("Dense", {"units": 2}))
    assert mask_after(convia, *stack, inputs=TOKENS) == mask_after(keras, *stack, inputs=TOKENS)


@pytest.mark.parametrize(
    ("value", "inputs"), [(0.0, SEQUENCE), (2.0, SEQUENCE), (1.0, np.ones((2, 3, 4, 2), "float32"))]
)
def test_masking(value, inputs):
    ours, theirs = layers.Masking(value)(torch.tensor(inputs)), keras.layers.Masking(value)(torch.tensor(inputs))
    assert ours.tolist() == theirs.tolist()
    assert ours._keras_mask.tolist() == theirs._keras_mask.tolist()
    assert layers.Masking.from_config(layers.Masking(value).get_config()).mask_value == value


@pytest.mark.parametrize("name", ["Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract", "Concatenate", "Dot"])
@pytest.mark.parametrize("masked", [(True, True), (True, False), (False, False)])
def test_merging(name, masked):
    found = []
    for library in (convia, keras):
        inputs = [torch.tensor(array) for array in (SEQUENCE, SEQUENCE[::-1].copy())]
        inputs = [library.layers.Masking()(x) if m else x for x, m in zip(inputs, masked, strict=True)]
        layer = getattr(library.layers, name)(**({"axes": 2} if name == "Dot" else {}))
        mask = getattr(layer(inputs), "_keras_mask", None)
        found.append(None if mask is None else mask.tolist())
    assert found[0] == found[1]


def test_lambda():
    given = np.array([[True, False, True], [False, True, False]])
    for mask in (torch.tensor(given), lambda inputs, mask: ~mask):
        found = []
        for library in (convia, keras):
            y = library.layers.Lambda(lambda x: x * 2, mask=mask)(library.layers.Masking()(torch.tensor(SEQUENCE)))
            found.append(y._keras_mask.tolist())
        assert found[0] == found[1]


def test_masks_reach_call_and_the_average():
    x = torch.tensor(SEQUENCE)
    ours, theirs = (lib.layers.GlobalAveragePooling1D()(lib.layers.Masking()(x)) for lib in (convia, keras))
    assert torch.allclose(ours, theirs)
    assert not torch.allclose(ours, x.mean(1))


def watching(library, *names):
    """A layer whose ``call`` has the given arguments and writes down what it gets for masks."""
    arguments = ", ".join(f"{name}=None" for name in names)
    masks_seen = ", ".join(name for name in names if name.endswith("mask"))
    scope = {}
    exec(f"def call(self, {arguments}):\n    self.seen = ({masks_seen},)\n    return {names[0]}\n", scope)
    return type("Watching", (library.layers.Layer,), {"call": scope["call"], "seen": ()})()


def plain(value):
    return (
        [plain(item) for item in value]
        if isinstance(value, (list, tuple))
        else None
        if value is None
        else value.tolist()
    )


@pytest.mark.parametrize(
    ("names", "count"),
    [(("x", "mask"), 1), (("x", "y", "mask"), 2), (("x", "y", "x_mask", "y_mask"), 2), (("x", "y", "y_mask"), 1)],
)
def test_mask_arguments(names, count):
    found = []
    for library in (convia, keras):
        layer = watching(library, *names)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer(*[library.layers.Masking()(torch.tensor(SEQUENCE)) for _ in range(count)])
        found.append(plain(layer.seen))
    assert found[0] == found[1]


def test_mask_of_a_list():
    for masked in (True, False):
        found = []
        for library in (convia, keras):
            layer, x = watching(library, "x", "mask"), torch.tensor(SEQUENCE)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                layer([library.layers.Masking()(x) if masked else x, x])
            found.append(plain(layer.seen))
        assert found[0] == found[1]


def test_given_mask_goes_before_that_of_the_input():
    given = torch.tensor([[True, True, False], [True, False, False]])
    found = []
    for library in (convia, keras):
        layer = watching(library, "x", "mask")
        layer.supports_masking = True
        y = layer(library.layers.Masking()(torch.tensor(SEQUENCE)) * 1, mask=given)
        found.append((plain(layer.seen), y._keras_mask.tolist()))
    assert found[0] == found[1]


class Doubled(layers.Layer):
    """Every step twice."""

    def call(self, inputs):
        return inputs.repeat_interleave(2, 1)

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else mask.repeat_interleave(2, 1)


def test_own_compute_mask():
    assert Doubled.supports_masking
    x = torch.tensor(SEQUENCE)
    y = Doubled()(layers.Masking()(x))
    assert y._keras_mask.tolist() == [[True, True, False, False, True, True], [False, False, True, True, False, False]]
    assert masks.mask_of(Doubled()(x)) is None


def test_model_passes_masks_through_and_the_loss_uses_them():
    found = []
    for library in (convia, keras):
        inputs = library.Input((None,), dtype="int32")
        x = library.layers.Embedding(9, 2, mask_zero=True, embeddings_initializer="ones")(inputs)
        x = library.layers.Dense(1, kernel_initializer="ones")(library.layers.Dropout(0.5)(x))
        model = library.Model(inputs, x)
        y = model(torch.tensor(TOKENS))
        loss = library.losses.MeanSquaredError()(torch.arange(8.0).reshape(2, 4, 1), y)
        found.append((y._keras_mask.tolist(), round(float(loss), 4)))
    assert found[0] == found[1]


def test_symbolic_masks():
    inputs = convia.Input((None, 2))
    x = layers.Masking()(inputs)
    assert x._keras_mask.shape == (None, None)
    model = convia.Model(inputs, layers.Dense(2)(x)._keras_mask)
    assert model(torch.tensor(SEQUENCE)).tolist() == layers.Masking()(torch.tensor(SEQUENCE))._keras_mask.tolist()


def test_masks_survive_a_change_of_type():
    x = layers.Masking(dtype="float64")(torch.tensor(SEQUENCE))
    assert layers.Dense(2)(x)._keras_mask.tolist() == x._keras_mask.tolist()


def test_layer_that_loses_a_mask_warns():
    with pytest.warns(UserWarning, match=r"Flatten layer 'flatten': the input has a mask, which this layer does not"):
        layers.Flatten()(layers.Masking()(torch.tensor(SEQUENCE)))


def test_nothing_looks_for_masks_before_the_first_is_made(monkeypatch):
    monkeypatch.setattr(masks, "in_use", False)
    monkeypatch.setattr(masks, "mask_of", None)
    layer, x = layers.Activation("relu"), torch.ones(2, 3)
    layer.build((2, 3))
    layer._finish_build()
    assert torch.equal(layer(x), x)
