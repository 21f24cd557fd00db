"""What callbacks and metrics have noted so far, as plain values and arrays, which a file can hold without pickle."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from convia.errors import explain

Arrays = Mapping[str, np.ndarray]


def callbacks_state(items: Iterable[Any]) -> dict[str, np.ndarray]:
    """Return the attributes that callbacks name in ``kept``.

    Raises:
        ValueError: one that is none of numbers, texts, arrays, None, and lists and dictionaries of these.
    """
    arrays: dict[str, np.ndarray] = {}
    rows = []
    for item, place in _numbered(items):
        values = {name: _packed(getattr(item, name), arrays) for name in item.kept}
        try:
            rows.append([*place, json.dumps(values)])
        except TypeError as error:
            received, expected = f"{', '.join(item.kept)} ({error})", "numbers, texts, arrays, or lists of them"
            raise ValueError(explain(f"BackupAndRestore, {place[0]}, attributes to keep", received, expected)) from None
    return {"rows": np.array(json.dumps(rows)), **arrays}


def set_callbacks_state(items: Iterable[Any], state: Arrays) -> None:
    """Give callbacks what they had noted; those that the state does not know, by class and place, are left alone."""
    known = {(kind, number): text for kind, number, text in json.loads(str(state["rows"]))} if state else {}
    for item, place in _numbered(items):
        values = json.loads(known.get(place, "{}"))
        for name in set(item.kept) & values.keys():
            setattr(item, name, _unpacked(values[name], state))


def _numbered(items: Iterable[Any]) -> Iterator[tuple[Any, tuple[str, int]]]:
    """Yield the callbacks that keep something, each with its class and how many of that class came before."""
    counts: Counter[str] = Counter()
    for item in items:
        if getattr(item, "kept", ()):
            kind = type(item).__name__
            yield item, (kind, counts[kind])
            counts[kind] += 1


def _packed(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, (np.ndarray, torch.Tensor)):
        arrays[f"array{len(arrays)}"] = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        return {"array": f"array{len(arrays) - 1}"}
    if isinstance(value, dict):
        return {"items": {key: _packed(item, arrays) for key, item in value.items()}}
    if isinstance(value, (list, tuple)):
        return [_packed(item, arrays) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _unpacked(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, dict):
        inner = value.get("items")
        return arrays[value["array"]] if inner is None else {key: _unpacked(v, arrays) for key, v in inner.items()}
    return [_unpacked(item, arrays) for item in value] if isinstance(value, list) else value


def metrics_state(model: Any) -> dict[str, np.ndarray]:
    """Return the state of a model's metrics in the middle of an epoch."""
    compiled, own = _metrics(model)
    return {
        f"{group}/{number}/{place}": variable.detach().cpu().numpy()
        for group, metrics in (("compiled", compiled), ("own", own))
        for number, metric in enumerate(metrics)
        for place, variable in enumerate(metric.variables)
    }


def set_metrics_state(model: Any, state: Arrays) -> None:
    """Give a model's metrics their state, those that do not exist yet as soon as they do."""
    rows: dict[str, dict[int, list[np.ndarray]]] = {"compiled": {}, "own": {}}
    for key, array in state.items():
        group, number, _ = key.split("/")
        rows[group].setdefault(int(number), []).append(array)
    for place, metric in enumerate(_metrics(model)[1]):
        metric.take_up(rows["own"].get(place, []))
    if rows["compiled"] and getattr(model, "objective", None) is not None:
        model.objective.take_up(rows["compiled"])


def _metrics(model: Any) -> tuple[list[Any], list[Any]]:
    """The metrics of ``compile``, and the model's own and its layers'; those of other libraries are not counted."""
    objective = getattr(model, "objective", None)
    compiled: list[Any] = objective.metrics if objective is not None else []
    others = [metric for metric in getattr(model, "metrics", ()) if all(metric is not item for item in compiled)]
    return compiled, [metric for metric in others if hasattr(metric, "take_up")]


__all__ = ["callbacks_state", "metrics_state", "set_callbacks_state", "set_metrics_state"]
