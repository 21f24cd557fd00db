"""A program that goes on from its backup after a process has died; where asked, one of its processes does so once."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

import convia as keras
from convia import callbacks, layers

EPOCHS, FALLS = 6, 3


def fall(epoch, logs):
    """Die like a process that the system kills, in the first life of the last process."""
    alone = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
    if epoch == FALLS and not alone and os.environ.get("FALLS") == os.environ.get("RANK", "none"):
        os.kill(os.getpid(), signal.SIGKILL)


def wait(epoch, logs):
    """Tell that the epoch has begun; where another host is to be struck meanwhile, give time for that."""
    folder = Path(sys.argv[1])
    (folder / f"epoch{epoch}-{keras.distributed.size()}").touch()
    if epoch == FALLS and "STRUCK" in os.environ and keras.distributed.size() > 1:
        time.sleep(4)


def main(folder):
    torch.set_num_threads(1)
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 8, 8, 1)).astype("float32"), rng.integers(0, 3, 30)
    model = keras.Sequential(
        [layers.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    hooks = [callbacks.BackupAndRestore(folder / "backup"), callbacks.LambdaCallback(on_epoch_begin=fall)]
    hooks.append(callbacks.LambdaCallback(on_epoch_begin=wait))
    history = model.fit(x, y, batch_size=8, epochs=EPOCHS, verbose=0, callbacks=hooks)
    if keras.distributed.is_first():
        weights = {str(place): weight for place, weight in enumerate(model.get_weights())}
        np.savez(folder / "weights.npz", epochs=history.epoch, **weights)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
