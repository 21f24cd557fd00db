"""The engine's gradients, handed out for processes that share a training; here there is one."""

import numpy as np
import pytest
import torch

import convia as keras
from convia import distributed, engine, layers
from convia.training import plans, shared


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    inner = [layers.Conv2D(4, 3, kernel_regularizer="l2"), layers.Flatten(), layers.Dense(3, activation="softmax")]
    model = keras.Sequential([layers.Input((6, 6, 2)), *inner])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_the_bucket_gets_the_gradients_that_torch_computes(model):
    x, y = np.random.default_rng(0).normal(size=(5, 6, 6, 2)).astype("float32"), np.arange(5) % 3
    model.evaluate(x, y, verbose=0)
    learned = model.trainable_variables
    loss = model.compute_loss(torch.tensor(x), torch.tensor(y), model(torch.tensor(x), training=True))
    wanted = torch.autograd.grad(loss, learned)
    plan = engine.lower(model.graph, learned)
    engine.add_losses(plan, model.objective)
    gradients = shared.collect(plan, learned)
    network = plan.assemble(engine.native(), engine.instruction_set(), 1, 5, True)
    before = model.get_weights()
    arrays = plans.Arrays(
        plans.inputs(model, torch.tensor(x)), plans.targets(model, plan, torch.tensor(y), None, 5), torch.arange(5)
    )
    inputs, targets = arrays.addresses()
    network.run(plans.TRAIN, inputs, targets, [], arrays.order.data_ptr(), 5, 5, [0.0], 1, [])
    for found, value in zip(gradients.parts, wanted, strict=True):
        torch.testing.assert_close(found, value, atol=1e-6, rtol=1e-4)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert len(gradients.bucket) == model.count_params() + 4


def test_weights_that_the_engine_does_not_see_are_left_to_torch(model):
    plan = engine.lower(model.graph, model.trainable_variables)
    outside = keras.Variable(np.zeros(3), name="outside")
    with pytest.raises(engine.Unsupported, match=r"a weight outside the graph \(outside\)"):
        shared.collect(plan, [outside])


def test_synchronized_statistics_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(distributed, "size", lambda: 2)
    model = keras.Sequential([layers.Input((4,)), layers.BatchNormalization(synchronized=True)])
    with pytest.raises(engine.Unsupported, match="statistics of 2 processes"):
        shared.require(model)
    assert model.engine == "torch: statistics of 2 processes"


@pytest.mark.parametrize(
    "count, rank, rows, weight", [(7, 0, (0, 3), 3 / 7), (7, 1, (3, 7), 4 / 7), (1, 1, (0, 1), 0.5)]
)
def test_rows(count, rank, rows, weight, monkeypatch):
    for name, value in {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "x", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    assert shared.own_rows(count) == (slice(*rows), weight)
