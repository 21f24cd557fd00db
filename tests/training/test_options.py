"""Options of compile and fit: executions, accumulation, weights of classes, policies of precision, penalties."""

import keras
import numpy as np
import pytest
import torch

import convia

rng = np.random.default_rng(1)
X = rng.random((24, 6), dtype=np.float32)
Y = rng.integers(0, 3, 24)


def network(k, **kwargs):
    return k.Sequential(
        [k.Input((6,)), k.layers.Dense(5, activation="tanh", **kwargs), k.layers.Dense(3, activation="softmax")]
    )


def compiled(k=convia, optimizer="sgd", **kwargs):
    model = network(k)
    model.compile(optimizer, "sparse_categorical_crossentropy", **kwargs)
    return model


class Counter(convia.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.batches = []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append((batch, round(logs["loss"], 3)))


@pytest.mark.parametrize("engine", ["auto", "torch"])
@pytest.mark.parametrize("steps, expected", [(1, [0, 1, 2, 3, 4, 5]), (4, [3, 5])])
def test_steps_per_execution_says_how_often_callbacks_look(steps, expected, engine):
    counter = Counter()
    compiled(steps_per_execution=steps, engine=engine).fit(X, Y, batch_size=4, verbose=0, callbacks=[counter])
    assert [batch for batch, _ in counter.batches] == expected


def batches():
    for start in range(0, 24, 8):
        yield X[start : start + 8], Y[start : start + 8]


def test_class_weight_counts_with_generators_as_with_arrays():
    weights = {0: 1.0, 1: 5.0, 2: 0.1}
    one, other = compiled(), compiled()
    other.set_weights(one.get_weights())
    a = one.fit(X, Y, batch_size=8, shuffle=False, class_weight=weights, verbose=0).history["loss"]
    b = other.fit(batches(), class_weight=weights, verbose=0).history["loss"]
    assert a == pytest.approx(b, rel=1e-6)


def test_gradient_accumulation_equals_keras():
    ours = compiled(optimizer=convia.optimizers.SGD(0.1, gradient_accumulation_steps=3))
    theirs = compiled(keras, keras.optimizers.SGD(0.1, gradient_accumulation_steps=3))
    ours.set_weights(theirs.get_weights())
    for model in (ours, theirs):
        model.fit(X, Y, batch_size=4, shuffle=False, epochs=2, verbose=0)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def test_weighted_metrics_equal_keras():
    weight = np.linspace(0.1, 2, 24).astype("float32")
    ours, theirs = (compiled(k, weighted_metrics=["accuracy"], metrics=["accuracy"]) for k in (convia, keras))
    ours.set_weights(theirs.get_weights())
    a, b = (model.evaluate(X, Y, sample_weight=weight, verbose=0, return_dict=True) for model in (ours, theirs))
    assert a == pytest.approx(b, rel=2e-5)


def test_compile_config_round_trip():
    model = compiled(optimizer=convia.optimizers.Adam(0.01), metrics=["accuracy"])
    copy = network(convia)
    copy.compile_from_config(model.get_compile_config())
    assert float(copy.optimizer.learning_rate) == pytest.approx(0.01)
    copy.set_weights(model.get_weights())
    assert copy.evaluate(X, Y, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0))


def test_half_precision_scales_the_loss():
    convia.config.set_dtype_policy("mixed_float16")
    model = compiled(optimizer="adam")
    assert isinstance(model.optimizer, convia.optimizers.LossScaleOptimizer)
    history = model.fit(X, Y, batch_size=8, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0] and model.weights[0].dtype is torch.float32


def test_learning_rate_may_change_between_epochs():
    model = compiled(optimizer=convia.optimizers.SGD(0.1))
    model.fit(X, Y, verbose=0)
    model.optimizer.learning_rate = 0.0
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_folder_of_images_trains(tmp_path):
    for index in range(12):
        image = np.full((9, 9, 3), 20 * index, "uint8")
        (tmp_path / f"class_{index % 2}").mkdir(exist_ok=True)
        convia.utils.save_img(tmp_path / f"class_{index % 2}" / f"{index}.png", image, scale=False)
    data = convia.utils.image_dataset_from_directory(tmp_path, image_size=(8, 8), batch_size=4, seed=1)
    layers = convia.layers
    model = convia.Sequential([layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert len(model.fit(data, validation_data=data, epochs=2, verbose=0).history["val_accuracy"]) == 2
    assert model.predict(data, verbose=0).shape == (12, 2)


UNKNOWN = [
    ({"optimizer": "adm"}, "Did you mean 'Adam'"),
    ({"loss": "categorical_crosentropy"}, "categorical_crossentropy"),
    ({"loss": {"wrong": "mse"}}, "'wrong'"),
    ({"loss": ["mse", "mse"]}, "one per output"),
    ({"metrics": ["acuracy"]}, "accuracy"),
]


@pytest.mark.parametrize("arguments, text", UNKNOWN, ids=[row[1] for row in UNKNOWN])
def test_unknown_names_are_refused_with_the_nearest(arguments, text):
    with pytest.raises(ValueError, match=text):
        model = network(convia)
        model.compile(**{"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", **arguments})
        model.fit(X, Y, verbose=0)
