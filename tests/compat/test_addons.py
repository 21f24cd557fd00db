"""``tensorflow_addons``: layers, losses and rules by formulas, and that a program finds them."""

import importlib

import numpy as np
import pytest
import torch

import convia as keras
from convia.compat import programs
from convia.compat.addons import activations, callbacks, image, layers, losses, metrics, optimizers


def test_a_program_finds_the_addons():
    with programs.using("tfkeras"):
        tfa = importlib.import_module("tensorflow_addons")
        assert tfa.layers is layers and importlib.import_module("tensorflow_addons.optimizers") is optimizers
        with pytest.raises(AttributeError, match="received the name 'seq2seq'"):
            tfa.seq2seq  # noqa: B018
        found = importlib.import_module("keras_contrib.layers.normalization.instancenormalization")
        x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
        y = found.InstanceNormalization()(x).detach().numpy()
        np.testing.assert_allclose(y.mean((1, 2, 3)), 0, atol=1e-5)
        assert abs(y.mean((1, 2))).max() > 0.01


def test_instances_are_normalized_channel_by_channel():
    x = np.random.default_rng(0).normal(2, 3, (2, 4, 4, 3)).astype("float32")
    y = layers.InstanceNormalization(epsilon=1e-6)(x).detach().numpy()
    np.testing.assert_allclose(y.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((1, 2)), 1, atol=1e-4)


def test_normalized_weights_start_as_they_are_and_learn():
    inner = keras.layers.Conv2D(4, 3)
    layer = layers.WeightNormalization(inner)
    x = torch.randn(2, 6, 6, 3)
    y = layer(x)
    np.testing.assert_allclose(y.detach(), inner(x).detach(), atol=1e-5)
    y.sum().backward()
    assert layer.g.grad is not None and inner.kernel.grad is not None
    with torch.no_grad():
        layer.g.mul_(2)
    np.testing.assert_allclose(layer(x).detach(), 2 * inner(x).detach(), atol=1e-5)
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.WeightNormalization(keras.layers.Conv2D(2, 3))])
    model.compile("sgd", "mse")
    model.fit(x.numpy(), np.zeros((2, 4, 4, 2)), verbose=0)


def test_depth_is_stochastic_in_training_only():
    ones = torch.ones(64, 2)
    layer = layers.StochasticDepth(0.25)
    assert layer([ones, ones], training=False).unique().tolist() == [1.25]
    assert layer([ones, ones], training=True).unique().tolist() == [1, 2]
    assert layers.Maxout(2)(torch.tensor([[1.0, 5, 2, 3]])).tolist() == [[5, 3]]
    assert layers.Mish()(torch.zeros(1)).item() == activations.lisht(torch.zeros(1)).item() == 0


def test_losses_by_their_formulas():
    p, t = np.array([[0.9, 0.2]]), np.array([[1.0, 0.0]])
    expected = -0.25 * 0.1**2 * np.log(0.9) - 0.75 * 0.2**2 * np.log(0.8)
    assert float(losses.SigmoidFocalCrossEntropy()(t, p)) == pytest.approx(expected, rel=1e-5)
    logits = np.log(p / (1 - p))
    assert float(losses.SigmoidFocalCrossEntropy(from_logits=True)(t, logits)) == pytest.approx(expected, rel=1e-5)
    assert float(losses.ContrastiveLoss(margin=2.0)([1.0, 0.0], [0.5, 0.5])) == pytest.approx((0.25 + 2.25) / 2)
    assert float(losses.giou_loss([[0.0, 0, 1, 1]], [[0.0, 1, 1, 2]])[0]) == pytest.approx(1)
    assert float(losses.GIoULoss("iou")([[0.0, 0, 1, 1]], [[0.0, 0, 1, 1]])) == pytest.approx(0)


def test_triplets_by_loops():
    labels, points = np.array([0, 0, 1, 1, 0]), np.random.default_rng(0).normal(size=(5, 2))
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    found = []
    for a in range(5):
        negatives = apart[a][labels != labels[a]]
        for p in (p for p in range(5) if p != a and labels[p] == labels[a]):
            farther = negatives[negatives > apart[a, p]]
            found.append(max(1 + apart[a, p] - (farther.min() if farther.size else negatives.max()), 0))
    assert float(losses.TripletSemiHardLoss()(labels, points)) == pytest.approx(np.mean(found), rel=1e-4)
    hard = [
        max(apart[a][labels == labels[a]].max() - apart[a][labels != labels[a]].min() + 1, 0)
        for a in range(len(labels))
    ]
    assert float(losses.TripletHardLoss()(labels, points)) == pytest.approx(np.mean(hard), rel=1e-4)


def _stepped(optimizer, steps=1):
    variable = keras.Variable(np.ones(2, "float32"))
    for _ in range(steps):
        optimizer.apply_gradients([(torch.full((2,), 0.5), variable)])
    return variable.numpy()[0]


def test_decay_is_apart_from_the_learning_rate():
    assert _stepped(optimizers.SGDW(0.1, learning_rate=0.2)) == pytest.approx(0.9 - 0.1)
    assert _stepped(optimizers.AdamW(weight_decay=lambda: 0.1, learning_rate=0.01)) == pytest.approx(0.89, abs=1e-4)
    assert float(optimizers.SGDW(weight_decay=0.1, lr=0.2).learning_rate) == pytest.approx(0.2)
    assert optimizers.AdamW(0.1).get_config()["weight_decay"] == 0.1
    base = optimizers.extend_with_decoupled_weight_decay(keras.optimizers.SGD)
    assert _stepped(base(weight_decay=0.5, learning_rate=0.0)) == pytest.approx(0.5)


