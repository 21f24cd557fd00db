"""Metrics against Keras on the torch backend: values over several batches, configs, names; and what errors say."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import inspect
import pickle
import warnings
from copy import deepcopy

import keras
import numpy as np
import pytest
import torch

from convia import losses, metrics
from convia.variable import Variable

rng = np.random.default_rng(0)
CLASSES = [name for name in metrics.__all__ if name[0].isupper() and name not in ("Metric", "MeanMetricWrapper")]
FUNCTIONS = [
    name for name in metrics.__all__ if name[0].islower() and name not in ("deserialize", "get", "resolve", "serialize")
]
REQUIRED = {
    "IoU": {"num_classes": 3, "target_class_ids": [0, 2]},
    "MeanIoU": {"num_classes": 3},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [1]},
    "OneHotMeanIoU": {"num_classes": 3},
    "PrecisionAtRecall": {"recall": 0.6},
    "RecallAtPrecision": {"precision": 0.6},
    "SensitivityAtSpecificity": {"specificity": 0.6},
    "SpecificityAtSensitivity": {"sensitivity": 0.6},
}


def floats(*shape, low=0.02, high=0.98):
    return rng.uniform(low, high, shape).astype("float32")


def classes(count, *shape):
    return rng.integers(0, count, shape)


def one_hot(count, *shape):
    return np.eye(count, dtype="float32")[classes(count, *shape)]


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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    y_true, y_pred = one_hot(6, 5), floats(5, 6)
    if name.startswith("sparse"):
        y_true = classes(6, 5)
    expected = getattr(keras.metrics, name)(torch.tensor(y_true), torch.tensor(y_pred)).numpy()
    for convert in (np.asarray, np.ndarray.tolist, torch.tensor):
        value = getattr(metrics, name)(convert(y_true), convert(y_pred))
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [*CLASSES, *FUNCTIONS, "Metric", "MeanMetricWrapper"])
def test_signatures(name):
    ours, keras_ = (
        [
            (p.name, p.default)
            for p in inspect.signature(getattr(module, name)).parameters.values()
            if p.name != "kwargs"
        ]
        for module in (metrics, keras.metrics)
    )
    assert ours == keras_


@pytest.mark.parametrize("name", CLASSES)
def test_configs(name):
    keras.backend.clear_session()
    settings = {"name": "n", **REQUIRED.get(name, {})}
    metric, theirs = getattr(metrics, name)(**settings), getattr(keras.metrics, name)(**settings)
    assert metric.get_config() == theirs.get_config()
    assert metrics.serialize(metric) == keras.metrics.serialize(theirs)
    again = metrics.deserialize(metrics.serialize(metric))
    assert type(again) is type(metric) and again.get_config() == metric.get_config()
    assert metric._direction == getattr(theirs, "_direction", None)
    assert [v.path.split("/")[-1] for v in metric.variables] == [v.path.split("/")[-1] for v in theirs.variables]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("AUC", {"curve": "PR", "thresholds": [0.2, 0.6], "multi_label": True, "label_weights": [1.0, 2.0]}),
        ("Precision", {"thresholds": [0.2, 0.6], "top_k": 3}),
        ("CosineSimilarity", {"axis": 1}),
        ("BinaryAccuracy", {"threshold": 0.7, "dtype": "float64"}),
        ("F1Score", {"average": "macro", "threshold": 0.5}),
    ],
)
def test_configs_keep_arguments(name, settings):
    metric = getattr(metrics, name)(**settings)
    again = metrics.deserialize(metrics.serialize(metric))
    for key, value in settings.items():
        np.testing.assert_array_equal(np.asarray(again.get_config()[key]), np.asarray(value))


def test_default_names():
    keras.backend.clear_session()
    for name in CLASSES:
        settings = REQUIRED.get(name, {})
        theirs = getattr(keras.metrics, name)(**settings).name
        assert getattr(metrics, name)(**settings).name.rstrip("0123456789_") == theirs.rstrip("0123456789_")
    assert metrics.AUC(name=None).name.startswith("auc")


def test_get():
    assert metrics.get(None) is None
    for name in ("mse", "MSE", "bce", "BCE", "mae", "mape", "MSLE", "accuracy", "AUC", "auc", "mean_io_u", "f1_score"):
        settings = {"num_classes": 2} if name == "mean_io_u" else {}
        if not settings:
            assert type(metrics.get(name)).__name__ == type(keras.metrics.get(name)).__name__
    assert isinstance(metrics.get(metrics.AUC), metrics.AUC)
    assert metrics.get({"class_name": "TopKCategoricalAccuracy", "config": {"k": 3}}).k == 3
    assert metrics.get(metrics.binary_accuracy) is metrics.binary_accuracy
    with pytest.raises(ValueError, match="Did you mean 'categorical_accuracy'"):
        metrics.get("categorical_acuracy")
    with pytest.raises(TypeError, match=r"metrics\.get: received 3"):
        metrics.get(3)


@pytest.mark.parametrize(
    ("true", "pred", "kind"),
    [
        ((None,), (None, 1), "Binary"),
        ((None, 1), (None, 1), "Binary"),
        ((None,), (None, 10), "SparseCategorical"),
        ((None, 1), (None, 10), "SparseCategorical"),
        ((None, 10), (None, 10), "Categorical"),
        ((None, 4, 4), (None, 4, 4, 3), "SparseCategorical"),
    ],
)
def test_resolve_by_shapes(true, pred, kind):
    for name in ("accuracy", "acc", "Accuracy"):
        metric = metrics.resolve(name, true, pred)
        assert type(metric).__name__ == f"{kind}Accuracy" and metric.name == name
    for name in ("crossentropy", "ce"):
        metric = metrics.resolve(name, true, pred)
        assert type(metric).__name__ == f"{kind}Crossentropy" and metric.name == name


def test_resolve():
    shapes = (None, 1), (None, 1)
    assert metrics.resolve("mae", *shapes).name == "mae"
    assert metrics.resolve("AUC", *shapes).name == "AUC"
    own = metrics.AUC(name="mine")
    assert metrics.resolve(own, *shapes) is own and own.name == "mine"

    def meanError(y_true, y_pred):
        return (y_true - y_pred).abs()

    metric = metrics.resolve(meanError, *shapes)
    assert metric.name == "mean_error"
    metric.update_state(torch.zeros(4, 1), torch.ones(4, 1))
    assert float(metric.result()) == 1.0
    with pytest.raises(ValueError, match="compile, argument 'metrics'"):
        metrics.resolve(None, *shapes)


def test_wrapper():
    metric = metrics.MeanMetricWrapper(losses.huber, name="h", delta=0.5)
    again = metrics.deserialize(metrics.serialize(metric))
    y_true, y_pred = floats(4, 3), floats(4, 3)
    np.testing.assert_allclose(again(y_true, y_pred), losses.Huber(0.5)(y_true, y_pred), rtol=1e-6)
    assert metric._direction == "down"
    accuracy = metrics.MeanMetricWrapper(metrics.binary_accuracy, threshold=0.2)
    assert metrics.deserialize(metrics.serialize(accuracy))._fn is metrics.binary_accuracy
    assert metrics.MeanMetricWrapper.from_config(accuracy.get_config())._fn is metrics.binary_accuracy
    keras_config = keras.metrics.serialize(keras.metrics.MeanMetricWrapper(keras.losses.mean_squared_error))
    assert metrics.deserialize(keras_config)._fn is losses.mean_squared_error


def test_masks_of_predictions_count():
    y_true, y_pred, mask = floats(4, 3, 2), floats(4, 3, 2), rng.random((4, 3)) < 0.5
    for weight in (None, floats(4, 3)):
        values = []
        for module in (metrics, keras.metrics):
            pred = torch.tensor(y_pred)
            pred._keras_mask = torch.tensor(mask)
            values.append(module.MeanSquaredError()(y_true, pred, weight).numpy())
        np.testing.assert_allclose(*values, rtol=1e-6)


def custom(module, zeros):
    class Positives(module.Metric):
        def __init__(self, name="positives", **kwargs):
            super().__init__(name=name, **kwargs)
            self.count = self.add_variable(shape=(), initializer="zeros", name="count")
            self.seen = self.add_weight(name="seen", initializer=zeros())
            self.inner = module.Mean()

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.count.assign_add((y_pred > 0.5).float().sum())
            self.seen.assign(self.seen + y_pred.shape[0])
            self.inner.update_state(y_pred)

        def result(self):
            return self.count / self.seen + self.inner.result()

    return Positives


def test_custom_metrics_as_in_keras():
    from convia import initializers

    ours, theirs = custom(metrics, initializers.Zeros)(), custom(keras.metrics, keras.initializers.Zeros)()
    for _ in range(2):
        for n in (3, 5):
            pred = torch.tensor(floats(n, 2), requires_grad=True)
            np.testing.assert_allclose(float(ours(None, pred)), float(theirs(None, pred.detach())), rtol=1e-6)
        ours.reset_state()
        theirs.reset_state()
    assert len(ours.variables) == len(theirs.variables) == 4
    assert all(isinstance(variable, Variable) and not variable.requires_grad for variable in ours.variables)
    assert ours.get_config() == theirs.get_config()
    assert type(ours).from_config(ours.get_config()).name == "positives"


def test_stateless():
    metric = metrics.BinaryAccuracy()
    metric.update_state([1.0, 0.0], [0.9, 0.9])
    state = metric.stateless_reset_state()
    assert [float(value) for value in state] == [0.0, 0.0]
    state = metric.stateless_update_state(state, [1.0, 1.0, 0.0, 0.0], [0.9, 0.1, 0.1, 0.1])
    state = metric.stateless_update_state(state, [1.0], [0.9])
    assert [float(value) for value in state] == [4.0, 5.0]
    assert float(metric.stateless_result(state)) == pytest.approx(0.8)
    assert float(metric.result()) == 0.5
    with pytest.raises(ValueError, match="BinaryAccuracy: received 1 metric_variables; expected 2"):
        metric.stateless_result(state[:1])


def test_results_do_not_change_later():
    for metric in (metrics.Sum(), metrics.Mean()):
        first = metric([1.0, 2.0])
        before = float(first)
        metric.update_state([5.0])
        metric.reset_state()
        assert float(first) == before
    counts = metrics.TruePositives([0.2, 0.7])
    first = counts([1, 1], [0.9, 0.5])
    counts.reset_state()
    assert first.tolist() == [2.0, 1.0]


@pytest.mark.parametrize("name", CLASSES)
def test_copies_have_state_of_their_own(name):
    metric = getattr(metrics, name)(**REQUIRED.get(name, {}))
    for copy in (deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert copy.get_config() == metric.get_config() and len(copy.variables) == len(metric.variables)
        assert not any(one is other for one, other in zip(copy.variables, metric.variables, strict=True))


def test_repr():
    assert repr(metrics.Mean(name="m")) == "<Mean name=m>"


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: metrics.BinaryAccuracy()(np.zeros((4, 3)), np.zeros((4, 2))), "make them equal"),
        (lambda: metrics.CategoricalAccuracy()(np.zeros(4), np.zeros((4, 2))), "use sparse_categorical_accuracy"),
        (lambda: metrics.SparseCategoricalAccuracy()(np.zeros((4, 2)), np.zeros((4, 2))), "use categorical_accuracy"),
        (
            lambda: metrics.SparseCategoricalAccuracy()(np.zeros((4, 3)), np.zeros((4, 2))),
            r"class numbers of shape \(4,\)",
        ),
        (lambda: metrics.TopKCategoricalAccuracy(k=0), "argument 'k': received 0"),
        (lambda: metrics.Precision(thresholds=[0.5, 2]), r"Precision, argument 'thresholds': received \[2\]"),
        (lambda: metrics.Precision(class_id=1)(np.zeros(4), np.zeros(4)), r"class_id=1: .*\(N, classes\)"),
        (lambda: metrics.Recall()(np.zeros(4), np.zeros((4, 3))), "Recall: .*to_categorical"),
        (lambda: metrics.Recall()(np.zeros((4, 2)), np.zeros((4, 2)), np.ones(3)), "sample_weight of shape"),
        (lambda: metrics.PrecisionAtRecall(1.5), "argument 'recall': received 1.5"),
        (lambda: metrics.PrecisionAtRecall(0.5, num_thresholds=0), "argument 'num_thresholds': received 0"),
        (lambda: metrics.AUC(curve="RUC"), r"AUC, argument 'curve': received 'RUC'; expected one of \['ROC'"),
        (lambda: metrics.AUC(summation_method="x"), "argument 'summation_method'"),
        (lambda: metrics.AUC(num_thresholds=1), "argument 'num_thresholds': received 1"),
        (lambda: metrics.AUC(num_labels=3), "Pass multi_label=True"),
        (lambda: metrics.AUC(multi_label=True)(np.zeros(4), np.zeros(4)), r"expected shape \(N, labels\)"),
        (lambda: metrics.F1Score(average="mean"), "argument 'average': received 'mean'"),
        (lambda: metrics.F1Score(threshold=2.0), "argument 'threshold': received 2.0"),
        (lambda: metrics.FBetaScore(beta=0.0), "argument 'beta': received 0.0; expected a float above 0"),
        (lambda: metrics.F1Score()(np.zeros(4), np.zeros((4, 2))), "to_categorical"),
        (lambda: metrics.R2Score(class_aggregation="sum"), "argument 'class_aggregation'"),
        (lambda: metrics.R2Score(num_regressors=-1), "argument 'num_regressors': received -1"),
        (lambda: metrics.R2Score()(np.zeros(4), np.zeros(4)), r"expected two axes, \(N, outputs\)"),
        (lambda: metrics.IoU(2, [2]), "argument 'target_class_ids': .*from 0 to 1"),
        (lambda: metrics.MeanIoU(2)([0, 1], [0.1, 0.9, 0.3, 0.4]), "sparse_y_true=False or sparse_y_pred=False"),
        (lambda: metrics.Mean()([1.0, 2.0], [1.0, 2.0, 3.0]), r"sample_weight of shape \(3,\)"),
    ],
)
def test_errors(make, match):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=match):
        warnings.simplefilter("error")
        make()


def test_incomplete_metrics():
    class Late(metrics.Metric):
        def __init__(self):
            self.total = self.add_variable((), "zeros")

    with pytest.raises(RuntimeError, match=r"Call super\(\).__init__"):
        Late()
    with pytest.raises(NotImplementedError, match="without update_state"):
        metrics.Metric().update_state()
    with pytest.raises(NotImplementedError, match="without result"):
        metrics.Metric().result()


def test_a_class_takes_the_arguments_of_its_function():
    def near(y_true, y_pred, margin=0.5):
        return ((y_true - y_pred).abs() <= margin).float()

    class Near(metrics.MeanMetricWrapper, function=near, direction="up"):
        """How often predictions are near."""

    assert list(inspect.signature(Near).parameters) == ["name", "dtype", "margin", "kwargs"]
    assert Near(margin=1.0)(torch.zeros(4), torch.tensor([0.0, 1.0, 2.0, 3.0])) == 0.5
    assert Near().name == "near" and Near().get_config()["margin"] == 0.5
    assert metrics.base.find_function("binary_accuracy") is metrics.binary_accuracy


def test_smoothing_is_a_fraction():
    for cls in (metrics.BinaryCrossentropy, metrics.CategoricalCrossentropy):
        with pytest.raises(ValueError, match=f"{cls.__name__}, argument 'label_smoothing'.*from 0 to 1"):
            cls(label_smoothing=1.5)


@pytest.mark.parametrize("metric", [metrics.CategoricalAccuracy(), metrics.TopKCategoricalAccuracy(k=1)])
def test_one_hot_rows_may_be_of_true_and_false(metric):
    metric.update_state(np.eye(3, dtype=bool), np.array([[0.9, 0.1, 0], [0.2, 0.5, 0.3], [0.6, 0.2, 0.2]]))
    assert float(metric.result()) == pytest.approx(2 / 3)
