"""Names, configs, copies and functions of metrics against Keras; metrics of one's own; and what errors say."""

import inspect
import pickle
import warnings
from copy import deepcopy

import keras
import numpy as np
import pytest
import torch
from metric_inputs import REQUIRED, classes, floats, one_hot, rng

from convia import losses, metrics
from convia.variable import Variable

CLASSES = [name for name in metrics.__all__ if name[0].isupper() and name not in ("Metric", "MeanMetricWrapper")]
FUNCTIONS = [
    name for name in metrics.__all__ if name[0].islower() and name not in ("deserialize", "get", "resolve", "serialize")
]


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
