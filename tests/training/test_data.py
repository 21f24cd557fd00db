"""Batches from what users hold."""

import numpy as np
import pytest
import torch

from convia.training import data

NUMBERS = [0, 2, 1, 2]
WEIGHTS = {0: 1.0, 1: 0.5, 2: 3.0}
EXPECTED = [1.0, 3.0, 0.5, 3.0]


@pytest.mark.parametrize(
    "y",
    [
        torch.tensor(NUMBERS),
        torch.tensor(NUMBERS)[:, None],
        torch.tensor(NUMBERS).float(),
        torch.eye(3)[NUMBERS],
    ],
    ids=["numbers", "column", "floats", "one-hot rows"],
)
def test_weights_of_classes(y):
    assert data.class_weights(y, WEIGHTS).tolist() == EXPECTED


def test_one_hot_rows_of_two_classes():
    assert data.class_weights(torch.eye(2)[[1, 0, 1]], {0: 5.0, 1: 0.25}).tolist() == [0.25, 5.0, 0.25]


def test_weights_of_classes_and_samples_are_multiplied():
    weights = data.class_weights(torch.tensor(NUMBERS), WEIGHTS, torch.tensor([1, 2, 3, 0]))
    assert weights.dtype is torch.float32 and weights.tolist() == [1.0, 6.0, 1.5, 0.0]


@pytest.mark.parametrize("given", [[1.0, 5.0], np.ones(2)])
def test_weights_of_classes_are_a_dict(given):
    with pytest.raises(ValueError, match=rf"fit.*class_weight of type {type(given).__name__}.*a dict.*enumerate"):
        data.class_weights(torch.tensor([1, 0]), given)


def test_a_class_without_a_weight_counts_once():
    assert data.class_weights(torch.tensor([4, 0]), {0: 2.0}).tolist() == [1.0, 2.0]
    assert data.class_weights(torch.tensor([], dtype=torch.int64), {0: 2.0}).tolist() == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1, (1, None, None)),
        ((1,), (1, None, None)),
        ((1, 2), (1, 2, None)),
        ((1, 2, 3), (1, 2, 3)),
        ([1, 2], (1, 2, None)),
        ([1, 2, 3], (1, 2, 3)),
        ([1], ([1], None, None)),
        ([1, 2, 3, 4], ([1, 2, 3, 4], None, None)),
    ],
)
def test_parts_of_a_batch(given, expected):
    assert data.unpack(given) == expected


@pytest.mark.parametrize("given", [(), (1, 2, 3, 4)])
def test_too_few_or_too_many_parts(given):
    with pytest.raises(ValueError, match=rf"received a batch of {len(given)} parts; expected x, \(x, y\) or"):
        data.unpack(given)


@pytest.mark.parametrize("parts", [(1,), (1, 2), (1, 2, 3), (1, None, 3)])
def test_packing_undoes_unpacking(parts):
    packed = data.pack(*parts)
    assert packed == (parts[0] if len(parts) == 1 else parts)
    assert data.unpack(packed) == (*parts, *(None,) * (3 - len(parts)))
    assert data.pack([1, 2]) == ([1, 2],)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("float64", "float32"), ("float32", "float32"), ("uint8", "uint8"), ("uint16", "int64"), ("uint32", "int64")],
)
def test_types_of_arrays(kind, expected):
    tensor = data.as_tensor(np.array([1, 2], kind))
    assert str(tensor.dtype) == f"torch.{expected}" and tensor.tolist() == [1, 2]


def test_a_list_of_numbers_is_an_array_and_a_list_of_arrays_is_not():
    assert torch.equal(data.as_tensors([1, 2]), torch.tensor([1, 2]))
    assert data.as_tensors([[1, 2], [3, 4], [5, 6]]).shape == (3, 2) and data.as_tensors(((0,),)).shape == (1, 1)
    first, second = data.as_tensors([np.zeros(2), np.ones(2)])
    assert first.tolist() == [0, 0] and second.tolist() == [1, 1]
    assert data.as_tensors({"a": (np.ones(1),)})["a"][0].tolist() == [1]


@pytest.mark.parametrize(("samples", "size", "steps"), [(4, 2, 2), (5, 2, 3), (1, 2, 1), (40, None, 2)])
def test_batches_of_arrays(samples, size, steps):
    batches = data.ArrayBatches(np.arange(samples), np.arange(samples), None, size, False)
    seen = [x for x, _, _ in batches.epoch()]
    assert batches.steps == len(seen) == steps and batches.samples == samples
    assert torch.cat(seen).tolist() == list(range(samples))


@pytest.mark.parametrize("shuffle", [False, True])
def test_samples_are_named_by_their_places(shuffle):
    batches = data.ArrayBatches(np.arange(7), None, None, 3, shuffle)
    for number, (x, _, _) in enumerate(batches.epoch()):
        assert batches.names(number) == [f"sample {place}" for place in x.tolist()]
    assert batches.names(3) == []
