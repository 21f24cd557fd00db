"""A model without layers that notes what callbacks do to it, and a loop that plays logs to them."""

import numpy as np


class FakeOptimizer:
    """A learning rate in float32, as real optimizers have it."""

    name = "fake"
    built = True

    def __init__(self, learning_rate=0.001):
        self.learning_rate = learning_rate
        self.iterations = 0
        self.variables = []

    @property
    def learning_rate(self):
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._rate = np.float32(value)


class FakeMetric:
    def __init__(self, name, direction):
        self.name = name
        self._direction = direction


class FakeModel:
    """Its only weight is the number of the epoch."""

    built = True

    def __init__(self, metrics=()):
        self.optimizer = FakeOptimizer()
        self.stop_training = False
        self.metrics = list(metrics)
        self.weights = 0
        self.saved = []
        self.layers = []

    def get_weights(self):
        return [np.array(self.weights)]

    def set_weights(self, weights):
        self.weights = int(weights[0])

    def save(self, path, overwrite=True):
        self.saved.append(("model", str(path), self.weights))

    def save_weights(self, filepath, overwrite=True):
        self.saved.append(("weights", str(filepath), self.weights))


def play(callback, epochs, model=None, batches=(), first=0):
    """Give a callback the logs of epochs (and those of the batches of each) until it stops the training."""
    model = model or FakeModel()
    callback.set_model(model)
    callback.set_params({"verbose": 0, "epochs": first + len(epochs), "steps": len(batches) or None})
    callback.on_train_begin()
    for epoch, logs in enumerate(epochs, first):
        callback.on_epoch_begin(epoch)
        for batch, batch_logs in enumerate(batches):
            callback.on_train_batch_begin(batch)
            callback.on_train_batch_end(batch, logs=dict(batch_logs))
        model.weights = epoch + 1
        callback.on_epoch_end(epoch, dict(logs))
        if model.stop_training:
            break
    callback.on_train_end()
    return model
