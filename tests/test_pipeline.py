"""Data sets: what each method gives against plain Python, sizes, passes, threads, and training on them."""

import threading
import time

import numpy as np
import pytest
import torch

import convia
from convia.pipeline import AUTOTUNE, INFINITE, UNKNOWN, Dataset

TEN = Dataset.range(10)


def values(dataset):
    return [element.tolist() for element in dataset]


CASES = {  # data set, its elements, its size
    "range": (TEN, [*range(10)], 10),
    "steps": (Dataset.range(2, 9, 3), [2, 5, 8], 3),
    "map": (TEN.map(lambda x: x * 2), [*range(0, 20, 2)], 10),
    "map in threads": (TEN.map(lambda x: x * 2, num_parallel_calls=AUTOTUNE), [*range(0, 20, 2)], 10),
    "filter": (TEN.filter(lambda x: x % 3 == 0), [0, 3, 6, 9], UNKNOWN),
    "batch": (TEN.batch(4), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]], 3),
    "whole batches": (TEN.batch(4, drop_remainder=True), [[0, 1, 2, 3], [4, 5, 6, 7]], 2),
    "unbatch": (TEN.batch(4).unbatch(), [*range(10)], UNKNOWN),
    "cache": (TEN.cache(), [*range(10)], 10),
    "prefetch": (TEN.prefetch(AUTOTUNE), [*range(10)], 10),
    "prefetch nothing": (TEN.prefetch(0), [*range(10)], 10),
    "take": (TEN.take(3), [0, 1, 2], 3),
    "take all": (TEN.take(-1), [*range(10)], 10),
    "take more": (TEN.take(30), [*range(10)], 10),
    "take a tensor": (TEN.take(torch.tensor(2)), [0, 1], 2),
    "skip": (TEN.skip(8), [8, 9], 2),
    "skip all": (TEN.skip(-1), [], 0),
    "skip more": (TEN.skip(30), [], 0),
    "repeat": (TEN.take(2).repeat(3), [0, 1] * 3, 6),
    "repeat and take": (TEN.repeat().take(12), [*range(10), 0, 1], 12),
    "repeat nothing": (TEN.take(0).repeat(), [], 0),
    "concatenate": (TEN.take(2).concatenate(TEN.skip(9)), [0, 1, 9], 3),
    "shard": (TEN.shard(4, 1), [1, 5, 9], 3),
    "apply": (TEN.apply(lambda data: data.skip(7)), [7, 8, 9], 3),
    "from a generator": (Dataset.from_generator(lambda n: iter(range(n)), (3,)), [0, 1, 2], UNKNOWN),
    "slices": (Dataset.from_tensor_slices([[1, 2], [3, 4]]), [[1, 2], [3, 4]], 2),
}


@pytest.mark.parametrize("name", CASES)
def test_elements_and_sizes(name):
    dataset, expected, size = CASES[name]
    assert values(dataset) == expected
    assert values(dataset) == expected  # again
    assert dataset.cardinality().numpy() == size
    if size >= 0:
        assert len(dataset) == size


def test_structures():
    data = Dataset.from_tensor_slices(({"a": np.arange(4), "b": np.ones((4, 2))}, np.arange(4) * 10))
    pairs = [*data.batch(3)]
    assert [(x["a"].tolist(), tuple(x["b"].shape), y.tolist()) for x, y in pairs] == [
        ([0, 1, 2], (3, 2), [0, 10, 20]),
        ([3], (1, 2), [30]),
    ]
    assert [int(y) for _, y in data.batch(3).unbatch()] == [0, 10, 20, 30]
    assert values(data.map(lambda x, y: x["a"] + y)) == [0, 11, 22, 33]
    assert values(data.filter(lambda x, y: y > 10).map(lambda x, y: y)) == [20, 30]
    texts = Dataset.from_tensor_slices((["x", "y"], [1, 2])).batch(2)
    assert next(iter(texts))[0].tolist() == ["x", "y"]


def test_zip_enumerate_and_reduce():
    pairs = Dataset.zip(TEN, TEN.skip(7))
    assert [(int(a), int(b)) for a, b in pairs] == [(0, 7), (1, 8), (2, 9)]
    assert len(pairs) == len(Dataset.zip((TEN, TEN.skip(7)))) == 3
    assert int(Dataset.zip(TEN.repeat(), TEN.repeat()).cardinality()) == INFINITE
    assert int(Dataset.zip(TEN.repeat(), TEN.batch(3)).cardinality()) == 4
    assert [(int(k), int(x)) for k, x in TEN.skip(8).enumerate(start=5)] == [(5, 8), (6, 9)]
    assert int(TEN.reduce(0, lambda total, x: total + x)) == 45
    x, y = next(Dataset.from_tensor_slices(([1.5], [2])).as_numpy_iterator())
    assert isinstance(x, np.generic | np.ndarray) and (float(x), int(y)) == (1.5, 2)


