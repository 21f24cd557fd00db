"""A training that goes on takes files in the order of its epoch."""

import numpy as np
import pytest

import convia as keras
from convia.callbacks import BackupAndRestore, Callback


def test_a_resumed_training_takes_a_folder_in_the_order_of_its_epoch(tmp_path):
    class Dies(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    for number in range(12):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(path, np.full((2, 2, 3), number), scale=False)

    def data():
        how = {"image_size": (2, 2), "batch_size": 4, "seed": 1, "verbose": False}
        return keras.utils.image_dataset_from_directory(tmp_path / "images", **how).map(lambda x, y: (x / 12, y))

    def fit(*callbacks):
        keras.utils.set_random_seed(2)
        model = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Flatten(), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(data(), epochs=3, verbose=0, callbacks=list(callbacks))
        return model.get_weights()

    backup = [BackupAndRestore(tmp_path / "backup") for _ in range(2)]
    with pytest.raises(KeyboardInterrupt):
        fit(backup[0], Dies())
    for one, other in zip(fit(backup[1]), fit(), strict=True):
        np.testing.assert_array_equal(one, other)
