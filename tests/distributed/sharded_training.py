"""A Keras script whose processes share out the weights; the first word says where it leaves its results."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import convia as keras
from convia import distribution, layers

SHARINGS = {
    "all": distribution.FullyShardedDataParallel,
    "some": lambda: distribution.ModelParallel(layout_map=_kernels()),
}
OPTIMIZERS = {
    "all": lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.5, gradient_accumulation_steps=2),
    "some": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, use_ema=True),
}
EPOCHS = 3


def _kernels():
    mesh = distribution.DeviceMesh((1, keras.distributed.size()), ("batch", "model"))
    layouts = distribution.LayoutMap(mesh)
    layouts[".*kernel"] = (*[None] * 3, "model")
    return layouts


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(34, 8, 8, 1)).astype("float32"), rng.integers(0, 3, 34)


def network(**first):
    inner = [
        layers.Conv2D(5, 3, activation="relu", kernel_regularizer="l2", **first),
        layers.SeparableConv2D(4, 3, use_bias=False),
        layers.BatchNormalization(synchronized=True),
        layers.Flatten(),
    ]
    return keras.Sequential([layers.Input((8, 8, 1)), *inner, layers.Dense(3, activation="softmax", trainable=False)])


class Held(keras.callbacks.Callback):
    """Notes how many elements of weights, and of what the optimizer notes, the process holds within an epoch."""

    def on_train_batch_begin(self, batch, logs=None):
        shares = self.model._shares
        self.parts = 0 if shares is None else sum(part.numel() for part in shares.parts.values())
        self.left = int(sum(np.isfinite(weight).all() for weight in self.model.get_weights()))
        noted = self.model.optimizer if shares is None or shares.notes is None else shares.notes.optimizer
        self.noted = sum(slot.numel() for slot in noted.variables if isinstance(slot, torch.Tensor))


def train(how, folder):
    """Train twice and return the weights, what the optimizer notes, and all that was measured and saved."""
    keras.utils.set_random_seed(3)
    x, y = data()
    model, file, held = network(), str(folder / f"{how}.keras"), Held()
    model.compile(OPTIMIZERS[how](), "sparse_categorical_crossentropy", metrics=["accuracy"], engine="torch")
    hooks = [
        keras.callbacks.ModelCheckpoint(file, save_freq=3),
        keras.callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True),
        keras.callbacks.BackupAndRestore(folder / f"{how}-backup"),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epoch == 1 and _change(model)),
        held,
    ]
    with SHARINGS[how]().scope():
        history = model.fit(
            x, y, batch_size=9, epochs=EPOCHS, verbose=0, validation_data=(x[:7], y[:7]), callbacks=hooks
        )
        model.fit(x, y, batch_size=9, verbose=0)
        found = {"evaluated": np.array(model.evaluate(x, y, verbose=0)), "predicted": model.predict(x, verbose=0)}
    found |= {f"weight{place}": weight for place, weight in enumerate(model.get_weights())}
    found |= {f"noted{place}": value.numpy() for place, value in enumerate(model.optimizer.variables)}
    loaded = keras.models.load_model(file)
    values = [*loaded.get_weights(), *(value.numpy() for value in loaded.optimizer.variables)]
    found |= {f"saved{place}": value for place, value in enumerate(values)}
    found |= {name: np.array(values) for name, values in history.history.items()}
    return found, {"parts": held.parts, "left": held.left, "noted": held.noted, "all": model.count_params()}


def _change(model):
    """Change weights between two epochs, as a callback may."""
    model.layers[0].set_weights([weight * 0.9 for weight in model.layers[0].get_weights()])


def refusals():
    """See what cannot be done with parts of weights."""
    x, y = data()

    class Own(keras.Sequential):
        def train_step(self, batch):
            return super().train_step(batch)

    def attempt(match, model, optimizer="sgd"):
        model.compile(optimizer, "sparse_categorical_crossentropy")
        with pytest.raises(ValueError, match=match):
            model.fit(x, y, verbose=0)
        object.__setattr__(model, "_shares", None)

    with distribution.FullyShardedDataParallel().scope():
        attempt(
            "constraint UnitNorm, which needs all of a weight.*DataParallel", network(kernel_constraint="unit_norm")
        )
        attempt("received Muon.*DataParallel|Muon", network(), "muon")
        attempt("step of its own", Own(network().layers))
        attempt("without weights.*input shape", keras.Sequential([layers.Flatten(), layers.Dense(3)]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    name = f"{os.environ.get('WORLD_SIZE', '1')}-{os.environ.get('RANK', '0')}"
    for how in SHARINGS:
        found, held = train(how, folder)
        np.savez(folder / f"{name}-{how}.npz", **found)
        np.savez(folder / f"{name}-{how}-held.npz", **held)
    if keras.distributed.size() > 1:
        refusals()
        print("refused")
