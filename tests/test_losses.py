"""Losses against Keras on the torch backend: values, gradients, configs; and what errors say."""

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

from convia import activations, config, losses, registry

rng = np.random.default_rng(0)


def floats(*shape, low=0.02, high=0.98):
    return rng.uniform(low, high, shape).astype("float32")


def labels(classes, *shape):
    return rng.integers(0, classes, shape)


def one_hot(classes, *shape):
    return np.eye(classes, dtype="float32")[labels(classes, *shape)]


CLASSES = [name for name in losses.__all__ if name[0].isupper() and name not in ("Loss", "LossFunctionWrapper")]
FUNCTIONS = [
    name
    for name in losses.__all__
    if name[0].islower() and name not in ("check_labels", "deserialize", "get", "resolve", "serialize", "task")
]
DENSE = [
    ("MeanSquaredError", {}),
    ("MeanAbsoluteError", {}),
    ("MeanAbsolutePercentageError", {}),
    ("MeanSquaredLogarithmicError", {}),
    ("CosineSimilarity", {}),
    ("CosineSimilarity", {"axis": 1}),
    ("Huber", {}),
    ("Huber", {"delta": 0.1}),
    ("LogCosh", {}),
    ("Hinge", {}),
    ("SquaredHinge", {}),
    ("CategoricalHinge", {}),
    ("KLDivergence", {}),
    ("Poisson", {}),
    ("Dice", {}),
    ("Dice", {"axis": (1, 2)}),
    ("Tversky", {"alpha": 0.3, "beta": 0.6}),
    ("Tversky", {"axis": (1, 2)}),
]
CROSS = [
    ("BinaryCrossentropy", {}),
    ("BinaryCrossentropy", {"from_logits": True}),
    ("BinaryCrossentropy", {"label_smoothing": 0.2, "axis": 1}),
    ("BinaryFocalCrossentropy", {}),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5, "label_smoothing": 0.1}),
    ("BinaryFocalCrossentropy", {"from_logits": True, "axis": 1}),
    ("CategoricalCrossentropy", {}),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}),
    ("CategoricalCrossentropy", {"axis": 1}),
    ("CategoricalCrossentropy", {"axis": 1, "from_logits": True}),
    ("CategoricalFocalCrossentropy", {}),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "alpha": 0.5, "gamma": 1.0, "label_smoothing": 0.1}),
    ("CategoricalFocalCrossentropy", {"axis": 1, "alpha": [[0.1, 0.2, 0.3, 0.4, 0.5]]}),
]
SPARSE = [
    ("SparseCategoricalCrossentropy", {}),
    ("SparseCategoricalCrossentropy", {"from_logits": True}),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}),
    ("SparseCategoricalCrossentropy", {"ignore_class": 0, "from_logits": True}),
]
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]


def both(name, settings, y_true, y_pred, weight=None, reduction="sum_over_batch_size", grad=True):
    """Compare value and gradient of one loss here and in Keras."""
    results = []
    for module in (losses, keras.losses):
        pred = torch.tensor(y_pred, requires_grad=True)
        loss = getattr(module, name)(reduction=reduction, **settings)
        value = loss(torch.tensor(y_true), pred, sample_weight=weight)
        if grad:
            value.sum().backward()
        results.append((value.detach().numpy(), pred.grad))
    (value, gradient), (expected, expected_gradient) = results
    assert value.shape == expected.shape and value.dtype == expected.dtype
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-7)
    if grad:
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "settings"), DENSE + CROSS)
def test_dense_losses(name, settings, reduction):
    y_true = one_hot(5, 4, 5) if "Cross" in name else floats(4, 5, 5)
    y_pred = floats(4, 5, 5)
    for weight in (None, floats(4, 5), floats(4, 1)):
        scalar = settings.get("axis") in (None, (1, 2)) and name in ("Dice", "Tversky")
        both(name, settings, y_true, y_pred, floats(4) if scalar and weight is not None else weight, reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "settings"), SPARSE)
