"""Low-rank adapters beside Keras's: the same weights, outputs, files and configs."""

import keras
import numpy as np
import pytest
import torch

import convia

rng = np.random.default_rng(0)

CASES = {  # layer → (its constructor, an input)
    "Dense": (lambda k, **o: k.layers.Dense(4, activation="tanh", **o), rng.random((3, 5), "float32")),
    "EinsumDense": (
        lambda k, **o: k.layers.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d", **o),
        rng.random((3, 2, 5), "float32"),
    ),
    "Conv1D": (lambda k, **o: k.layers.Conv1D(4, 3, padding="causal", **o), rng.random((2, 6, 3), "float32")),
    "Conv2D": (lambda k, **o: k.layers.Conv2D(4, 3, groups=2, **o), rng.random((2, 6, 6, 4), "float32")),
    "Embedding": (lambda k, **o: k.layers.Embedding(9, 4, **o), rng.integers(0, 9, (3, 5))),
}


def described(layer):
    return [(w.path.partition("/")[2], tuple(w.shape), w.trainable) for w in layer.weights]


@pytest.mark.parametrize("name", CASES)
def test_equal_to_keras(name):
    make, x = CASES[name]
    ours, theirs = make(convia, name="l"), make(keras, name="l")
    for layer in (ours, theirs):
        layer(x)
        layer.enable_lora(2, lora_alpha=3)
    assert described(ours) == described(theirs)
    values = [rng.random(w.shape) for w in ours.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    np.testing.assert_allclose(ours(x).detach(), theirs(x).detach(), rtol=1e-5)
    weight = ours._adapted
    np.testing.assert_allclose(getattr(ours, weight).detach(), getattr(theirs, weight).detach(), rtol=1e-5)
    assert ours.get_config().keys() == theirs.get_config().keys()
    assert (ours.lora_rank, ours.lora_alpha, ours.lora_enabled) == (2, 3, True)


@pytest.mark.parametrize("name", CASES)
def test_files_hold_the_sum(name):
    make, x = CASES[name]
    layer = make(convia, lora_rank=2)
    layer(x)
    layer.set_weights([rng.random(w.shape) for w in layer.weights])
    expected = layer(x).detach()
    store = {}
    layer.save_own_variables(store)
    plain = make(convia)
    plain(x)
    plain.load_own_variables(store)
    np.testing.assert_allclose(plain(x).detach(), expected, rtol=1e-5)
    layer.load_own_variables(store)
    np.testing.assert_allclose(layer(x).detach(), expected, rtol=1e-5)


def network(k):
    return k.Sequential([k.Input((6, 6, 2)), k.layers.Conv2D(3, 3, lora_rank=1), k.layers.Flatten(), k.layers.Dense(2)])


def test_training_moves_only_the_adapters(tmp_path):
    x, y = rng.random((8, 6, 6, 2), "float32"), rng.random((8, 2), "float32")
    ours, theirs = network(convia), network(keras)
    theirs.set_weights(ours.get_weights())
    for model in (ours, theirs):
        model.compile("sgd", "mse")
        model.fit(x, y, epochs=3, batch_size=4, shuffle=False, verbose=0)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)
    assert "enable_lora" in ours.engine or "CONVIA_ENGINE" in ours.engine
    assert np.abs(ours.layers[0].lora_kernel_b.numpy()).max() > 0
    ours.save(tmp_path / "model.keras")
    for k in (convia, keras):
        again = k.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(again.predict(x, verbose=0), ours.predict(x, verbose=0), rtol=1e-4, atol=1e-6)


def test_a_loaded_layer_can_learn_again():
    layer = convia.layers.Dense(2, lora_rank=1)
    layer.build((None, 3))
    store = {}
    layer.save_own_variables(store)
    layer.load_own_variables(store)
    layer(torch.ones(1, 3)).sum().backward()
    assert layer.lora_kernel_b.grad.abs().max() > 0


def test_adapters_in_mixed_precision_and_after_copying():
    layer = convia.layers.Dense(2, dtype="mixed_bfloat16", lora_rank=1)
    assert layer(torch.ones(1, 3)).dtype == torch.bfloat16
    model = convia.models.clone_model(network(convia))
    assert model.layers[0].lora_enabled and len(model.trainable_variables) == 5


@pytest.mark.parametrize(
    ("options", "build", "text"),
    [
        ({"kernel_constraint": "non_neg"}, True, "no kernel_constraint"),
        ({}, False, "expected a built one"),
        ({"lora_rank": 1}, True, "they are added once"),
    ],
)
def test_errors(options, build, text):
    layer = convia.layers.Dense(2, **options)
    if build:
        layer.build((None, 3))
    with pytest.raises(ValueError, match=text):
        layer.enable_lora(2)


@pytest.mark.parametrize("rank", [0.5, -1, "2"])
def test_rank_is_a_whole_number(rank):
    with pytest.raises(ValueError, match="a whole number"):
        convia.layers.Dense(2, lora_rank=rank)
