"""Values of metrics against Keras on the torch backend, over several batches, with weights and thresholds."""

import keras
import numpy as np
import pytest
import torch
from metric_inputs import REQUIRED, classes, floats, one_hot, rng

from convia import metrics


def compare(name, settings, batches, rtol=1e-6, atol=1e-7):
    """Compare a metric here and in Keras after each batch, after a reset, and on tensors that have gradients."""
    ours = getattr(metrics, name)(**{**REQUIRED.get(name, {}), **settings})
    theirs = getattr(keras.metrics, name)(**{**REQUIRED.get(name, {}), **settings})
    for _ in range(2):
        for y_true, y_pred, *weight in batches:
            pred = torch.tensor(y_pred)
            ours.update_state(torch.tensor(y_true), pred.requires_grad_(pred.is_floating_point()), *weight)
            theirs.update_state(torch.tensor(y_true), torch.tensor(y_pred), *weight)
            result, expected = ours.result(), theirs.result()
            assert tuple(result.shape) == tuple(expected.shape) and not result.requires_grad
            np.testing.assert_allclose(result.numpy(), expected.numpy(), rtol=rtol, atol=atol)
        states = [variable.numpy() for variable in theirs.variables]
        for mine, state in zip(ours.variables, states, strict=True):
            assert mine.shape == state.shape
            np.testing.assert_allclose(mine.numpy(), state, rtol=1e-5, atol=1e-5)
        ours.reset_state()
        theirs.reset_state()
        assert not any(variable.numpy().any() for variable in ours.variables)


def weighted(make_true, make_pred, *weight_shapes):
    """Three batches, of different sizes, for each shape of weights (None: without)."""
    for shape in weight_shapes:
        yield [(make_true(n), make_pred(n), *([] if shape is None else [floats(n, *shape)])) for n in (6, 1, 9)]


DENSE = [
    ("MeanSquaredError", {}),
    ("RootMeanSquaredError", {}),
    ("MeanAbsoluteError", {}),
    ("MeanAbsolutePercentageError", {}),
    ("MeanSquaredLogarithmicError", {}),
    ("LogCoshError", {}),
    ("CosineSimilarity", {}),
    ("CosineSimilarity", {"axis": 1}),
    ("PearsonCorrelation", {}),
    ("ConcordanceCorrelation", {}),
    ("KLDivergence", {}),
    ("Poisson", {}),
    ("Hinge", {}),
    ("SquaredHinge", {}),
    ("CategoricalHinge", {}),
]


@pytest.mark.parametrize(("name", "settings"), DENSE)
def test_metrics_of_numbers(name, settings):
    shape = (4, 5)
    for batches in weighted(lambda n: floats(n, *shape), lambda n: floats(n, *shape), None, (), (1,)):
        compare(name, settings, batches, rtol=1e-6)
    for batches in weighted(lambda n: floats(n, 5), lambda n: floats(n, 5), None, (), (1,)):
        compare(name, {}, batches, rtol=1e-6)


def test_mean_and_sum():
    for name in ("Mean", "Sum"):
        for shape, weight in (
            ((), ()),
            ((7,), (7,)),
            ((7, 3), (7,)),
            ((7, 3), (7, 3)),
            ((7, 3, 2), (7, 3)),
            ((7,), (7, 1)),
        ):
            ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
            for _ in range(3):
                values, weights = floats(*shape), floats(*weight)
                for given in (None, weights) if shape else (None,):
                    ours.update_state(values, given)
                    theirs.update_state(values, given)
                    np.testing.assert_allclose(ours.result(), theirs.result().numpy(), rtol=1e-6)
        assert float(getattr(metrics, name)().result()) == 0.0
    mean = metrics.Mean()
    mean.update_state([1, 3, 5, 7])
    assert float(mean(9.0)) == 5.0 and mean.result().shape == ()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("BinaryCrossentropy", {}),
        ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}),
        ("CategoricalCrossentropy", {}),
        ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}),
        ("CategoricalCrossentropy", {"axis": 1}),
        ("CategoricalAccuracy", {}),
        ("TopKCategoricalAccuracy", {"k": 2}),
    ],
)
def test_metrics_of_one_hot_rows(name, settings):
    if settings.get("axis") != 1:
        for batches in weighted(lambda n: one_hot(4, n), lambda n: floats(n, 4), None, (), (1,)):
            compare(name, settings, batches)
    for batches in weighted(lambda n: one_hot(4, n, 4), lambda n: floats(n, 4, 4), None, (), (4,)):
        compare(name, settings, batches)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SparseCategoricalCrossentropy", {}),
        ("SparseCategoricalCrossentropy", {"from_logits": True}),
        ("SparseCategoricalCrossentropy", {"ignore_class": 1}),
        ("SparseCategoricalAccuracy", {}),
        ("SparseTopKCategoricalAccuracy", {"k": 3}),
    ],
)
def test_metrics_of_class_numbers(name, settings):
    for dtype in ("int64", "float32"):
        for batches in weighted(lambda n: classes(6, n).astype(dtype), lambda n: floats(n, 6), None, (), (1,)):  # noqa: B023
            compare(name, settings, batches)
    for batches in weighted(lambda n: classes(6, n, 1), lambda n: floats(n, 6), None, (), (1,)):
        compare(name, settings, batches)
    for batches in weighted(lambda n: classes(6, n, 3, 2), lambda n: floats(n, 3, 2, 6), None, (3, 2)):
        compare(name, settings, batches)


