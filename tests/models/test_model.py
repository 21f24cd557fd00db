"""Models: structure, order, configs and errors, against Keras where it has an opinion."""

import keras
import numpy as np
import pytest
import torch

import convia
from convia.models.plot import Dot


def residual(k):
    x = inputs = k.Input((8, 8, 3), name="image")
    x = k.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(x)
    y = k.layers.Conv2D(4, 3, padding="same", name="second")(x)
    x = k.layers.Add(name="sum")([x, y])
    x = k.layers.GlobalAveragePooling2D(name="pool")(x)
    return k.Model(inputs, k.layers.Dense(2, name="scores")(x), name="residual")


def inception(k):
    image = k.Input((12, 12, 3), name="image")
    t1 = k.layers.Conv2D(6, (1, 1), padding="same", activation="relu", name="t1a")(image)
    t1 = k.layers.Conv2D(6, (3, 3), padding="same", activation="relu", name="t1b")(t1)
    t2 = k.layers.Conv2D(6, (1, 1), padding="same", activation="relu", name="t2a")(image)
    t2 = k.layers.Conv2D(6, (5, 5), padding="same", activation="relu", name="t2b")(t2)
    t3 = k.layers.MaxPooling2D((3, 3), strides=(1, 1), padding="same", name="t3a")(image)
    t3 = k.layers.Conv2D(6, (1, 1), padding="same", activation="relu", name="t3b")(t3)
    return k.Model(image, k.layers.concatenate([t1, t2, t3], axis=1, name="joined"), name="inception")


def shared(k):
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    dense = k.layers.Dense(3, name="dense")
    return k.Model([a, b], k.layers.Subtract(name="difference")([dense(a), dense(b)]), name="siamese")


def nested(k):
    inner = k.Sequential(
        [k.Input((4,), name="in"), k.layers.Dense(3, name="d1"), k.layers.Dense(2, name="d2")], name="inner"
    )
    x = k.Input((4,), name="x")
    return k.Model(x, k.layers.Activation("tanh", name="squash")(inner(x)), name="outer")


def dictionary(k):
    x = k.Input((4,), name="x")
    return k.Model({"x": x}, {"p": k.layers.Dense(2, name="p")(x), "q": k.layers.Dense(3, name="q")(x)}, name="d")


MODELS = {f.__name__: f for f in (residual, inception, shared, nested, dictionary)}


@pytest.mark.parametrize("name", MODELS)
def test_graphs_equal_keras(name):
    ours, theirs = MODELS[name](convia), MODELS[name](keras)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert ours.count_params() == theirs.count_params()
    assert ours.input_shape == theirs.input_shape and ours.output_shape == theirs.output_shape
    ours.set_weights(theirs.get_weights())
    rng = np.random.default_rng(0)
    data = keras.tree.map_structure(lambda t: rng.random((3, *t.shape[1:]), dtype="float32"), theirs.input)
    expected = theirs.predict(data, verbose=0)
    result = ours.predict(data, verbose=0)
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), result, expected)


@pytest.mark.parametrize("name", MODELS)
def test_config_round_trip(name):
    model = MODELS[name](convia)
    copy = type(model).from_config(model.get_config())
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    copy.set_weights(model.get_weights())
    rng = np.random.default_rng(0)
    data = keras.tree.map_structure(lambda t: rng.random((3, *t.shape[1:]), dtype="float32"), model.input)
    keras.tree.map_structure(
        np.testing.assert_array_equal, model.predict(data, verbose=0), copy.predict(data, verbose=0)
    )


def course(k):
    return [
        k.layers.Conv2D(8, (3, 3), activation="relu", name="conv1", input_shape=(28, 28, 1)),
        k.layers.MaxPooling2D(pool_size=(2, 2)),
        k.layers.Conv2D(4, (3, 3), activation="relu", name="conv2"),
        k.layers.MaxPooling2D(pool_size=(2, 2)),
        k.layers.Flatten(),
        k.layers.Dense(10, activation="softmax"),
    ]


