"""Files of Keras 1, composed from its format: configs, kernels of both orders, optimizers. The oracle is Keras 3."""

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import convia
from convia.models import load_model, model_from_json
from convia.saving import model_from_yaml

Arrays = list[np.ndarray]


def write_file(path: Path, config: Any, weights: dict[str, Arrays], training: Any = None, slots: Any = ()) -> Path:
    """A whole model as Keras 1.2 wrote it: no backend, texts as bytes, no version within the weights."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps(config).encode()
        write_weights(file.create_group("model_weights"), weights)
        if training:
            file.attrs["training_config"] = json.dumps(training).encode()
            place = file.create_group("optimizer_weights")
            place.attrs["weight_names"] = [f"param_{number}".encode() for number in range(len(slots))]
            for number, value in enumerate(slots):
                place[f"param_{number}"] = value
    return path


def write_weights(place: Any, weights: dict[str, Arrays]) -> None:
    place.attrs["layer_names"] = [name.encode() for name in weights]
    for name, arrays in weights.items():
        layer = place.create_group(name)
        names = [f"{name}_{letter}".encode() for letter in "Wbxy"[: len(arrays)]]
        layer.attrs["weight_names"] = names
        for key, value in zip(names, arrays, strict=True):
            layer[key] = value


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32") * 0.3


CONV = {"init": "glorot_uniform", "activation": "linear", "border_mode": "valid", "bias": True, "trainable": True}
CONV |= {"W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.01}, "b_regularizer": None}
CONV |= {"activity_regularizer": None, "W_constraint": {"name": "MaxNorm", "m": 2, "axis": 0}, "b_constraint": None}
TF, TH = {"dim_ordering": "tf"}, {"dim_ordering": "th"}
LAST, FIRST, SIGNAL = (6, 7, 2), (2, 6, 7), (8, 3)
CHANNELS_FIRST = {"data_format": "channels_first"}

# class and config of Keras 1, input, its weights, the layer today, its weights
LAYERS: list[tuple[str, dict[str, Any], tuple[int, ...], Arrays, Any, Arrays]] = [
    (
        "Convolution2D",
        {**CONV, **TF, "nb_filter": 4, "nb_row": 3, "nb_col": 2, "subsample": [2, 1], "activation": "relu"},
        LAST,
        [draw(3, 2, 2, 4), draw(4)],
        lambda la: la.Conv2D(4, (3, 2), strides=(2, 1), activation="relu"),
        [draw(3, 2, 2, 4), draw(4)],
    ),
    (
        "Convolution2D",
        {**CONV, **TH, "nb_filter": 4, "nb_row": 3, "nb_col": 2, "subsample": [1, 1], "border_mode": "same"},
        FIRST,
        [draw(4, 2, 3, 2), draw(4)],
        lambda la: la.Conv2D(4, (3, 2), padding="same", **CHANNELS_FIRST),
        [draw(4, 2, 3, 2).transpose(2, 3, 1, 0), draw(4)],
    ),
    (
        "AtrousConvolution2D",
        {**CONV, **TF, "nb_filter": 3, "nb_row": 2, "nb_col": 2, "subsample": [1, 1], "atrous_rate": [2, 2]},
        LAST,
        [draw(2, 2, 2, 3), draw(3)],
        lambda la: la.Conv2D(3, 2, dilation_rate=2),
        [draw(2, 2, 2, 3), draw(3)],
    ),
    (
        "Deconvolution2D",
        {
            **CONV,
            **TF,
            "nb_filter": 3,
            "nb_row": 2,
            "nb_col": 2,
            "subsample": [2, 2],
            "output_shape": [None, 12, 14, 3],
        },
        LAST,
        [draw(2, 2, 2, 3), draw(3)],
        lambda la: la.Conv2DTranspose(3, 2, strides=2),
        [draw(2, 2, 2, 3).swapaxes(2, 3), draw(3)],
    ),
    (
        "SeparableConvolution2D",
        {**CONV, **TF, "nb_filter": 3, "nb_row": 2, "nb_col": 2, "subsample": [1, 1], "depth_multiplier": 2},
        LAST,
        [draw(2, 2, 2, 2), draw(1, 1, 4, 3), draw(3)],
        lambda la: la.SeparableConv2D(3, 2, depth_multiplier=2),
        [draw(2, 2, 2, 2), draw(1, 1, 4, 3), draw(3)],
    ),
    (
        "Convolution1D",
        {**CONV, "nb_filter": 4, "filter_length": 3, "subsample_length": 2, "input_dim": None, "input_length": None},
        SIGNAL,
        [draw(3, 1, 3, 4), draw(4)],
        lambda la: la.Conv1D(4, 3, strides=2),
        [draw(3, 1, 3, 4)[:, 0], draw(4)],
    ),
    (
        "Convolution3D",
        {**CONV, **TF, "nb_filter": 2, "kernel_dim1": 2, "kernel_dim2": 2, "kernel_dim3": 3, "subsample": [1, 1, 1]},
        (4, 4, 5, 2),
        [draw(2, 2, 3, 2, 2), draw(2)],
        lambda la: la.Conv3D(2, (2, 2, 3)),
        [draw(2, 2, 3, 2, 2), draw(2)],
    ),
    (
        "Dense",
        {**CONV, "output_dim": 3, "input_dim": 5, "activation": "softmax"},
        (5,),
        [draw(5, 3), draw(3)],
        lambda la: la.Dense(3, activation="softmax"),
        [draw(5, 3), draw(3)],
    ),
    (
        "BatchNormalization",
        {"epsilon": 1e-5, "mode": 0, "axis": 1, "momentum": 0.9, "gamma_regularizer": None, "beta_regularizer": None},
        FIRST,
        [draw(2), draw(2), draw(2), abs(draw(2))],
        lambda la: la.BatchNormalization(axis=1, epsilon=1e-5),
        [draw(2), draw(2), draw(2), abs(draw(2))],
    ),
    (
        "MaxPooling2D",
        {**TF, "pool_size": [2, 2], "strides": [1, 2], "border_mode": "same"},
        LAST,
        [],
        lambda la: la.MaxPooling2D(2, (1, 2), "same"),
        [],
    ),
    (
        "AveragePooling2D",
        {**TH, "pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid"},
        FIRST,
        [],
        lambda la: la.AveragePooling2D(2, **CHANNELS_FIRST),
        [],
    ),
    (
        "MaxPooling1D",
        {"stride": 2, "pool_length": 3, "border_mode": "valid"},
        SIGNAL,
        [],
        lambda la: la.MaxPooling1D(3, 2),
        [],
    ),
    ("GlobalAveragePooling2D", dict(TH), FIRST, [], lambda la: la.GlobalAveragePooling2D(**CHANNELS_FIRST), []),
    ("ZeroPadding2D", {**TH, "padding": [1, 2]}, FIRST, [], lambda la: la.ZeroPadding2D((1, 2), **CHANNELS_FIRST), []),
    ("UpSampling2D", {**TF, "size": [2, 3]}, LAST, [], lambda la: la.UpSampling2D((2, 3)), []),
    ("UpSampling1D", {"length": 2}, SIGNAL, [], lambda la: la.UpSampling1D(2), []),
    ("Dropout", {"p": 0.4}, LAST, [], lambda la: la.Dropout(0.4), []),
    ("SpatialDropout2D", {**TF, "p": 0.4}, LAST, [], lambda la: la.SpatialDropout2D(0.4), []),
    ("GaussianNoise", {"sigma": 0.4}, LAST, [], lambda la: la.GaussianNoise(0.4), []),
    ("LeakyReLU", {"alpha": 0.2}, LAST, [], lambda la: la.LeakyReLU(0.2), []),
    ("ELU", {"alpha": 0.2}, LAST, [], lambda la: la.ELU(0.2), []),
    ("ThresholdedReLU", {"theta": 0.5}, LAST, [], lambda la: la.ReLU(threshold=0.5), []),
    (
        "PReLU",
        {"init": "zero", "shared_axes": [1, 2]},
        LAST,
        [draw(1, 1, 2)],
        lambda la: la.PReLU(shared_axes=[1, 2]),
        [draw(1, 1, 2)],
    ),
    ("Flatten", {}, LAST, [], lambda la: la.Flatten(), []),
    ("Permute", {"dims": [2, 1, 3]}, LAST, [], lambda la: la.Permute((2, 1, 3)), []),
    ("Reshape", {"target_shape": [7, 12]}, LAST, [], lambda la: la.Reshape((7, 12)), []),
]


@pytest.mark.parametrize(("kind", "config", "shape", "old", "make", "new"), LAYERS, ids=[row[0] for row in LAYERS])
def test_layers(kind: str, config: Any, shape: Any, old: Arrays, make: Any, new: Arrays, tmp_path: Path) -> None:
    first = {"name": "one", "batch_input_shape": [None, *shape], "input_dtype": "float32", **config}
    model = {"class_name": "Sequential", "config": [{"class_name": kind, "config": first}]}
    ours = load_model(write_file(tmp_path / "m.h5", model, {"one": old}))
    theirs = keras.Sequential([keras.Input(shape), make(keras.layers)])
    theirs.set_weights(new)
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-5)


def sequential(*layers: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": [{"class_name": name, "config": config} for name, config in layers]}


def dense(name: str, units: int, **more: Any) -> tuple[str, dict[str, Any]]:
    return "Dense", {**CONV, "output_dim": units, "name": name, **more}


INPUT_5 = {"batch_input_shape": [None, 5]}


def test_stacks_in_stacks(tmp_path: Path) -> None:
    inner = sequential(dense("a", 4, **INPUT_5), ("Activation", {"activation": "hard_sigmoid", "name": "s"}))
    config = {"class_name": "Sequential", "config": [inner, *sequential(dense("b", 2))["config"]]}
    arrays = {"sequential_1": [draw(5, 4), draw(4)], "b": [draw(4, 2), draw(2)]}
    model = load_model(write_file(tmp_path / "m.h5", config, arrays))
    x = draw(3, 5)
    hidden = np.clip(0.2 * (x @ draw(5, 4) + draw(4)) + 0.5, 0, 1)  # as it was before Keras 3
    expected = hidden @ draw(4, 2) + draw(2)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5)
    model.save(tmp_path / "m.keras")
    np.testing.assert_allclose(load_model(tmp_path / "m.keras").predict(x, verbose=0), expected, atol=1e-5)


MERGES: list[tuple[str, dict[str, Any], Any]] = [
    ("sum", {}, lambda a, b: a + b),
    ("mul", {}, lambda a, b: a * b),
    ("ave", {}, lambda a, b: (a + b) / 2),
    ("max", {}, np.maximum),
    ("concat", {"concat_axis": -1}, lambda a, b: np.concatenate([a, b], -1)),
    ("dot", {"dot_axes": 1}, lambda a, b: (a * b).sum(1, keepdims=True)),
    ("cos", {"dot_axes": [1, 1]}, lambda a, b: (_unit(a) * _unit(b)).sum(1, keepdims=True)),
]


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize(("mode", "axes", "function"), MERGES, ids=[row[0] for row in MERGES])
def test_merged_stacks(mode: str, axes: Any, function: Any, tmp_path: Path) -> None:
    branches = [sequential(dense("a", 3, **INPUT_5)), sequential(dense("b", 3, **INPUT_5))]
    merge = {
        "mode": mode,
        "concat_axis": 1,
        "dot_axes": -1,
        "name": "merge_1",
        "layers": branches,
        "output_shape": None,
    }
    a, b = draw(2, 5) @ draw(5, 3) + draw(3), draw(3, 5)[:2] @ draw(5, 3) + draw(3)
    merged = function(a, b)
    config = sequential(("Merge", merge | axes), dense("c", 2))
    last = [draw(merged.shape[1], 2), draw(2)]
    arrays = {"merge_1": [draw(5, 3), draw(3), draw(5, 3), draw(3)], "c": last}
    model = load_model(write_file(tmp_path / "m.h5", config, arrays))
    expected = merged @ last[0] + last[1]
    np.testing.assert_allclose(model.predict([draw(2, 5), draw(3, 5)[:2]], verbose=0), expected, atol=1e-5)


def graph() -> dict[str, Any]:
    def entry(kind: str, config: dict[str, Any], nodes: list[Any]) -> dict[str, Any]:
        return {"class_name": kind, "config": config, "name": config["name"], "inbound_nodes": nodes}

    source = {"batch_input_shape": [None, 5], "input_dtype": "float32", "sparse": False, "name": "input_1"}
    merge = {
        "name": "merge_1",
        "mode": "sum",
        "mode_type": "raw",
        "concat_axis": -1,
        "dot_axes": -1,
        "output_shape": None,
    }
    layers = [
        entry("InputLayer", source, []),
        entry(*dense("shared", 5), [[["input_1", 0, 0]], [["shared", 0, 0]]]),
        entry("Merge", merge, [[["shared", 0, 0], ["shared", 1, 0]]]),
        entry(*dense("last", 2), [[["merge_1", 0, 0]]]),
    ]
    ends = {"input_layers": [["input_1", 0, 0]], "output_layers": [["last", 0, 0]]}
    return {"class_name": "Model", "config": {"name": "model_1", "layers": layers, **ends}}


GRAPH_WEIGHTS = {"input_1": [], "shared": [draw(5, 5), draw(5)], "merge_1": [], "last": [draw(5, 2), draw(2)]}


def graph_output(x: np.ndarray) -> np.ndarray:
    one = x @ draw(5, 5) + draw(5)
    return (one + one @ draw(5, 5) + draw(5)) @ draw(5, 2) + draw(2)


def test_graphs_with_shared_layers(tmp_path: Path) -> None:
    model = load_model(write_file(tmp_path / "m.h5", graph(), GRAPH_WEIGHTS))
    np.testing.assert_allclose(model.predict(draw(4, 5), verbose=0), graph_output(draw(4, 5)), atol=1e-5)


@pytest.mark.parametrize("version", ["1.2.2", b"1.2.2"])
def test_weights_alone(version: Any, tmp_path: Path) -> None:
    model = load_model(write_file(tmp_path / "m.h5", graph(), GRAPH_WEIGHTS))
    model.set_weights([0 * weight for weight in model.get_weights()])
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_weights(file, GRAPH_WEIGHTS)
        file.attrs["keras_version"] = version
    model.load_weights(tmp_path / "w.h5")
    np.testing.assert_allclose(model.predict(draw(4, 5), verbose=0), graph_output(draw(4, 5)), atol=1e-5)


def test_weights_before_layers_had_names(tmp_path: Path) -> None:
    model = convia.Sequential(
        [convia.Input((5,)), convia.layers.Dense(3), convia.layers.ReLU(), convia.layers.Dense(2)]
    )
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["nb_layers"] = 3
        for number, arrays in enumerate([[draw(5, 3), draw(3)], [], [draw(3, 2), draw(2)]]):
            place = file.create_group(f"layer_{number}")
            place.attrs["nb_params"] = len(arrays)
            for place_in, value in enumerate(arrays):
                place[f"param_{place_in}"] = value
    model.load_weights(tmp_path / "w.h5")
    np.testing.assert_array_equal(model.get_weights()[2], draw(3, 2))


def test_kernels_of_theano_are_turned(tmp_path: Path) -> None:
    model = convia.Sequential([convia.Input((6, 6, 2)), convia.layers.Conv2D(3, (2, 3))])
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = b"2.1.0", b"theano"
        write_weights(file, {"conv": [draw(2, 3, 2, 3), draw(3)]})
    model.load_weights(tmp_path / "w.h5")
    np.testing.assert_array_equal(model.get_weights()[0], draw(2, 3, 2, 3)[::-1, ::-1])


SLOTS: list[tuple[str, dict[str, Any], Any]] = [  # optimizer, its config, the slots in Keras 3's order
    ("SGD", {"lr": 0.1, "momentum": 0.9, "decay": 0.0, "nesterov": False}, lambda a, b: [a[0], b[0]]),
    ("Adam", {"lr": 0.1, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8}, lambda a, b: [a[0], a[1], b[0], b[1]]),
    ("RMSprop", {"lr": 0.1, "rho": 0.9, "epsilon": 1e-8}, lambda a, b: [a[0], b[0]]),
    ("Adagrad", {"lr": 0.1, "epsilon": 1e-8}, lambda a, b: [a[0], b[0]]),
    ("Adadelta", {"lr": 1.0, "rho": 0.95, "epsilon": 1e-8}, lambda a, b: [a[0], a[1], b[0], b[1]]),
    ("Adamax", {"lr": 0.1, "beta_1": 0.9, "beta_2": 0.99}, lambda a, b: [a[0], a[1], b[0], b[1]]),
]
WITHOUT_COUNT = ("RMSprop", "Adagrad", "Adadelta")  # they did not save how many steps were made


@pytest.mark.parametrize(("name", "options", "order"), SLOTS, ids=[row[0] for row in SLOTS])
def test_optimizers(name: str, options: Any, order: Any, tmp_path: Path) -> None:
    count = len(order("xy", "xy")) // 2
    slots = [np.full(shape, 10 * number + len(shape), "float32") for number in range(count) for shape in ((5, 2), (2,))]
    saved = slots if name in WITHOUT_COUNT else [np.float32(7), *slots]
    training = {"optimizer_config": {"class_name": name, "config": options}, "loss": "mse", "metrics": ["accuracy"]}
    training |= {"sample_weight_mode": None, "loss_weights": None}
    config = sequential(dense("a", 2, **INPUT_5))
    model = load_model(write_file(tmp_path / "m.h5", config, {"a": [draw(5, 2), draw(2)]}, training, saved))
    optimizer = model.optimizer
    assert type(optimizer).__name__ == name and float(optimizer.learning_rate) == pytest.approx(options["lr"])
    assert int(optimizer.iterations) == (0 if name in WITHOUT_COUNT else 7)
    kernel, bias = slots[0::2], slots[1::2]
    for ours, theirs in zip(optimizer.variables[2:], order(kernel, bias), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs)
    assert np.isfinite(model.train_on_batch(draw(4, 5), draw(4, 2))).all()


def test_decay_is_a_schedule(tmp_path: Path) -> None:
    training = {"optimizer_config": {"class_name": "SGD", "config": {"lr": 0.1, "decay": 0.5}}, "loss": "mse"}
    config, arrays = sequential(dense("a", 2, **INPUT_5)), {"a": [draw(5, 2), draw(2)]}
    model = load_model(write_file(tmp_path / "m.h5", config, arrays, training, [np.float32(4)]))
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1 / (1 + 0.5 * 4))


def test_json_and_yaml() -> None:
    yaml = pytest.importorskip("yaml")
    config = {**graph(), "keras_version": "1.2.2"}
    tuples = yaml.dump(config).replace("batch_input_shape: [null, 5]", "batch_input_shape: !!python/tuple [null, 5]")
    for model in (model_from_json(json.dumps(config)), model_from_yaml(yaml.dump(config)), model_from_yaml(tuples)):
        assert [layer.name for layer in model.layers] == ["input_1", "shared", "merge_1", "last"]
        assert model.output_shape == (None, 2)
    with pytest.raises(ValueError, match=r"(?s)model_from_yaml: .* expected YAML .*, and no Python objects"):
        model_from_yaml("!!python/object/apply:os.system ['true']")
    with pytest.raises(ValueError, match=r"model_from_yaml: received the text 'a: 1'"):
        model_from_yaml("a: 1")


def test_yaml_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(ImportError, match=r"without PyYAML; expected PyYAML .* pip install pyyaml"):
        model_from_yaml("class_name: Sequential")


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (("BatchNormalization", {"mode": 2, "name": "bn"}), r"BatchNormalization 'bn': received mode=2 of Keras 1"),
        (("Merge", {"mode": "4wEA", "mode_type": "lambda", "name": "m"}), r"Merge 'm': .*never run.*load its weights"),
        (("Lambda", {"function": ["4wEA", None, None], "name": "l"}), r"Lambda layer 'l'.*never run"),
        (("NeverSeen", {"output_dim": 3, "name": "x"}), r"unknown name 'NeverSeen'"),
    ],
)
def test_what_has_no_successor(layer: Any, text: str, tmp_path: Path) -> None:
    path = write_file(tmp_path / "m.h5", sequential(dense("a", 2, **INPUT_5), layer), {"a": [draw(5, 2), draw(2)]})
    with pytest.raises(ValueError, match=text):
        load_model(path)
