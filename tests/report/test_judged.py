"""Numbers of the report beside scikit-learn's and formulas."""

import re

import numpy as np
import pytest

from convia.report.judged import Judged

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 4, 300)
LOGITS = RANDOM.normal(size=(300, 4)) + 1.5 * np.eye(4)[LABELS]
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)


@pytest.fixture
def judged():
    return Judged.of(LABELS, PROBABILITIES, ["a", "b", "c", "d"])


def test_rates_are_scikit_learns(judged):
    sklearn = pytest.importorskip("sklearn.metrics")
    expected = sklearn.precision_recall_fscore_support(LABELS, PROBABILITIES.argmax(1))[:3]
    np.testing.assert_allclose(judged.rates(), expected)
    assert judged.accuracy == pytest.approx(sklearn.accuracy_score(LABELS, PROBABILITIES.argmax(1)))
    np.testing.assert_array_equal(judged.counts, sklearn.confusion_matrix(LABELS, PROBABILITIES.argmax(1)))


def test_a_class_that_is_never_there():
    judged = Judged.of([0, 0], [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    precision, recall, f1 = judged.rates()
    np.testing.assert_array_equal(precision, [1.0, 0.0, np.nan])
    np.testing.assert_array_equal(recall, [0.5, np.nan, np.nan])
    np.testing.assert_allclose(f1, [2 / 3, 0.0, np.nan])
    assert judged.class_names == ["0", "1", "2"]


def test_calibration(judged):
    sure, right = PROBABILITIES.max(1), PROBABILITIES.argmax(1) == LABELS
    expected = 0.0
    for low in np.arange(10) / 10:
        chosen = (sure >= low) & (sure < low + 0.1)
        if chosen.any():
            expected += chosen.mean() * abs(sure[chosen].mean() - right[chosen].mean())
    assert judged.calibration_error() == pytest.approx(expected)
    assert sum(part.images for part in judged.bins()) == 300


def test_a_certainty_of_one_is_in_the_last_bin():
    assert Judged.of([0], [[1.0, 0.0]]).bins() == [(1, 1.0, 1.0)]


def test_order_of_mistakes(judged):
    worst, least = judged.worst(10), judged.least_certain(10)
    wrong = PROBABILITIES.argmax(1) != LABELS
    assert wrong[worst].all() and wrong[least].all()
    assert PROBABILITIES.max(1)[worst[0]] == PROBABILITIES.max(1)[wrong].max()
    top = np.sort(PROBABILITIES, 1)
    assert (top[:, -1] - top[:, -2])[least[0]] == (top[:, -1] - top[:, -2])[wrong].min()


def test_pairs(judged):
    (i, j, count), *rest = judged.pairs(100)
    assert i != j and count == ((i == LABELS) & (PROBABILITIES.argmax(1) == j)).sum()
    assert count + sum(row[2] for row in rest) == (~judged.is_right).sum()


def test_interval_is_wilsons():
    judged = Judged.of([0] * 10, [[0.9, 0.1]] * 8 + [[0.1, 0.9]] * 2)
    assert judged.interval() == pytest.approx((0.4901625, 0.9433178), abs=2e-5)  # R: prop.test(8, 10, correct = FALSE)


def test_one_output_is_the_second_class():
    judged = Judged.of([0, 1, 1], [[0.2], [0.7], [0.4]])
    np.testing.assert_array_equal(judged.predicted, [0, 1, 0])
    assert judged.certainty == pytest.approx([0.8, 0.7, 0.6])


@pytest.mark.parametrize(("labels", "rows"), [([], np.zeros((0, 2))), ([1], np.zeros((2, 2)))])
def test_other_numbers_are_refused(labels, rows):
    message = f"report: received {len(labels)} labels and {len(rows)} rows of probabilities; expected as many"
    with pytest.raises(ValueError, match=re.escape(message)):
        Judged.of(labels, rows)