def test_sorted_ids():
    settings = {"k": 2, "from_sorted_ids": True}
    ids = [rng.permuted(np.tile(np.arange(6), (n, 1)), axis=1) for n in (5, 8)]
    compare("SparseTopKCategoricalAccuracy", settings, [(classes(6, len(rows)), rows) for rows in ids])
    assert metrics.SparseTopKCategoricalAccuracy(**settings).get_config()["from_sorted_ids"] is True


def test_top_k_of_fewer_classes():
    assert float(metrics.SparseTopKCategoricalAccuracy()(classes(3, 4), floats(4, 3))) == 1.0


@pytest.mark.parametrize("settings", [{}, {"threshold": 0.3}])
def test_binary_accuracy(settings):
    for batches in weighted(lambda n: classes(2, n, 3), lambda n: floats(n, 3), None, (), (3,)):
        compare("BinaryAccuracy", settings, batches)
    for true, pred in (((), (1,)), ((1,), ()), ((1,), (1,)), ((), ())):
        for batches in weighted(lambda n: classes(2, n, *true), lambda n: floats(n, *pred), None, ()):  # noqa: B023
            compare("BinaryAccuracy", settings, batches)


def test_accuracy():
    for batches in weighted(lambda n: classes(3, n, 2), lambda n: classes(3, n, 2), None, (), (2,)):
        compare("Accuracy", {}, batches)


COUNTS = ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")
THRESHOLDS = [{}, {"thresholds": 0.3}, {"thresholds": [0.2, 0.9]}, {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}]


@pytest.mark.parametrize("settings", THRESHOLDS)
@pytest.mark.parametrize("name", [*COUNTS, "Precision", "Recall"])
def test_confusion(name, settings):
    for shape in ((), (1,), (4,)):
        weights = (None, (), *([shape] if shape else []))
        for batches in weighted(lambda n: classes(2, n, *shape), lambda n: floats(n, *shape), *weights):  # noqa: B023
            compare(name, settings, batches)
    for batches in weighted(lambda n: classes(2, n), lambda n: floats(n, 1), None, ()):
        compare(name, settings, batches)


@pytest.mark.parametrize(
    "settings", [{"top_k": 2}, {"class_id": 1}, {"top_k": 2, "class_id": 3}, {"top_k": 1, "thresholds": [0.4]}]
)
@pytest.mark.parametrize("name", ["Precision", "Recall"])
def test_top_k_and_class_id(name, settings):
    for batches in weighted(lambda n: classes(2, n, 4), lambda n: floats(n, 4), None, (), (1,)):
        compare(name, settings, batches)