def test_the_documents_models_have_their_shapes():
    model = convia.Sequential()
    for layer in course(convia):
        model.add(layer)
    assert [layer.output.shape for layer in model.layers] == [
        (None, 26, 26, 8), (None, 13, 13, 8), (None, 11, 11, 4), (None, 5, 5, 4), (None, 100), (None, 10),
    ]  # fmt: skip
    assert model.count_params() == 80 + 292 + 1010
    first = convia.Model(inputs=model.input, outputs=model.get_layer("conv1").output)
    assert first.predict(np.zeros((2, 28, 28, 1), "float32"), verbose=0).shape == (2, 26, 26, 8)
    assert model.get_layer("conv2").get_weights()[0][:, :, 0, 0].shape == (3, 3)


def test_lenet_and_the_deeper_net_have_the_documents_parameters():
    layers = convia.layers
    lenet = convia.Sequential(
        [
            layers.Conv2D(6, (5, 5), padding="same", activation="tanh", input_shape=(28, 28, 1)),
            layers.AvgPool2D(pool_size=(2, 2)),
            layers.Conv2D(16, (5, 5), padding="valid", activation="tanh"),
            layers.AvgPool2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dense(120, activation="tanh"),
            layers.Dense(84, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    assert lenet.output_shape == (None, 10) and lenet.count_params() == 61706
    deep = convia.Sequential(
        [
            layers.Conv2D(64, (5, 5), activation="relu", input_shape=(28, 28, 1)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Dropout(0.2),
            layers.Conv2D(128, (5, 5), activation="relu"),
            layers.Conv2D(128, (3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    assert deep.count_params() == 1664 + 36928 + 204928 + 147584 + 65664 + 1290
    x = convia.Input((32, 32, 3))
    small = convia.Sequential([layers.Conv2D(4, (3, 3), input_shape=(32, 32, 3)), layers.Flatten()])
    assert [layer.output.shape for layer in small.layers] == [(None, 30, 30, 4), (None, 3600)]
    assert small(x).shape == (None, 3600)


def test_deferred_sequential_builds_on_its_first_data():
    model = convia.Sequential([convia.layers.Flatten(), convia.layers.Dense(3)])
    assert not model.built
    assert model(np.zeros((2, 4, 5), "float32")).shape == (2, 3)
    assert model.input_shape == (None, 4, 5) and model.count_params() == 63
    other = convia.Sequential([convia.layers.Dense(3)])
    other.build((None, 7))
    assert other.count_params() == 24


def test_pop_and_add_rebuild():
    model = convia.Sequential([convia.Input((4,)), convia.layers.Dense(3), convia.layers.Dense(2)])
    model.pop()
    assert model.output_shape == (None, 3)
    model.add(convia.layers.Dense(5))
    assert model.output_shape == (None, 5) and len(model.layers) == 2


def test_trainable_is_recursive():
    model = nested(convia)
    inner = model.get_layer("inner")
    inner.trainable = False
    assert not inner.layers[0].trainable and model.trainable_weights == []
    assert len(model.non_trainable_weights) == 4
    inner.layers[1].trainable = True
    assert len(inner.layers[1].trainable_weights) == 2
    assert sum(p.requires_grad for p in model.parameters()) == 2


def test_arithmetic_and_torch_functions_on_symbolic_tensors():
    x = convia.Input((4,))
    model = convia.Model(x, torch.relu(1.0 - 2 * x) + x[:, :1])
    data = np.random.default_rng(0).random((3, 4), dtype="float32")
    np.testing.assert_allclose(model.predict(data, verbose=0), np.maximum(1 - 2 * data, 0) + data[:, :1], rtol=1e-6)


def test_a_model_may_start_in_the_middle_of_another():
    model = residual(convia)
    tail = convia.Model(model.get_layer("sum").output, model.output)
    maps = np.random.default_rng(0).random((2, 8, 8, 4), dtype="float32")
    pooled = maps.mean((1, 2))
    kernel, bias = model.get_layer("scores").get_weights()
    np.testing.assert_allclose(tail.predict(maps, verbose=0), pooled @ kernel + bias, rtol=1e-5)


class Subclassed(convia.Model):
    def __init__(self, units=3):
        super().__init__(name="mine")
        self.blocks = [convia.layers.Dense(units) for _ in range(2)]
        self.drop = convia.layers.Dropout(0.5)

    def call(self, inputs, training=None):
        for block in self.blocks:
            inputs = block(inputs)
        return self.drop(inputs, training=training)


def test_subclassed_models():
    model = Subclassed()
    assert model(torch.ones(2, 3)).shape == (2, 3)
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "dropout"] and len(model.weights) == 4
    assert torch.equal(model(torch.ones(2, 3)), model(torch.ones(2, 3)))
    assert not torch.equal(model(torch.ones(9, 3), training=True), model(torch.ones(9, 3), training=True))
    other = Subclassed()
    other.build((None, 5))
    assert other.count_params() == 18 + 12
    assert len(list(model.parameters())) == 4


def test_add_loss_in_a_layer():
    class Penalty(convia.Layer):
        def call(self, inputs):
            self.add_loss(inputs.sum())
            return inputs

    model = convia.Sequential([convia.Input((3,)), Penalty(), convia.layers.Dense(1)])
    for _ in range(3):
        model(torch.ones(2, 3))
    assert [float(loss) for loss in model.losses] == [6.0]


def test_torch_tools_work_unadapted():
    model = residual(convia)
    x = torch.rand(2, 8, 8, 3)
    seen = []
    handle = model.get_layer("first").register_forward_hook(lambda m, i, o: seen.append(tuple(o.shape)))
    expected = model(x)
    handle.remove()
    assert seen == [(2, 8, 8, 4)]
    compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(compiled(x), expected)
    exported = torch.export.export(model, (x,))
    torch.testing.assert_close(exported.module()(x), expected)
    assert set(model.state_dict()) == {
        "first.kernel", "first.bias", "second.kernel", "second.bias", "scores.kernel", "scores.bias",
    }  # fmt: skip


ERRORS = [
    (lambda: residual(convia).get_layer("secnd"), ValueError, "Did you mean 'second'"),
    (lambda: residual(convia).get_layer(), ValueError, "either a name or an index"),
    (lambda: residual(convia).get_layer(index=9), ValueError, "less than 6"),
    (lambda: residual(convia)(torch.zeros(2, 9, 8, 3)), ValueError, r"\(None, 8, 8, 3\)"),
    (lambda: residual(convia)(torch.zeros(2, 3, 8, 8)), ValueError, "moveaxis"),
    (lambda: residual(convia)(torch.zeros(8, 8, 3)), ValueError, r"x\[None\]"),
    (lambda: shared(convia)([torch.zeros(2, 4)]), ValueError, "2: a, b"),
    (lambda: shared(convia)({"a": torch.zeros(2, 4)}), ValueError, "the inputs"),
    (lambda: convia.Model(convia.Input((3,)), torch.zeros(3)), ValueError, "symbolic tensors"),
    (lambda: convia.Model(convia.Input((3,)), convia.layers.Dense(2)(convia.Input((3,)))), ValueError, "disconnected"),
    (lambda: convia.Sequential([convia.layers.Dense]), TypeError, "parentheses"),
    (lambda: convia.Sequential([torch.nn.ReLU()]), TypeError, "Wrap it in a Layer"),
    (lambda: convia.Sequential().pop(), TypeError, "at least one layer"),
    (
        lambda: convia.Sequential([convia.layers.Dense(1, name="a"), convia.layers.Dense(1, name="a")]),
        ValueError,
        "'a'",
    ),
    (lambda: convia.Sequential([convia.layers.Dense(1)]).summary(), None, ""),
    (lambda: convia.Sequential([convia.layers.Dense(1)]).output, AttributeError, "graph"),
    (lambda: convia.Sequential([convia.layers.Dense(1)]).count_params(), ValueError, "build"),
    (lambda: convia.Model().summary(), ValueError, "build"),
    (lambda: convia.Model()(torch.zeros(1)), NotImplementedError, "call"),
    (convia.Input, ValueError, "neither shape nor batch_shape"),
    (lambda: convia.Input((3,), batch_shape=(2, 3)), ValueError, "both"),
    (lambda: convia.Input("28x28"), ValueError, "whole numbers"),
    (lambda: bool(convia.Input((3,))), TypeError, "symbolic"),
    (lambda: np.asarray(convia.Input((3,))), ValueError, "convia.ops"),
    (lambda: list(convia.Input((3,))), TypeError, "loop"),
    (lambda: convia.layers.Dense(3).output, AttributeError, "Call it on an Input"),
    (lambda: convia.layers.Dense(3).set_weights([1]), ValueError, "one per weight"),
]


@pytest.mark.parametrize("action, kind, text", ERRORS, ids=[f"{i}: {row[2]}" for i, row in enumerate(ERRORS)])
def test_errors(action, kind, text):
    if kind is None:
        action()
        return
    with pytest.raises(kind, match=text):
        action()


def test_two_layers_of_one_name_in_a_graph():
    x = convia.Input((3,))
    y = convia.layers.Dense(2, name="twice")(convia.layers.Dense(3, name="twice")(x))
    with pytest.raises(ValueError, match="'twice'"):
        convia.Model(x, y)


def test_summary_has_keras_numbers():
    lines: list[str] = []
    residual(convia).summary(print_fn=lines.append)
    text = "\n".join(lines)
    for part in ('Model: "residual"', "first (Conv2D)", "(None, 8, 8, 4)", "112", "148", "Total params: 270", "1.05 KB",
                 "Trainable params: 270", "Non-trainable params: 0", "sum[0][0]"):  # fmt: skip
        assert part in text, part


def test_summary_options():
    lines: list[str] = []
    model = nested(convia)
    model.get_layer("inner").trainable = False
    model.summary(print_fn=lines.append, expand_nested=True, show_trainable=True, line_length=90)
    text = "\n".join(lines)
    assert "d1 (Dense)" in text and "Non-trainable params: 23" in text
    assert max(len(line) for line in text.splitlines()) <= 90
    with pytest.raises(ValueError, match="layer_range"):
        model.summary(layer_range=["nothing", "squash"])


def test_summary_says_by_which_statistics_normalizations_work():
    norms = [convia.layers.BatchNormalization(name=name) for name in ("learns", "frozen", "inference")]
    norms[1].trainable = False
    x = inputs = convia.Input((4,))
    for norm, training in zip(norms, (None, None, False), strict=True):
        x = norm(x, training=training) if training is not None else norm(x)
    lines: list[str] = []
    convia.Model(inputs, x).summary(print_fn=lines.append, show_trainable=True, line_length=120)
    rows = {
        name: line
        for line in lines[0].splitlines()
        for name in ("learns", "frozen", "inference")
        if f"{name} (" in line
    }
    assert [" ".join(row.split("│")[-2].split()) for row in rows.values()] == ["Y batch", "N moving", "Y moving"]
    assert "BatchNormalization in training: 1 by the batch's statistics, 2 by moving averages" in lines[0]


@pytest.mark.parametrize(("frozen", "said"), [((), "Y"), (("d1",), "part"), (("d1", "d2"), "N")])
def test_summary_says_that_a_part_of_a_model_learns(frozen, said):
    inner = convia.Sequential([convia.Input((4,)), *[convia.layers.Dense(4, name=name) for name in ("d1", "d2")]])
    inner.name = "inner"
    inner.trainable = len(frozen) < 2
    for name in frozen:
        inner.get_layer(name).trainable = False
    lines: list[str] = []
    convia.Sequential([convia.Input((4,)), inner]).summary(print_fn=lines.append, show_trainable=True)
    row = next(line for line in lines[0].splitlines() if "inner (" in line)
    assert row.split("│")[-2].strip() == said


def test_summary_after_training_counts_the_optimizer():
    model = shared(convia)
    model.compile("adam", "mse")
    model.fit([np.ones((4, 4)), np.ones((4, 4))], np.ones((4, 3)), verbose=0)
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert "Trainable params: 15" in lines[0] and "Optimizer params: 32" in lines[0]


def test_plot(tmp_path, monkeypatch):
    dot = convia.utils.model_to_dot(nested(convia), show_shapes=True, expand_nested=True)
    assert '"x" -> "inner/d1"' in dot.to_string() or '"x" -> "inner/in"' in dot.to_string()
    assert "(None, 2)" in dot.to_string()
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.warns(UserWarning, match="graphviz"):
        convia.utils.plot_model(nested(convia), tmp_path / "model.png")
    assert (tmp_path / "model.dot").read_text().startswith("digraph")
    with pytest.raises(FileNotFoundError, match="Graphviz"):
        Dot().create()
    with pytest.raises(ValueError, match="without a graph"):
        convia.utils.plot_model(convia.Model())


def compiled(k):
    model = k.Sequential([k.Input((4,)), k.layers.Dense(3, name="d"), k.layers.BatchNormalization(name="b")], name="s")
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def test_state_trees_are_read_and_written():
    x, y = np.ones((4, 4), "float32"), np.ones((4, 3), "float32")
    one, other = compiled(convia), compiled(convia)
    for model in (one, other):
        model.fit(x, y, verbose=0)
    tree = one.get_state_tree("numpy_array")
    assert {group: set(paths) for group, paths in tree.items()} == {
        "trainable_variables": {"d", "b"},
        "non_trainable_variables": {"b"},
        "optimizer_variables": {one.optimizer.name},
        "metrics_variables": {"loss", "mean_absolute_error"},
    }
    other.set_state_tree({**tree, "optimizer_variables": {}})
    np.testing.assert_array_equal(other.predict(x, verbose=0), one.predict(x, verbose=0))
    assert one.get_state_tree()["trainable_variables"]["d"]["kernel"] is one.layers[0].kernel


@pytest.mark.parametrize(("action", "text"), [
    (lambda: compiled(convia).get_state_tree("list"), "one of"),
    (lambda: compiled(convia).set_state_tree({"weights": {}}), "the group 'weights'"),
    (lambda: convia.Sequential([compiled(convia), convia.layers.Dense(3, name="d")]).get_state_tree(), "two variables"),
])  # fmt: skip
def test_mistakes_with_state_trees(action, text):
    with pytest.raises(ValueError, match=text):
        action()


def test_functions_of_a_step():
    x = np.random.default_rng(0).random((4, 4), dtype="float32")
    batch = [(torch.as_tensor(x), torch.ones(4, 3))]
    model = compiled(convia)
    before = model.layers[0].get_weights()[0]
    model.make_test_function()(batch)
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], before)
    assert "loss" in model.make_train_function()(batch)
    assert np.abs(model.layers[0].get_weights()[0] - before).max() > 0
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(model.make_predict_function()([(batch[0][0],)]), expected, rtol=1e-5, atol=1e-6)
    first = model.train_function
    assert model.make_train_function() is first
    assert model.make_train_function(force=True) is not first


def test_symbolic_tensors_are_reshaped_and_squeezed():
    x = convia.Input((2, 6), batch_size=1)
    model = convia.Model(x, [x.reshape((3, 4)), x.squeeze(), x.squeeze(0)])
    assert [t.shape for t in model.outputs] == [(3, 4), (2, 6), (2, 6)]
    assert [t.shape for t in model(np.ones((1, 2, 6), "float32"))] == [(3, 4), (2, 6), (2, 6)]


def test_add_variable_and_input_dtype():
    layer = convia.layers.Layer(dtype="mixed_bfloat16")
    variable = layer.add_variable((2,), "ones", trainable=False, name="v")
    assert layer.weights[0] is variable and not variable.trainable and variable.name == "v"
    assert layer.input_dtype == keras.layers.Layer(dtype="mixed_bfloat16").input_dtype == "bfloat16"
