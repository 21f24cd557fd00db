"""Files go to Keras and come from Keras: the same predictions, and training that continues with the same numbers."""

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from architectures import (
    ARCHITECTURES,
    dictionaries,
    layer_in_two_models,
    nested_functional,
    plain_stack,
    residual,
    shared_layer,
    stack_of_stacks,
    two_inputs_two_outputs,
)

import convia

every_model = pytest.mark.parametrize("make", ARCHITECTURES, ids=lambda make: make.__name__)
formats = pytest.mark.parametrize("ending", [".keras", ".h5"])


def data_for(model: Any, count: int = 3) -> Any:
    """Random inputs in the structure that a model takes."""
    rng = np.random.default_rng(1)
    structure = model.inputs[0] if type(model).__name__ == "Sequential" else model.input
    leaves = convia.tree.flatten(structure)
    arrays = [rng.normal(size=(count, *tensor.shape[1:])).astype("float32") for tensor in leaves]
    return convia.tree.pack(structure, arrays)


def randomize(model: Any) -> Any:
    """Weights that no initializer would draw, also of statistics."""
    rng = np.random.default_rng(2)
    model.set_weights([rng.uniform(0.2, 0.6, size=np.shape(weight)) for weight in model.get_weights()])
    return model


def assert_same_predictions(one: Any, other: Any, tolerance: float = 2e-5) -> None:
    x = data_for(one)
    pairs = zip(*(convia.tree.flatten(model.predict(x, verbose=0)) for model in (one, other)), strict=True)
    for a, b in pairs:
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=tolerance * max(1.0, np.abs(b).max()))


@every_model
@formats
def test_keras_loads_what_we_save(make: Any, ending: str, tmp_path: Path) -> None:
    if ending == ".h5" and make.__name__ in KERAS_CANNOT_READ_H5:
        pytest.skip("Keras cannot read such a model from its own .h5 files")
    model = randomize(make(convia))
    model.save(tmp_path / f"m{ending}")
    loaded = keras.models.load_model(tmp_path / f"m{ending}")
    assert_same_predictions(model, loaded)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


KERAS_CANNOT_READ_H5 = ("slices",)
WITHOUT_SHARING = ("layer_in_two_models",)  # only .keras files know of layers that two models share


@every_model
@formats
def test_we_load_what_keras_saves(make: Any, ending: str, tmp_path: Path) -> None:
    model = randomize(make(keras))
    model.save(tmp_path / f"m{ending}")
    assert_same_predictions(convia.models.load_model(tmp_path / f"m{ending}"), model)


@every_model
@formats
def test_we_load_what_we_save(make: Any, ending: str, tmp_path: Path) -> None:
    model = randomize(make(convia))
    model.save(tmp_path / f"m{ending}")
    loaded = convia.models.load_model(tmp_path / f"m{ending}")
    assert_same_predictions(loaded, model, 0)
    assert type(loaded) is type(model)
    if ending == ".keras" or make.__name__ not in WITHOUT_SHARING:
        assert [w.trainable for w in loaded.weights] == [w.trainable for w in model.weights]


@every_model
def test_weights_files_pass_both_ways(make: Any, tmp_path: Path) -> None:
    ours, theirs = randomize(make(convia)), make(keras)
    ours.save_weights(tmp_path / "a.weights.h5")
    theirs.load_weights(tmp_path / "a.weights.h5")
    assert_same_predictions(ours, theirs)
    theirs.set_weights([0.9 * weight for weight in theirs.get_weights()])
    theirs.save_weights(tmp_path / "b.weights.h5")
    ours.load_weights(tmp_path / "b.weights.h5")
    assert_same_predictions(ours, theirs)


@every_model
def test_json_passes_both_ways(make: Any) -> None:
    ours, theirs = make(convia), make(keras)
    x = data_for(ours, 1)
    there, back = keras.models.model_from_json(ours.to_json()), convia.models.model_from_json(theirs.to_json())
    for made, model in ((there, ours), (back, theirs)):
        shapes = [[w.shape for w in m.get_weights()] for m in (made, model)]
        assert shapes[0] == shapes[1] or make.__name__ in WITHOUT_SHARING
        made.predict(x, verbose=0)


def test_files_have_the_paths_of_keras(tmp_path: Path) -> None:
    for make in ARCHITECTURES:
        found = []
        for library in (convia, keras):
            model = make(library)
            model.save_weights(tmp_path / "m.weights.h5")
            with h5py.File(tmp_path / "m.weights.h5") as file:
                paths: list[str] = []
                file.visit(paths.append)
                found.append(sorted(path for path in paths if isinstance(file[path], h5py.Dataset)))
        assert found[0] == found[1], make.__name__


