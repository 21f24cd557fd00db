"""What several processes agree upon, as assertions that each of them makes for itself."""

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch

import convia as keras
from convia import callbacks, distributed, layers
from convia.images import decode, flows


def same_everywhere(value):
    """Whether a number is the same in all processes."""
    own = torch.as_tensor(np.asarray(value, dtype="float64")).flatten()
    first = own.clone()
    torch.distributed.broadcast(first, 0)
    return not distributed.any_of_us(not torch.equal(own, first))


def data(count=20):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 6, 6, 1)).astype("float32"), rng.integers(0, 2, count)


def compiled(*inner, rate=0.01, engine=None):
    model = keras.Sequential([*inner, layers.Flatten(), layers.Dense(2, activation="softmax")])
    how = {"metrics": ["accuracy"], "engine": engine}
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", **how)
    return model


def unseeded_weights_become_the_first_ones():
    model = compiled(layers.Conv2D(2, 3))  # built by the first batch
    np.random.seed(distributed.rank())
    torch.manual_seed(distributed.rank())
    model.fit(*data(), batch_size=6, epochs=2, verbose=0)
    assert all(same_everywhere(weight) for weight in model.get_weights())
    assert model.engine.startswith("native") and model.engine.endswith(f", {distributed.size()} processes)")


def masks_differ_and_weights_do_not():
    seen = []

    class Watched(layers.Dropout):
        def call(self, inputs, training=None):
            found = super().call(inputs, training=training)
            if training:
                seen.append(
                    float(
                        (found == 0).flatten(1)[:5].double() @ torch.arange(36.0).double() @ torch.arange(5.0).double()
                    )
                )
            return found

    for seed in (None, 5):
        keras.utils.set_random_seed(1)
        model = compiled(layers.Input((6, 6, 1)), Watched(0.5, seed=seed))
        x, y = data()
        model.fit(np.ones_like(x), y, batch_size=20, verbose=0)
        assert not same_everywhere(seen[-1])
        assert all(same_everywhere(weight) for weight in model.get_weights())


def statistics_of_each_are_averaged():
    model = compiled(layers.Input((6, 6, 1)), layers.BatchNormalization(momentum=0.5))
    model.fit(*data(), batch_size=10, epochs=2, verbose=0)
    assert all(same_everywhere(weight) for weight in model.get_weights())
    assert np.abs(model.layers[0].moving_mean.numpy()).max() > 0


def fewer_rows_than_processes():
    model = compiled(layers.Input((6, 6, 1)), layers.Conv2D(2, 3))
    history = model.fit(*data(5), batch_size=1, epochs=1, verbose=0)
    assert same_everywhere(history.history["loss"])
    assert model.predict(data(5)[0], batch_size=1, verbose=0).shape == (5, 2)


def an_engine_that_one_process_lacks_is_used_by_none():
    keras.config.set_engine("torch" if distributed.rank() else "auto")
    try:
        keras.utils.set_random_seed(2)
        model = compiled(layers.Input((6, 6, 1)), layers.Dropout(0.2))
        model.fit(*data(), batch_size=6, epochs=2, verbose=0)
        found = model.predict(data()[0], verbose=0)
    finally:
        keras.config.set_engine("auto")
    assert all(same_everywhere(weight) for weight in model.get_weights())
    assert same_everywhere(found)


