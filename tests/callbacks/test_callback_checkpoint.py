import keras
import numpy as np
import pytest
import torch
from callback_fakes import FakeModel, play

from convia import callbacks
from convia.callbacks import ModelCheckpoint

OPTIONS = [
    ("m.keras", {}),
    ("m.keras", {"verbose": 1}),
    ("m.h5", {"verbose": 1, "save_best_only": True}),
    ("w.weights.h5", {"save_weights_only": True, "save_best_only": True, "verbose": 1}),
    ("{epoch:03d}-{val_loss:.2f}.keras", {"verbose": 1}),
    ("{epoch}-{acc:.1f}.keras", {"save_best_only": True, "monitor": "acc", "mode": "max", "verbose": 1}),
    ("m.keras", {"save_best_only": True, "initial_value_threshold": 0.4, "verbose": 1}),
    ("{epoch}-{batch}.keras", {"save_freq": 3, "verbose": 1}),
    ("{epoch}-{batch}.keras", {"save_freq": 1}),
    ("{epoch}-{batch}-{loss}.weights.h5", {"save_freq": 7, "save_weights_only": True}),
]
EPOCHS = [{"val_loss": loss, "acc": acc} for loss, acc in [(0.5, 0.1), (0.3, 0.4), (0.3, 0.2), (0.35, 0.7), (0.2, 0.4)]]


@pytest.mark.parametrize(("path", "options"), OPTIONS, ids=str)
def test_models_are_saved_when_and_where_keras_saves_them(path, options, tmp_path, capsys):
    results = []
    for module in (callbacks, keras.callbacks):
        model = play(
            module.ModelCheckpoint(tmp_path / path, **options), EPOCHS, batches=[{"loss": b} for b in range(5)]
        )
        results.append((model.saved, capsys.readouterr().out))
    assert results[0] == results[1]
    assert results[0][0]


def test_decisions_are_printed(capsys):
    play(
        ModelCheckpoint("m.keras", save_best_only=True, verbose=1), [{"val_loss": value} for value in (0.12, 0.1, 0.3)]
    )
    saved = "finished saving model to m.keras\n"
    assert capsys.readouterr().out == (
        f"\nEpoch 1: val_loss improved from None to 0.12000, saving model to m.keras\n\nEpoch 1: {saved}"
        f"\nEpoch 2: val_loss improved from 0.12000 to 0.10000, saving model to m.keras\n\nEpoch 2: {saved}"
        "\nEpoch 3: val_loss did not improve from 0.10000\n"
    )


def test_the_best_model_may_be_looked_for_at_batches():
    losses = [3.0, 1.0, 2.0, 0.5]
    callback = ModelCheckpoint("{batch}.keras", "loss", save_best_only=True, save_freq=1)
    model = play(callback, [{"loss": 9.0}], batches=[{"loss": loss} for loss in losses])
    assert [path for _, path, _ in model.saved] == ["1.keras", "2.keras", "4.keras"]


def test_strides_of_batches_are_counted():
    callback = ModelCheckpoint("{batch}.keras", save_freq=4)
    callback.set_model(FakeModel())
    for _ in range(2):
        for batch in (2, 5, 6):
            callback.on_train_batch_end(batch, {})
    assert [path for _, path, _ in callback.model.saved] == ["6.keras", "3.keras", "7.keras"]


def test_folders_are_made(tmp_path):
    play(ModelCheckpoint(tmp_path / "a" / "b{epoch}" / "m.keras"), [{}])
    assert (tmp_path / "a" / "b1").is_dir()


@pytest.mark.parametrize(
    ("logs", "received"),
    [
        ({"loss": 1.0}, "logs without the metric 'val_loss'; expected one of the available metrics: loss."),
        ({"val_loss": np.ones(2)}, "val_loss = [1. 1.]; expected one number."),
        ({"val_loss": torch.ones(2)}, "val_loss = tensor([1., 1.]); expected one number."),
    ],
)
def test_without_a_number_to_compare_the_model_is_saved_with_a_warning(logs, received):
    with pytest.warns(UserWarning) as caught:
        model = play(ModelCheckpoint("m.keras", save_best_only=True), [logs])
    text = str(caught[0].message)
    assert text.startswith(f"ModelCheckpoint: received {received} The model is saved, whether best or not.")
    assert len(model.saved) == 1


WRONG = [
    (
        {"filepath": "m.hdf5"},
        "argument 'filepath': received 'm.hdf5'; expected a file name ending in .keras. Write 'm.keras'.",
    ),
    ({"filepath": "m"}, "argument 'filepath': received 'm'; expected a file name ending in .keras. Write 'm.keras'."),
    (
        {"filepath": "m.h5", "save_weights_only": True},
        "argument 'filepath': received 'm.h5'; expected a file name ending in .weights.h5, for weights alone. "
        "Write 'm.weights.h5'.",
    ),
    *[
        (
            {"filepath": "m.keras", "save_freq": freq},
            f"argument 'save_freq': received {freq!r}; expected 'epoch' or a number",
        )
        for freq in ("batch", 0, 1.5, True)
    ],
]


@pytest.mark.parametrize(("arguments", "text"), WRONG, ids=str)
def test_wrong_arguments_are_explained(arguments, text):
    with pytest.raises(ValueError) as error:
        ModelCheckpoint(**arguments)
    assert str(error.value).startswith(f"ModelCheckpoint, {text}")


@pytest.mark.parametrize(
    ("path", "reason"), [("{acc}.keras", "'acc'"), ("{}.keras", "index"), ("{epoch:q}.keras", "format")]
)
def test_a_file_name_that_cannot_be_filled_in_is_explained(path, reason):
    with pytest.raises(KeyError) as error:
        play(ModelCheckpoint(path), [{"loss": 1.0}])
    text = error.value.args[0]
    assert text.startswith(f"ModelCheckpoint, argument 'filepath': received {path!r} (")
    assert reason in text
    assert text.endswith("some of the names epoch, loss.")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "m.keras").mkdir()
    with pytest.raises(
        OSError, match=r"argument 'filepath': received the folder .*; expected a file. Name a file in it"
    ):
        play(ModelCheckpoint(tmp_path / "m.keras"), [{}])
