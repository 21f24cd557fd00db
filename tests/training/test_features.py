"""Features of a frozen first part: kept for all epochs without changing a number, or not at all."""

import itertools
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import convia
from convia import Input, Model, Sequential, callbacks, config, layers, ops
from convia.images import ImageDataGenerator
from convia.pipeline import Dataset
from convia.random import set_random_seed
from convia.training import frozen
from convia.training.features import FeatureCache

X = np.random.RandomState(0).rand(22, 12, 12, 3).astype("float32")
Y = np.random.RandomState(1).randint(0, 3, 22)


@pytest.fixture(autouse=True)
def on_torch():
    config.set_engine("torch")


def backbone(more=()):
    inputs = Input((12, 12, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="first")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(3)(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.Activation("relu")(x)
    for layer in more:
        x = layer(x)
    return Model(inputs, layers.Add()([layers.Conv2D(8, 1)(x), x]), name="backbone")


def network(base=None, frozen=True, training=None, augmentation=()):
    set_random_seed(3)
    base = base or backbone()
    for weight in base.weights:
        if weight.ndim == 1:
            weight.assign(torch.rand(weight.shape) + 0.5)
    base.trainable = not frozen
    inputs = Input((12, 12, 3))
    x = (ops.multiply(inputs, 2.0) if not augmentation else augmentation[0](inputs)) - 1.0
    x = base(x) if training is None else base(x, training=training)
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
    model = Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def stack():
    set_random_seed(3)
    first = [layers.Conv2D(8, 3, activation="relu", trainable=False), layers.MaxPooling2D()]
    model = Sequential([Input((12, 12, 3)), *first, layers.Flatten(), layers.Dropout(0.2), layers.Dense(3)])
    model.compile("sgd", convia.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def arrays(folder):
    return {"x": X, "y": Y, "batch_size": 8, "validation_split": 0.25, "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}


def flow(folder):
    return {"x": ImageDataGenerator(rescale=0.5).flow(X, Y, batch_size=8), "validation_data": (X[:5], Y[:5])}


def folder_flow(folder):
    for number, image in enumerate(X):
        place = folder / str(number % 3)
        place.mkdir(exist_ok=True)
        Image.fromarray((image * 255).astype("uint8")).save(place / f"{number}.png")
    options = {"target_size": (12, 12), "class_mode": "sparse", "batch_size": 5, "seed": 4}
    return {"x": ImageDataGenerator().flow_from_directory(folder, **options), "steps_per_epoch": 7}


def pipeline(folder):
    data = Dataset.from_tensor_slices((X, Y)).shuffle(22)
    return {"x": data.batch(8), "validation_data": Dataset.from_tensor_slices((X[:5], Y[:5])).batch(4)}


def arrays_in_part(folder):
    return {"x": X, "y": Y, "batch_size": 8, "steps_per_epoch": 3}


def endless(folder):
    def batches():
        while True:
            yield from ((X[start : start + 8], Y[start : start + 8]) for start in (0, 8, 16))

    return {"x": batches(), "steps_per_epoch": 3}


def fitted(model, cache, data, **more):
    model.cache_features = cache
    set_random_seed(7)
    return model.fit(**{"verbose": 0, "epochs": 4, **data, **more}).history, model.get_weights()


@pytest.fixture
def counted(monkeypatch):
    """The numbers of samples that went through a frozen part."""
    counts, features = [], frozen.Split.features

    def count(self, x, training=False):
        counts.append(len(x))
        return features(self, x, training)

    monkeypatch.setattr(frozen.Split, "features", count)
    return counts


@pytest.mark.parametrize(
    ("make", "data", "batches", "proofs"),
    [
        *(
            (network, arrays, 2 + 1, 2),
            (stack, arrays, 2 + 1, 2),
            (network, flow, 3 + 1, 2),
            (network, folder_flow, 5, 1),
        ),
        *((network, pipeline, 3 + 2, 2), (network, endless, 3, 1), (network, arrays_in_part, 3, 1)),
    ],
)
def test_histories_and_weights_equal_those_without_a_cache(make, data, batches, proofs, tmp_path, counted):
    with_cache, weights = fitted(make(), True, data(tmp_path))
    assert len(counted) == batches + proofs  # those of the first epoch, and the first again of each data set
    without, others = fitted(make(), False, data(tmp_path))
    assert with_cache == without
    assert all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))
    assert len(set(with_cache["loss"])) == 4


def test_a_split_model_computes_what_the_whole_does():
    model = network(training=False)
    parts = frozen.split(model)
    features = parts.features(torch.from_numpy(X))
    assert [tuple(value.shape) for value in features] == [(22, 8)]
    np.testing.assert_allclose(parts.finish(features).detach(), model.predict(X, verbose=0), rtol=1e-5)
    assert not features[0].requires_grad


def noisy():
    return network(backbone([layers.Dropout(0.5)]))


def own_layer():
    class Own(layers.Layer):
        def call(self, inputs):
            return inputs + 1.0

    return network(backbone([Own()]))


def thawed():
    return network(frozen=False)


def thawed_statistics():
    model = network()
    next(layer for layer in model.get_layer("backbone").layers if "normalization" in layer.name).trainable = True
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def with_hook():
    model = network()
    model.get_layer("backbone").get_layer("first").register_forward_hook(lambda *args: None)
    return model


def of_chance():
    return network(augmentation=[layers.RandomFlip()])


def tied():
    base, head = backbone(), layers.Dense(3, use_bias=False)
    base.trainable = False
    inputs = Input((12, 12, 3))
    x = layers.GlobalAveragePooling2D()(base(inputs))
    learned = head(x)
    model = Model(inputs, [ops.matmul(x, head.kernel), learned])
    model.compile("sgd", "mse")
    return model


def with_state():
    inputs = Input((2, 3), batch_size=4)
    recurrent = layers.LSTM(5, stateful=True, trainable=False)
    model = Model(inputs, layers.Dense(2)(recurrent(inputs, training=False)))
    model.compile("sgd", "mse")
    return model


HALF = "FunctionCall FunctionCall Conv2D BatchNormalization ReLU DepthwiseConv2D BatchNormalization Activation"

WHOLE = "Conv2D BatchNormalization ReLU DepthwiseConv2D BatchNormalization Activation Conv2D Add GlobalAveragePooling2D"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (noisy, HALF),
        (own_layer, HALF),
        (thawed_statistics, "FunctionCall FunctionCall Conv2D"),
        (thawed, ""),
        (with_hook, ""),
        (of_chance, ""),
        (tied, WHOLE),
        (with_state, ""),
    ],
)
def test_what_may_change_is_not_frozen(make, expected):
    parts = frozen.split(make())
    calls = parts._plain if parts else []
    assert " ".join(type(call.operation).__name__ for call in calls) == expected


