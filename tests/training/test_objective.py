"""What losses and metrics add up to in torch, beside the formulas; the engine's sums are compared elsewhere."""

import numpy as np
import pytest

import convia as k

X = np.linspace(-1, 1, 24, dtype="float32").reshape(6, 4)
Y, Z = X[:, :1] ** 2, X[:, :2] - 0.5
WEIGHTS = np.array([0.0, 1.0, 2.0, 3.0, 0.5, 0.25], "float32")


def two_outputs():
    x = k.Input((4,))
    return k.Model(x, [k.layers.Dense(1, name="one")(x), k.layers.Dense(2, name="two")(x)])


def squared(target, output, weight=1.0):
    """The mean over the batch of the mean over the numbers, each sample counting as much as it weighs."""
    return np.mean(weight * np.mean((target - output) ** 2, axis=1))


@pytest.mark.parametrize("factor", [None, 1.0, 3.0, 0.5])
@pytest.mark.parametrize("weight", [None, WEIGHTS])
def test_the_loss_of_one_output(factor, weight):
    model = k.Sequential([k.Input((4,)), k.layers.Dense(1)])
    model.compile("sgd", "mse", loss_weights=None if factor is None else [factor], engine="torch")
    expected = (factor or 1.0) * squared(Y, model.predict(X, verbose=0), 1.0 if weight is None else weight)
    assert model.test_on_batch(X, Y, sample_weight=weight) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("factors", [[1.0, 1.0], [3.0, 0.5], [1.0, 4.0], {"one": 2.0, "two": 0.25}])
def test_the_loss_of_several_outputs_is_their_weighted_sum_and_each_is_shown_as_it_is(factors):
    model = two_outputs()
    model.compile("sgd", ["mse", "mse"], loss_weights=factors, engine="torch")
    first, second = (squared(t, o) for t, o in zip((Y, Z), model.predict(X, verbose=0), strict=True))
    a, b = factors.values() if isinstance(factors, dict) else factors
    logs = model.test_on_batch(X, [Y, Z], return_dict=True)
    assert logs == pytest.approx({"loss": a * first + b * second, "one_loss": first, "two_loss": second}, rel=1e-5)


def test_an_output_without_a_loss_counts_for_nothing():
    model = two_outputs()
    model.compile("sgd", [None, "mse"], loss_weights=[5.0, 2.0], engine="torch")
    second = squared(Z, model.predict(X, verbose=0)[1])
    logs = model.test_on_batch(X, [Y, Z], return_dict=True)
    assert logs["loss"] == pytest.approx(2 * second, rel=1e-5)
    assert "one_loss" not in logs


def test_the_mean_over_batches_of_unequal_sizes_counts_samples():
    model = two_outputs()
    model.compile("sgd", ["mse", "mse"], engine="torch")
    whole = model.evaluate(X, [Y, Z], batch_size=6, verbose=0, return_dict=True)
    parts = model.evaluate(X, [Y, Z], batch_size=4, verbose=0, return_dict=True)
    assert parts == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("kind", ["metrics", "weighted_metrics"])
def test_weights_of_samples_count_for_weighted_metrics_only(kind):
    model = k.Sequential([k.Input((4,)), k.layers.Dense(1)])
    model.compile("sgd", "mse", **{kind: ["mae"]}, engine="torch")
    error = np.abs(Y - model.predict(X, verbose=0))[:, 0]
    logs = model.test_on_batch(X, Y, sample_weight=WEIGHTS, return_dict=True)
    expected = np.average(error, weights=None if kind == "metrics" else WEIGHTS)
    assert logs["mae"] == pytest.approx(expected, rel=1e-5)


def test_a_metric_in_both_lists_has_two_names():
    model = k.Sequential([k.Input((4,)), k.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mae", "mse"], engine="torch")
    assert set(model.test_on_batch(X, Y, return_dict=True)) == {"loss", "mae", "weighted_mae", "mse"}


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["mae"], {"one_mae", "two_mae"}),
        ("mae", {"one_mae", "two_mae"}),
        (["mae", "mse"], {"one_mae", "two_mse"}),
        ([["mae"], ["mae", "mse"]], {"one_mae", "two_mae", "two_mse"}),
        ([["mae"], None], {"one_mae"}),
        ({"two": "mae"}, {"two_mae"}),
        (["mae", "mse", "msle"], {f"{output}_{name}" for output in ("one", "two") for name in ("mae", "mse", "msle")}),
        (None, set()),
    ],
)
def test_which_outputs_a_metric_looks_at(given, names):
    model = two_outputs()
    model.compile("sgd", ["mse", "mse"], metrics=given, engine="torch")
    assert set(model.test_on_batch(X, [Y, Z], return_dict=True)) == {"loss", "one_loss", "two_loss"} | names


@pytest.mark.parametrize("given", ["mae", ["mae"], [["mae"]]])
def test_metrics_of_one_output(given):
    model = k.Sequential([k.Input((4,)), k.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=given, engine="torch")
    assert set(model.test_on_batch(X, Y, return_dict=True)) == {"loss", "mae"}


@pytest.mark.parametrize("engine", ["torch", "auto"])
@pytest.mark.parametrize(
    ("what", "count"), [("targets", 1), ("targets", 3), ("sample weights", 1), ("sample weights", 3)]
)
def test_targets_and_weights_come_one_per_output(what, count, engine):
    model = two_outputs()
    model.compile("sgd", ["mse", "mse"], engine=engine)
    targets, weights = ([Y] * count, None) if what == "targets" else ([Y, Z], [WEIGHTS] * count)
    message = rf"fit: received {count} arrays of {what}; expected 2, one per output: \['one', 'two'\]"
    with pytest.raises(ValueError, match=message):
        model.fit(X, targets, sample_weight=weights, verbose=0)


@pytest.mark.parametrize("engine", ["torch", "auto"])
@pytest.mark.parametrize("nested", [lambda it: {"only": it}, lambda it: (it,)], ids=["dict", "tuple"])
def test_one_output_in_a_dict_or_a_tuple_is_one_output(nested, engine):
    class Nested(k.Model):
        def __init__(self):
            super().__init__()
            self.dense = k.layers.Dense(1)

        def call(self, inputs):
            return nested(self.dense(inputs))

    model = Nested()
    model.compile("sgd", "mse", metrics=["mae"], engine=engine)
    (found,) = k.tree.flatten(model.predict(X, verbose=0))
    expected = {"loss": squared(Y, found, WEIGHTS), "mae": np.abs(Y - found).mean()}
    logs = model.evaluate(X, nested(Y), sample_weight=WEIGHTS, batch_size=4, verbose=0, return_dict=True)
    assert logs == pytest.approx(expected, rel=1e-5)
