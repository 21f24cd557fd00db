"""Data sets that are no images, and arrays of tensors that loops fill."""

import importlib
import pickle

import numpy as np
import pytest

from convia.compat import programs


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    return tmp_path / "datasets"


def _texts(*rows):
    found = np.empty(len(rows), dtype=object)
    found[:] = rows
    return found


def test_reviews_are_lists_of_word_numbers(cache):
    texts = _texts([5, 1, 9], [2], [3, 4], [7, 7, 7, 7])
    np.savez(cache / "imdb.npz", x_train=texts, y_train=np.arange(4), x_test=texts[:2], y_test=np.arange(2))
    with programs.using("keras2"):
        imdb = importlib.import_module("keras.datasets.imdb")
        (x, y), (x_test, _) = imdb.load_data(num_words=8, seed=1)
        assert x.shape == (4,) and x_test.shape == (2,) and [len(row) - 1 for row in x] == [len(texts[i]) for i in y]
        assert sorted(map(tuple, x)) == [(1, 2, 2, 2, 2), (1, 2, 4, 2), (1, 5), (1, 6, 7)]
        (x, _), _ = imdb.load_data(maxlen=4, start_char=None, oov_char=None, index_from=0, nb_words=5)
        assert sorted(map(tuple, x)) == [(1,), (2,), (3, 4)]
        with pytest.raises(ValueError, match=r"imdb\.load_data: received maxlen=1"):
            imdb.load_data(maxlen=1)


def test_news_and_houses_are_split(cache):
    np.savez(cache / "reuters.npz", x=_texts(*([n, n] for n in range(10))), y=np.arange(10))
    np.savez(cache / "boston_housing.npz", x=np.ones((10, 13)), y=np.arange(10.0))
    with programs.using("keras2"):
        data = importlib.import_module("keras.datasets")
        (x, y), (x_test, y_test) = data.reuters.load_data(num_words=20, test_split=0.3)
        assert [row[1] - 3 for row in x] == y.tolist() and len(x_test) == len(y_test) == 3
        (x, y), (x_test, _) = data.boston_housing.load_data()
        assert x.shape == (8, 13) and x_test.shape == (2, 13) and y.tolist() != sorted(y)


def test_files_of_words_run_no_code(cache):
    np.savez(cache / "reuters.npz", x=np.array([print], dtype=object), y=np.arange(1))
    words = importlib.import_module("convia.compat.names.words")
    with pytest.raises(pickle.UnpicklingError, match="Expected arrays and numbers"):
        words.read(cache / "reuters.npz")


def test_word_numbers_become_rows():
    with programs.using("keras2"):
        tokenizer = importlib.import_module("keras.preprocessing.text").Tokenizer(nb_words=4)
        rows = tokenizer.sequences_to_matrix([[1, 1, 3], [9, 2]], mode="count")
        assert rows.tolist() == [[0, 2, 0, 1], [0, 0, 1, 0]]
        assert tokenizer.sequences_to_matrix([[1, 1, 3]]).tolist() == [[0, 1, 0, 1]]
