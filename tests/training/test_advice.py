"""What is told before it goes wrong: layers frozen after compile, pictures prepared in another way."""

import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from convia import Input, Model, Sequential, applications, config, layers
from convia.images import ImageDataGenerator
from convia.pipeline import Dataset
from convia.training import advice
from convia.training.data import adapt

PIXELS = np.random.RandomState(0).randint(0, 256, (6, 32, 32, 3)).astype("float32")


def small(title="MobileNetV2", **arguments):
    shape = {"include_top": False, "weights": None, "input_shape": (32, 32, 3), "pooling": "avg"}
    return getattr(applications, title)(**{**shape, **arguments})


def on_top(base, *before, frozen=True):
    base.trainable = not frozen
    model = Sequential([Input((32, 32, 3)), *before, base, layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


def stack():
    model = Sequential([Input((4,)), layers.Dense(3, name="first"), layers.Dense(2, name="second")])
    model.compile("sgd", "mse")
    return model


def fit(model):
    model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)


def test_freezing_after_compile_is_told_once():
    model = stack()
    model.get_layer("first").trainable = False
    expected = r"'trainable' changed after compile in layers 'first'; expected .* Call compile\(\)"
    with pytest.warns(UserWarning, match=expected):
        fit(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(model)


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_what_was_thawed_after_compile_is_unknown_to_the_optimizer(engine):
    config.set_engine(engine)
    model = stack()
    model.get_layer("first").trainable = False
    model.compile("adam", "mse")
    fit(model)
    model.get_layer("first").trainable = True
    expected = r"adam\.apply: received the unknown variable 'first/kernel'.* compile\(\) again after unfreezing"
    with pytest.warns(UserWarning, match="changed after compile"), pytest.raises(ValueError, match=expected):
        fit(model)


def test_a_new_compile_settles_it_and_many_layers_are_counted():
    model = Sequential([Input((4,)), *[layers.Dense(2) for _ in range(7)]])
    model.compile("sgd", "mse")
    model.trainable = False
    with pytest.warns(UserWarning, match=r" and 3 more"):
        advice.look_at_trainable(model)
    model.trainable = True
    model.compile("sgd", "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(model)


PREPARED = {
    None: PIXELS,
    "tf": PIXELS / 127.5 - 1,
    "torch": (PIXELS / 255 - 0.45) / 0.225,
    "caffe": PIXELS - 115,
}
TITLES = {None: "EfficientNetB0", "tf": "MobileNetV2", "torch": "DenseNet121", "caffe": "ResNet50"}
PAIRS = [(mode, given) for mode in PREPARED for given in (*PREPARED, "0…1") if (mode, given) != ("torch", "tf")]


@pytest.mark.parametrize(("mode", "given"), PAIRS)
def test_pictures_of_each_kind_for_each_kind_of_network(mode, given):
    inputs = Input((32, 32, 3))
    module = f"convia.applications.{TITLES[mode].lower()}"
    inputs.node.operation.published = advice.Published(TITLES[mode], mode, True, module)
    model = Model(inputs, layers.Flatten()(inputs))
    x = PIXELS / 255 if given == "0…1" else PREPARED[given]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.predict(x, verbose=0)
        model.predict(x, verbose=0)
    assert len(told) == (mode != given)
    if told:
        assert TITLES[mode] in str(told[0].message)
        assert ("scales them itself" if mode is None else f"{module}.preprocess_input(x)") in str(told[0].message)


@pytest.mark.parametrize("mode", TITLES)
def test_published_networks_know_how_their_pictures_are_prepared(mode):
    published = small(TITLES[mode]).inputs[0].node.operation.published
    assert (published.title, published.mode, published.has_weights) == (TITLES[mode], mode, False)


def test_a_network_that_prepares_nothing_here_asks_nothing():
    model = small("EfficientNetV2B0", include_preprocessing=False)
    assert not hasattr(model.inputs[0].node.operation, "published")


CASES = {
    "frozen within another": lambda: on_top(small()),
    "behind a scale": lambda: on_top(small(), layers.Rescaling(1 / 255)),
    "behind augmentation": lambda: on_top(small(), layers.RandomFlip(seed=1)),
    "open": lambda: on_top(small(), frozen=False),
    "well prepared": lambda: on_top(small(), layers.Rescaling(1 / 127.5, -1)),
    "behind weights": lambda: on_top(small(), layers.Conv2D(3, 1)),
}
TELLS = {"frozen within another", "behind a scale", "behind augmentation"}


SOURCES = {
    "arrays": lambda x, y: (x, y),
    "flow": lambda x, y: (ImageDataGenerator().flow(x, y, batch_size=3),),
    "pipeline": lambda x, y: (Dataset.from_tensor_slices((x, y)).batch(3),),
    "loader": lambda x, y: (DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), batch_size=3),),
    "generator": lambda x, y: (iter([(x, y)]),),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("source", SOURCES)
def test_where_it_is_looked_at(case, source):
    model, data = CASES[case](), SOURCES[source](PIXELS, np.zeros((6, 2)))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.evaluate(*data, verbose=0)
    expected = r"MobileNetV2 'mobilenetv2_1.00_32': received pictures with values of"
    assert [str(warning.message)[: len(expected)] for warning in told] == [expected] * (case in TELLS)


def test_pictures_that_pass_are_looked_at_once():
    model = on_top(small())
    pipeline = Dataset.from_tensor_slices((PIXELS, np.zeros((6, 2)))).batch(3)
    with pytest.warns(UserWarning, match="received pictures with values of") as told:
        model.fit(pipeline, epochs=2, verbose=0)
        model.fit(pipeline, verbose=0)
    assert len(told) == 1


def test_looking_draws_nothing():
    model = on_top(small(), layers.Rescaling(1 / 127.5, -1))
    flow = ImageDataGenerator(horizontal_flip=True).flow(PIXELS, np.zeros((6, 2)), shuffle=True)
    state = np.random.get_state()[2]
    advice.look_at_pictures(model, adapt(flow))
    assert np.random.get_state()[2] == state
    assert flow.index_array is None and flow.total_batches_seen == 0
