import io
import logging
import re
import sys
import time

import keras
import pytest

from convia import callbacks, config
from convia.callbacks import progress
from convia.callbacks.progress import Progbar, ProgbarLogger, say


@pytest.fixture
def clock(monkeypatch):
    """The time, as a list of one number that tests set."""
    now = [1000.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


@pytest.fixture
def redrawn(monkeypatch):
    monkeypatch.setattr(progress, "_is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("NO_COLOR", raising=False)


def _seen(text):
    """What is read on a terminal: the line after the last carriage return, with styles, without padding."""
    return [line.replace("\b", "").rpartition("\r")[2].rstrip() for line in text.split("\n")]


def _run(make, clock, steps, seconds, capsys, finalize=None):
    clock[0] = 1000.0
    bar = make()
    frames = []
    for step, values in steps:
        clock[0] += seconds
        bar.update(step, values, finalize=finalize)
        frames.append(_seen(capsys.readouterr().out))
    return frames


VALUES = [("loss", 0.5), ("acc", 0.0001)]
RUNS = {  # arguments, (step, values), seconds per step
    "steps": ({"target": 3}, [(1, VALUES), (2, VALUES), (3, VALUES)], 0.4),
    "averages": ({"target": 4}, [(1, [("a", 1.0)]), (3, [("a", 4.0)]), (4, [("a", -2.0)])], 0.3),
    "stateful": ({"target": 9, "stateful_metrics": ["a"]}, [(1, [("a", 1.0)]), (3, [("a", 4.0), ("b", 2.0)])], 1.0),
    "stateless": ({"target": 9, "stateless_metrics": ["a"]}, [(1, [("a", 1.0)]), (3, [("a", 4.0), ("b", 2.0)])], 1.0),
    "unknown target": ({"target": None}, [(1, VALUES), (2, VALUES)], 2.0),
    "hours": ({"target": 10000}, [(1, None), (20, None), (9000, None)], 7.0),
    "minutes": ({"target": 100}, [(1, None), (20, None), (95, None)], 40.0),
    "microseconds": ({"target": 10**7, "unit_name": "sample"}, [(1, None), (10**6, None), (10**7, None)], 0.5),
    "width": ({"target": 3, "width": 5}, [(0, None), (1, None), (3, None)], 0.5),
    "one line": ({"target": 20, "verbose": 2}, [(1, VALUES), (20, VALUES)], 0.5),
    "silent": ({"target": 2, "verbose": 0}, [(1, VALUES), (2, VALUES)], 0.5),
    "nan": ({"target": 2}, [(1, [("loss", float("nan"))]), (2, [("loss", float("inf"))])], 0.5),
}


@pytest.mark.parametrize("name", RUNS)
def test_bar_is_that_of_keras(name, clock, capsys, redrawn):
    arguments, steps, seconds = RUNS[name]
    own = _run(lambda: Progbar(**arguments), clock, steps, seconds, capsys)
    theirs = _run(lambda: keras.utils.Progbar(**arguments), clock, steps, seconds, capsys)
    styles = [frame.replace("\x1b[37m\x1b[0m", "") for frames in theirs for frame in frames]  # an empty part of the bar
    assert [frame for frames in own for frame in frames] == styles
    assert any(styles) == (name != "silent")


def test_add_counts_on(clock, capsys, redrawn):
    bar = Progbar(4)
    bar.add(1)
    clock[0] += 1
    bar.add(2)
    assert "3/4" in _seen(capsys.readouterr().out)[-1]


def test_a_shorter_line_covers_the_longer_one(clock, capsys, redrawn):
    bar = Progbar(10, stateful_metrics=["a"])
    bar.update(1, [("a", 1000.0)])
    clock[0] += 1
    bar.update(2, [("a", 1.0)])
    lines = [re.sub(r"\x1b\[\d+m", "", part) for part in capsys.readouterr().out.split("\r")[1:]]
    assert len(lines[1]) == len(lines[0])
    assert lines[1].endswith("1.0000   ")


def test_a_line_longer_than_the_terminal_is_cut_until_the_end(clock, capsys, redrawn, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    bar = Progbar(2)
    metrics = [(f"metric{place}", 1.0) for place in range(9)]
    for step in (1, 2):
        clock[0] += 1
        bar.update(step, metrics)
    lines = [re.sub(r"\x1b\[\d+m", "", part) for part in capsys.readouterr().out.split("\r")[1:]]
    assert len(lines[0]) == 59
    assert "metric8: 1.0000" in lines[1]


def test_colours_can_be_switched_off(clock, capsys, redrawn, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    Progbar(4).update(3)
    assert capsys.readouterr().out == "\r3/4 " + "━" * 15 + "─" * 5 + " 0s 0s/step"


def test_drawing_is_due_ten_times_a_second_and_at_the_last_step(clock, capsys, redrawn):
    logger = ProgbarLogger()
    logger.set_params({"verbose": 1, "epochs": 1, "steps": 1000})
    logger.on_epoch_begin(0)
    drawn = []
    for step in range(1000):
        clock[0] += 0.001
        if logger.due(step):
            logger.on_train_batch_end(step, {"loss": 1.0})
            drawn.append(step)
    assert 9 <= len(drawn) <= 12
    assert (drawn[0], drawn[-1]) == (0, 999)
    assert not logger.due(999)


@pytest.mark.parametrize("steps, drawings", [(500, 1), (20_000, 19), (600_000, 100)])
def test_a_notebook_keeps_few_drawings(clock, capsys, monkeypatch, steps, drawings):
    """An epoch of half a second is one line, one of ten minutes some dozens."""
    monkeypatch.setattr(progress, "_can_redraw", lambda: True)
    logger = ProgbarLogger()
    logger.set_params({"verbose": 1, "epochs": 1, "steps": steps})
    logger.on_epoch_begin(0)
    for step in range(steps):
        clock[0] += 0.001
        if logger.due(step):
            logger.on_train_batch_end(step, {"loss": 1.0})
    logger.on_epoch_end(0, {"loss": 1.0})
    assert drawings * 0.8 <= capsys.readouterr().out.count("\r") <= drawings + 1


def test_a_log_file_gets_a_line_every_ten_seconds(clock, capsys):
    logger = ProgbarLogger()
    logger.set_params({"verbose": 1, "epochs": 2, "steps": 1000})
    logger.on_epoch_begin(0)
    for step in range(1000):
        clock[0] += 0.0251
        if logger.due(step):
            logger.on_train_batch_end(step, {"loss": 0.5})
    logger.on_epoch_end(0, {"loss": 0.25})
    lines = capsys.readouterr().out.split("\n")
    assert lines == [
        "Epoch 1/2",
        " 399/1000 ━━━━━━━───────────── 15s 25ms/step - loss: 0.5000",
        " 798/1000 ━━━━━━━━━━━━━━━───── 5s 25ms/step - loss: 0.5000",
        "1000/1000 ━━━━━━━━━━━━━━━━━━━━ 25s 25ms/step - loss: 0.2500",
        "",
    ]


def _fit(hooks, steps=2, epochs=2, validate=True):
    hooks.on_train_begin()
    for epoch in range(epochs):
        hooks.on_epoch_begin(epoch)
        for step in range(steps):
            hooks.on_train_batch_end(step, {"loss": 1.0})
        if validate:
            hooks.on_test_begin()
            for step in range(steps):
                hooks.on_test_batch_end(step, {"loss": 9.0})
            hooks.on_test_end({"loss": 9.0})
        hooks.on_epoch_end(epoch, {"loss": 0.5, "val_loss": 0.75, "accuracy": 0.875})
    hooks.on_train_end()


@pytest.mark.parametrize(
    ("verbose", "bar"),
    [
        (1, "2/2 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step"),
        ("auto", "2/2 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step"),
        (2, "2/2 - 0s - 0s/step"),
    ],
)
@pytest.mark.parametrize("steps", [2, None])
def test_a_log_of_fit_has_a_line_per_epoch(verbose, bar, steps, clock, capsys):
    _fit(callbacks.CallbackList(add_progbar=True, verbose=verbose, epochs=2, steps=steps))
    line = f"{bar} - accuracy: 0.8750 - loss: 0.5000 - val_loss: 0.7500\n"
    assert capsys.readouterr().out == f"Epoch 1/2\n{line}Epoch 2/2\n{line}"


def test_a_single_epoch_is_not_numbered_and_verbose_0_is_silent(clock, capsys):
    _fit(callbacks.CallbackList(add_progbar=True, verbose=1, epochs=1, steps=2), epochs=1)
    assert capsys.readouterr().out.startswith("2/2 ")
    _fit(callbacks.CallbackList(add_progbar=True, verbose=0, epochs=2, steps=2))
    assert capsys.readouterr().out == ""


def test_evaluation_and_prediction_have_their_own_lines(clock, capsys):
    for loop, logs in (("test", {"loss": 2.0}), ("predict", {"outputs": [1, 2, 3]})):
        hooks = callbacks.CallbackList(add_progbar=True, verbose=1, epochs=1, steps=3)
        getattr(hooks, f"on_{loop}_begin")()
        for step in range(3):
            clock[0] += 0.01
            getattr(hooks, f"on_{loop}_batch_end")(step, logs)
        getattr(hooks, f"on_{loop}_end")(logs)
    bar = "3/3 ━━━━━━━━━━━━━━━━━━━━ 0s 10ms/step"
    assert capsys.readouterr().out == f"{bar} - loss: 2.0000\n{bar}\n"


def test_validation_is_silent_and_evaluation_after_training_is_not(clock, capsys, redrawn):
    hooks = callbacks.CallbackList(add_progbar=True, verbose=1, epochs=1, steps=2)
    _fit(hooks, epochs=1)
    assert "9.0000" not in capsys.readouterr().out
    hooks.on_test_begin()
    assert hooks.progress.due(0)
    hooks.on_test_end({"loss": 9.0})
    assert "loss: 9.0000\n" in capsys.readouterr().out


def test_characters_that_the_output_does_not_have_are_replaced(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    say("1/2 ━━── 10 µs")
    assert raw.getvalue() == b"1/2 ==-- 10 s\n"


def test_without_interactive_logging_progress_goes_to_the_log(capsys, caplog):
    config.disable_interactive_logging()
    try:
        with caplog.at_level(logging.INFO, "convia"):
            say("hello")
    finally:
        config.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    assert caplog.messages == ["hello"]


def test_only_one_kind_of_metrics_may_be_listed():
    with pytest.raises(
        ValueError, match=r"Progbar: received stateful_metrics and stateless_metrics; expected only one"
    ):
        Progbar(3, stateful_metrics=["a"], stateless_metrics=["b"])
