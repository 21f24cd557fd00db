"""Constructs of Keras's eras that break on the Keras of today, row by row as in ``eras.md``: training."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from convia.compat import programs

X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
Y = np.eye(2, dtype="float32")[[0, 1] * 8]


def keras_of():
    return importlib.import_module("keras")


def classifier(keras, **arguments):
    return keras.models.Sequential([keras.layers.Dense(2, input_dim=3, activation="softmax", **arguments)])


def forever(size=4):
    while True:
        yield X[:size], Y[:size]


class Pieces:
    """A generator of five batches, as keras.utils.Sequence."""

    @staticmethod
    def of(keras):
        class Five(keras.utils.Sequence):
            def __len__(self):
                return 5

            def __getitem__(self, index):
                return X[:4], Y[:4]

        return Five()


def _counting(counts, era):
    """A function of a batch that counts it; before tf.keras its arguments had any names."""
    if era == "tfkeras":
        return lambda batch, logs: counts.append(counts.pop() + 1)
    return lambda b, results: counts.append(counts.pop() + 1)


@pytest.mark.parametrize("era", ["keras1", "keras2", "tfkeras"])
@pytest.mark.parametrize(("steps", "wanted"), [(3, 3), (2.5, 3), (7, 7)])
def test_each_epoch_has_its_steps_and_begins_anew(era, steps, wanted):
    with programs.using(era):
        keras, counts = keras_of(), []
        model = classifier(keras)
        model.compile("sgd", "categorical_crossentropy")
        count = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda e, logs: counts.append(0),
            on_batch_end=_counting(counts, era),
        )
        model.fit(forever(), steps_per_epoch=steps, epochs=2, verbose=0, callbacks=[count])
        assert counts == [wanted] * 2
        if wanted < 5:
            model.fit(Pieces.of(keras), steps_per_epoch=steps, epochs=2, verbose=0, callbacks=[count])
            assert counts == [wanted] * 4


@pytest.mark.parametrize("name", ["Adam", "SGD", "RMSprop", "Adagrad", "Adadelta", "Nadam", "Adamax"])
def test_the_learning_rate_is_lr(name):
    with programs.using("keras2"):
        keras, k = keras_of(), importlib.import_module("keras.backend")
        model = classifier(keras)
        model.compile(getattr(keras.optimizers, name)(lr=0.25, clipnorm=1.0), "mse")
        assert float(k.get_value(model.optimizer.lr)) == 0.25
        model.optimizer.lr = 0.5
        assert k.eval(model.optimizer.lr) == 0.5
        before = model.get_weights()[0]
        k.set_value(model.optimizer.lr, 0.0)
        model.train_on_batch(X, Y)
        np.testing.assert_array_equal(model.get_weights()[0], before)


def test_decay_shrinks_the_rate_with_each_update():
    with programs.using("keras2"):
        keras = keras_of()
        model = keras.models.Sequential([keras.layers.Dense(1, input_dim=1, use_bias=False, kernel_initializer="ones")])
        model.compile(keras.optimizers.SGD(lr=0.1, decay=1.0), "mse")
        weight = 1.0
        for step in range(4):
            model.train_on_batch(np.ones((1, 1)), np.zeros((1, 1)))
            weight -= 0.1 / (1 + step) * 2 * weight
            assert model.get_weights()[0][0, 0] == pytest.approx(weight, rel=1e-6)
        assert float(model.optimizer._decayed_lr("float32")) == pytest.approx(0.1 / 5)


@pytest.mark.parametrize("name", ["Adam", "SGD", "RMSprop", "Adagrad", "Adadelta", "Nadam", "Adamax", "Ftrl"])
def test_legacy_and_experimental_optimizers_are_there(name):
    with programs.using("tfkeras"):
        keras = keras_of()
        rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
        optimizer = getattr(importlib.import_module("tensorflow.keras.optimizers.legacy"), name)(rate)
        model = classifier(keras)
        model.compile(optimizer, "mse")
        model.fit(X, Y, batch_size=4, verbose=0)
        assert float(optimizer._decayed_lr("float32")) == pytest.approx(0.1 * 0.5**0.4)
        assert getattr(importlib.import_module("tensorflow").keras.optimizers.experimental, name)


@pytest.mark.parametrize(("era", "key"), [("keras2", "acc"), ("tfkeras", "accuracy")])
def test_methods_for_generators_and_classes(era, key):
    with programs.using(era):
        keras = keras_of()
        model, pieces = classifier(keras), Pieces.of(keras)
        model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
        how = {"workers": 2, "use_multiprocessing": True, "max_queue_size": 3}
        logs = model.fit_generator(pieces, epochs=1, validation_data=pieces, verbose=0, **how).history
        assert sorted(logs) == sorted([key, "loss", f"val_{key}", "val_loss"])
        assert len(model.evaluate_generator(pieces, steps=2, workers=2)) == 2
        assert model.predict_generator(pieces, steps=3).shape == (12, 2)
        assert model.predict_classes(X).shape == (16,) and model.predict_proba(X).shape == (16, 2)
        assert model.fit(pieces, verbose=0, **how).history.keys() == {key, "loss"}
        model.evaluate(pieces, verbose=0, **how)
        model.predict(pieces, verbose=0, **how)
        one = keras.models.Sequential([keras.layers.Dense(1, input_dim=3, activation="sigmoid")])
        assert one.predict_classes(X).shape == (16, 1)


def test_keras1_counted_samples_and_showed_the_accuracy():
    with programs.using("keras1"):
        keras, batches = keras_of(), []
        model = classifier(keras)
        model.compile(loss="categorical_crossentropy", optimizer="sgd", class_mode="categorical")
        logs = model.fit(X, Y, nb_epoch=2, show_accuracy=True, validation_split=0.25, verbose=0).history
        assert sorted(logs) == ["acc", "loss", "val_acc", "val_loss"]
        assert len(model.evaluate(X, Y, show_accuracy=True, verbose=0)) == 2
        count = keras.callbacks.LambdaCallback(on_batch_end=lambda batch, logs: batches.append(logs["size"]))
        model.fit_generator(forever(), samples_per_epoch=15, nb_epoch=2, validation_data=forever(), nb_val_samples=8,
                            verbose=0, callbacks=[count], nb_worker=2, max_q_size=2, pickle_safe=True)  # fmt: skip
        assert len(batches) == 8
        assert np.ndim(model.evaluate_generator(forever(), val_samples=8)) == 0
        assert model.predict_generator(forever(), val_samples=10).shape == (12, 2)
        assert len(model.train_on_batch(X, Y, accuracy=True)) == len(model.test_on_batch(X, Y, accuracy=True)) == 2
        assert np.ndim(model.train_on_batch(X, Y)) == 0


def test_class_weights_go_with_generators():
    with programs.using("keras2"):
        keras = keras_of()
        model = classifier(keras, kernel_initializer="zeros")
        model.compile(keras.optimizers.SGD(lr=0.0), "categorical_crossentropy")
        batches = ((X[:4], Y[[0, 0, 0, 1]]) for _ in iter(int, 1))
        logs = model.fit_generator(batches, steps_per_epoch=2, class_weight={0: 1.0, 1: 5.0}, verbose=0).history
        assert logs["loss"][0] == pytest.approx(np.log(2) * (3 + 5) / 4)


@pytest.mark.parametrize("metric", ["acc", "accuracy"])
@pytest.mark.parametrize("era", ["keras1", "keras2", "tfkeras"])
def test_the_accuracy_has_the_eras_name(era, metric):
    with programs.using(era):
        model = classifier(keras_of())
        model.compile("sgd", "categorical_crossentropy", metrics=[metric])
        epochs = {"nb_epoch" if era == "keras1" else "epochs": 1}
        logs = model.fit(X, Y, verbose=0, validation_data=(X, Y), **epochs).history
        name = metric if era == "tfkeras" else "acc"
        assert [*logs] and name in [*logs] and model.metrics_names == ["loss", name]
        assert logs["acc"] == logs["accuracy"] and logs["val_acc"] == logs["val_accuracy"]


def test_callbacks_of_keras2_with_their_arguments(tmp_path):
    with programs.using("keras2"):
        keras, k = keras_of(), importlib.import_module("keras.backend")
        model = classifier(keras)
        model.compile("sgd", "mse")
        plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", epsilon=0.5, patience=1, factor=0.5)
        saving = keras.callbacks.ModelCheckpoint(str(tmp_path / "w{epoch:02d}.hdf5"), period=2)
        board = keras.callbacks.TensorBoard(str(tmp_path / "logs"), write_grads=True, batch_size=32)
        with pytest.warns(UserWarning, match="tensorboard") if _without_tensorboard() else _nothing():
            model.fit(X, Y, epochs=4, verbose=0, callbacks=[plateau, saving, board])
        assert sorted(path.name for path in tmp_path.glob("*.hdf5")) == ["w02.hdf5", "w04.hdf5"]
        assert float(k.get_value(model.optimizer.lr)) < 0.01


def _without_tensorboard():
    return importlib.util.find_spec("tensorboard") is None


def _nothing():
    return importlib.import_module("contextlib").nullcontext()


@pytest.mark.parametrize("name", ["Adam", "SGD", "RMSprop", "Adadelta", "adamax", "ADAM"])
def test_optimizers_in_any_capitals_and_models_for_several_devices(name):
    with programs.using("keras2"):
        keras = keras_of()
        model = keras.utils.multi_gpu_model(classifier(keras), gpus=2)
        model.compile(name, "MSE")
        model.fit(X, Y, verbose=0)
        layers = keras.layers
        same = keras.models.Sequential([layers.Conv2D(2, 3, padding="Same", input_shape=(5, 5, 1))])
        assert same.output_shape == (None, 5, 5, 2)


def test_wrappers_old_preprocessing_and_scopes_of_tf_keras():
    with programs.using("tfkeras"):
        tf = importlib.import_module("tensorflow")
        preprocessing = importlib.import_module("tensorflow.keras.layers.experimental.preprocessing")
        wrappers = importlib.import_module("tensorflow.keras.wrappers.scikit_learn")
        with tf.distribute.MirroredStrategy().scope():
            layers = [preprocessing.Rescaling(0.5, input_shape=(3,)), tf.keras.layers.Dense(2, activation="softmax")]
            model = tf.keras.Sequential(layers)
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(X, Y.argmax(-1), verbose=0)

        def build():
            return model

        found = wrappers.KerasClassifier(build_fn=build, epochs=1, verbose=0)
        found.fit(X, Y.argmax(-1))
        assert found.predict(X).shape == (16,)


def test_every_test_of_the_table_exists():
    folder = Path(__file__).parent
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (folder / "eras.md").read_text())
    assert len(named) > 25
    for file, test in named:
        assert f"def {test}(" in (folder / file).read_text(), f"{file}::{test}"
