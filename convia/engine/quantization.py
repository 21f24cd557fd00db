"""Quantization to 8 bits: ranges of a plan's tensors, measured on samples, and the bytes that stand for their numbers.

A byte q is the number (q − zero) · scale, so that 0 itself is a byte (Jacob et al., 2018, arXiv:1712.05877, part 2.1).
Kernels get a scale for each output channel from their own largest weight; tensors have one scale, of a range in which
samples are rounded and cut off with the least squared error (Nagel et al., 2021, arXiv:2106.08295, section 3.1).
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia.engine.plan import KINDS, Plan

Ranges = dict[str, tuple[float, float]]  # of tensors by name

_BINS = 2048
_SHARES = np.linspace(0.2, 1.0, 81)  # of the largest range, of which one is chosen
_LEVELS = 255
_MOST = 1 << 24  # numbers that are looked at together


def measured(plan: Plan, native: Any, isa: str, threads: int, batches: Iterable[list[Tensor]]) -> Ranges:
    """Return the ranges of all tensors that are left where a network for predictions joins steps.

    Args:
        plan: of predictions.
        native: the compiled module.
        isa: the instruction set.
        threads: how many.
        batches: inputs, float32 or bytes, a list for each batch; they are gone through twice.

    Raises:
        FloatingPointError: a tensor, whose name is the message, has numbers that are not finite.
    """
    kept = plan.assemble_wide(native, isa, threads).kept
    network = replace(plan, outputs=kept).assemble_wide(native, isa, threads)
    lowest, highest = np.zeros(len(kept)), np.zeros(len(kept))
    for values in _each(network, plan, kept, batches):
        for i, value in enumerate(values):
            low, high = (float(end) for end in value.aminmax())
            if not np.isfinite((low, high)).all():
                raise FloatingPointError(plan.names[kept[i]])
            lowest[i], highest[i] = min(lowest[i], low), max(highest[i], high)
    counts = np.zeros((len(kept), _BINS))
    for values in _each(network, plan, kept, batches):
        for i, value in enumerate(values):
            if lowest[i] < highest[i]:
                counts[i] += torch.histc(value, _BINS, lowest[i], highest[i]).numpy()
    return {plan.names[t]: _best(float(lowest[i]), float(highest[i]), counts[i]) for i, t in enumerate(kept)}


def _each(network: Any, plan: Plan, kept: list[int], batches: Iterable[list[Tensor]]) -> Iterable[list[Tensor]]:
    """Yield the numbers of all kept tensors, of a few samples at a time."""
    few = max(1, _MOST // sum(math.prod(plan.shapes[tensor]) for tensor in kept))
    for batch in batches:
        for start in range(0, len(batch[0]), few):
            inputs = [x[start : start + few] for x in batch]
            count = len(inputs[0])
            outputs = [torch.empty(count, *plan.shapes[tensor]) for tensor in kept]
            addresses = [(x.data_ptr(), x.dtype is torch.uint8) for x in inputs]
            network.run(addresses, [out.data_ptr() for out in outputs], 0, count, 1)
            yield outputs


def _best(low: float, high: float, counts: np.ndarray) -> tuple[float, float]:
    """Return the range, 0 in it, whose bytes are nearest to a histogram's numbers by the mean square."""
    if not low < high:
        return low, high
    numbers = low + (np.arange(_BINS) + 0.5) * (high - low) / _BINS
    ranges = [(low * float(share), high * float(share)) for share in _SHARES]
    errors = [counts @ (rounded(numbers, *quantum(*each)) - numbers) ** 2 for each in ranges]
    return ranges[int(np.argmin(errors))]


def quantum(low: float, high: float) -> tuple[float, int]:
    """Return the scale and the zero of a range, which is widened to hold 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32(max((high - low) / _LEVELS, 1e-30)))
    return scale, int(np.clip(np.rint(-low / scale), 0, _LEVELS))


def rounded(numbers: np.ndarray, scale: float, zero: int) -> np.ndarray:
    """Return what the bytes of numbers stand for."""
    return (np.clip(np.rint(numbers / scale + zero), 0, _LEVELS) - zero) * scale


def quanta(plan: Plan, ranges: Ranges) -> list[tuple[int, float, int]]:
    """Return (tensor, scale, zero) of the tensors whose ranges are known.

    Copies and maxima move bytes as they are, so that what they read and write has one range.
    """
    first = list(range(len(plan.shapes)))  # of the tensors with the same range

    def find(tensor: int) -> int:
        while first[tensor] != tensor:
            tensor = first[tensor]
        return tensor

    for step in plan.steps:
        if KINDS[step["kind"]] in ("copy", "pool_max"):
            first[find(step["out"])] = find(step["ins"][0])
    whole: dict[int, tuple[float, float]] = {}
    for tensor, name in enumerate(plan.names):
        if name in ranges:
            low, high = whole.get(find(tensor), (0.0, 0.0))
            whole[find(tensor)] = min(low, ranges[name][0]), max(high, ranges[name][1])
    return [(t, *quantum(*whole[find(t)])) for t, name in enumerate(plan.names) if name in ranges]


def kernels(native: Any, isa: str) -> str:
    """Return the name of the best kernels on bytes of an instruction set."""
    return next(str(name) for name, own in native.byte_kernels() if own == isa)