def test_scores_at_thresholds():
    """Scores that equal a threshold, 0 or 1 are counted as Keras counts them."""
    scores = np.array([0, 0.25, 0.5, 0.75, 1, 0, 0.25, 0.5, 0.75, 1], "float32")
    batch = [(np.arange(10) // 5, scores)]
    for name in (*COUNTS, "Precision", "Recall"):
        for settings in THRESHOLDS:
            compare(name, settings, batch)
    for curve in ("ROC", "PR"):
        compare("AUC", {"curve": curve, "num_thresholds": 5}, batch)


@pytest.mark.parametrize(
    "settings", [{}, {"num_thresholds": 1}, {"num_thresholds": 2}, {"num_thresholds": 17, "class_id": 2}]
)
@pytest.mark.parametrize("name", [name for name in REQUIRED if "At" in name])
def test_one_rate_at_another(name, settings):
    for batches in weighted(lambda n: classes(2, n, 4), lambda n: floats(n, 4), None, (), (1,)):
        compare(name, settings, batches, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("summation_method", ["interpolation", "minoring", "majoring"])
@pytest.mark.parametrize("curve", ["ROC", "PR", "PRGAIN", "pr"])
@pytest.mark.parametrize(
    "settings", [{}, {"num_thresholds": 5}, {"thresholds": [0.7, 0.1, 0.4]}, {"from_logits": True}]
)
def test_auc(curve, summation_method, settings):
    settings = {"curve": curve, "summation_method": summation_method, **settings}
    for batches in weighted(lambda n: classes(2, n), lambda n: floats(n, low=0, high=1), None, ()):
        compare("AUC", settings, batches, rtol=1e-6, atol=1e-6)
    for batches in weighted(lambda n: classes(2, n, 3), lambda n: floats(n, 3), None, ()):
        compare("AUC", settings, batches, rtol=1e-6, atol=1e-6)
        compare("AUC", {**settings, "label_weights": [0.5, 1.0, 2.0]}, batches, rtol=1e-6, atol=1e-6)
    for batches in weighted(lambda n: classes(2, n, 3), lambda n: floats(n, 3), None, (), (1,)):
        for extra in ({}, {"num_labels": 3}, {"label_weights": [0.5, 1.0, 2.0]}):
            compare("AUC", {**settings, "multi_label": True, **extra}, batches, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
@pytest.mark.parametrize("threshold", [None, 0.4])
def test_f_scores(average, threshold):
    settings = {"average": average, "threshold": threshold}
    for batches in weighted(lambda n: one_hot(4, n), lambda n: floats(n, 4), None, ()):
        compare("F1Score", settings, batches)
        compare("FBetaScore", {**settings, "beta": 2.0}, batches)


@pytest.mark.parametrize("class_aggregation", [None, "uniform_average", "variance_weighted_average"])
@pytest.mark.parametrize("num_regressors", [0, 3])
def test_r2(class_aggregation, num_regressors):
    settings = {"class_aggregation": class_aggregation, "num_regressors": num_regressors}
    for shapes in (None,), ((),), ((1,),):
        for batches in weighted(lambda n: floats(n, 2), lambda n: floats(n, 2), *shapes):
            compare("R2Score", settings, [batches[0], batches[2]], rtol=1e-6, atol=1e-6)


def test_adjusted_r2_needs_data():
    metric = metrics.R2Score(num_regressors=8)
    with pytest.warns(UserWarning, match="received 4 values for 8 regressors"):
        score = metric(floats(4, 1), floats(4, 1))
    assert score.shape == ()


IOU = [
    ("IoU", {}, False),
    ("IoU", {"ignore_class": 0, "dtype": "float32"}, False),
    ("MeanIoU", {}, False),
    ("MeanIoU", {"dtype": "float32"}, False),
    ("MeanIoU", {"sparse_y_pred": False}, True),
    ("OneHotIoU", {}, True),
    ("OneHotMeanIoU", {"dtype": "float32"}, True),
]


@pytest.mark.parametrize(("name", "settings", "scores"), IOU)
def test_iou(name, settings, scores):
    dense = name.startswith("OneHot")
    for shape in ((), (3, 2)):
        true = (lambda n: one_hot(3, n, *shape)) if dense else (lambda n: classes(3, n, *shape))  # noqa: B023
        pred = (lambda n: floats(n, *shape, 3)) if scores else (lambda n: classes(4, n, *shape))  # noqa: B023
        weights = (None, shape) if settings.get("dtype") else (None,)
        for batches in weighted(true, pred, *weights):
            compare(name, settings, batches)


def test_class_axis_of_iou():
    y_true, y_pred = one_hot(3, 4, 5), floats(4, 5, 3)
    first = metrics.OneHotMeanIoU(3, axis=1)(y_true.swapaxes(1, 2), y_pred.swapaxes(1, 2))
    assert float(first) == float(metrics.OneHotMeanIoU(3)(y_true, y_pred))


def test_binary_iou():
    for settings in ({}, {"threshold": 0.3, "target_class_ids": [1]}, {"dtype": "float32"}):
        for batches in weighted(lambda n: classes(2, n, 4), lambda n: floats(n, 4), None):
            compare("BinaryIoU", settings, batches)


def test_iou_cuts_float_weights():
    metric = metrics.MeanIoU(2)
    with pytest.warns(UserWarning, match="float sample weights.*dtype='float32'"):
        metric.update_state([0, 1], [0, 1], np.array([1.5, 1.0]))
    assert int(metric.total_cm.sum()) == 2