def test_shuffle():
    data = TEN.shuffle(4, seed=3)
    first, second = values(data), values(data)
    assert sorted(first) == sorted(second) == [*range(10)]
    assert first != second
    assert all(x < place + 5 for place, x in enumerate(first))  # from a buffer of four
    assert [first, second] == [values(again) for again in [TEN.shuffle(4, seed=3)] for _ in range(2)]
    still = TEN.shuffle(10, seed=3, reshuffle_each_iteration=False)
    assert values(still) == values(still) != [*range(10)]
    np.random.seed(1)
    drawn = values(TEN.shuffle(10))
    np.random.seed(1)
    assert values(TEN.shuffle(10)) == drawn


def test_cache_keeps_what_was_made(tmp_path):
    made = []
    data = TEN.map(lambda x: made.append(int(x)) or x)
    kept = data.cache()
    assert values(kept.take(3)) == [0, 1, 2] and values(kept) == values(kept) == [*range(10)]
    assert made == [0, 1, 2, 3, *range(10)]  # an unfinished pass, which is one ahead, is not kept
    made.clear()
    exact = data.cache()
    steps = iter(exact)
    assert [int(next(steps)) for _ in range(10)] == [*range(10)]  # never asked for the end
    assert values(exact) == made == [*range(10)]
    made.clear()
    path = tmp_path / "deep" / "numbers"
    for _ in range(2):
        assert values(data.cache(path)) == [*range(10)]
    assert made == [*range(10)]


def test_prefetch_runs_ahead_and_ends():
    before = threading.active_count()
    made = []
    steps = iter(TEN.map(lambda x: made.append(int(x)) or x).prefetch(3))
    assert int(next(steps)) == 0
    deadline = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert 4 <= len(made) <= 6
    steps.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("wrap", [lambda f: TEN.map(f).prefetch(2), lambda f: TEN.map(f, num_parallel_calls=3)])
def test_errors_come_where_the_elements_are_asked_for(wrap):
    def fail(x):
        if x == 2:
            raise KeyError("here")
        return x

    steps = iter(wrap(fail))
    assert [int(next(steps)), int(next(steps))] == [0, 1]
    with pytest.raises(KeyError, match="here"):
        next(steps)


def test_class_names_go_along():
    data = Dataset(lambda: range(3), 3, ["a", "b"])
    assert data.map(lambda x: x).shuffle(2).take(1).class_names == ["a", "b"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: len(TEN.repeat()), TypeError, "an infinite number of elements.*steps_per_epoch"),
        (lambda: len(TEN.filter(bool)), TypeError, "an unknown number of elements"),
        (lambda: TEN.batch(0), ValueError, "Dataset.batch, argument 'batch_size': received 0; expected .* ≥ 1"),
        (lambda: TEN.shuffle(0), ValueError, "argument 'buffer_size'"),
        (lambda: TEN.shard(2, 2), ValueError, "index=2; expected a number from 0 to 1"),
        (lambda: Dataset.from_tensor_slices(([1, 2], [1])), ValueError, r"arrays of lengths \[1, 2\]"),
        (lambda: Dataset.from_tensor_slices(3), ValueError, "a number; expected arrays"),
        (
            lambda: [
                *Dataset.from_generator(lambda: [[1.0], [1.0, 2.0]])
                .map(lambda row: np.array([float(v) for v in row]))
                .batch(2)
            ],
            ValueError,
            r"elements of shapes \[\(1,\), \(2,\)\]; expected the same shape",
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_models_take_them():
    x, y = np.random.RandomState(0).randn(20, 3).astype("float32"), np.arange(20) % 2
    data = Dataset.from_tensor_slices((x, y)).shuffle(20, seed=1).batch(8).prefetch(AUTOTUNE)
    model = convia.Sequential([convia.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert len(model.fit(data, epochs=2, validation_data=data.take(1), verbose=0).history["val_loss"]) == 2
    assert len(model.fit(data.repeat(), epochs=2, steps_per_epoch=4, verbose=0).history["loss"]) == 2
    ordered = Dataset.from_tensor_slices((x, y)).batch(8)
    np.testing.assert_allclose(model.evaluate(ordered, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-5)
    for given in (ordered, ordered.map(lambda x, y: x)):
        np.testing.assert_allclose(model.predict(given, verbose=0), model.predict(x, verbose=0), rtol=1e-5)