def test_sparse_losses(name, settings, reduction):
    for weight in (None, floats(8), floats(8, 1)):
        both(name, settings, labels(5, 8), floats(8, 5), weight, reduction)
        both(name, settings, labels(5, 8, 1), floats(8, 5), weight, reduction)
    both(name, settings, labels(5, 4, 6, 3), floats(4, 6, 3, 5), floats(4, 6, 3), reduction, grad=False)


def test_gradients_of_segmentation():
    y_true, y_pred = labels(5, 4, 6, 3), torch.tensor(floats(4, 6, 3, 5))
    ours, theirs = y_pred.clone().requires_grad_(), y_pred.clone().requires_grad_()
    losses.SparseCategoricalCrossentropy()(y_true, ours).backward()
    keras.losses.CategoricalCrossentropy()(torch.eye(5)[y_true], theirs).backward()
    np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-5, atol=1e-7)
    assert losses.sparse_categorical_crossentropy(2, y_pred[0, 0, 0]).shape == ()


@pytest.mark.parametrize("shape", [(6, 4), (6, 1), (6,)])
@pytest.mark.parametrize(
    ("name", "settings"), [row for row in DENSE if row[0] not in ("Dice", "Tversky") and not row[1]]
)
def test_losses_of_vectors(name, settings, shape):
    both(name, settings, floats(*shape), floats(*shape))
    both(name, settings, floats(*shape), floats(*shape), None, "sum")


@pytest.mark.parametrize("name", ["MeanSquaredError", "MeanAbsoluteError", "BinaryCrossentropy", "Hinge"])
@pytest.mark.parametrize("shapes", [((6,), (6, 1)), ((6, 1), (6,)), ((6, 3, 1), (6, 3)), ((6, 3), (6, 3, 1))])
def test_ranks_are_matched(name, shapes):
    y_true = rng.integers(0, 2, shapes[0])
    both(name, {}, y_true, floats(*shapes[1]))
    both(name, {}, y_true, floats(*shapes[1]), floats(6, 1) if len(shapes[0]) == 1 else None)


def test_class_axis_of_sparse_labels():
    y_true, y_pred = labels(5, 4, 6), floats(4, 5, 6)
    for from_logits in (False, True):
        both("SparseCategoricalCrossentropy", {"axis": 1, "from_logits": from_logits}, y_true, y_pred)


def test_extreme_probabilities():
    y_pred = np.array([[0, 1, 0], [1, 0, 0], [2, 3, 5]], "float32")
    both("SparseCategoricalCrossentropy", {}, np.array([0, 0, 1]), y_pred)
    both("CategoricalCrossentropy", {}, np.eye(3, dtype="float32"), y_pred)
    both("BinaryCrossentropy", {}, np.eye(3, dtype="float32"), np.clip(y_pred, 0, 1))
    both("CosineSimilarity", {}, np.eye(3, dtype="float32"), y_pred)


