import keras
import numpy as np
import pytest
from callback_fakes import FakeMetric, FakeModel, play

from convia import callbacks
from convia.callbacks import EarlyStopping, MonitorCallback, ReduceLROnPlateau, TerminateOnNaN

RNG = np.random.default_rng(5)
SEQUENCES = {
    "falling": np.linspace(1, 0.1, 12),
    "rising": np.linspace(0.1, 1, 12),
    "plateau": [1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
    "tenths": [0.3, 0.4, 0.5, 0.6, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1],
    "nan at first": [float("nan"), 1, 0.5, 0.1],
    "nan later": [1, float("nan"), 0.5, float("nan"), float("nan"), 0.1],
    "single": [1.0],
    "noise": RNG.random(30).round(2),
    "float32": list(RNG.random(20).astype("float32")),
}

STOPPING = [
    {},
    {"patience": 2},
    {"patience": 1, "mode": "max"},
    {"patience": 2, "min_delta": 0.1},
    {"patience": 2, "min_delta": -0.1, "mode": "max"},
    {"patience": 3, "baseline": 0.3},
    {"patience": 2, "restore_best_weights": True, "verbose": 1},
    {"patience": 1, "start_from_epoch": 4, "restore_best_weights": True, "verbose": 1},
]


def _state(callback, model, *names):
    return [getattr(callback, name) for name in names], model.stop_training, model.weights


@pytest.mark.parametrize("options", STOPPING, ids=str)
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_early_stopping_decides_as_keras(sequence, options, capsys):
    results = []
    for module in (callbacks, keras.callbacks):
        callback = module.EarlyStopping(**options)
        model = play(callback, [{"val_loss": value} for value in SEQUENCES[sequence]])
        state = _state(callback, model, "best", "wait", "stopped_epoch", "best_epoch")
        results.append((str(state), capsys.readouterr().out))
    assert results[0] == results[1]


PLATEAUS = [
    {},
    {"patience": 1},
    {"patience": 2, "factor": 0.5, "verbose": 1},
    {"patience": 1, "cooldown": 2, "factor": 0.5, "verbose": 1},
    {"patience": 1, "min_lr": 0.0002, "verbose": 1},
    {"patience": 1, "min_delta": 0.1, "mode": "max", "verbose": 1},
    {"patience": 0, "factor": 0.9},
]


@pytest.mark.parametrize("options", PLATEAUS, ids=str)
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_learning_rate_is_reduced_as_by_keras(sequence, options, capsys):
    results = []
    for module in (callbacks, keras.callbacks):
        callback, rates = module.ReduceLROnPlateau(**options), []
        model = FakeModel()
        callback.set_model(model)
        callback.on_train_begin()
        for epoch, value in enumerate(SEQUENCES[sequence]):
            logs = {"val_loss": value}
            callback.on_epoch_end(epoch, logs)
            rates.append((logs["learning_rate"], float(model.optimizer.learning_rate), callback.in_cooldown()))
        results.append((rates, capsys.readouterr().out))
    assert results[0] == results[1]


def test_early_stopping_says_what_it_does(capsys):
    model = play(EarlyStopping(patience=1, restore_best_weights=True, verbose=1), [{"val_loss": v} for v in (3, 1, 2)])
    assert model.stop_training
    assert model.weights == 2
    assert capsys.readouterr().out == (
        "Epoch 3: early stopping\nRestoring model weights from the end of the best epoch: 2.\n"
    )


def test_reduced_learning_rate_is_printed(capsys):
    play(ReduceLROnPlateau(patience=1, factor=0.5, verbose=1), [{"val_loss": 1}, {"val_loss": 1}])
    rate = float(np.float32(0.001)) * 0.5
    assert capsys.readouterr().out == f"\nEpoch 2: ReduceLROnPlateau reducing learning rate to {rate}.\n"


def test_several_optimizers_are_reduced_each(capsys):
    model = FakeModel()
    parts = [type(model.optimizer)(rate) for rate in (0.5, 0.25)]
    parts[1].name = "second"
    model.optimizer.optimizers = parts
    logs = {"val_loss": 1.0}
    play(ReduceLROnPlateau(patience=1, factor=0.5, verbose=1), [logs, logs], model)
    assert [float(part.learning_rate) for part in parts] == [0.25, 0.125]
    assert "ReduceLROnPlateau reducing second learning rate to 0.125." in capsys.readouterr().out


DIRECTIONS = [  # monitor, metrics, the better of 0 and 1
    ("val_loss", (), 0),
    ("loss", (), 0),
    ("val_out_loss", (), 0),
    ("val_accuracy", (), 1),
    ("acc", (), 1),
    ("val_out_accuracy", (), 1),
    ("val_f1", (FakeMetric("f1", "up"),), 1),
    ("mae", (FakeMetric("f1", "up"), FakeMetric("mae", "down")), 0),
    ("val_out_mae", (FakeMetric("mae", "down"),), 0),
]


@pytest.mark.parametrize(("monitor", "metrics", "better"), DIRECTIONS)
def test_auto_mode_finds_the_better_direction(monitor, metrics, better):
    callback = MonitorCallback(monitor)
    callback.set_model(FakeModel(metrics))
    assert callback._is_improvement(better, 1 - better)
    assert not callback._is_improvement(1 - better, better)


def test_metrics_within_metrics_are_found():
    outer = FakeMetric("compile_metrics", None)
    outer.metrics = [FakeMetric("sharpness", "up")]
    callback = MonitorCallback("val_sharpness")
    callback.set_model(FakeModel([outer]))
    assert callback._is_improvement(1, 0)


def test_an_unknown_direction_is_asked_for():
    with pytest.raises(ValueError) as error:
        play(EarlyStopping("val_sharpness"), [{"val_sharpness": 1}])
    assert str(error.value) == (
        "EarlyStopping, argument 'mode': received 'auto' with monitor='val_sharpness'; expected mode='max' or "
        "mode='min' for a metric whose better direction is not known. Is a larger sharpness better? Then mode='max'."
    )


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau])
def test_an_unknown_mode_is_auto(kind):
    text = f"{kind.__name__}, argument 'mode': received 'low'; expected 'auto', 'min' or 'max'. 'auto' is used."
    with pytest.warns(UserWarning) as caught:
        assert kind(mode="low").mode == "auto"
    assert str(caught[0].message) == text


