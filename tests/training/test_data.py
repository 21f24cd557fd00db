"""Batches from what users hold."""

import inspect
import threading
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import torch

from convia import config
from convia.pipeline import Dataset
from convia.preprocessing.image import ImageDataGenerator
from convia.training import blame, data
from convia.utils import save_img

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


@pytest.mark.parametrize(("steps", "expected"), [(5, [0, 1, 2, 0, 1]), (2, [0, 1]), (3, [0, 1, 2]), (1.5, [0, 1])])
def test_arrays_are_gone_through_again_when_more_steps_are_asked_for(steps, expected):
    batches = data.adapt(np.arange(6), batch_size=2, steps=steps)
    for _ in range(2):
        assert [x.tolist() for x, _, _ in batches.epoch()] == [[2 * n, 2 * n + 1] for n in expected]
    assert batches.steps == len(expected) and batches.samples == 6
    assert batches.names(3) == ["sample 0", "sample 1"]


def test_shuffled_batches_stay_together():
    batches = data.ArrayBatches(np.arange(101), None, None, 2, "batch")
    drawn = torch.cat([x for x, _, _ in batches.epoch()]).tolist()
    assert drawn != sorted(drawn) == list(range(101))
    assert all(drawn[drawn.index(first) + 1] == first + 1 for first in range(0, 100, 2))


class Numbers(data.PyDataset):
    """Batches of one number, their index."""

    def __init__(self, length, **arguments):
        super().__init__(**arguments)
        self.length, self.asked, self.epochs, self.threads = length, [], [], set()

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.asked.append(index)
        self.threads.add(threading.current_thread())
        return np.array([index])

    def on_epoch_begin(self):
        self.epochs.append("begin")

    def on_epoch_end(self):
        self.epochs.append("end")


def test_a_dataset_takes_keras_s_arguments_and_holds_them():
    given, theirs = inspect.signature(data.PyDataset).parameters, inspect.signature(keras.utils.PyDataset).parameters
    assert {name: each.default for name, each in given.items()} == {name: each.default for name, each in theirs.items()}
    made = Numbers(3, workers=2, use_multiprocessing=True, max_queue_size=5)
    assert (made.workers, made.use_multiprocessing, made.max_queue_size) == (2, True, 5)
    assert made.num_batches == 3 and data.PyDataset().num_batches is None


def numbers(batches):
    return [int(x) for x, _, _ in batches.epoch()]


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("steps", "expected"), [(None, [0, 1, 2, 3]), (2, [0, 1]), (6, [0, 1, 2, 3, 0, 1]), (1.5, [0, 1])]
)
def test_a_dataset_starts_again_when_more_steps_are_asked_for(steps, expected, workers):
    source = Numbers(4, workers=workers)
    batches = data.adapt(source, steps=steps)
    assert batches.steps == len(expected)
    assert numbers(batches) == numbers(batches) == expected
    assert sorted(source.asked) == sorted(2 * expected)
    assert source.epochs == ["begin", "end"] * 2
    assert (threading.current_thread() in source.threads) == (workers < 2)


def test_a_dataset_is_shuffled_where_that_is_asked_for():
    shuffled = numbers(data.adapt(Numbers(50), shuffle=True))
    assert numbers(data.adapt(Numbers(50))) == sorted(shuffled) == list(range(50)) != shuffled


def test_no_more_batches_are_fetched_ahead_than_the_queue_holds():
    source = Numbers(30, workers=2, max_queue_size=3)
    epoch = data.adapt(source).epoch()
    for taken in range(1, 28):
        next(epoch)
        assert taken <= len(source.asked) <= taken + 3
    assert len(list(epoch)) == 3 and sorted(source.asked) == list(range(30))


def test_a_generator_goes_on_where_it_stopped_and_what_can_be_iterated_again_does_not():
    class Again:
        def __iter__(self):
            return (np.array([n]) for n in range(5))

    going_on, again = data.adapt(iter(Again()), steps=2), data.adapt(Again(), steps=2)
    assert [numbers(going_on) for _ in range(3)] == [[0, 1], [2, 3], [4]]
    assert [numbers(again) for _ in range(2)] == [[0, 1], [0, 1]]
    assert data.adapt(Again()).steps is None and numbers(data.adapt(Again())) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("length", "most", "expected"), [(5, 2, [0, 1]), (2, 2, [0, 1]), (1, 2, [0])])
def test_a_trial_cuts_epochs_short(length, most, expected):
    config.set_max_steps_per_epoch(most)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batches = data.adapt(Numbers(length))
    assert numbers(batches) == expected and batches.steps == len(expected)
    assert [f"cut to {most} steps" in str(one.message) for one in caught] == [True] * (length > most)


def test_a_trial_of_what_has_no_length_has_none_either():
    config.set_max_steps_per_epoch(2)
    with pytest.warns(UserWarning, match="cut to 2 steps"):
        batches = data.adapt(np.array([n]) for n in range(5))
    assert batches.steps is None and numbers(batches) == [0, 1]


