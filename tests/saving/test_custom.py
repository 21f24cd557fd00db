"""The user's own classes and functions, subclassed models, copies of models, and files of older Keras."""

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import torch
from architectures import ARCHITECTURES, layer_in_two_models, named_stack, nested_functional, plain_stack, residual

import convia
from convia import saving
from convia.models import clone_model, load_model, model_from_json


def scale(library: Any) -> Any:
    """The class of a layer that multiplies by weights, here and in Keras: files hold paths made of its name."""

    class Scale(library.layers.Layer):
        def __init__(self, factor: float = 2.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor = factor

        def build(self, input_shape: Any) -> None:
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

        def call(self, inputs: Any) -> Any:
            return inputs * self.scale * self.factor

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "factor": self.factor}

    return Scale


Scale, KerasScale = scale(convia), scale(keras)


class Block(convia.Model):
    """A model with layers in attributes and lists, some private."""

    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.zoom = convia.layers.Dense(units)
        self.rest = [convia.layers.Dense(units), [convia.layers.Dense(2)]]
        self.table = {"b": convia.layers.Dense(3), "a": convia.layers.BatchNormalization()}

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x = self.rest[0](self.zoom(inputs))
        return self.rest[1][0](self.table["b"](self.table["a"](x)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class KerasBlock(keras.Model):
    """The same in Keras."""

    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.zoom = keras.layers.Dense(units)
        self.rest = [keras.layers.Dense(units), [keras.layers.Dense(2)]]
        self.table = {"b": keras.layers.Dense(3), "a": keras.layers.BatchNormalization()}

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x = self.rest[0](self.zoom(inputs))
        return self.rest[1][0](self.table["b"](self.table["a"](x)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def doubled(x: Any) -> Any:
    return 2 * x


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return (y_true - y_pred) ** 2


X = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


# -- own classes ------------------------------------------------------------------------------------------------------


def with_scale(library: Any, layer: Any) -> Any:
    return library.Sequential([library.Input((5,)), layer(3.0, name="s"), library.layers.Dense(2)])


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_own_layers_pass_both_ways(ending: str, tmp_path: Path) -> None:
    ours, theirs = with_scale(convia, Scale), with_scale(keras, KerasScale)
    ours.layers[0].set_weights([np.arange(5.0), np.array(7.0)])
    ours.save(tmp_path / f"a{ending}")
    loaded = keras.models.load_model(tmp_path / f"a{ending}", custom_objects={"Scale": KerasScale})
    np.testing.assert_allclose(loaded.predict(X, verbose=0), ours.predict(X, verbose=0), atol=1e-5)
    theirs.save(tmp_path / f"b{ending}")
    loaded = load_model(tmp_path / f"b{ending}", custom_objects={"Scale": Scale})
    np.testing.assert_allclose(loaded.predict(X, verbose=0), theirs.predict(X, verbose=0), atol=1e-5)
    with pytest.raises(ValueError, match=r"unknown name 'Scale'.*custom_objects=\{'Scale'"):
        load_model(tmp_path / f"b{ending}")


def test_registered_classes_need_no_custom_objects(tmp_path: Path) -> None:
    try:
        saving.register_keras_serializable("mine", "Stretch")(Scale)
        with_scale(convia, Scale).save(tmp_path / "m.keras")
        assert isinstance(load_model(tmp_path / "m.keras").layers[0], Scale)
        assert saving.get_registered_name(Scale) == "mine>Stretch"
        assert saving.get_registered_object("mine>Stretch") is Scale
        loaded = keras.models.load_model(tmp_path / "m.keras", custom_objects={"mine>Stretch": KerasScale})
        assert isinstance(loaded.layers[0], KerasScale)
    finally:
        saving.get_custom_objects().pop("mine>Stretch")
        convia.registry._CUSTOM_NAME.pop(Scale)


def test_scopes(tmp_path: Path) -> None:
    with_scale(convia, Scale).save(tmp_path / "m.keras")
    with saving.custom_object_scope({"Scale": Scale}):
        assert isinstance(load_model(tmp_path / "m.keras").layers[0], Scale)
    with pytest.raises(ValueError, match=r"unknown name 'Scale'"):
        load_model(tmp_path / "m.keras")


def test_own_functions(tmp_path: Path) -> None:
    model = convia.Sequential([convia.Input((5,)), convia.layers.Dense(2, activation=doubled)])
    model.compile("sgd", own_loss)
    model.save(tmp_path / "m.keras")
    loaded = load_model(tmp_path / "m.keras", custom_objects={"doubled": doubled, "own_loss": own_loss})
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert loaded.evaluate(X, np.zeros((4, 2)), verbose=0) == model.evaluate(X, np.zeros((4, 2)), verbose=0)
    assert not load_model(tmp_path / "m.keras", custom_objects={"doubled": doubled}, compile=False).compiled


def test_a_compile_method_of_ones_own_gets_the_config(tmp_path: Path) -> None:
    class Own(convia.Sequential):
        def compile_from_config(self, config: dict[str, Any]) -> None:
            given.append(config)

    given: list[dict[str, Any]] = []
    model = Own([convia.Input((5,)), convia.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.keras")
    load_model(tmp_path / "m.keras", custom_objects={"Own": Own})
    assert given[0]["optimizer"]["class_name"] == "SGD" and given[0]["loss"] == "mse"


# -- subclassed models ------------------------------------------------------------------------------------------------


def test_subclassed_models_pass_both_ways(tmp_path: Path) -> None:
    ours, theirs = Block(4), KerasBlock(4)
    for model in (ours, theirs):
        model(X)
        model.set_weights([np.full(np.shape(w), 0.1 + 0.01 * n) for n, w in enumerate(model.get_weights())])
    ours.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras", custom_objects={"Block": KerasBlock})
    np.testing.assert_allclose(loaded.predict(X, verbose=0), ours.predict(X, verbose=0), rtol=1e-5)
    theirs.save(tmp_path / "b.keras")
    loaded = load_model(tmp_path / "b.keras", custom_objects={"KerasBlock": Block})
    np.testing.assert_allclose(loaded.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-5)


def test_subclassed_models_have_the_paths_of_keras(tmp_path: Path) -> None:
    found = []
    for model in (Block(), KerasBlock()):
        model(X)
        model.save_weights(tmp_path / "m.weights.h5")
        with h5py.File(tmp_path / "m.weights.h5") as file:
            paths: list[str] = []
            file.visit(paths.append)
            found.append(sorted(path for path in paths if isinstance(file[path], h5py.Dataset)))
    assert found[0] == found[1]


def test_subclassed_models_go_on_training(tmp_path: Path) -> None:
    model = Block()
    model.compile("adam", "mse")
    y = np.zeros((4, 2), "float32")
    model.train_on_batch(X, y)
    model.save(tmp_path / "m.keras")
    loaded = load_model(tmp_path / "m.keras", custom_objects={"Block": Block})
    losses = [[m.train_on_batch(X, y) for _ in range(3)] for m in (model, loaded)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


# -- configs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda k: k.layers.Conv2D(3, 3, activation="relu"),
        lambda k: k.optimizers.Adam(0.1),
        lambda k: k.losses.Huber(name="h"),
        lambda k: k.metrics.CategoricalAccuracy(),
        lambda k: k.initializers.HeNormal(seed=3),
        lambda k: k.regularizers.L1L2(0.1, 0.2),
    ],
)
def test_objects_pass_both_ways(make: Any) -> None:
    ours, theirs = make(convia), make(keras)
    there = keras.saving.deserialize_keras_object(json.loads(json.dumps(saving.serialize_keras_object(ours))))
    back = saving.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(theirs))))
    assert type(there) is type(theirs) and type(back) is type(ours)


def test_texts_that_are_no_models() -> None:
    for text in ("", "{}", "[1]", '{"a": 1}'):
        with pytest.raises(ValueError, match=r"model_from_json: received the text .* expected JSON with the class"):
            model_from_json(text)


def test_json_options() -> None:
    assert plain_stack(convia).to_json(indent=2).startswith('{\n  "')


# -- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [make for make in ARCHITECTURES if make is not layer_in_two_models], ids=lambda make: make.__name__
)
def test_clones_have_layers_of_their_own(make: Any) -> None:
    model = make(convia)
    clone = clone_model(model)
    assert type(clone) is type(model) and clone.name == model.name
    assert [weight.shape for weight in clone.weights] == [weight.shape for weight in model.weights]
    assert not {id(weight) for weight in clone.weights} & {id(weight) for weight in model.weights}
    clone.set_weights(model.get_weights())
    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    x = convia.tree.map_structure(lambda t: rng.normal(size=(2, *t.shape[1:])).astype("float32"), model.input)
    pairs = zip(*(convia.tree.flatten(m.predict(x, verbose=0)) for m in (model, clone)), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_clones_with_other_layers() -> None:
    def narrower(layer: Any) -> Any:
        config = layer.get_config()
        if "units" in config:
            config["units"] = 7
        return type(layer).from_config(config)

    assert clone_model(named_stack(convia), clone_function=narrower).output_shape == (None, 7)
    assert clone_model(residual(convia), clone_function=narrower).output_shape == (None, 7)


def test_clones_on_other_inputs() -> None:
    inputs = convia.Input((12, 12, 3))
    clone = clone_model(residual(convia), input_tensors=inputs)
    assert clone.input_shape == (None, 12, 12, 3)
    with pytest.raises(ValueError, match=r"input_tensors.*1 symbolic tensors"):
        clone_model(residual(convia), input_tensors=np.zeros(3))


def test_clones_with_other_calls() -> None:
    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        y = layer(*args, **kwargs)
        return convia.layers.Dropout(0.5)(y) if isinstance(layer, convia.layers.Dense) else y

    model = residual(convia)
    clone = clone_model(model, clone_function=lambda layer: layer, call_function=call)
    assert type(clone.layers[-1]).__name__ == "Dropout" and clone.weights[0] is model.weights[0]
    with pytest.raises(ValueError, match=r"call_function for a Sequential"):
        clone_model(plain_stack(convia), call_function=call)


def test_recursive_clones() -> None:
    names: list[str] = []

    def note(layer: Any) -> Any:
        names.append(type(layer).__name__)
        return type(layer).from_config(layer.get_config())

    clone_model(nested_functional(convia), clone_function=note)
    clone_model(nested_functional(convia), clone_function=note, recursive=True)
    assert names.count("Functional") == 1 and names.count("Dense") == 1 + 3


def test_clones_are_compiled() -> None:
    model = residual(convia)
    model.compile(convia.optimizers.SGD(0.3), "mse", metrics=["mae"])
    clone = clone_model(model)
    assert float(clone.optimizer.learning_rate) == pytest.approx(0.3) and clone.optimizer is not model.optimizer


def test_subclassed_clones() -> None:
    model = Block(4)
    model(X)
    assert clone_model(model).units == 4
    with pytest.raises(ValueError, match=r"the subclassed model .* with options"):
        clone_model(model, clone_function=lambda layer: layer)
    with pytest.raises(ValueError, match=r"unknown arguments"):
        clone_model(model, colour=1)


# -- older Keras ------------------------------------------------------------------------------------------------------

KERAS_2_LAYER = {"trainable": True, "dtype": "float32"}
KERAS_2 = {
    "class_name": "Functional",
    "config": {
        "name": "model",
        "layers": [
            {
                "class_name": "InputLayer",
                "config": {
                    "batch_input_shape": [None, 6, 6, 2],
                    "dtype": "float32",
                    "sparse": False,
                    "ragged": False,
                    "name": "input_1",
                },
                "name": "input_1",
                "inbound_nodes": [],
            },
            {
                "class_name": "Conv2D",
                "config": {
                    **KERAS_2_LAYER,
                    "name": "conv2d",
                    "filters": 2,
                    "kernel_size": [3, 3],
                    "strides": [1, 1],
                    "padding": "same",
                    "data_format": "channels_last",
                    "dilation_rate": [1, 1],
                    "groups": 1,
                    "activation": "relu",
                    "use_bias": True,
                    "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
                    "bias_initializer": {"class_name": "Zeros", "config": {}},
                    "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}},
                },
                "name": "conv2d",
                "inbound_nodes": [[["input_1", 0, 0, {}]]],
            },
            {
                "class_name": "BatchNormalization",
                "config": {**KERAS_2_LAYER, "name": "bn", "axis": [3], "momentum": 0.9, "epsilon": 0.01},
                "name": "bn",
                "inbound_nodes": [[["conv2d", 0, 0, {}]]],
            },
            {
                "class_name": "Add",
                "config": {**KERAS_2_LAYER, "name": "add"},
                "name": "add",
                "inbound_nodes": [[["bn", 0, 0, {}], ["input_1", 0, 0, {}]]],
            },
            {
                "class_name": "Flatten",
                "config": {**KERAS_2_LAYER, "name": "flatten", "data_format": "channels_last"},
                "name": "flatten",
                "inbound_nodes": [[["add", 0, 0, {}]]],
            },
            {
                "class_name": "Dense",
                "config": {**KERAS_2_LAYER, "name": "dense", "units": 2, "activation": "softmax"},
                "name": "dense",
                "inbound_nodes": [[["flatten", 0, 0, {}]]],
            },
        ],
        "input_layers": [["input_1", 0, 0]],
        "output_layers": [["dense", 0, 0]],
    },
}
KERAS_2_LOSS = {"reduction": "auto", "name": "c", "from_logits": False}
KERAS_2_METRIC = {"name": "accuracy", "dtype": "float32", "fn": "categorical_accuracy"}
KERAS_2_OPTIMIZER = {"name": "Adam", "lr": 0.02, "decay": 0.0, "beta_1": 0.9, "epsilon": 1e-7, "amsgrad": False}
KERAS_2_TRAINING = {
    "loss": {"class_name": "CategoricalCrossentropy", "config": KERAS_2_LOSS},
    "metrics": [[{"class_name": "MeanMetricWrapper", "config": KERAS_2_METRIC}]],
    "weighted_metrics": None,
    "loss_weights": None,
    "optimizer_config": {"class_name": "Adam", "config": KERAS_2_OPTIMIZER},
}


def keras_2_file(path: Path) -> Path:
    rng = np.random.default_rng(0)
    weights = {
        "conv2d": {"kernel:0": (3, 3, 2, 2), "bias:0": (2,)},
        "bn": {"gamma:0": (2,), "beta:0": (2,), "moving_mean:0": (2,), "moving_variance:0": (2,)},
        "dense": {"kernel:0": (72, 2), "bias:0": (2,)},
    }
    names = [layer["name"] for layer in KERAS_2["config"]["layers"]]  # type: ignore[index]
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = "2.4.0", "tensorflow"
        file.attrs["model_config"] = json.dumps(KERAS_2).encode()
        file.attrs["training_config"] = json.dumps(KERAS_2_TRAINING).encode()
        place = file.create_group("model_weights")
        place.attrs["layer_names"] = [name.encode() for name in names]
        for name in names:
            layer = place.create_group(name)
            layer.attrs["weight_names"] = [f"{name}/{weight}".encode() for weight in weights.get(name, {})]
            for weight, shape in weights.get(name, {}).items():
                layer[f"{name}/{weight}"] = rng.uniform(0.1, 0.4, shape).astype("float32")
    return path


def test_models_of_keras_2(tmp_path: Path) -> None:
    path = keras_2_file(tmp_path / "old.h5")
    ours, theirs = load_model(path), keras.models.load_model(path, compile=False)
    x = np.random.default_rng(1).normal(size=(3, 6, 6, 2)).astype("float32")
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-5)
    assert float(ours.optimizer.learning_rate) == pytest.approx(0.02)
    assert ours.get_layer("conv2d").kernel_regularizer is not None
    results = ours.evaluate(x, np.eye(2)[[0, 1, 1]], verbose=0, return_dict=True)
    assert set(results) == {"loss", "accuracy"}


def test_weights_of_keras_2(tmp_path: Path) -> None:
    path = keras_2_file(tmp_path / "old.h5")
    ours, theirs = load_model(path), keras.models.load_model(path, compile=False)
    for model in (ours, theirs):
        model.set_weights([0 * weight for weight in model.get_weights()])
        model.load_weights(path)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_frozen_layers_do_not_shift_old_weights(tmp_path: Path) -> None:
    def nested() -> Any:
        la = convia.layers
        block = convia.Sequential([la.Dense(3), la.BatchNormalization(), la.Dense(3)])
        return convia.Sequential([convia.Input((3,)), block])

    model, frozen = nested(), nested()
    model.set_weights([np.full(w.shape, n) for n, w in enumerate(model.get_weights())])
    model.save(tmp_path / "m.h5")
    frozen.trainable = False
    frozen.load_weights(tmp_path / "m.h5")
    for a, b in zip(model.get_weights(), frozen.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_layout_of_keras_2_13(tmp_path: Path) -> None:
    model = plain_stack(convia)
    path = tmp_path / "m.weights.h5"
    model.save_weights(path)
    before = model.get_weights()
    with h5py.File(path, "r+") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
    model.set_weights([0 * weight for weight in before])
    model.load_weights(path)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bfloat16(tmp_path: Path) -> None:
    def make(k: Any) -> Any:
        return k.Sequential([k.Input((4,)), k.layers.Dense(3, dtype="bfloat16")])

    ours, theirs = make(convia), make(keras)
    theirs.save_weights(tmp_path / "m.weights.h5")
    ours.load_weights(tmp_path / "m.weights.h5")
    values = [w.value.detach().float().numpy() for w in theirs.weights]
    for a, b in zip(ours.get_weights(), values, strict=True):
        np.testing.assert_array_equal(a, b)
    ours.save_weights(tmp_path / "n.weights.h5")
    theirs.load_weights(tmp_path / "n.weights.h5")
