"""The learning rate that a range test finds."""

import numpy as np
import pytest

import convia as k
from convia.applications import layers_of
from convia.cli import fitting
from convia.cli.data import load


@pytest.fixture
def model():
    k.utils.set_random_seed(0)
    model = k.Sequential([k.Input((8, 8, 1)), k.layers.Rescaling(1 / 16), *layers_of("lenet", (8, 8, 1), 10)])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("seed", range(3))
def test_a_rate_that_learns(model, tmp_path, seed):
    """Whatever batches chance deals: never one at which nothing happens, nor one at which the loss grows."""
    images, before = load("digits"), model.get_weights()
    rate = fitting.find_rate(model, images, 8, seed, tmp_path / "rate.png")
    assert 3e-4 < rate < 0.1 and (tmp_path / "rate.png").stat().st_size
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert model.optimizer.learning_rate == pytest.approx(0.001) and model.optimizer.iterations == 0


def test_steepest_is_not_where_the_loss_is_merely_noisy():
    rates = np.geomspace(1e-6, 1, 80)
    noise = np.random.default_rng(0).normal(0, 0.02, 80)
    falls = 2.5 - 0.5 / (1 + (3e-3 / rates) ** 2)
    losses = np.where(rates < 3e-2, falls, falls + 50 * (rates - 3e-2)) + noise
    assert 1e-3 < rates[fitting._steepest(rates.tolist(), losses.tolist())] < 1e-2


def test_a_loss_that_grows_at_once(model, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "_LOWEST", 1e3)
    monkeypatch.setattr(fitting, "_HIGHEST", 1e4)
    with pytest.raises(ValueError, match=r"--lr auto: received a loss that grows at once; expected one that falls"):
        fitting.find_rate(model, load("digits"), 8, 0, tmp_path / "rate.png")
