"""Draws against Keras on torch, bit for bit where seeded; moments and bounds of the rest."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import random as python_random

import keras
import numpy as np
import pytest
import torch

from convia import config, random

LOGITS = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 1e-9]], np.float32))
IMAGES = np.arange(48, dtype="float32").reshape(2, 4, 6)
DRAWS = [
    ("normal", ((3, 5),), {}),
    ("normal", ((64, 5),), {"mean": 2.0, "stddev": 3.0, "dtype": "float64"}),
    ("uniform", ((3, 5),), {}),
    ("uniform", ((),), {"minval": -2.0, "maxval": 3.0}),
    ("truncated_normal", ((7, 5),), {}),
    ("truncated_normal", ((7, 5),), {"mean": 1.0, "stddev": 0.1}),
    ("randint", ((3, 5), -4, 9), {}),
    ("randint", ((3, 5), 0, 200), {"dtype": "uint8"}),
    ("gamma", ((3, 5), 0.5), {}),
    ("gamma", ((2, 3), np.array([0.5, 2.0, 30.0], np.float32)), {}),
    ("beta", ((3, 5), 0.5, 2.0), {}),
    ("gamma", ((3, 5), 0.5), {"dtype": "float16"}),
    ("binomial", ((3, 5), 10.0, 0.3), {}),
    ("binomial", ((3, 5), 10.0, 0.3), {"dtype": "int32"}),
    ("categorical", (LOGITS, 6), {}),
    ("categorical", (LOGITS, 6), {"dtype": "int64"}),
    ("shuffle", (IMAGES,), {}),
    ("shuffle", (IMAGES,), {"axis": 1}),
    ("dropout", (torch.from_numpy(IMAGES), 0.3), {}),
    ("dropout", (torch.from_numpy(IMAGES), 0.3), {"noise_shape": (2, 1, None)}),
    ("dropout", (torch.from_numpy(IMAGES), 0.0), {}),
    ("dropout", (torch.from_numpy(IMAGES), 1.0), {}),
]


@pytest.mark.parametrize(("name", "args", "options"), DRAWS)
def test_seeded_draws_equal_keras(name: str, args: tuple, options: dict) -> None:
    ours, theirs = (getattr(module, name)(*args, **options, seed=17) for module in (random, keras.random))
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("name", "args", "options"), DRAWS)
def test_a_seed_generator_advances_as_in_keras(name: str, args: tuple, options: dict) -> None:
    ours, theirs = random.SeedGenerator(5), keras.random.SeedGenerator(5)
    for _ in range(2):
        draws = [
            getattr(module, name)(*args, **options, seed=seed)
            for module, seed in ((random, ours), (keras.random, theirs))
        ]
        assert torch.equal(*draws)
    assert ours.state.tolist() == theirs.state.numpy().tolist()


@pytest.mark.parametrize(("name", "args", "options"), DRAWS)
def test_unseeded_draws_come_from_torch(name: str, args: tuple, options: dict) -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(getattr(random, name)(*args, **options))
    assert torch.equal(*draws)


N = 20_000


@pytest.mark.parametrize(
    ("name", "args", "mean", "deviation"),
    [
        ("normal", (1.0, 2.0), 1.0, 2.0),
        ("uniform", (-1.0, 3.0), 1.0, 4 / 12**0.5),
        ("truncated_normal", (1.0, 2.0), 1.0, 2 * 0.8796256610342398),
        ("gamma", (4.0,), 4.0, 2.0),
        ("beta", (2.0, 2.0), 0.5, 0.05**0.5),
        ("binomial", (10.0, 0.3), 3.0, 2.1**0.5),
    ],
)
def test_moments(name: str, args: tuple, mean: float, deviation: float) -> None:
    x = getattr(random, name)((N,), *args, seed=1)
    assert float(x.mean()) == pytest.approx(mean, abs=5 * deviation / N**0.5)
    assert float(x.std()) == pytest.approx(deviation, rel=0.03)


def test_truncated_normal_stays_within_two_deviations() -> None:
    x = random.truncated_normal((500_000,), 1.0, 3.0, seed=1)
    assert x.min() >= -5 and x.max() <= 7
    assert ((x <= -4.99) | (x >= 6.99)).float().mean() < 1e-3


def test_truncated_normal_in_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = random.truncated_normal((8, 16), seed=1)
    monkeypatch.setattr(random, "_TRUNCATED_CHUNK", 32)
    assert torch.equal(random.truncated_normal((8, 16), seed=1), whole)


def test_dropout_keeps_the_mean_and_its_mask_has_the_noise_shape() -> None:
    x = torch.ones(200, 100)
    assert float(random.dropout(x, 0.25, seed=1).mean()) == pytest.approx(1, abs=0.02)
    rows = random.dropout(x, 0.25, noise_shape=(None, 1), seed=1)
    assert all(len(row.unique()) == 1 for row in rows)


@pytest.mark.parametrize("rate", [0.2, 0.5, 1 - 2**-20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_from_the_global_generator(rate: float, dtype: torch.dtype) -> None:
    x = torch.ones(301, 1001, dtype=dtype, requires_grad=True)
    torch.manual_seed(3)
    y = random.dropout(x, rate)
    spread = 5 * (rate * (1 - rate) / y.numel()) ** 0.5
    assert float((y != 0).double().mean()) == pytest.approx(1 - rate, abs=spread)
    assert set(y.unique().tolist()) <= {0, torch.tensor(1 / (1 - rate), dtype=dtype).item()}
    y.sum().backward()
    assert torch.equal(x.grad, y)
    torch.manual_seed(3)
    assert torch.equal(random.dropout(x, rate), y)
    assert not torch.equal(random.dropout(x, rate), y)


def test_neighbours_are_dropped_independently() -> None:
    kept = random.dropout(torch.ones(1 << 18), 0.5) != 0
    for distance in (1, 2, 3):
        both = float((kept[:-distance] & kept[distance:]).double().mean())
        assert both == pytest.approx(0.25, abs=0.006)


def test_a_rate_that_rounds_to_one_drops_nearly_everything() -> None:
    assert not random.dropout(torch.ones(1000), 1 - 2**-40).any()


def test_shuffle_takes_negative_axes() -> None:
    assert torch.equal(random.shuffle(IMAGES, -2, seed=1), random.shuffle(IMAGES, 1, seed=1))


def test_seed_generator_state_and_config() -> None:
    ours, theirs = random.SeedGenerator(5), keras.random.SeedGenerator(5, name="seed_generator")
    assert ours.get_config() == theirs.get_config()
    for ordered in (True, True, False, True):
        assert ours.next(ordered).tolist() == theirs.next(ordered).tolist()
    copy = random.SeedGenerator.from_config(ours.get_config())
    copy.state = ours.state
    assert torch.equal(copy.next(), ours.next())
    assert random.SeedGenerator().get_config()["seed"] is None
    assert random.SeedGenerator(name="mine").name == "mine"


def test_unseeded_seed_generators_follow_set_random_seed() -> None:
    states = []
    for _ in range(2):
        random.set_random_seed(9)
        states.append(random.SeedGenerator().state)
    assert torch.equal(*states)


def test_set_random_seed_seeds_everything() -> None:
    draws = []
    for _ in range(2):
        random.set_random_seed(4)
        draws.append((python_random.random(), np.random.random(), float(torch.rand(()))))
    assert draws[0] == draws[1]


def test_generator() -> None:
    cpu = torch.device("cpu")
    assert random.generator(None, cpu) is None
    assert random.generator(3, torch.device("meta")) is None
    assert random.generator(3, cpu).initial_seed() == 3
    seeds = random.SeedGenerator(3)
    assert [random.generator(seeds, cpu).initial_seed() for _ in range(3)] == [3, 4, 5]


def test_default_type_is_the_floatx() -> None:
    config.set_floatx("float64")
    try:
        assert random.normal((2,)).dtype == torch.float64
    finally:
        config.set_floatx("float32")


def test_names_are_those_of_keras() -> None:
    assert random.__all__ == sorted(name for name in dir(keras.random) if not name.startswith("_"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random.set_random_seed("a"), r"set_random_seed: received 'a'; expected a whole number"),
        (lambda: random.set_random_seed(1.0), r"set_random_seed: received 1\.0; expected a whole number"),
        (lambda: random.set_random_seed(-1), r"set_random_seed: received -1; expected a whole number from 0"),
        (lambda: random.SeedGenerator("a"), r"SeedGenerator, argument 'seed': received 'a'; expected a whole number"),
        (lambda: random.normal((2,), seed=1.5), r"seed: received 1\.5; expected a whole number, a SeedGenerator"),
        (lambda: random.uniform((2,), dtype="int32"), r"random\.uniform: received dtype='int32'; expected a floating"),
        (
            lambda: random.randint((2,), 0, 3, dtype="float32"),
            r"random\.randint: received .*; expected an integer type",
        ),
        (lambda: random.categorical(np.zeros(3), 2), r"random\.categorical: received logits of shape \(3,\); expected"),
    ],
)
def test_errors(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