MISSING = [
    (EarlyStopping, "Nothing is stopped.", ""),
    (ReduceLROnPlateau, "The learning rate is left as it is.", ", learning_rate"),
]


@pytest.mark.parametrize(("kind", "remedy", "more"), MISSING)
def test_a_missing_metric_is_a_warning_that_names_the_others(kind, remedy, more):
    with pytest.warns(UserWarning) as caught:
        play(kind(), [{"loss": 1.0, "acc": 1.0}])
    assert str(caught[0].message) == (
        f"{kind.__name__}: received logs without the metric 'val_loss'; expected one of the available metrics: "
        f"loss, acc{more}. {remedy} Pass validation_data to fit."
    )


def test_a_factor_of_one_or_more_is_refused():
    with pytest.raises(
        ValueError, match=r"ReduceLROnPlateau, argument 'factor': received 1\.5; expected a number below 1"
    ):
        ReduceLROnPlateau(factor=1.5)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf"), np.float32("nan")])
def test_training_ends_at_a_broken_loss(loss, capsys):
    model = play(TerminateOnNaN(), [{"loss": 1}, {"loss": 1}], batches=[{"loss": 0.5}, {"loss": loss}])
    assert model.stop_training
    assert model.weights == 1
    assert capsys.readouterr().out == "Batch 1: Invalid loss, terminating training\n"


def test_a_broken_loss_may_be_an_error():
    with pytest.raises(RuntimeError) as error:
        play(TerminateOnNaN(raise_error=True), [{}], batches=[{}, {"loss": 1.0}, {"loss": float("nan")}])
    assert str(error.value).startswith("TerminateOnNaN: received the loss nan at batch 2; expected a finite loss.")
