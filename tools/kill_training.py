"""Kill training at random moments, resume it, and compare with training that was left alone.

``python tools/kill_training.py 50 [seed]``: each time a process that trains with BackupAndRestore is killed (SIGKILL)
after a random time, again and again until it gets to the end; weights, optimizer, learning rate, the state of the
random generators, the numbers of the epochs, their history and what other callbacks decided have to be those of a
process that ran through, to the bit. The last process's history begins with the epoch at which it went on.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

EPOCHS, SAMPLES, BATCH, KILLS_EACH = 5, 40, 4, 5
SETTINGS = [(frequency, engine) for engine in ("torch", "auto") for frequency in (1, 3, "epoch")]


def network(engine: str) -> Any:
    """Compile a small network in which everything has a state; on torch the learning rate is a schedule."""
    import convia
    from convia import layers

    inner = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Dropout(0.3), layers.Flatten()]
    head = layers.Dense(2, activation="softmax")
    random_layers = [layers.RandomFlip()] if engine == "torch" else []
    model = convia.Sequential([layers.Input((8, 8, 1)), *random_layers, *inner, head])
    falling = convia.optimizers.schedules.CosineDecay(0.01, EPOCHS * SAMPLES // BATCH)
    optimizer = convia.optimizers.Adam(falling if engine == "torch" else 0.01, use_ema=True)
    metrics = ["accuracy", convia.metrics.F1Score(), convia.metrics.AUC(num_thresholds=20)]
    model.compile(optimizer, "categorical_crossentropy", metrics=metrics, engine=engine)
    return model


def watchers(folder: Path, frequency: Any, model: Any, resumed: list[int]) -> list[Any]:
    """Return callbacks: backups, signs of life per batch, and others that have a state; note where a run goes on."""
    from convia import callbacks

    log = (folder / "log").open("a", buffering=1)
    return [
        callbacks.BackupAndRestore(folder / "backup", frequency, delete_checkpoint=False),
        callbacks.ModelCheckpoint(folder / "model.keras", save_freq=3),
        callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: log.write(f"{batch}\n")),
        callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: resumed or resumed.extend((model._resume_epoch, model._resume_step))
        ),
        callbacks.SwapEMAWeights(swap_on_epoch=True),
        callbacks.EarlyStopping("loss", patience=2, min_delta=0.05, restore_best_weights=True),
    ]


def train(folder: Path, frequency: Any, engine: str) -> None:
    """Train, and write down everything that a resumed training must have equal; on the engine, rates are lowered."""
    import numpy as np

    import convia
    from convia import callbacks
    from convia.callbacks.random_state import random_state

    folder.mkdir(exist_ok=True)
    convia.utils.set_random_seed(1)
    model = network(engine)
    resumed: list[int] = []
    hooks = watchers(folder, frequency, model, resumed)
    if engine != "torch":
        hooks.append(callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.05, cooldown=1))
    x = np.random.default_rng(0).normal(size=(SAMPLES, 8, 8, 1)).astype("float32")
    y = np.eye(2, dtype="float32")[(x.mean((1, 2, 3)) > 0).astype(int)]
    history = model.fit(
        x, y, epochs=EPOCHS, batch_size=BATCH, verbose=0, callbacks=hooks, validation_data=(x[:9], y[:9])
    )
    arrays = {f"weight{place}": value for place, value in enumerate(model.get_weights())}
    arrays |= {f"slot{place}": value.numpy() for place, value in enumerate(model.optimizer.variables)}
    arrays |= {f"random_{key}": value for key, value in random_state(model).items()}
    arrays |= {f"history_{key}": np.asarray(value) for key, value in history.history.items()}
    arrays |= {"history_epoch": np.asarray(history.epoch), "resumed": np.asarray(resumed)}
    arrays["rate"] = np.asarray(float(model.optimizer.learning_rate))
    np.savez(folder / "end.tmp.npz", allow_pickle=False, **arrays)
    (folder / "end.tmp.npz").replace(folder / "end.npz")


class Process:
    """A process for one call, forked from this one: importing anew would take longer than the training."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.code: int | None = None
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                function(*args)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, None while it runs."""
        return self.wait(os.WNOHANG)

    def wait(self, options: int = 0) -> int | None:
        """Wait for its end and return the exit code."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, options)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code


def killed_and_resumed(folder: Path, setting: Any, rng: random.Random, kills: int, seconds: float) -> int:
    """Kill a training at random moments of its batches, and let it come to an end; return how often it was killed."""
    done = 0
    while not (folder / "end.npz").exists():
        process = Process(train, folder, *setting)
        if done < kills:
            log = folder / "log"
            before = log.stat().st_size if log.exists() else 0
            while process.poll() is None and (not log.exists() or log.stat().st_size == before):
                time.sleep(0.002)
            time.sleep(rng.uniform(0, seconds))
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                done += 1
        process.wait()
        if process.code not in (0, -signal.SIGKILL):
            raise RuntimeError(f"training ended with {process.code}")
        if (folder / "model.keras").exists() and Process(_load, folder / "model.keras").wait():
            raise RuntimeError("a checkpoint that does not load")
    return done


def _load(path: Path) -> None:
    """A checkpoint is whole at any moment."""
    from convia.models import load_model

    load_model(path)


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of what differs between the end of a whole training and that of another one."""
    import numpy as np

    with np.load(one) as first, np.load(other) as second:
        whole, ended = dict(first), dict(second)
    whole.pop("resumed")
    epoch = int(ended.pop("resumed")[0]) if len(ended["resumed"]) else len(whole["history_epoch"])
    for name in [name for name in whole if name.startswith("history_")]:
        whole[name] = whole[name][epoch:]
        ended.setdefault(name, whole[name][:0])  # a process that had nothing left to do
    names = sorted({*whole, *ended} - {"resumed"})
    return [name for name in names if name not in ended or not np.array_equal(whole[name], ended[name])]


def run(kills: int, seed: int) -> tuple[int, list[str]]:
    """Kill so often, in trainings of several frequencies of backups; return how often, and what differed."""
    import torch

    from convia import callbacks, layers, models  # noqa: F401 - for all processes
    from convia.callbacks import random_state  # noqa: F401

    torch.set_num_threads(1)  # threads do not survive a fork
    rng, total, wrong = random.Random(seed), 0, []
    with tempfile.TemporaryDirectory() as name:
        whole: dict[Any, tuple[Path, float]] = {}
        number = 0
        while total < kills:
            setting = SETTINGS[number % len(SETTINGS)]
            if setting not in whole:
                folder = Path(name) / f"whole_{number}"
                process = Process(train, folder, *setting)
                while not (folder / "log").exists() and process.poll() is None:
                    time.sleep(0.002)
                began = time.monotonic()
                process.wait()
                whole[setting] = folder / "end.npz", time.monotonic() - began
            end, seconds = whole[setting]
            folder = Path(name) / f"killed_{number}"
            total += killed_and_resumed(folder, setting, rng, min(KILLS_EACH, kills - total), 0.4 * seconds)
            found = differences(end, folder / "end.npz")
            wrong += (
                [f"training {number}, {setting[1]}, backups every {setting[0]}: {', '.join(found)}"] if found else []
            )
            print(f"{total} kills, {len(wrong)} trainings that differ", flush=True)
            number += 1
    return total, wrong


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=50)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    options = parser.parse_args()
    wrong = run(options.kills, options.seed)[1]
    print("\n".join(wrong) or "all trainings ended with the same numbers")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
