import keras
import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from convia import layers, utils
from convia.models import Sequential
from convia.pipeline import Dataset
from convia.utils import Config, pad_sequences, split_dataset, timeseries_dataset_from_array

SEQUENCES = [[1], [2, 3], [], [4, 5, 6, 7]]


@pytest.mark.parametrize("maxlen", [None, 2, 6])
@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("value", [0, -1])
def test_pad_sequences_equals_keras(maxlen, padding, truncating, value):
    arguments = (SEQUENCES, maxlen, "float32", padding, truncating, value)
    ours, theirs = pad_sequences(*arguments), keras.utils.pad_sequences(*arguments)
    assert np.array_equal(ours, theirs) and ours.dtype == theirs.dtype


def test_padded_elements_may_be_arrays_or_texts():
    given = [np.ones((2, 3)), np.zeros((1, 3))]
    assert np.array_equal(pad_sequences(given), keras.utils.pad_sequences(given))
    assert pad_sequences([["a"], ["b", "c"]], dtype=object, value="-").tolist() == [["-", "a"], ["b", "c"]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pad_sequences([1, 2]), "1; expected a list of sequences"),
        (lambda: pad_sequences(3), "3; expected a list of sequences"),
        (lambda: pad_sequences([[1]], padding="x"), "'padding'.*'pre' or 'post'"),
        (lambda: pad_sequences([[1]], truncating="x"), "'truncating'.*'pre' or 'post'"),
        (lambda: pad_sequences([[1]], value="x"), "dtype=object"),
        (lambda: pad_sequences([[[1, 2]], [[1]]]), r"elements of shape \(1,\); expected \(2,\)"),
    ],
)
def test_sequences_that_do_not_fit(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_windows_are_those_of_the_documentation_of_keras():
    windows = torch.cat(list(timeseries_dataset_from_array(np.arange(99), None, 10, 3, 2, batch_size=4)))
    assert windows[0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert windows[1].tolist() == [3, 5, 7, 9, 11, 13, 15, 17, 19, 21]
    assert windows[-1].tolist() == [78, 80, 82, 84, 86, 88, 90, 92, 94, 96]


def test_windows_with_targets():
    data = np.arange(30, dtype="float32").reshape(30, 1)
    dataset = timeseries_dataset_from_array(data[:-5], data[5:], 5, batch_size=8)
    batches = list(dataset)
    assert len(batches) == len(dataset) == 3
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert x.shape == (21, 5, 1)
    assert torch.equal(y[:, 0], x[:, -1, 0] + 1)


def test_a_part_of_the_series():
    found = torch.stack(
        list(timeseries_dataset_from_array(np.arange(20), None, 3, batch_size=None, start_index=4, end_index=9))
    )
    assert found.tolist() == [[4, 5, 6], [5, 6, 7], [6, 7, 8]]


def test_shuffled_windows():
    def epochs():
        dataset = timeseries_dataset_from_array(np.arange(50), None, 1, shuffle=True, seed=3)
        return [torch.cat(list(dataset)).flatten().tolist() for _ in range(2)]

    first = epochs()
    assert first == epochs()
    assert first[0] != first[1] and sorted(first[0]) == list(range(50))


def test_a_model_trains_on_windows():
    data = np.random.randn(100, 2).astype("float32")
    model = Sequential([layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", "mse")
    history = model.fit(timeseries_dataset_from_array(data[:-4], data[4:], 4, batch_size=16), epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"start_index": 20}, "'start_index'.*20 for 20 steps; expected a whole number from 0 to 19"),
        ({"start_index": 5, "end_index": 5}, "'end_index'"),
        ({"end_index": 20}, "'end_index'.*to 19"),
        ({"sampling_rate": 0}, "'sampling_rate'"),
        ({"sequence_stride": 20}, "'sequence_stride'"),
    ],
)
def test_windows_that_do_not_fit(keywords, words):
    with pytest.raises(ValueError, match=words):
        timeseries_dataset_from_array(np.arange(20), None, 3, **keywords)
    with pytest.raises(ValueError):
        keras.utils.timeseries_dataset_from_array(np.arange(20), None, 3, **keywords)


@pytest.mark.parametrize("sizes", [(0.8, None), (None, 3), (4, 2), (0.5, 0.2), (None, 0.25)])
@pytest.mark.parametrize("dataset", [np.arange(10), (np.arange(10), np.ones((10, 2)))], ids=["array", "tuple"])
def test_split(sizes, dataset):
    left, right = split_dataset(dataset, *sizes)
    theirs = keras.utils.split_dataset(dataset, *(size for size in sizes)) if None in sizes else (left, right)
    assert [len(left), len(right)] == [len(part) for part in theirs]
    assert [int(sample[0]) for sample in left] == list(range(len(left)))
    assert [int(sample[0]) for sample in right] == list(range(10 - len(right), 10))


def test_a_data_set_of_convias_own_is_split_alike(tmp_path):
    left, right = split_dataset(Dataset.range(10), 0.7)
    assert [[int(x) for x in part] for part in (left, right)] == [[*range(7)], [7, 8, 9]]
    left, right = split_dataset(Dataset.range(10), right_size=4, shuffle=True, seed=2)
    drawn = [[int(x) for x in part] for part in (left, right)]
    assert sorted(drawn[0] + drawn[1]) == [*range(10)] and [*map(len, drawn)] == [6, 4]
    assert drawn == [[int(x) for x in part] for part in (left, right)] != [[*range(6)], [6, 7, 8, 9]]
    for number in range(9):
        (tmp_path / "a").mkdir(exist_ok=True)
        utils.save_img(tmp_path / "a" / f"{number}.png", np.full((4, 4, 3), number), scale=False)
    folder = utils.image_dataset_from_directory(tmp_path, image_size=4, batch_size=2, shuffle=False)
    parts = split_dataset(folder, 6)
    assert [[x[:, 0, 0, 0].tolist() for x, _ in part] for part in parts] == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8]]]
    windows = timeseries_dataset_from_array(np.arange(20), None, 3, batch_size=4)
    assert [tuple(x.shape) for x in windows.take(2).map(lambda x: x * 2)] == [(4, 3)] * 2
    assert [*map(len, split_dataset(Dataset.range(10).filter(bool), 3))] == [3, 6]
    mixed = utils.image_dataset_from_directory(tmp_path, image_size=4, batch_size=2, seed=1)
    for dataset in (mixed, Dataset.range(9).shuffle(9)):
        epochs = [[part_of(part) for part in parts] for parts in [split_dataset(dataset, 6)] for _ in range(3)]
        for left, right in epochs:
            assert sorted(left + right) == [*range(9)]
            assert (sorted(left), sorted(right)) == tuple(map(sorted, epochs[0]))


