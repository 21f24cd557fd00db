"""Small programs of tf.keras 2; run with ``python cases.py`` in an environment with TensorFlow 2.15, it writes cases.json.

The same functions, given convia's modules, must return the same numbers and names.
"""

import json
from pathlib import Path

import numpy as np


def dense(keras, outputs=1):
    """A linear model with known weights."""
    model = keras.Sequential([keras.layers.Dense(outputs, input_shape=(2,), use_bias=False)])
    model.set_weights([np.arange(2 * outputs, dtype="float32").reshape(2, outputs) / 4 + 0.5])
    return model


X = np.linspace(-1, 1, 16, dtype="float32").reshape(8, 2)
Y = np.linspace(0, 1, 8, dtype="float32").reshape(8, 1)


def counted(keras, data, **arguments):
    """How many batches each epoch of ``fit`` has, and which came first."""

    class Count(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.epochs = []

        def on_epoch_begin(self, epoch, logs=None):
            self.epochs.append(0)

        def on_train_batch_end(self, batch, logs=None):
            self.epochs[-1] += 1

    count, model = Count(), dense(keras)
    model.compile("sgd", "mse")
    model.fit(data, verbose=0, callbacks=[count], **arguments)
    return count.epochs


def steps(keras, tf):
    """steps_per_epoch beside a dataset that is longer, or not a whole number of them."""

    class Batches(keras.utils.Sequence):
        def __init__(self):
            self.asked = []

        def __len__(self):
            return 5

        def __getitem__(self, index):
            self.asked.append(index)
            return X, Y

        def indices(self):
            return sorted(set(self.asked))

    def forever():
        while True:
            yield X, Y

    flow = keras.preprocessing.image.ImageDataGenerator().flow(np.zeros((10, 4, 4, 1)), np.zeros(10), batch_size=4)
    return {
        "longer": counted(keras, Batches(), steps_per_epoch=3, epochs=3),
        "fraction": counted(keras, Batches(), steps_per_epoch=2.5, epochs=2),
        "generator": counted(keras, forever(), steps_per_epoch=4, epochs=2),
        "generator and fraction": counted(keras, forever(), steps_per_epoch=2.5, epochs=2),
        "arrays": counted(keras, X, y=Y, batch_size=2, epochs=2),
        "length of images": len(flow),
    }


def rates(keras, tf):
    """Weights after each step with decay, with a changed learning rate, and what the learning rate then reads."""
    found = {}
    for name in ("SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "Adamax"):
        for decay in (0.0, 0.25):
            optimizer = getattr(keras.optimizers.legacy, name)(learning_rate=0.1, **({"decay": decay} if decay else {}))
            model = dense(keras)
            model.compile(optimizer, "mse")
            path = []
            for step in range(4):
                if step == 2:
                    keras.backend.set_value(model.optimizer.lr, 0.05)
                model.train_on_batch(X, Y)
                path.append([float(w) for w in model.get_weights()[0].ravel()])
            found[f"{name}, decay {decay}"] = {
                "weights": path,
                "lr": float(keras.backend.get_value(model.optimizer.lr)),
            }
    return found


def two(keras):
    """A model with two outputs."""
    inputs = keras.Input((2,))
    return keras.Model(inputs, [keras.layers.Dense(1, name="a")(inputs), keras.layers.Dense(1, name="b")(inputs)])


def names(keras, tf):
    """metrics_names after training, keys of histories, lengths of what evaluate returns."""
    found = {}
    for metrics in (None, ["accuracy"], ["acc"], ["mae", "acc"], [keras.metrics.MeanSquaredError(name="own")]):
        model = dense(keras)
        model.compile("sgd", "mse", metrics=metrics)
        history = model.fit(X, Y, verbose=0, validation_data=(X, Y)).history
        label = str([m if isinstance(m, str) else m.name for m in metrics or []])
        scores = np.atleast_1d(model.evaluate(X, Y, verbose=0))
        found[label] = {"names": model.metrics_names, "keys": sorted(history), "scores": len(scores)}
    for metrics in (None, ["accuracy"], {"a": "mae", "b": ["acc"]}):
        model = two(keras)
        model.compile("sgd", "mse", metrics=metrics)
        history = model.fit(X, [Y, Y], verbose=0).history
        scores = model.evaluate(X, [Y, Y], verbose=0)
        found[f"two: {metrics}"] = {"names": model.metrics_names, "keys": sorted(history), "scores": len(scores)}
    return found


CASES = {"steps": steps, "rates": rates, "names": names}
FILE = Path(__file__).with_name("cases.json")

if __name__ == "__main__":
    import tensorflow as tf

    FILE.write_text(json.dumps({name: case(tf.keras, tf) for name, case in CASES.items()}, indent=1) + "\n")