@pytest.mark.parametrize(("fraction", "border"), [(0.25, 7), (0.3, 7), (0.5, 5), (0.99, 0), (0.01, 9)])
def test_the_last_samples_are_split_off(fraction, border):
    x = np.arange(10)
    if border == 0:
        with pytest.raises(ValueError, match="at least one sample in each part"):
            data.split(x, x, None, fraction)
        return
    (x_1, y_1, weight), (x_2, y_2, _) = data.split(x, 2 * x, None, fraction)
    assert x_1.tolist() == list(range(border)) and x_2.tolist() == list(range(border, 10))
    assert torch.equal(y_1, 2 * x_1) and torch.equal(y_2, 2 * x_2) and weight is None


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5])
def test_what_no_share_is_splits_nothing(fraction):
    with pytest.raises(ValueError, match="expected a number between 0 and 1"):
        data.split(np.arange(10), None, None, fraction)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((np.zeros(3), np.zeros(2), None), r"different lengths \(x: 3, y: 2\)"),
        ((np.zeros(3), None, np.zeros(4)), r"different lengths \(x: 3, sample_weight: 4\)"),
        (([np.zeros(3), np.zeros(2)], None, None), r"different lengths \(x: 3, x: 2\)"),
        ((torch.tensor(3.0), None, None), "a single number"),
        ((np.zeros(0), None, None), "no samples"),
        ((np.zeros(3), np.zeros(3), None, 0), r"batch_size=0; expected a whole number ≥ 1"),
    ],
)
def test_arrays_that_make_no_batches(parts, message):
    with pytest.raises(ValueError, match=message):
        data.ArrayBatches(*parts, *(8, False)[len(parts) - 3 :])


def test_classes_of_several_outputs_have_weights_of_their_own():
    y = [torch.tensor([0, 1]), torch.tensor([1, 1])]
    first, second = data.class_weights(y, [{0: 2.0}, {1: 5.0}])
    assert first.tolist() == [2.0, 1.0] and second.tolist() == [5.0, 5.0]
    first, second = data.class_weights(y, [{0: 2.0}, None], [torch.tensor([3.0, 4.0]), torch.tensor([0.5, 2.0])])
    assert first.tolist() == [6.0, 4.0] and second.tolist() == [0.5, 2.0]
    first, second = data.class_weights(y, [None, {1: 5.0}], torch.tensor([3.0, 4.0]))
    assert first.tolist() == [3.0, 4.0] and second.tolist() == [15.0, 20.0]
    for given in ({0: 1.0}, [{0: 1.0}]):
        with pytest.raises(ValueError, match="class_weight with several outputs; expected a dict for each"):
            data.class_weights(y, given)


@pytest.mark.parametrize("beside", ["y", "sample_weight"])
def test_what_stands_beside_a_dataset_belongs_in_its_batches(beside):
    with pytest.raises(
        ValueError, match=f"received {beside} beside a dataset .*; expected {beside} within the batches"
    ):
        data.adapt(Numbers(3), **{beside: np.zeros(3)})


def test_batches_are_named_by_what_their_data_have_noted():
    rows = data.adapt(Dataset.from_tensor_slices(np.arange(6)).shuffle(6).batch(2))
    for number, (x, _, _) in enumerate(rows.epoch()):
        assert list(rows.names(number)) == [f"sample {place}" for place in x.tolist()]
    unknown = data.adapt(Numbers(2))
    assert numbers(unknown) and list(unknown.names(0)) == []
    assert blame.Reading(data.Batches()).names() == () == data.Batches().sources


@pytest.mark.parametrize(("processes", "expected"), [(1, [0, 1, 2]), (2, [])])
def test_flows_are_asked_in_their_order_by_one_thread_ahead_unless_processes_share_them(
    processes, expected, monkeypatch
):
    flow = ImageDataGenerator().flow(np.arange(6.0).reshape(6, 1, 1, 1), batch_size=2, shuffle=False)
    flow.workers, asked = 3, []
    flow.__getitem__ = lambda index: (asked.append((index, threading.current_thread())), flow[index])[1]
    monkeypatch.setattr(data.distributed, "size", lambda: processes)
    seen = torch.cat([x for x, _, _ in data.adapt(flow).epoch()])
    assert seen.flatten().tolist() == [0, 1, 2, 3, 4, 5] and [index for index, _ in asked] == expected
    assert len({thread for _, thread in asked} - {threading.current_thread()}) == (processes == 1)


def test_what_is_iterated_is_not_begun_before_its_epoch():
    begun = []

    class Costly:
        def __iter__(self):
            begun.append(self)
            return (np.array([n]) for n in range(2))

    batches = data.adapt(Costly())
    assert begun == [] and numbers(batches) == [0, 1] and len(begun) == 1


def test_batches_of_a_flow_are_named_by_the_files_that_could_be_read(tmp_path):
    for number in range(3):
        (tmp_path / "kind").mkdir(exist_ok=True)
        save_img(tmp_path / "kind" / f"{number}.png", np.zeros((2, 2, 3)))
    flow = ImageDataGenerator().flow_from_directory(tmp_path, (2, 2), batch_size=2, shuffle=False)
    batches = data.adapt(flow)
    assert len(list(batches.epoch())) == 2
    assert [Path(name).name for name in batches.names(0)] == ["0.png", "1.png"]
    flow.unreadable = {flow.filepaths[1]: "cut off"}
    assert [Path(name).name for name in (*batches.names(0), *batches.names(1))] == ["0.png", "2.png"]
