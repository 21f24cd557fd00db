"""Connectionist temporal classification (Graves et al. 2006): the loss of unaligned labels, and reading labels off."""

from collections import defaultdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia.errors import explain
from convia.ops.door import public, publish, result_dtype
from convia.symbolic import tracing


@public(4)
def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Any:
    """−ln of the probability of the labels, (N,), for logits (N, steps, classes) and labels (N, most labels).

    Args:
        target_length, output_length: how many labels and steps count, (N,).
        mask_index: the class of "no label".
    """
    output = output.to(result_dtype(output.dtype, "float32"))
    if tracing():  # torch computes this loss on numbers alone
        return output.new_empty(len(output))
    scores = F.log_softmax(output, -1).transpose(0, 1)
    return F.ctc_loss(scores, target, output_length, target_length, mask_index, reduction="none")


@public(2)
def ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> Any:
    """Read labels off scores (N, steps, classes): (paths, N, steps) filled up with −1, and their scores (N, paths).

    "greedy" takes the best class of each step (score: minus their sum), "beam_search" follows the best
    ``beam_width`` label sequences (score: ln of their probability).

    Raises:
        ValueError: another strategy.
    """
    if strategy not in ("greedy", "beam_search"):
        raise ValueError(explain("ctc_decode, argument 'strategy'", repr(strategy), "'greedy' or 'beam_search'"))
    inputs = inputs.to(result_dtype(inputs.dtype, "float32"))
    count, steps, classes = inputs.shape
    mask_index = classes - 1 if mask_index is None else mask_index
    if strategy == "greedy":
        return _greedy(inputs, sequence_lengths, merge_repeated, mask_index)
    if tracing():
        return inputs.new_empty(top_paths, count, steps, dtype=torch.int32), inputs.new_empty(count, top_paths)
    scores = F.log_softmax(inputs, -1).double().cpu().numpy()
    best = [
        _beams(row[:length], beam_width, mask_index)[:top_paths]
        for row, length in zip(scores, sequence_lengths.tolist(), strict=True)
    ]
    paths = np.full((top_paths, count, steps), -1, np.int32)
    values = np.full((count, top_paths), -np.inf)
    for sample, beams in enumerate(best):
        for number, (path, score) in enumerate(beams):
            paths[number, sample, : len(path)] = path
            values[sample, number] = score
    return torch.as_tensor(paths, device=inputs.device), torch.as_tensor(values).to(inputs)


def _greedy(inputs: Tensor, lengths: Tensor, merge: bool, blank: int) -> tuple[Tensor, Tensor]:
    steps = inputs.shape[1]
    scores, labels = inputs.max(-1)
    beyond = torch.arange(steps, device=inputs.device) >= lengths[:, None]
    labels = torch.where(beyond, blank, labels.int())
    if merge:
        repeated = F.pad(labels[:, 1:] == labels[:, :-1], (1, 0))
        labels = torch.where(repeated, blank, labels)
    empty = labels == blank
    order = empty.int().argsort(dim=-1, stable=True)  # what is empty goes to the end
    packed = torch.where(empty, -1, labels).gather(-1, order)
    return packed[None], -torch.where(beyond, 0, scores).sum(1, keepdim=True)


def _beams(scores: np.ndarray, width: int, blank: int) -> list[tuple[tuple[int, ...], float]]:
    """Label sequences and ln of their probability, best first. Each sequence has two: ending in blank, and not."""
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}
    labels = [label for label in range(scores.shape[-1]) if label != blank]
    for step in scores:
        after: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-np.inf, -np.inf])
        for path, (in_blank, in_label) in beams.items():
            whole = np.logaddexp(in_blank, in_label)
            entry = after[path]
            entry[0] = np.logaddexp(entry[0], whole + step[blank])
            if path:
                entry[1] = np.logaddexp(entry[1], in_label + step[path[-1]])
            for label in labels:
                longer = after[(*path, label)]
                before = in_blank if path and label == path[-1] else whole
                longer[1] = np.logaddexp(longer[1], before + step[label])
        ranked = sorted(after.items(), key=lambda item: -np.logaddexp(item[1][0], item[1][1]))
        beams = {path: (values[0], values[1]) for path, values in ranked[:width]}
    return [(path, float(np.logaddexp(*values))) for path, values in beams.items()]


publish(globals())