def the_engine_draws_masks_of_each_process_and_applies_any_optimizer():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([layers.Input((36,)), layers.Dropout(0.5), layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.Nadam(0.01), "mse", engine="native")
    start = model.get_weights()[0]
    model.fit(np.ones((4, 36), "float32"), np.ones((4, 1)), batch_size=4, epochs=1, verbose=0)
    assert same_everywhere(model.get_weights()[0])
    assert np.abs(model.get_weights()[0] - start).max() > 0
    rows = model.predict(np.ones((4, 36), "float32"), verbose=0)
    assert np.ptp(rows) < 1e-6


def other_data_is_an_error():
    model = compiled(layers.Input((6, 6, 1)))
    x, y = data()
    with pytest.raises(ValueError, match=r"the same data in all.*set_random_seed"):
        model.fit(x + distributed.rank(), y, verbose=0, shuffle=False)


def a_first_loss_of_nan_is_an_error_in_all_and_changes_nothing():
    x, y = data()
    x[3] = np.nan
    for engine in ("native", "torch"):
        keras.utils.set_random_seed(0)
        model = compiled(layers.Input((6, 6, 1)), layers.BatchNormalization(), engine=engine)
        before = model.get_weights()
        with pytest.raises(ValueError, match=r"a loss of nan in the first step \(x holds NaN .* row 3 of the batch"):
            model.fit(x, y, batch_size=10, verbose=0, shuffle=False)
        for weight, found in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(found, weight)
        model.fit(*data(), batch_size=10, verbose=0)
        assert np.isfinite(model.evaluate(*data(), verbose=0)).all()


def a_later_loss_of_nan_stops_all_before_they_learn():
    x, y = data()
    x[12] = np.nan  # in the rows of one process
    weights = []
    for engine, count in (("native", 20), ("torch", 20), ("torch", 10)):
        keras.utils.set_random_seed(0)
        model = compiled(layers.Input((6, 6, 1)), engine=engine)
        how = {"batch_size": 10, "verbose": 0, "shuffle": False}
        with contextlib.redirect_stdout(io.StringIO()) as told:
            model.fit(x[:count], y[:count], **how, callbacks=[callbacks.TerminateOnNaN()])
        assert ("row 2 of the batch: sample 12." in told.getvalue()) == (count == 20 and distributed.is_first())
        assert int(model.optimizer.iterations) == 1
        weights.append(model.get_weights()[0])
        assert same_everywhere(weights[-1])
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-6)
    np.testing.assert_array_equal(weights[1], weights[2])


def one_process_stops_all():
    def stop(batch, logs):
        if distributed.rank() == 1 and batch == 1:
            model.stop_training = True

    model = compiled(layers.Input((6, 6, 1)))
    seen = callbacks.LambdaCallback(on_train_batch_end=stop)
    model.fit(*data(), batch_size=4, epochs=3, verbose=0, callbacks=[seen])
    assert int(model.optimizer.iterations) == 2


def a_step_of_ones_own_runs_in_every_process():
    class Own(keras.Model):
        def train_step(self, batch):
            x, y = batch
            loss = self.compute_loss(x, y, self(x, training=True))
            self.zero_grad()
            loss.backward()
            self.optimizer.apply([v.grad for v in self.trainable_variables], self.trainable_variables)
            return {"loss": loss}

    keras.utils.set_random_seed(0)
    inputs = layers.Input((6, 6, 1))
    model = Own(inputs, layers.Dense(2, activation="softmax")(layers.Flatten()(inputs)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(*data(), batch_size=5, verbose=0)
    assert all(same_everywhere(weight) for weight in model.get_weights())


def backups_are_written_once_and_read_by_all(folder):
    where = folder / f"backup{distributed.size()}"
    model = compiled(layers.Input((6, 6, 1)))

    def fail(epoch, logs):
        raise RuntimeError

    fall = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch == 1 and fail(epoch, logs))
    backup = callbacks.BackupAndRestore(where)
    with pytest.raises(RuntimeError):
        model.fit(*data(), epochs=3, verbose=0, callbacks=[backup, fall])
    torch.distributed.barrier()
    assert (where / "latest.npz").exists()
    torch.distributed.barrier()
    model.fit(*data(), epochs=3, verbose=0, callbacks=[backup])
    assert model.history.epoch == [1, 2]
    assert all(same_everywhere(weight) for weight in model.get_weights())


def _photos(folder, count=22):
    """Write pictures of two classes, once for all processes; one of them is damaged."""
    keras.utils.set_random_seed(1)
    place = folder / "photos"
    if distributed.is_first():
        for number in range(count):
            path = place / "ab"[number % 2] / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            keras.utils.save_img(path, np.full((6, 6, 1), number, "float32"), scale=False)
        (place / "a" / "04.png").write_bytes(b"no picture")
    distributed.meet()
    return place


def _sources(place, seen):
    """Ways to go through a folder: what fit takes, and how many epochs it reads files in."""

    def noting(function):
        def noted(path, *args, **kwargs):
            seen.append(str(path))
            return function(path, *args, **kwargs)

        return noted

    def flow(prefetch=2):
        generator = keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255, rotation_range=5)
        how = {"target_size": (6, 6), "color_mode": "grayscale", "class_mode": "sparse", "batch_size": 5}
        return generator.flow_from_directory(place, cache=None, prefetch=prefetch, **how)

    def folder(batch_size=5):
        how = {"image_size": (6, 6), "color_mode": "grayscale", "batch_size": batch_size, "verbose": False}
        found = keras.utils.image_dataset_from_directory(place, **how)
        found._read = noting(found._read)
        return found

    flows.decode = noting(decode.decode)
    return {
        "flow": lambda: flow(0),  # else files of the next epoch are read before this one ends
        "flow ahead": flow,
        "folder": lambda: folder().map(lambda x, y: (x / 255, y)).prefetch(2),
        "single": lambda: folder(None).map(lambda x, y: (x / 255, y), num_parallel_calls=2).batch(5).prefetch(2),
    }


