"""What training minimizes and reports: the losses and metrics of ``compile``, matched with the model's outputs."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from convia import losses, metrics, tree
from convia.errors import explain, nearest


class Objective:
    """Losses and metrics of a model, one list entry per output.

    Args:
        loss: a name, function or Loss; or a list or dict of them, one per output.
        loss_weights: factors of the outputs' losses.
        metrics, weighted_metrics: a list; or a list or dict of lists, one per output.
        output_names: the names by which dicts refer to outputs.
    """

    def __init__(self, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any) -> None:
        self.given = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self.built = False
        self.tracker = _mean("loss")
        self.output_trackers: list[Any] = []
        self._losses: list[Any] = []
        self._weights: list[float] = []
        self._metrics: list[list[Any]] = []
        self._weighted: list[list[Any]] = []
        self._awaited: Mapping[int, Any] = {}

    def build(self, y: Any, outputs: Any, names: list[str] | None) -> None:
        """Match losses and metrics with the outputs, and check the first batch against them.

        Raises:
            ValueError: a loss for an output that does not exist, labels that do not fit the outputs.
        """
        flat = tree.flatten(outputs)
        self.names = _names(outputs, names)
        targets = self._targets(y)
        self._losses = [
            losses.resolve(entry, _shape(target), _shape(output))
            for entry, target, output in zip(self._per_output(self.given["loss"], "loss"), targets, flat, strict=True)
        ]
        self._weights = [
            1.0 if weight is None else float(weight)
            for weight in self._per_output(self.given["loss_weights"], "loss_weights")
        ]
        if len(flat) > 1:
            self.output_trackers = [
                _mean(f"{name}_loss") if loss else None for name, loss in zip(self.names, self._losses, strict=True)
            ]
        for kind, books in (("metrics", self._metrics), ("weighted_metrics", self._weighted)):
            entries = self._metrics_per_output(self.given[kind], kind)
            for entry, name, target, output in zip(entries, self.names, targets, flat, strict=True):
                prefix = f"{name}_" if len(flat) > 1 else ""
                books.append([_metric(item, target, output, prefix) for item in entry])
        plain = {metric.name for group in self._metrics for metric in group}
        for metric in (metric for group in self._weighted for metric in group if metric.name in plain):
            metric.name = f"weighted_{metric.name}"
        for loss, name, target, output in zip(self._losses, self.names, targets, flat, strict=True):
            if loss is not None:
                _check_first_batch(loss, name, target, output)
        self.built = True
        self.take_up(self._awaited)

    # -- per step -----------------------------------------------------------------------------------------------

    def loss(self, y: Any, outputs: Any, weight: Any) -> Tensor | None:
        """Return the weighted sum of the outputs' losses, None when no output has one."""
        if len(self._losses) == 1:
            loss = self._losses[0]
            if loss is None:
                return None
            output = outputs if isinstance(outputs, Tensor) else tree.flatten(outputs)[0]
            value = loss(y if isinstance(y, Tensor) else self._targets(y)[0], output, self._sample_weights(weight)[0])
            weighted: Tensor | None = value if self._weights[0] == 1.0 else value * self._weights[0]
            return weighted
        total: Tensor | None = None
        rows = zip(
            self._losses,
            self._weights,
            self._targets(y),
            tree.flatten(outputs),
            self._sample_weights(weight),
            self.output_trackers,
            strict=True,
        )
        for loss, factor, target, output, sample_weight, tracker in rows:
            if loss is None:
                continue
            value = loss(target, output, sample_weight)
            tracker.update_state(value.detach(), sample_weight=_batch_size(output))
            value = value if factor == 1.0 else value * factor
            total = value if total is None else total + value
        return total

    def update(self, y: Any, outputs: Any, weight: Any, counted: Collection[Any] = ()) -> None:
        """Feed the metrics with a batch, all but those that were ``counted`` elsewhere."""
        if not any(self._metrics) and not any(self._weighted):
            return
        rows = zip(
            self._targets(y),
            tree.flatten(outputs),
            self._sample_weights(weight),
            self._metrics,
            self._weighted,
            strict=True,
        )
        for target, output, sample_weight, plain, weighted in rows:
            for metric in plain:
                if not any(metric is other for other in counted):
                    metric.update_state(target, output)
            for metric in weighted:
                metric.update_state(target, output, sample_weight=sample_weight)

    def take_up(self, states: Mapping[int, Any]) -> None:
        """Give the metrics, by number, states that they had in an epoch; before there are metrics, once there are."""
        self._awaited = states if not self.built else {}
        for number, metric in enumerate(self.metrics if self.built else ()):
            metric.take_up(states.get(number, ()))

    # -- books --------------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Any]:
        """The loss's mean, those of the outputs, and the metrics."""
        return [*self.trackers, *(metric for group in (*self._metrics, *self._weighted) for metric in group)]

    @property
    def trackers(self) -> list[Any]:
        """The mean of the loss, then those of the outputs' losses."""
        return [self.tracker, *(tracker for tracker in self.output_trackers if tracker)]

    def _targets(self, y: Any) -> list[Any]:
        if isinstance(y, Tensor) or y is None:
            return [y] * len(self.names)
        if isinstance(y, dict):
            return [y.get(name) for name in self.names]
        return self._one_each(y, "targets")

    def _sample_weights(self, weight: Any) -> list[Any]:
        if weight is None or isinstance(weight, Tensor):
            return [weight] * len(self.names)
        if isinstance(weight, dict):
            return [weight.get(name) for name in self.names]
        return self._one_each(weight, "sample weights")

    def _one_each(self, given: Any, what: str) -> list[Any]:
        flat = tree.flatten(given)
        if len(flat) != len(self.names):
            expected = f"{len(self.names)}, one per output: {self.names}"
            raise ValueError(explain("fit", f"{len(flat)} arrays of {what}", expected))
        return flat

    def _per_output(self, given: Any, what: str) -> list[Any]:
        count = len(self.names)
        if isinstance(given, dict) and "class_name" not in given:
            unknown = sorted(set(given) - set(self.names))
            if unknown:
                raise ValueError(
                    explain(
                        f"compile, {what}",
                        f"the output name {unknown[0]!r}",
                        f"outputs {self.names}",
                        nearest(unknown[0], self.names),
                    )
                )
            return [given.get(name) for name in self.names]
        if isinstance(given, (list, tuple)):
            if len(given) != count:
                raise ValueError(
                    explain(
                        f"compile, {what}", f"{len(given)} entries", f"{count}, one per output: {', '.join(self.names)}"
                    )
                )
            return list(given)
        return [given] * count

    def _metrics_per_output(self, given: Any, what: str) -> list[list[Any]]:
        count = len(self.names)
        if given is None:
            return [[] for _ in range(count)]
        if isinstance(given, dict):
            return [_listed(entry) for entry in self._per_output(given, what)]
        nested = any(isinstance(entry, (list, tuple)) for entry in _listed(given))
        if count > 1 and nested:
            return [_listed(entry) for entry in self._per_output(given, what)]
        if count == 1:
            return [[item for entry in _listed(given) for item in _listed(entry)]]
        if len(_listed(given)) == count:
            return [_listed(entry) for entry in given]
        return [_listed(given) for _ in range(count)]


