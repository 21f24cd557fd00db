import pickle
import sys

import keras
import numpy as np
import pytest

import convia
from convia import wrappers

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

KINDS = {"SKLearnClassifier": "categorical_crossentropy", "SKLearnRegressor": "mse", "SKLearnTransformer": "mse"}
FIT = {"epochs": 3, "verbose": 0, "shuffle": False}


def model_of(api, inputs, outputs, loss, weights=None):
    layers = [api.Input((inputs,)), api.layers.Dense(outputs, "softmax" if "cross" in loss else None)]
    model = api.Sequential(layers)
    model.compile(api.optimizers.SGD(0.1), loss)
    if weights is not None:
        model.set_weights(weights)
    return model


def made(X, y, loss="mse", api=convia, weights=None):
    return model_of(api, X.shape[1], y.shape[1], loss, weights)


def data(kind):
    x = np.random.randn(60, 4)
    return x, np.array(["no", "yes", "maybe"])[x[:, :3].argmax(1)] if "Classifier" in kind else x @ [1, 2, 3, 4]


@pytest.mark.parametrize(("kind", "loss"), KINDS.items())
def test_equals_keras(kind, loss):
    x, y = data(kind)
    outputs = 3 if "Classifier" in kind else 1
    weights = [np.random.randn(4, outputs).astype("float32"), np.zeros(outputs, "float32")]
    results = []
    for api, module in ((convia, wrappers), (keras, keras.wrappers)):
        arguments = {"loss": loss, "api": api, "weights": weights}
        estimator = getattr(module, kind)(made, model_kwargs=arguments, fit_kwargs=FIT)
        estimator.fit(x, y)
        use = "transform" if "Transformer" in kind else "predict"
        results.append(getattr(estimator, use)(x))
        if kind == "SKLearnClassifier":
            assert list(estimator.classes_) == ["maybe", "no", "yes"]
            assert estimator.decision_function(x).shape == (60, 3)
    assert results[0].shape == results[1].shape
    if results[0].dtype.kind == "U":
        assert (results[0] == results[1]).all()
    else:
        assert np.allclose(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_a_model_is_copied_unless_the_start_is_warm():
    x, y = data("SKLearnRegressor")
    model = model_of(convia, 4, 1, "mse")
    before = model.get_weights()
    estimator = wrappers.SKLearnRegressor(model, fit_kwargs=FIT).fit(x, y)
    assert np.array_equal(model.get_weights()[0], before[0]) and estimator.model_ is not model
    warm = wrappers.SKLearnRegressor(model, warm_start=True, fit_kwargs=FIT).fit(x, y)
    first = warm.score(x, y)
    assert warm.model_ is model and warm.fit(x, y, epochs=30).score(x, y) > first
    assert estimator.epoch_ == 3 and warm.epoch_ == 30


def test_in_a_pipeline_and_a_search():
    x, y = data("SKLearnClassifier")
    estimator = wrappers.SKLearnClassifier(made, model_kwargs={"loss": "categorical_crossentropy"}, fit_kwargs=FIT)
    pipeline = make_pipeline(StandardScaler(), estimator).fit(x, y)
    assert pipeline.predict(x).shape == (60,)
    search = GridSearchCV(estimator, {"fit_kwargs": [{**FIT, "epochs": n} for n in (1, 20)]}, cv=2).fit(x, y)
    assert search.best_params_["fit_kwargs"]["epochs"] == 20
    assert clone(estimator).get_params()["fit_kwargs"] == FIT
    assert pickle.loads(pickle.dumps(estimator)).get_params()["warm_start"] is False


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda x: wrappers.SKLearnRegressor(convia.Sequential([convia.layers.Dense(1)])).fit(x, x[:, 0]), RuntimeError,
         "without loss and optimizer"),
        (lambda x: wrappers.SKLearnClassifier(made).fit(x, x[:, 0]), ValueError, "'continuous'"),
        (lambda x: wrappers.SKLearnClassifier(made).fit(x, np.ones(len(x), int)), ValueError, "only one class"),
        (lambda x: wrappers.Nothing, AttributeError, "has no attribute 'Nothing'"),
    ],
)  # fmt: skip
def test_messages(call, kind, words):
    with pytest.raises(kind, match=words):
        call(np.random.randn(6, 2))


def test_without_scikit_learn(monkeypatch):
    monkeypatch.delitem(sys.modules, "convia.wrappers.estimators", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        _ = wrappers.SKLearnClassifier
