"""Arguments of the command line as TensorFlow's programs define them; sparse labels and distances between them."""

import importlib
import sys

import numpy as np
import pytest

from convia.compat import programs


@pytest.fixture
def tf():
    with programs.using("tfkeras"):
        yield importlib.import_module("tensorflow")


def defined(flags):
    flags.DEFINE_string("data_dir", "/data", "100% of it")
    flags.DEFINE_integer("batch", 32, "size")
    flags.DEFINE_float("lr", 1e-3, "rate")
    flags.DEFINE_boolean("train", True, "train")
    flags.DEFINE_bool("fake", False, "fake")
    flags.DEFINE_enum("mode", "a", ["a", "b"], "mode")
    flags.DEFINE_list("sizes", ["1"], "sizes")
    return flags.FLAGS


def test_flags_have_their_defaults_until_the_command_line_says_otherwise(tf, monkeypatch):
    FLAGS = defined(tf.app.flags)
    monkeypatch.setattr(sys, "argv", ["p.py", "--batch=5", "--notrain", "-lr", "0.5", "--fake", "rest", "--mode", "b"])
    assert tf.flags.FLAGS is FLAGS and FLAGS.data_dir == "/data" and FLAGS.batch == 5 and "lr" in FLAGS
    seen = []
    with pytest.raises(SystemExit) as end:
        tf.app.run(seen.append)
    assert end.value.code is None and seen == [["p.py", "rest"]]
    values = {**FLAGS.flag_values_dict()}
    assert values == {
        "data_dir": "/data",
        "batch": 5,
        "lr": 0.5,
        "train": False,
        "fake": True,
        "mode": "b",
        "sizes": ["1"],
    }
    FLAGS.batch = 7
    assert FLAGS["batch"] == 7
    with pytest.raises(AttributeError, match="Did you mean 'batch'"):
        FLAGS.batches  # noqa: B018


@pytest.mark.parametrize(("word", "error"), [("--other=1", "unknown flags"), ("--train=maybe", "neither true nor false"),
                                             ("--mode=c", "invalid choice")])  # fmt: skip
def test_a_command_line_that_does_not_fit_is_refused(tf, word, error, capsys):
    defined(tf.flags)
    with pytest.raises(SystemExit):
        tf.app.run(lambda argv: None, argv=["p.py", word])
    assert error in capsys.readouterr().err


def test_a_flag_may_be_required_and_is_forgotten_with_the_program(capsys):
    with programs.using("tfkeras"):
        flags = importlib.import_module("tensorflow").flags
        flags.DEFINE_string("path", None, "")
        flags.mark_flag_as_required("path")
        with pytest.raises(SystemExit):
            flags.FLAGS(["p.py"])
        assert "flags without a value: path" in capsys.readouterr().err
    with programs.using("tfkeras"):
        assert "path" not in importlib.import_module("tensorflow").flags.FLAGS


def test_flags_stand_in_for_absl_where_that_is_missing():
    absl = importlib.import_module("convia.compat.names.absl")
    assert absl.app.run and absl.flags.DEFINE_string and absl.logging.set_verbosity(absl.logging.INFO) is None


def test_distances_between_sequences(tf):
    found, true = tf.sparse.from_dense([[1, 2, 3], [4, 0, 0]]), tf.sparse.from_dense([[1, 3, 3], [0, 0, 0]])
    np.testing.assert_array_equal(tf.edit_distance(found, true, normalize=False), [1, 1])
    np.testing.assert_allclose(tf.edit_distance(found, true), [1 / 3, np.inf], rtol=1e-6)
    words = [tf.sparse.from_dense([[*word]]) for word in ("kitten", "sitting")]
    assert tf.edit_distance(*words, normalize=False).numpy() == 3
    with pytest.raises(TypeError, match=r"tf\.sparse\.from_dense"):
        tf.edit_distance([1], true)


def test_sparse_tensors_there_and_back(tf):
    sparse = tf.SparseTensor(indices=[[0, 0], [1, 2]], values=[1, 2], dense_shape=[2, 3])
    np.testing.assert_array_equal(tf.sparse.to_dense(sparse, -1), [[1, -1, -1], [-1, -1, 2]])
    assert sparse.get_shape().as_list() == [2, 3] and tf.cast(sparse, tf.float32).dtype == tf.float32
    assert tf.sparse.to_dense(tf.sparse.from_dense(["a", ""])).numpy().tolist() == [b"a", b""]
    labels = tf.keras.backend.ctc_label_dense_to_sparse([[1, 0, 3], [4, 5, 6]], [3, 1])
    np.testing.assert_array_equal(tf.sparse.to_dense(labels), [[1, 0, 3], [4, 0, 0]])
    with pytest.raises(ValueError, match=r"indices of the shape \(1, 2\)"):
        tf.SparseTensor([[0]], [1], [2, 3])