def part_of(dataset):
    """The numbers in a part."""
    return [
        int(x) for element in dataset for x in (element[0][:, 0, 0, 0] if isinstance(element, tuple) else [element])
    ]


def test_shuffled_split_equals_keras():
    given = TensorDataset(torch.arange(20))
    ours, theirs = (module.split_dataset(given, 0.3, shuffle=True, seed=5) for module in (keras.utils, utils))
    for a, b in zip(ours, theirs, strict=True):
        assert [int(x) for (x,) in a] == [int(x) for (x,) in b]


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ((3, 0.5), TypeError, "a torch.utils.data.Dataset"),
        ((np.arange(4),), ValueError, "one of them or both"),
        ((np.arange(4), "x"), TypeError, "'left_size'.*'x'"),
        ((np.arange(4), 4), ValueError, "'left_size'.*between 0 and 4"),
        ((np.arange(4), None, 1.5), ValueError, "'right_size'"),
        ((np.arange(4), 0.7, 0.7), ValueError, "a sum up to 1"),
        ((np.arange(4), 3, 3), ValueError, r"3 \+ 3 of 4 samples"),
        ((np.arange(4), 0.01), ValueError, r"0 \+ 4 of 4 samples"),
    ],
)
def test_splits_that_are_none(arguments, kind, words):
    with pytest.raises(kind, match=words):
        split_dataset(*arguments)
    with pytest.raises(kind):
        keras.utils.split_dataset(*arguments)


def test_config_equals_keras():
    for cls in (Config, keras.utils.Config):
        config = cls(rate=0.1, name="x")
        config.seed = 3
        config["more"] = [1]
        config.update(name="y")
        assert config.pop("more") == [1] and config.get("more", 5) == 5
        assert list(config) == ["name", "rate", "seed"] and len(config) == 3 and "seed" in config
        assert config.as_dict() == {"rate": 0.1, "name": "y", "seed": 3}
        assert config.to_json() == '{"rate": 0.1, "name": "y", "seed": 3}'
        assert repr(config) == "<Config {'rate': 0.1, 'name': 'y', 'seed': 3}>"
        del config["seed"]
        config.freeze()
        assert config.frozen
        for change in (lambda c: setattr(c, "seed", 1), lambda c: c.pop("rate"), lambda c: c.update(a=1)):
            with pytest.raises(ValueError, match="frozen"):
                change(config)
        config.unfreeze()
        config.seed = 4
        with pytest.raises(AttributeError, match="Did you mean 'seed'"):
            _ = config.sed