def test_hinge_of_labels_minus_one_and_one():
    y_true = rng.choice([-1.0, 1.0], (6, 4)).astype("float32")
    for name in ("Hinge", "SquaredHinge"):
        both(name, {}, y_true, floats(6, 4, low=-2, high=2))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_generalized_cross_entropy(reduction):
    both("CategoricalGeneralizedCrossEntropy", {"q": 0.7}, labels(5, 8), floats(8, 5), None, reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("settings", [{}, {"gamma": 10.0, "margin": 0.2}, {"remove_diagonal": False}])
def test_circle(settings, reduction):
    embeddings = floats(8, 4, low=-1, high=1)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    both("Circle", settings, np.arange(8) % 3, embeddings, None, reduction)
    both("Circle", settings, np.arange(8) % 3, embeddings, floats(8), reduction)


def test_circle_with_references():
    y_true, y_pred, others, labels_ = labels(3, 6), floats(6, 4), floats(9, 4), labels(3, 9)
    expected = keras.losses.circle(torch.tensor(y_true), torch.tensor(y_pred), labels_, others)
    np.testing.assert_allclose(losses.circle(y_true, y_pred, labels_, others), expected, rtol=1e-5)


def test_ctc():
    y_true = np.array([[1, 2, 2, 0], [3, 1, 0, 0]])
    both("CTC", {}, y_true, floats(2, 9, 4, low=-2, high=2))
    both("CTC", {}, y_true, floats(2, 9, 4), floats(2), "none")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_arrays_and_lists(name):
    sparse = name.startswith("sparse") or name in ("circle", "categorical_generalized_cross_entropy")
    y_true, y_pred = (labels(4, 6), floats(6, 4)) if sparse else (one_hot(4, 6), floats(6, 4))
    if name == "ctc":
        y_true, y_pred = np.array([[1, 2], [3, 0]]), floats(2, 6, 4)
    extra = {"q": 0.5} if name == "categorical_generalized_cross_entropy" else {}
    expected = getattr(keras.losses, name)(torch.tensor(y_true), torch.tensor(y_pred), **extra).numpy()
    for convert in (np.asarray, np.ndarray.tolist, torch.tensor):
        result = getattr(losses, name)(convert(y_true), convert(y_pred), **extra)
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [*CLASSES, *FUNCTIONS, "Loss"])
def test_signatures(name):
    ours, keras_ = (
        [
            (p.name, p.default)
            for p in inspect.signature(getattr(module, name)).parameters.values()
            if p.name != "kwargs"
        ]
        for module in (losses, keras.losses)
    )
    assert ours == keras_


@pytest.mark.parametrize("name", CLASSES)
def test_configs(name):
    loss = getattr(losses, name)()
    assert loss.get_config() == getattr(keras.losses, name)().get_config()
    assert losses.serialize(loss) == keras.losses.serialize(getattr(keras.losses, name)())
    again = losses.deserialize(losses.serialize(loss))
    assert type(again) is type(loss) and again.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Huber", {"delta": 2.0}),
        ("CosineSimilarity", {"axis": 1}),
        ("SparseCategoricalCrossentropy", {"axis": 1, "ignore_class": 3}),
        ("MeanSquaredError", {"dtype": "float64", "reduction": "sum", "name": "mine"}),
    ],
)
def test_configs_keep_what_keras_forgets(name, settings):
    loss = getattr(losses, name)(**settings)
    again = losses.deserialize(losses.serialize(loss))
    assert all(getattr(again, key) == value for key, value in settings.items())
    getattr(keras.losses, name).from_config(loss.get_config())


@pytest.mark.parametrize("short", ["bce", "kld", "mae", "mape", "mse", "msle"])
def test_short_names(short):
    for name in (short, short.upper()):
        assert losses.get(name).__name__ == keras.losses.get(name).__name__


def test_get():
    assert losses.get(None) is None
    assert losses.get("mean_squared_error") is losses.mean_squared_error
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert losses.get({"class_name": "Huber", "config": {"delta": 3.0}}).delta == 3.0
    assert losses.get(losses.serialize(losses.mean_squared_error)) is losses.mean_squared_error
    with pytest.raises(ValueError, match="Did you mean 'mean_squared_error'"):
        losses.get("mean_squared_eror")
    with pytest.raises(TypeError, match=r"losses\.get: received 3"):
        losses.get(3)


@pytest.mark.parametrize(
    ("true", "pred", "expected"),
    [
        ((None,), (None, 1), "binary_crossentropy"),
        ((None, 1), (None, 1), "binary_crossentropy"),
        ((None,), (None, 10), "sparse_categorical_crossentropy"),
        ((None, 1), (None, 10), "sparse_categorical_crossentropy"),
        ((None, 10), (None, 10), "categorical_crossentropy"),
    ],
)
def test_resolve_by_shapes(true, pred, expected):
    for name in ("crossentropy", "ce"):
        loss = losses.resolve(name, true, pred)
        assert loss.fn is getattr(losses, expected) and loss.name == name