def _listed(entry: Any) -> list[Any]:
    if entry is None:
        return []
    return list(entry) if isinstance(entry, (list, tuple)) else [entry]


def _names(outputs: Any, names: list[str] | None) -> list[str]:
    if isinstance(outputs, dict):
        return sorted(outputs)
    count = len(tree.flatten(outputs))
    if names is not None and len(names) == count:
        return names
    return [f"output_{index}" for index in range(count)] if count > 1 else ["output"]


def _mean(name: str) -> Any:
    return metrics.Mean(name=name)


def _batch_size(output: Tensor) -> int:
    return output.shape[0] if output.ndim else 1


def _shape(tensor: Any) -> tuple[int, ...]:
    return () if tensor is None else tuple(tensor.shape)


def _metric(item: Any, target: Any, output: Tensor, prefix: str) -> Any:
    metric = metrics.resolve(item, _shape(target), _shape(output))
    if prefix and not str(metric.name).startswith(prefix):
        metric.name = f"{prefix}{metric.name}"
    return metric


def _check_first_batch(loss: Any, name: str, target: Any, output: Tensor) -> None:
    if target is None:
        raise ValueError(
            explain(
                f"fit, loss of output {name!r}",
                "no targets y",
                "targets for every output that has a loss",
                "Pass y, yield (x, y) from the dataset, or leave the loss out and use add_loss.",
            )
        )
    with torch.no_grad():
        loss.check(target, output)