def test_optimizers_around_optimizers():
    # three steps of 0.05 from 1, half of the way back at the second
    lookahead = optimizers.Lookahead(keras.optimizers.SGD(0.1), sync_period=2, slow_step_size=0.5)
    assert _stepped(lookahead, 3) == pytest.approx(0.95 - 0.05)
    again = optimizers.Lookahead.from_config(lookahead.get_config())
    assert again.sync_period == 2 and isinstance(again.inner_optimizer, keras.optimizers.SGD)
    average = optimizers.MovingAverage(keras.optimizers.SGD(0.1), average_decay=0.5)
    variable = keras.Variable(np.ones(1, "float32"))
    average.apply_gradients([(torch.ones(1), variable)])
    average.assign_average_vars([variable])
    assert variable.numpy()[0] == pytest.approx(0.95)
    swa = optimizers.SWA("sgd", start_averaging=1, average_period=1)
    assert _stepped(swa, 3) == pytest.approx(1 - 0.015)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(lookahead.from_config(lookahead.get_config()), "mse")
    assert np.isfinite(model.fit(np.ones((4, 2)), np.ones(4), verbose=0).history["loss"][0])


def test_rectified_adam_starts_as_momentum():
    # m / (1 − β₁) is the gradient while too little is known of its square
    assert _stepped(optimizers.RectifiedAdam(0.1)) == pytest.approx(1 - 0.1 * 0.5, rel=1e-5)
    assert _stepped(optimizers.RectifiedAdam(0.1), 20) < 1 - 0.1 * 0.5 * 4
    assert _stepped(optimizers.RectifiedAdam(0.1, total_steps=100)) == pytest.approx(1 - 0.01 * 0.5, rel=1e-5)


def test_files_tell_them_from_keras_s():
    config = keras.optimizers.serialize(optimizers.AdamW(0.1))
    assert config["registered_name"] == "Addons>AdamW"
    assert type(keras.optimizers.deserialize(config)) is optimizers.AdamW
    assert type(keras.optimizers.get("adamw")) is keras.optimizers.AdamW
    assert type(keras.metrics.get("F1Score")) is keras.metrics.F1Score


def test_cycles_of_learning_rates():
    triangle = optimizers.TriangularCyclicalLearningRate(0.0, 1.0, 4)
    assert [triangle(step) for step in (0, 2, 4, 6, 8)] == [0, 0.5, 1, 0.5, 0]
    assert optimizers.Triangular2CyclicalLearningRate(0.0, 1.0, 4)(12) == 0.5
    assert optimizers.ExponentialCyclicalLearningRate(0.0, 1.0, 4, gamma=0.5)(4) == 0.5**4


def test_tables_of_counts():
    truth, found = [0, 1, 2, 2, 1, 0], [0, 2, 2, 2, 1, 1]
    sklearn = pytest.importorskip("sklearn.metrics")
    for weights in (None, "linear", "quadratic"):
        kappa = metrics.CohenKappa(3, weightage=weights, sparse_labels=True)
        kappa.update_state(truth, found)
        assert float(kappa.result()) == pytest.approx(
            sklearn.cohen_kappa_score(truth, found, weights=weights), abs=1e-6
        )
    matthews = metrics.MatthewsCorrelationCoefficient(3)
    matthews.update_state(np.eye(3)[truth], np.eye(3)[found])
    assert float(matthews.result()) == pytest.approx(sklearn.matthews_corrcoef(truth, found), abs=1e-6)
    f1 = metrics.F1Score(num_classes=3, average="macro")
    f1.update_state(np.eye(3)[truth], np.eye(3)[found].astype("float32"))
    assert float(f1.result()) == pytest.approx(sklearn.f1_score(truth, found, average="macro"), abs=1e-6)
    hamming = metrics.HammingLoss("multilabel", threshold=0.6)
    hamming.update_state(np.array([[1, 0, 1.0]]), np.array([[0.8, 0.7, 0.9]]))
    assert float(hamming.result()) == pytest.approx(1 / 3)


def test_images_are_blurred_and_cut():
    spot = np.zeros((1, 5, 5, 1), "float32")
    spot[0, 2, 2] = 9
    np.testing.assert_allclose(image.mean_filter2d(spot)[0, 1:4, 1:4, 0], 1, rtol=1e-6)
    blurred = image.gaussian_filter2d(spot, (3, 3), 1.0, padding="SYMMETRIC")[0, ..., 0].numpy()
    assert blurred.sum() == pytest.approx(9, rel=1e-5) and blurred[2, 2] > blurred[2, 1] > blurred[1, 1] > 0
    cut = image.cutout(np.ones((1, 6, 6, 1)), (2, 4), offset=(3, 3))[0, ..., 0].numpy()
    assert (cut[2:4, 1:5] == 0).all() and cut.sum() == 36 - 8
    assert (image.random_cutout(np.ones((3, 8, 8, 1)), (2, 2)).sum((1, 2, 3)) < 64).all()


def test_a_training_ends_in_time():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(np.ones((4, 2)), np.ones(4), epochs=5, verbose=0, callbacks=[callbacks.TimeStopping(0)])
    assert len(history.epoch) == 1


def test_the_learning_rate_may_be_called_lr():
    for optimizer in (optimizers.RectifiedAdam(lr=0.25), optimizers.AdamW(weight_decay=1e-4, lr=0.25)):
        assert float(optimizer.learning_rate) == 0.25
    with pytest.raises(ValueError, match="the unknown argument rate=1"):
        optimizers.RectifiedAdam(rate=1)