def test_resolve():
    assert losses.resolve(None, (None,), (None, 1)) is None
    assert losses.resolve("mse", (None,), (None, 1)).name == "mse"
    assert losses.resolve(losses.huber, (None,), (None, 1)).name == "huber"
    loss = losses.Huber()
    assert losses.resolve(loss, (None,), (None, 1)) is loss
    mine = losses.resolve(lambda y_true, y_pred: (y_true - y_pred).abs().mean(-1), (None, 2), (None, 2))
    assert float(mine(np.zeros((3, 2)), np.ones((3, 2)))) == 1.0
    with pytest.raises(TypeError, match="compile, argument 'loss': received"):
        losses.resolve({"class_name": "__numpy__", "config": {"value": [1], "dtype": "int64"}}, (None,), (None, 1))


def test_custom_losses_as_in_keras():
    def make(module):
        class Weighted(module.Loss):
            def __init__(self, factor=2.0, **kwargs):
                super().__init__(**kwargs)
                self.factor = factor

            def call(self, y_true, y_pred):
                return self.factor * (y_true - y_pred).square().mean(-1)

            def get_config(self):
                return {**super().get_config(), "factor": self.factor}

        return Weighted

    ours, theirs = make(losses), make(keras.losses)
    y_true, y_pred, weight = labels(2, 6, 3), floats(6, 3), floats(6)
    for reduction in REDUCTIONS:
        value = ours(3.0, reduction=reduction)(y_true, y_pred, weight)
        np.testing.assert_allclose(value, theirs(3.0, reduction=reduction)(y_true, y_pred, weight).numpy(), rtol=1e-6)
    loss = ours(3.0, name="w", reduction="sum")
    assert loss.get_config() == theirs(3.0, name="w", reduction="sum").get_config()
    assert ours.from_config(loss.get_config()).factor == 3.0
    assert ours().name.startswith("weighted")


def test_a_subclass_may_override_call():
    class Doubled(losses.MeanSquaredError):
        def call(self, y_true, y_pred):
            return 2 * super().call(y_true, y_pred)

    y_true, y_pred = floats(4, 3), floats(4, 3)
    np.testing.assert_allclose(Doubled()(y_true, y_pred), 2 * losses.MeanSquaredError()(y_true, y_pred), rtol=1e-6)


def test_containers_reach_call():
    class Both(losses.Loss):
        def call(self, y_true, y_pred):
            return (y_true["a"] - y_pred["a"]).square().mean(-1) + (y_true["b"] - y_pred["b"]).abs().mean(-1)

    y_true, y_pred = ({"a": np.full((4, 2), value), "b": np.full((4, 3), value)} for value in (0.0, 1.0))
    assert float(Both()(y_true, y_pred)) == 2.0


def test_wrapper_round_trip():
    loss = losses.LossFunctionWrapper(losses.huber, name="h", delta=0.5)
    again = losses.LossFunctionWrapper.from_config(loss.get_config())
    y_true, y_pred = floats(4, 3), floats(4, 3)
    np.testing.assert_allclose(again(y_true, y_pred), losses.Huber(0.5)(y_true, y_pred))
    assert "huber" in repr(again)


def test_masks_of_predictions_count():
    y_true, y_pred, mask = floats(4, 3, 2), floats(4, 3, 2), rng.random((4, 3)) < 0.5
    for reduction in REDUCTIONS:
        for weight in (None, floats(4, 3)):
            values = []
            for module in (losses, keras.losses):
                pred = torch.tensor(y_pred)
                pred._keras_mask = torch.tensor(mask)
                values.append(module.MeanSquaredError(reduction=reduction)(y_true, pred, weight).numpy())
            np.testing.assert_allclose(*values, rtol=1e-6)


def test_weights_of_examples_reach_inner_axes():
    y_true, y_pred, weight = floats(4, 5, 2), floats(4, 5, 2), floats(4)
    value = losses.MeanSquaredError()(y_true, y_pred, weight)
    np.testing.assert_allclose(value, (((y_true - y_pred) ** 2).mean(-1) * weight[:, None]).mean(), rtol=1e-6)