# -- training goes on -------------------------------------------------------------------------------------------------

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.01, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"learning_rate": 0.003, "amsgrad": True, "clipnorm": 1.0}),
    ("RMSprop", {"learning_rate": 0.002, "momentum": 0.3, "centered": True}),
    ("AdamW", {"weight_decay": 0.01, "use_ema": True}),
    ("Nadam", {}),
    ("Adagrad", {}),
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("source", ["convia", "keras"])
def test_training_continues_elsewhere(name: str, options: dict[str, Any], source: str, tmp_path: Path) -> None:
    here, there = (convia, keras) if source == "convia" else (keras, convia)
    model = residual(here)
    model.compile(getattr(here.optimizers, name)(**options), loss="mean_squared_error", metrics=["mae"])
    x, y = data_for(model, 4), np.random.default_rng(3).normal(size=(4, 2)).astype("float32")
    for _ in range(3):
        model.train_on_batch(x, y)
    model.save(tmp_path / "m.keras")
    loaded = there.models.load_model(tmp_path / "m.keras")
    assert int(loaded.optimizer.iterations) == 3
    losses = [[m.train_on_batch(x, y)[0] for _ in range(4)] for m in (model, loaded)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-4)


def test_schedules_continue(tmp_path: Path) -> None:
    model = plain_stack(convia)
    schedule = convia.optimizers.schedules.CosineDecay(0.1, 10)
    model.compile(convia.optimizers.SGD(schedule), "mse")
    x, y = data_for(model, 4), np.zeros((4, 2), "float32")
    model.train_on_batch(x, y)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert float(loaded.optimizer.learning_rate) == pytest.approx(float(model.optimizer.learning_rate))


def test_old_format_keeps_the_optimizer(tmp_path: Path) -> None:
    model = residual(keras)
    model.compile(keras.optimizers.Adam(0.01), "mean_squared_error", metrics=["mae"])
    x, y = data_for(model, 4), np.zeros((4, 2), "float32")
    model.train_on_batch(x, y)
    model.save(tmp_path / "m.h5")
    loaded = convia.models.load_model(tmp_path / "m.h5")
    losses = [[m.train_on_batch(x, y)[0] for _ in range(4)] for m in (model, loaded)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-4)


def test_old_format_of_ours_keeps_the_optimizer(tmp_path: Path) -> None:
    model = residual(convia)
    model.compile("adam", "mse", metrics=["mae"])
    x, y = data_for(model, 4), np.zeros((4, 2), "float32")
    model.train_on_batch(x, y)
    model.save(tmp_path / "m.h5")
    assert keras.models.load_model(tmp_path / "m.h5").compiled
    loaded = convia.models.load_model(tmp_path / "m.h5")
    losses = [[m.train_on_batch(x, y)[0] for _ in range(4)] for m in (model, loaded)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    model.save(tmp_path / "bare.h5", include_optimizer=False)
    assert not convia.models.load_model(tmp_path / "bare.h5").compiled


COMPILATIONS: list[tuple[Any, Any]] = [
    (two_inputs_two_outputs, lambda k: {"loss": ["mse", "mae"], "loss_weights": [1.0, 0.5]}),
    (two_inputs_two_outputs, lambda k: {"loss": {"a": "mse", "b": k.losses.Huber()}, "metrics": {"a": ["mae"]}}),
    (dictionaries, lambda k: {"loss": {"u": "mse", "v": "mae"}}),
    (plain_stack, lambda k: {"loss": k.losses.MeanSquaredError(), "metrics": [k.metrics.MeanAbsoluteError(name="e")]}),
    (plain_stack, lambda k: {"loss": k.losses.mean_absolute_error, "weighted_metrics": ["mse"]}),
    (stack_of_stacks, lambda k: {"loss": k.losses.CategoricalCrossentropy(from_logits=True), "metrics": ["accuracy"]}),
]


@pytest.mark.parametrize(("make", "arguments"), COMPILATIONS)
@pytest.mark.parametrize("source", ["convia", "keras"])
def test_losses_and_metrics_pass(make: Any, arguments: Any, source: str, tmp_path: Path) -> None:
    here, there = (convia, keras) if source == "convia" else (keras, convia)
    model = make(here)
    model.compile("sgd", **arguments(here))
    x = data_for(model, 4)
    y = convia.tree.map_structure(np.ones_like, model.predict(x, verbose=0))
    model.save(tmp_path / "m.keras")
    loaded = there.models.load_model(tmp_path / "m.keras")
    results = [m.evaluate(x, y, verbose=0, return_dict=True) for m in (model, loaded)]
    assert results[0].keys() == results[1].keys()
    for key, value in results[0].items():
        assert results[1][key] == pytest.approx(value, rel=1e-4), key


# -- sharing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [convia, keras])
def test_a_layer_in_two_models_stays_one(source: Any, tmp_path: Path) -> None:
    layer_in_two_models(source).save(tmp_path / "m.keras")
    loaded = convia.models.load_model(tmp_path / "m.keras")
    left, right = (layer for layer in loaded.layers if type(layer).__name__ == "Sequential")
    assert left.layers[0] is right.layers[0]
    assert len(loaded.weights) == 4


def test_a_shared_layer_has_its_weights_once(tmp_path: Path) -> None:
    shared_layer(keras).save(tmp_path / "m.keras")
    assert len(convia.models.load_model(tmp_path / "m.keras").weights) == 4


def test_a_loaded_model_can_be_saved_again(tmp_path: Path) -> None:
    model = randomize(nested_functional(keras))
    model.save(tmp_path / "a.keras")
    convia.models.load_model(tmp_path / "a.keras").save(tmp_path / "b.keras")
    assert_same_predictions(keras.models.load_model(tmp_path / "b.keras"), model)
