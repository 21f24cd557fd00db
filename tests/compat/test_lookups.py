"""Layers that number words and classes: what TensorFlow 2.15 gives for the same."""

import pytest

from convia.compat.names.lookups import CategoryEncoding, IntegerLookup, StringLookup, TextVectorization
from convia.compat.tensorflow.control import InvalidArgumentError
from convia.compat.tensorflow.texts import StringTensor


def test_words_become_numbers_in_any_shape_and_back() -> None:
    lookup = StringLookup(vocabulary=["a", "b"])
    assert lookup(StringTensor(["b", "a", "z"])).tolist() == [2, 1, 0]
    assert lookup([["a"], ["z"]]).tolist() == [[1], [0]]
    back = StringLookup(vocabulary=lookup.get_vocabulary(), invert=True)
    assert back([[1], [2], [0]]).numpy().tolist() == [[b"a"], [b"b"], [b"[UNK]"]]


def test_adapt_counts_and_breaks_ties_from_the_end_of_the_alphabet() -> None:
    lookup = StringLookup()
    lookup.adapt(["b", "a", "c", "a", "d", "b"])
    assert lookup.get_vocabulary() == ["[UNK]", "b", "a", "d", "c"]


def test_a_mask_comes_first() -> None:
    lookup = StringLookup(vocabulary=["a", "b"], mask_token="")
    assert lookup.get_vocabulary() == ["", "[UNK]", "a", "b"]
    assert lookup(["", "a", "z"]).tolist() == [0, 2, 1]


def test_an_unknown_word_is_an_error_where_there_is_no_number_for_it() -> None:
    with pytest.raises(InvalidArgumentError, match=r"\['z'\], not in the vocabulary"):
        StringLookup(vocabulary=["a"], num_oov_indices=0)(["z"])


@pytest.mark.parametrize(
    ("mode", "expected"), [("one_hot", [[0, 0, 1], [1, 0, 0]]), ("multi_hot", [1, 0, 1]), ("count", [1, 0, 1])]
)
def test_modes_of_output(mode: str, expected: list[object]) -> None:
    assert StringLookup(vocabulary=["a", "b"], output_mode=mode)(["b", "z"]).tolist() == expected


def test_whole_numbers() -> None:
    lookup = IntegerLookup(vocabulary=[10, 20])
    assert lookup([20, 3, 10]).tolist() == [2, 0, 1]
    assert IntegerLookup(vocabulary=[10, 20], invert=True)([1, 2, 0]).tolist() == [10, 20, -1]


def test_texts_become_rows_of_numbers() -> None:
    layer = TextVectorization(output_sequence_length=4)
    layer.adapt(["Hello, world! hello", "foo world world"])
    assert layer.get_vocabulary() == ["", "[UNK]", "world", "hello", "foo"]
    assert layer(["hello foo bar", "world"]).tolist() == [[3, 4, 1, 0], [2, 0, 0, 0]]
    with pytest.raises(NotImplementedError, match="ngrams"):
        TextVectorization(ngrams=2)


def test_texts_become_rows_of_occurrences() -> None:
    layer = TextVectorization(max_tokens=4, output_mode="multi_hot")
    layer.adapt(["Hello, world! hello", "foo world world"])
    assert layer(["hello foo bar", "world"]).tolist() == [[1, 0, 1, 1], [0, 1, 0, 0]]


def test_encodings_of_categories() -> None:
    assert CategoryEncoding(num_tokens=3, output_mode="one_hot")([[1], [2]]).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert CategoryEncoding(num_tokens=3)([[0, 1], [0, 0]]).tolist() == [[1, 1, 0], [1, 0, 0]]
    counted = CategoryEncoding(num_tokens=3, output_mode="count")([[0, 1], [0, 0]], count_weights=[[1, 2], [3, 4]])
    assert counted.tolist() == [[1, 2, 0], [7, 0, 0]]