def test_dropout_that_inference_passes_is_frozen():
    parts = frozen.split(network(backbone([layers.Dropout(0.5)]), training=False))
    assert "Dropout" in [type(call.operation).__name__ for call in parts._plain]


def augmented(folder):
    return {"x": ImageDataGenerator(horizontal_flip=True, width_shift_range=3).flow(X, Y, batch_size=8)}


@pytest.mark.parametrize(
    ("make", "data"),
    [(network, augmented), (of_chance, arrays)],
)
def test_views_of_augmented_images(make, data, tmp_path, counted):
    fitted(make(), True, data(tmp_path), epochs=5)
    every = len(counted)
    counted.clear()
    fitted(make(), FeatureCache(views=2), data(tmp_path), epochs=5)
    assert 0 < len(counted) <= max(every, 6)
    training = [count for count in counted if count == 8]
    assert len(training) <= 2 * 3 + 2
    one, two = (fitted(make(), FeatureCache(views=2), data(tmp_path), epochs=5)[0] for _ in range(2))
    assert one == two


def test_features_larger_than_the_memory_lie_on_the_disk(tmp_path, capsys):
    expected = fitted(network(), False, arrays(tmp_path))
    found = fitted(network(), FeatureCache(memory=0, folder=tmp_path), arrays(tmp_path), verbose=2)
    assert found[0] == expected[0]
    assert "features of 16 images kept on disk (512 B)" in capsys.readouterr().out