def test_dtype():
    assert losses.MeanSquaredError(dtype="float64")(floats(4, 2), floats(4, 2)).dtype is torch.float64
    assert losses.MeanSquaredError()(np.zeros((4, 2)), torch.zeros(4, 2, dtype=torch.float16)).dtype is torch.float32
    assert losses.MeanSquaredError().dtype == config.floatx()
    assert losses.MeanSquaredError(dtype=config.DTypePolicy("mixed_float16")).dtype == "float16"


@pytest.mark.parametrize("name", CLASSES)
def test_losses_travel(name):
    loss = getattr(losses, name)()
    for copy in (deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert copy.get_config() == loss.get_config()


def test_empty_batches():
    for name, y_true in (("MeanSquaredError", np.zeros((0, 3))), ("CategoricalCrossentropy", np.zeros((0, 3)))):
        assert not torch.isnan(getattr(losses, name)(reduction="sum")(y_true, np.zeros((0, 3))))


def test_registered():
    assert registry.find("keras.losses", "Dice", "test").name == "dice"


@pytest.mark.parametrize(
    ("name", "true", "pred", "match"),
    [
        ("MeanSquaredError", (4, 3), (4, 2), r"y_true of shape \(4, 3\) and y_pred of shape \(4, 2\).*make them equal"),
        ("MeanSquaredError", (4, 3), (5, 3), "Reshape the labels"),
        ("BinaryCrossentropy", (4, 3), (4, 1), "Give the last layer 3 units"),
        ("CategoricalCrossentropy", (4,), (4, 3), r"use sparse_categorical_crossentropy.*to_categorical\(y_true, 3\)"),
        ("CategoricalCrossentropy", (4, 1), (4, 3), "use sparse_categorical_crossentropy"),
        ("SparseCategoricalCrossentropy", (4, 3), (4, 3), "one-hot rows: use categorical_crossentropy"),
        ("SparseCategoricalCrossentropy", (4, 2), (4, 3), r"class numbers of shape \(4,\).*Flatten"),
        ("CTC", (4,), (4, 3, 2), r"ctc: received y_true of shape \(4,\); expected shape \(N, length\)"),
        ("CTC", (4, 2), (4, 3), r"y_pred of shape \(4, 3\)"),
    ],
)
def test_shapes_are_explained(name, true, pred, match):
    with pytest.raises(ValueError, match=match):
        getattr(losses, name)()(np.ones(true, "int64"), np.ones(pred, "float32"))


def test_broadcasting_is_announced():
    with pytest.warns(UserWarning, match="They are broadcast"):
        value = losses.MeanSquaredError(reduction="none")(np.zeros((4, 1)), np.ones((4, 3)))
    assert value.shape == (4,)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses.MeanSquaredError()(np.zeros(4), np.ones((4, 1)))


@pytest.mark.parametrize(
    ("y_true", "classes", "settings", "match"),
    [
        ([0, 10], 10, {}, "received the label 10 in y_true; expected labels from 0 to 9.*11 units"),
        ([1, 10], 10, {}, "subtract 1"),
        ([-1, 2], 10, {}, "ignore_class=-1"),
        ([0, 1], 1, {}, "binary_crossentropy"),
        ([0.5, 1], 3, {}, r"the label 0\.5 .*whole class numbers.*rows of probabilities"),
        ([[1.0, 0.0]], 2, {}, "one-hot"),
    ],
)
def test_check_labels(y_true, classes, settings, match):
    y_pred = np.full((len(y_true), classes), 0.1, "float32")
    with pytest.raises(ValueError, match=match):
        losses.check_labels(np.array(y_true), y_pred, **settings)
    with pytest.raises(ValueError, match=match):
        losses.SparseCategoricalCrossentropy().check(np.array(y_true), y_pred)
    with pytest.raises(ValueError, match=match):
        losses.resolve("sparse_categorical_crossentropy", (2,), (2, classes)).check(np.array(y_true), y_pred)


def test_good_labels_pass_the_check():
    losses.check_labels(np.array([0, 255, 2]), floats(3, 3), ignore_class=255)
    losses.check_labels(np.array([[0], [2]]), floats(2, 3))
    losses.check_labels(np.zeros(0, "int64"), floats(0, 3))
    losses.SparseCategoricalCrossentropy(ignore_class=255).check(np.array([0, 255, 2]), floats(3, 3))
    losses.MeanSquaredError().check(np.zeros(3), np.zeros((3, 1)))


@pytest.mark.parametrize("from_logits", [False, True])
def test_labels_out_of_range_are_explained_in_the_step_too(from_logits):
    with pytest.raises(ValueError, match="the label 10 in y_true"):
        losses.SparseCategoricalCrossentropy(from_logits)(np.array([0, 10]), floats(2, 10))


def test_other_errors():
    with pytest.raises(ValueError, match="argument 'reduction': received 'avg'"):
        losses.MeanSquaredError(reduction="avg")
    with pytest.raises(ValueError, match="argument 'reduction': received 'avg'"):
        losses.LossFunctionWrapper(losses.huber, reduction="avg")
    with pytest.raises(ValueError, match="argument 'label_smoothing': received 2"):
        losses.BinaryCrossentropy(label_smoothing=2)
    with pytest.raises(ValueError, match=r"sample_weight of shape \(3,\).*shape \(4,\)"):
        losses.MeanSquaredError()(np.zeros((4, 2)), np.zeros((4, 2)), np.ones(3))
    with pytest.raises(ValueError, match="axis=True"):
        losses.categorical_crossentropy(np.eye(3), np.eye(3), axis=True)
    with pytest.warns(SyntaxWarning, match="use binary_crossentropy"):
        losses.categorical_crossentropy(np.ones((3, 1)), np.ones((3, 1)))
    with pytest.raises(NotImplementedError, match="a loss without call"):
        losses.Loss()(np.zeros(3), np.zeros(3))


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"])
def test_probabilities_bring_their_scores_while_training(name):
    """The loss of softmax(x) has the exact gradient where the probability is so small that clipping would hide it."""
    x = torch.tensor([[-40.0, 40.0]], requires_grad=True)
    kind = "sigmoid" if name.startswith("binary") else "softmax"
    probabilities = getattr(activations, kind)(x)
    y = torch.tensor([0]) if name.startswith("sparse") else torch.tensor([[1.0, 0.0]])
    getattr(losses, name)(y, probabilities).sum().backward()
    expected = [[-0.5, 0.5]] if kind == "sigmoid" else [[-1.0, 1.0]]
    torch.testing.assert_close(x.grad, torch.tensor(expected))
    with torch.no_grad():
        assert not hasattr(getattr(activations, kind)(x), "_scores")


def test_a_class_takes_the_arguments_of_its_function():
    def power(y_true, y_pred, exponent=2.0, **options):
        return ((y_true - y_pred).abs() ** exponent).mean(-1)

    class Power(losses.LossFunctionWrapper, function=power):
        """The mean of |y − ŷ|ⁿ."""

    class Swapped(losses.LossFunctionWrapper, function=power):
        """The same with another order of arguments."""

        name: str | None = "other"
        exponent: float = 3.0

    names = {cls: list(inspect.signature(cls).parameters) for cls in (Power, Swapped)}
    assert names[Power] == ["exponent", "reduction", "name", "dtype", "kwargs"]
    assert names[Swapped] == ["name", "exponent", "reduction", "dtype", "kwargs"]
    y = torch.tensor([[0.0, 2.0]])
    assert Power(4.0)(torch.zeros(1, 2), y) == 8
    assert Swapped()(torch.zeros(1, 2), y) == 4
    assert Power.from_config(Power(4.0).get_config()).exponent == 4