def files_of_a_folder_are_read_by_one_process_each(folder):
    place, seen = _photos(folder), []
    model = compiled(layers.Input((6, 6, 1)), engine="torch")
    sources = _sources(place, seen)
    del sources["flow ahead"]
    for kind, make in sources.items():
        source = make()
        for _ in range(2):
            seen.clear()
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                model.fit(source, verbose=0)
            read = distributed.gather([*seen])
            whole = sorted(path for part in read for path in part)
            damaged = str(place / "a" / "04.png")
            assert [path for path in whole if path != damaged] == sorted(
                str(path) for path in place.glob("*/*.png") if str(path) != damaged
            ), kind
            assert max(map(len, read)) - min(map(len, read)) <= 5
        assert all(same_everywhere(weight) for weight in model.get_weights())
    flows.decode = decode.decode
    assert told is not None


def one_process_may_read_a_folder_alone(folder):
    place, seen = _photos(folder), []
    model = compiled(layers.Input((6, 6, 1)), engine="torch")

    def look(batch, logs):
        if distributed.rank() == 1 and batch == 1:
            assert sum(len(y) for _, y in other) == 21

    for make in _sources(place, seen).values():
        source, other = make(), _sources(place, seen)["folder"]()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            hook = callbacks.LambdaCallback(on_train_batch_end=look)
            model.fit(source, verbose=0, callbacks=[hook], steps_per_epoch=3, epochs=2)
            model.evaluate(source, verbose=0)
            model.predict(source, verbose=0)
    flows.decode = decode.decode
    assert all(same_everywhere(weight) for weight in model.get_weights())


RULES = [
    unseeded_weights_become_the_first_ones,
    masks_differ_and_weights_do_not,
    statistics_of_each_are_averaged,
    fewer_rows_than_processes,
    an_engine_that_one_process_lacks_is_used_by_none,
    the_engine_draws_masks_of_each_process_and_applies_any_optimizer,
    other_data_is_an_error,
    a_first_loss_of_nan_is_an_error_in_all_and_changes_nothing,
    a_later_loss_of_nan_stops_all_before_they_learn,
    one_process_stops_all,
    a_step_of_ones_own_runs_in_every_process,
    backups_are_written_once_and_read_by_all,
    files_of_a_folder_are_read_by_one_process_each,
    one_process_may_read_a_folder_alone,
]


def main(folder):
    """Check one rule after the other."""
    warnings.simplefilter("error", UserWarning)
    for rule in RULES:
        rule(*[folder] * rule.__code__.co_argcount)
        if distributed.is_first():
            print("kept:", rule.__name__)
