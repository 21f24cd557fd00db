import keras
import pytest
import torch
from oracle import GRADIENT_TOLERANCE, against_keras, assert_close, compare_config, compare_symbolic, random_inputs

from convia.layers import random
from convia.regularizers import L1L2

SHAPES = {"SpatialDropout1D": (4, 6, 8), "SpatialDropout2D": (4, 5, 6, 8), "SpatialDropout3D": (2, 3, 4, 5, 8)}
CASES = [
    ("Dropout", {"rate": 0.4, "seed": 3}),
    ("Dropout", {"rate": 0.4, "noise_shape": (None, 1, 1, 3), "seed": 3}),
    ("Dropout", {"rate": 0.9, "noise_shape": (4, 5, 6, 1), "seed": 8}),
    ("SpatialDropout1D", {"rate": 0.5, "seed": 3}),
    ("SpatialDropout1D", {"rate": 0.2, "seed": 8}),
    ("SpatialDropout1D", {"rate": 0.5, "seed": 3, "dtype": "float64"}),
    ("SpatialDropout2D", {"rate": 0.1, "seed": 8}),
    ("SpatialDropout2D", {"rate": 0.5, "seed": 3}),
    ("SpatialDropout2D", {"rate": 0.5, "data_format": "channels_first", "seed": 3}),
    ("SpatialDropout3D", {"rate": 0.5, "seed": 3}),
    ("SpatialDropout3D", {"rate": 0.2, "seed": 8}),
    ("SpatialDropout3D", {"rate": 0.5, "data_format": "channels_first", "seed": 3}),
    ("GaussianNoise", {"stddev": 0.3, "seed": 3}),
    ("GaussianNoise", {"stddev": 1.0, "seed": 8}),
    ("GaussianNoise", {"stddev": 0.3, "seed": 3, "dtype": "float64"}),
    ("GaussianDropout", {"rate": 0.3, "seed": 3}),
    ("GaussianDropout", {"rate": 0.8, "seed": 8}),
    ("GaussianDropout", {"rate": 0.3, "seed": 3, "dtype": "float64"}),
    ("AlphaDropout", {"rate": 0.8, "seed": 8}),
    ("AlphaDropout", {"rate": 0.3, "seed": 3}),
    ("AlphaDropout", {"rate": 0.3, "noise_shape": (None, 1, 1, 3), "seed": 3}),
]


def both(name, arguments):
    return tuple(getattr(module, name)(**arguments, name="it") for module in (random, keras.layers))


@against_keras(("name", "arguments"), CASES)
@pytest.mark.parametrize("training", [False, True])
def test_equals_keras_with_the_same_seed(name, arguments, training):
    ours, theirs = both(name, arguments)
    (x,) = map(torch.tensor, random_inputs(SHAPES.get(name, (4, 5, 6, 3))))
    found = []
    for layer in (ours, theirs):
        leaf = x.clone().requires_grad_()
        y = layer(leaf, training=training)
        found.append((y, *torch.autograd.grad(y.square().sum(), leaf)))
    assert_close(found[0][0], found[1][0])
    assert_close(found[0][1], found[1][1], "gradient", GRADIENT_TOLERANCE)


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_config_and_symbolic_shape(name, arguments):
    ours, theirs = both(name, arguments)
    compare_config(ours, theirs)
    compare_symbolic(ours, theirs, (None, *SHAPES.get(name, (4, 5, 6, 3))[1:]))
    assert ours.get_config().keys() == theirs.get_config().keys()


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_a_seed_gives_a_sequence_no_seed_the_global_one(name, arguments):
    x = torch.ones(SHAPES.get(name, (4, 5, 6, 3)))
    one, two = (getattr(random, name)(**arguments) for _ in range(2))
    drawn = [one(x, training=True), one(x, training=True)]
    assert not torch.equal(*drawn)
    assert torch.equal(drawn[0], two(x, training=True))
    free = getattr(random, name)(**{**arguments, "seed": None})
    values = []
    for _ in range(2):
        torch.manual_seed(5)
        values.append(free(x, training=True))
    assert torch.equal(*values)


@pytest.mark.parametrize("seed", [None, 7])
def test_dropout_keeps_the_mean_and_drops_the_rate(seed):
    y = random.Dropout(0.3, seed=seed)(torch.ones(400, 500), training=True)
    assert abs((y == 0).float().mean() - 0.3) < 0.01
    assert abs(y.mean() - 1) < 0.01
    assert_close(y[y != 0], torch.full_like(y[y != 0], 1 / 0.7))


@pytest.mark.parametrize(
    ("layer", "std"),
    [
        (random.GaussianNoise(0.5), 0.5),
        (random.GaussianDropout(0.2), 0.5),
        (random.AlphaDropout(0.2), None),
    ],
)
def test_moments(layer, std):
    x = torch.ones(500, 500) if std else torch.randn(500, 500)
    y = layer(x, training=True)
    assert abs(y.mean() - x.mean()) < 0.01
    assert abs(y.std() - (std or 1)) < 0.01


def test_whole_feature_maps_are_dropped():
    y = random.SpatialDropout2D(0.5)(torch.ones(8, 4, 4, 16), training=True)
    assert set((y != 0).sum((1, 2)).unique().tolist()) == {0, 16}


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_the_ends_of_the_rate(rate):
    x = torch.randn(3, 4)
    assert torch.equal(random.Dropout(rate)(x, training=True), x * (1 - rate))


def test_activity_regularization():
    ours, theirs = both("ActivityRegularization", {"l1": 0.1, "l2": 0.2})
    compare_config(ours, theirs)
    x = torch.randn(4, 3)
    assert ours(x) is x
    theirs(x)
    assert_close(ours.losses[0], theirs.losses[0])
    assert isinstance(ours.activity_regularizer, L1L2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: random.Dropout(1.5), "Dropout, argument 'rate'.*1.5.*from 0 to 1"),
        (lambda: random.GaussianNoise(-1), "GaussianNoise, argument 'stddev'"),
        (lambda: random.Dropout(0.5, noise_shape="x"), "noise_shape.*tuple of whole numbers"),
        (lambda: random.Dropout(0.5, noise_shape=(0, 1)), "noise_shape.*≥ 1"),
        (lambda: random.Dropout(0.5, seed="x"), "seed.*a whole number"),
        (lambda: random.SpatialDropout2D(0.5, data_format="x"), "data_format"),
        (lambda: random.Dropout(0.5, (None, 1))(torch.zeros(2, 3, 4), training=True), r"\(2, 3, 4\).*2 dimensions"),
        (lambda: random.AlphaDropout(0.5, (None, 1))(torch.zeros(2), training=True), "2 dimensions"),
        (lambda: random.SpatialDropout2D(0.5)(torch.zeros(2, 3), training=True), "4 dimensions"),
    ],
)
def test_mistakes(make, words):
    with pytest.raises(ValueError, match=words):
        make()