def test_features_larger_than_the_disk_are_not_kept(tmp_path, capsys, monkeypatch, counted):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    fitted(network(), FeatureCache(memory=0), {"x": X, "y": Y, "batch_size": 11}, verbose=2)
    assert len(counted) == 2 * 4
    assert "features not kept: 704 B are more than the disk has" in capsys.readouterr().out


def test_pipelines_that_change_images_keep_nothing(capsys, counted, tmp_path):
    data = Dataset.from_tensor_slices((X, Y)).map(lambda x, y: (x + torch.rand(()), y)).batch(8)
    found = fitted(network(), True, {"x": data}, verbose=2)
    assert len(counted) == 4 * 3
    assert capsys.readouterr().out.count("features not kept: the images change") == 3
    assert found[0] == fitted(network(), False, {"x": data})[0]


def test_features_that_differ_by_batch_are_not_kept(capsys, monkeypatch):
    calls, features = itertools.count(), frozen.Split.features
    monkeypatch.setattr(
        frozen.Split,
        "features",
        lambda self, x, training=False: [v + 1e-6 * next(calls) for v in features(self, x, training)],
    )
    fitted(network(), True, {"x": X, "y": Y}, verbose=2)
    assert "features not kept: they differ by batch" in capsys.readouterr().out


@pytest.mark.parametrize(("cache", "said"), [(True, "features of 22 images kept in memory (704 B)"), (False, None)])
def test_the_progress_line_says_so(cache, said, capsys):
    fitted(network(), cache, {"x": X, "y": Y}, verbose=2)
    first, *_, last = [line for line in capsys.readouterr().out.splitlines() if "loss" in line]
    assert "features" not in first
    assert last.endswith(said) if said else "features" not in last


def test_an_argument_of_compile_switches_it_off(counted):
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", cache_features=False)
    model.fit(X, Y, epochs=3, batch_size=11, verbose=0)
    assert len(counted) == 3 * 2
    model.compile("adam", "sparse_categorical_crossentropy")
    assert model.cache_features is False


@pytest.mark.parametrize("when", ["on_epoch_end", "on_train_batch_end"])
def test_weights_that_change_meanwhile_are_seen(when):
    def change(model):
        kernel = model.get_layer("backbone").get_layer("first").kernel
        return callbacks.LambdaCallback(**{when: lambda number, logs: kernel.assign(kernel * 1.5)})

    histories = []
    for cache in (True, False):
        model = network()
        histories.append(fitted(model, cache, {"x": X, "y": Y, "batch_size": 8, "callbacks": [change(model)]})[0])
    assert histories[0] == histories[1]


def test_folding_leaves_weights_and_numbers_as_they_are():
    model = network()
    before = model.get_weights()
    parts = frozen.split(model)
    with torch.no_grad():
        plain = parts._run(parts._plain, [torch.from_numpy(X)])[0]
    folded = parts.features(torch.from_numpy(X))[0]
    names = [type(call.operation).__name__ for call in parts._folded]
    assert names == [*["FunctionCall"] * 2, "Conv2D", "DepthwiseConv2D", "Conv2D", "Add", "GlobalAveragePooling2D"]
    assert torch.allclose(folded, plain, rtol=1e-5, atol=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_no_folding_beyond_the_tolerance(monkeypatch):
    monkeypatch.setattr(frozen, "_TOLERANCE", -1.0)
    parts = frozen.split(network())
    parts.features(torch.from_numpy(X))
    assert parts._folded is None


def test_a_small_frozen_part_is_left_to_the_engine(monkeypatch):
    model = network()
    monkeypatch.setattr(frozen.engine, "chosen_engine", lambda: "auto")
    monkeypatch.setattr(frozen.plans, "beyond", lambda model: {})
    assert frozen.split(model) is None
    monkeypatch.setattr(frozen.plans, "beyond", lambda model: {"train": "a reason"})
    assert frozen.split(model) is not None


@pytest.mark.parametrize("name", ["views", "memory"])
def test_errors(name):
    with pytest.raises(ValueError, match=rf"FeatureCache, argument '{name}': received -1; expected a number ≥ 0"):
        FeatureCache(**{name: -1})
