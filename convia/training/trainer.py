"""The training loop: fit, evaluate, predict, and the steps they are made of."""

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import config, distributed, tree
from convia.callbacks import CallbackList, History
from convia.errors import explain
from convia.training import (
    advice,
    blame,
    cuda_graphs,
    exhausted,
    features,
    interruption,
    memory,
    native,
    plans,
    quantized,
    sharing,
)
from convia.training.compiled import Compiled
from convia.training.data import Batch, Batches, adapt, as_tensors, class_weights, pack, split, unpack, whole

Logs = dict[str, float]


class Trainer(Compiled):
    """What makes a layer trainable: mixed into ``Model``.

    Attributes:
        cache_features: whether ``fit`` keeps what a frozen first part makes of each sample for all its epochs, where
            that changes no number; a :class:`FeatureCache` says how, and allows to keep views of augmented images.
    """

    cache_features: bool | features.FeatureCache = True

    @property
    def engine(self) -> str:
        """What computes on a CPU: "native (avx512, 2 threads)" and what it leaves to torch, or "torch: " and why."""
        return plans.describe(self)

    # -- one step -----------------------------------------------------------------------------------------------

    def train_step(self, data: Any) -> dict[str, Any]:
        """Learn from one batch (x, y, sample_weight); override it for an algorithm of your own."""
        self._learn(*unpack(data))
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measure one batch without learning; override it for an algorithm of your own."""
        self._measure(*unpack(data))
        return self.get_metrics_result()

    def predict_step(self, data: Any) -> Any:
        """Return the outputs for one batch; override it for an algorithm of your own."""
        x = unpack(data)[0]
        found = native.outputs(self, x)
        return self._outputs(x, training=False) if found is None else found

    def _outputs(self, x: Any, training: bool) -> Any:
        """Call the model on a batch: from a recording where that is quicker, and each process on its rows."""
        if plans.ranges(self) is not None:
            if training:
                quantized.refuse_training(self, "training")
            return native.outputs(self, x)
        if training not in self._recorders:
            self._recorders[training] = cuda_graphs.Recorder(self, training)
        found = self._recorders[training](self, x)
        return distributed.outputs(self, x, training=training) if found is None else found

    def _learn(self, x: Any, y: Any, weight: Any) -> None:
        """One step: outputs, loss, gradients, update; on the native engine where it can."""
        if native.step(self, x, y, weight, "train"):
            return
        if self._first_step:
            distributed.agree(self, (x, y, weight))
        kept = blame.Kept(self.buffers()) if self._first_step or self._stops_at_nan else None
        outputs = self._outputs(x, training=True)
        loss = self._compute_loss(x, y, outputs, weight, training=True)
        spoiled = kept is not None and kept.restored(unless=bool(torch.isfinite(loss).all()))
        if self._first_step:
            self._check_first_step(loss, x, outputs)
        if spoiled:
            self._note_nan(x)
            self._note_loss(loss, outputs)
            return
        variables = self._learned_variables()
        for variable in variables:
            variable.grad = None
        if variables:
            self.optimizer.scale_loss(loss).backward()
        with torch.no_grad():
            if variables:
                sharing.updater(self).apply(distributed.gradients(variables), variables)
            self._note_loss(loss, outputs)
            self._update_metrics(x, y, outputs, weight)

    def _note_nan(self, x: Any) -> None:
        """Keep in mind where the first loss that is not finite comes from."""
        if not self._nan_comes_from:
            told = f"{blame.cause(self, x, self._reading)}. The weights are those before this batch"
            object.__setattr__(self, "_nan_comes_from", told)

    def _nan_cause(self) -> str:
        """Say where a loss that is not finite comes from, after a step of any kind; "" where that is not known."""
        batch = self._reading.batch
        return self._nan_comes_from or ("" if batch is None else blame.cause(self, batch[0], self._reading))

    def _measure(self, x: Any, y: Any, weight: Any) -> None:
        if native.step(self, x, y, weight, "test"):
            return
        with torch.no_grad():
            outputs = self._outputs(x, training=False)
            self._note_loss(self._compute_loss(x, y, outputs, weight, training=False), outputs)
            self._update_metrics(x, y, outputs, weight)

    def _note_loss(self, loss: Tensor, outputs: Any) -> None:
        first = outputs if isinstance(outputs, Tensor) else tree.flatten(outputs)[0]
        self.objective.tracker.update_state(loss.detach(), sample_weight=first.shape[0] if first.ndim else 1)

    # -- fit ----------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> History:
        """Train for a number of epochs and return the History of losses and metrics.

        Args:
            x: arrays or tensors (N, …), lists or dicts of them; or a generator, PyDataset, DataLoader or any
                iterable that yields batches (x, y[, sample_weight]).
            y: targets, unless the dataset brings its own.
            batch_size: samples per step, 32 unless given.
            verbose: 0 silent, 1 progress bar, 2 one line per epoch.
            validation_split: share of the samples, taken from the end before shuffling, that is only measured.
            validation_data: (x, y[, sample_weight]) or a dataset to measure after epochs.
            class_weight: class index → weight of its samples.
            validation_freq: measure every so many epochs, or after the epochs in a list (counted from 1).

        Raises:
            ValueError: not compiled; arrays that do not fit each other, the model or the loss; a first loss that is
                not finite.
        """
        self._require_compiled("fit")
        quantized.refuse_training(self, "fit")
        distributed.begin()
        advice.look_at_trainable(self)
        epochs = _at_most(epochs, config.max_epochs())
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split(x, y, sample_weight, validation_split)
        x = whole(x)
        if steps_per_epoch is not None and hasattr(x, "endless"):  # a pipeline goes on where the last epoch stopped
            x = x.endless()
        batches = adapt(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            shuffle=shuffle,
            steps=steps_per_epoch,
            class_weight=class_weight,
        )
        validation = self._validation(validation_data, validation_batch_size or batch_size, validation_steps)
        advice.look_at_pictures(self, batches)
        batches, validation = features.prepare(self, batches, validation)
        hooks = self._hooks(callbacks, verbose, epochs, batches, history=True)
        for name, value in {"stop_training": False, "_resume_epoch": 0, "_resume_step": 0}.items():
            object.__setattr__(self, name, value)
        self._forget_compiled_functions()
        hooks.set_sources([*batches.sources, *(validation.sources if validation is not None else ())])
        hooks.on_train_begin()
        with interruption.patient(self, hooks) as notice:
            logs: Logs = {}
            with sharing.shared_out(self, type(self).train_step is not Trainer.train_step):
                for epoch in range(max(initial_epoch, self._resume_epoch), epochs):
                    due = validation is not None and _due(epoch, validation_freq)
                    logs = self._whole_epoch(epoch, batches, validation if due else None, hooks, notice)
                    if distributed.any_of_us(self.stop_training):
                        break
            if self._learned or self._resume_epoch:
                self.optimizer.finalize_variable_values(self._learned_variables())
            hooks.on_train_end(logs)
        history: History = hooks.history or self.history
        return history

    def _whole_epoch(
        self, epoch: int, batches: Batches, validation: Batches | None, hooks: CallbackList, notice: interruption.Notice
    ) -> Logs:
        """Train, then validate, unless a signal comes in between."""
        self.reset_metrics()
        with sharing.whole(self):
            hooks.on_epoch_begin(epoch)
        logs = self._epoch(batches, hooks)
        features.announce(batches, hooks)
        if self._steps_done != batches.steps and distributed.any_of_us(notice.signal is not None):
            with sharing.whole(self):
                hooks.on_interruption(epoch, self._steps_done)
            return logs
        if validation is not None:
            results = self._test_epoch(validation, hooks)
            logs.update({f"val_{name}": value for name, value in results.items()})
        with sharing.whole(self):
            hooks.on_epoch_end(epoch, logs)
            if distributed.any_of_us(notice.signal is not None):
                hooks.on_interruption(epoch + 1, 0)
        return logs

    def _epoch(self, batches: Batches, hooks: CallbackList) -> Logs:
        """Train on the batches of one epoch."""
        own_step = type(self).train_step is not Trainer.train_step
        learn: Callable[..., Any] = (lambda *parts: self.train_step(pack(*parts))) if own_step else self._learn
        returned = self._walk(batches, learn, hooks, "train", batches.steps)
        distributed.settle(self)
        logs = _numbers(returned if own_step and isinstance(returned, dict) else self.get_metrics_result())
        self._warn_of_nan(logs)
        return logs

    def _walk(
        self, batches: Batches, step: Callable[..., Any], hooks: CallbackList, mode: str, expected: int | None
    ) -> Any:
        """Take one step per batch, on the native engine where it can."""
        before, reading = self._reading, blame.Reading(batches, self._resume_step if mode == "train" else 0)
        object.__setattr__(self, "_reading", reading)
        try:
            if step in (self._learn, self._measure) and native.walk(self, batches, hooks, mode):
                return None
            return self._steps(batches, step, hooks, mode, expected)
        except (RuntimeError, MemoryError) as error:
            exhausted.explain_it(self, error, reading, mode)
            raise
        finally:
            object.__setattr__(self, "_reading", before)

    def _steps(
        self, batches: Batches, step: Callable[..., Any], hooks: CallbackList, mode: str, expected: int | None
    ) -> Any:
        """Take one step per batch and tell the callbacks that want to know."""
        memory.keep_freed()
        wants = getattr(hooks, f"wants_{mode}_batches")
        if mode == "train" and self._shares is not None:  # all processes gather weights where one shows them
            wants = distributed.any_of_us(wants)
        begin, end = getattr(hooks, f"on_{mode}_batch_begin"), getattr(hooks, f"on_{mode}_batch_end")
        progress = hooks.progress if mode == "train" or not hooks.inside_fit else None
        draw = getattr(progress, f"on_{mode}_batch_end", None)
        every, reading = self.steps_per_execution, self._reading
        result, start = None, reading.number
        count, epoch = start, batches.epoch()
        if start:  # a restored run goes on within its epoch
            self._pass_over(islice(epoch, start))
            hooks.on_resumption(start)
        for batch in epoch:
            reading.number, reading.batch = count, batch
            if wants and (count % every == 0 or count == start):
                begin(count)
            result = step(*batch)
            last = count % every == every - 1 or count + 1 == expected
            if wants and last:
                with sharing.whole(self):
                    end(count, self._step_logs(result))
            elif progress is not None and draw is not None and progress.due(count):
                draw(count, self._step_logs(result))
            count += 1
            if mode == "train" and distributed.any_of_us(self.stop_training):
                object.__setattr__(self, "stop_training", True)
                if count != expected:  # else the epoch comes to its end
                    break
        object.__setattr__(self, "_steps_done", count)
        self._check_count(count, expected, batches)
        return result

    def _pass_over(self, batches: Iterable[Batch]) -> None:
        """Take no steps on some batches; by the last of them losses and metrics know what they are, and may go on."""
        object.__setattr__(self, "_resume_step", 0)
        last = deque(batches, 1)
        own = any(getattr(type(self), name) is not getattr(Trainer, name) for name in ("train_step", "compute_loss"))
        for x, y, _ in last if not own and not self.objective.built else ():
            with torch.no_grad():
                self.objective.build(y, self._outputs(x, training=False), self._output_names())

    def _check_count(self, count: int, expected: int | None, batches: Batches) -> None:
        if count == 0:
            raise ValueError(
                explain("fit", "a dataset that yields no batch", "at least one batch", "Is the generator used up?")
            )
        if expected is not None and count < min(expected, batches.steps or expected) and not self.stop_training:
            warnings.warn(
                f"The data ended after {count} of {expected} steps; use a dataset that repeats, or fewer steps.",
                stacklevel=6,
            )

    def _step_logs(self, result: Any) -> Any:
        """Return what callbacks are told after a step: metrics, or what a function of the step's makes only then."""
        return (
            result()
            if callable(result)
            else _numbers(result if isinstance(result, dict) else self.get_metrics_result())
        )

    def _warn_of_nan(self, logs: Logs) -> None:
        if math.isnan(logs.get("loss", 0.0)) and not self._stops_at_nan:
            warnings.warn(
                explain(
                    f"fit of {self.name!r}",
                    "a loss of NaN",
                    "a finite loss",
                    "Lower the learning rate, scale the inputs, or use clipnorm; TerminateOnNaN() stops at once.",
                ),
                stacklevel=5,
            )

    def _hooks(
        self, callbacks: Any, verbose: Any, epochs: int, batches: Batches, history: bool = False
    ) -> CallbackList:
        if isinstance(callbacks, CallbackList):
            return callbacks
        mode = 0 if not distributed.is_first() else 1 if verbose == "auto" else verbose
        hooks = CallbackList(
            callbacks,
            add_history=history,
            add_progbar=bool(mode),
            model=self,
            verbose=mode,
            epochs=epochs,
            steps=batches.steps,
        )
        hooks.inside_fit = history
        return hooks

    def _validation(self, given: Any, batch_size: int | None, steps: int | None) -> Batches | None:
        if given is None:
            return None
        is_batch = isinstance(given, (tuple, list)) and len(given) in (2, 3)
        x, y, weight = unpack(tuple(given)) if is_batch else (given, None, None)
        return adapt(x, y, weight, batch_size=batch_size, steps=steps)

    # -- evaluate and predict -----------------------------------------------------------------------------------

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the loss and the metrics on data: a list (one number if only the loss), or a dict by name."""
        self._require_compiled("evaluate")
        batches = adapt(x, y, sample_weight, batch_size=batch_size, steps=steps)
        advice.look_at_pictures(self, batches)
        hooks = self._hooks(callbacks, verbose, 1, batches)
        with sharing.shared_out(self, type(self).test_step is not Trainer.test_step):
            logs = self._test_epoch(batches, hooks)
        object.__setattr__(self, "_evaluated", logs)
        if return_dict:
            return logs
        values = [logs[name] for name in self.metrics_names if name in logs]
        values += [value for name, value in sorted(logs.items()) if name not in self.metrics_names]
        return values[0] if len(values) == 1 else values

    def _test_epoch(self, batches: Batches, hooks: CallbackList) -> Logs:
        own_step = type(self).test_step is not Trainer.test_step
        measure: Callable[..., Any] = (lambda *parts: self.test_step(pack(*parts))) if own_step else self._measure
        self.reset_metrics()
        hooks.on_test_begin()
        returned = self._walk(batches, measure, hooks, "test", batches.steps)
        logs = _numbers(returned if own_step and isinstance(returned, dict) else self.get_metrics_result())
        hooks.on_test_end(logs)
        return logs

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Return the outputs for data as NumPy arrays, in the structure of the model's outputs."""
        distributed.join()
        batches = adapt(x, batch_size=batch_size, steps=steps)
        advice.look_at_pictures(self, batches)
        hooks = self._hooks(callbacks, verbose, 1, batches)
        parts: list[Any] = []

        def step(*batch: Any) -> Any:
            first = len(parts) // self.steps_per_execution * self.steps_per_execution  # batch of this execution
            parts.append(self.predict_step(pack(*batch)))
            return (lambda: {"outputs": _joined(parts[first:])}) if hooks.wants_predict_batches else {}

        hooks.on_predict_begin()
        try:
            found = native.predict(self, batches, hooks)
        except MemoryError as error:
            exhausted.explain_it(self, error, blame.Reading(batches), "predict")
            raise
        if found is None:
            with torch.no_grad(), sharing.shared_out(self, type(self).predict_step is not Trainer.predict_step):
                self._walk(batches, step, hooks, "predict", batches.steps)
        hooks.on_predict_end()
        if found is not None:
            return found
        return tree.map_structure(_array, _joined(parts))

    # -- single batches -----------------------------------------------------------------------------------------

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Learn from one batch and return its loss and metrics."""
        self._require_compiled("train_on_batch")
        quantized.refuse_training(self, "train_on_batch")
        x, y, weight = self._one_batch(x, y, sample_weight)
        self.reset_metrics()
        if class_weight:
            weight = class_weights(y, class_weight, weight)
        return self._results(self.train_step(pack(x, y, weight)), return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Measure one batch and return its loss and metrics."""
        self._require_compiled("test_on_batch")
        self.reset_metrics()
        return self._results(self.test_step(pack(*self._one_batch(x, y, sample_weight))), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch as NumPy arrays."""
        with torch.no_grad():
            outputs = self.predict_step(pack(as_tensors(x, config.device()), None, None))
        return tree.map_structure(_array, outputs)

    def _one_batch(self, *parts: Any) -> Iterator[Any]:
        return (as_tensors(part, config.device()) for part in parts)

    def _results(self, logs: dict[str, Any], return_dict: bool) -> Any:
        numbers = _numbers(logs)
        if return_dict:
            return numbers
        values = [numbers[name] for name in self.metrics_names if name in numbers] or list(numbers.values())
        return values[0] if len(values) == 1 else values


def _numbers(logs: dict[str, Any]) -> Logs:
    """Metric values as Python numbers, by name in alphabetical order as in Keras."""
    return {name: _number(logs[name]) for name in sorted(logs) if name != "outputs"}


def _number(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else value.detach().cpu().numpy()
    return value.item() if isinstance(value, np.generic) else value


def _joined(parts: list[Any]) -> Any:
    """Put the outputs for batches one after the other."""
    return tree.map_structure(lambda *pieces: torch.cat([torch.as_tensor(p) for p in pieces]), *parts)


def _array(tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu()
    plain: Tensor = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    return plain.numpy()


def _due(epoch: int, frequency: Any) -> bool:
    return (epoch + 1) % frequency == 0 if isinstance(frequency, int) else (epoch + 1) in frequency


def _at_most(epochs: int, most: int | None) -> int:
    if most is None or epochs <= most:
        return epochs
    warnings.warn(f"Training is cut to {most} epochs by config.max_epochs().", stacklevel=3)
    return most
