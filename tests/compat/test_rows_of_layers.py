"""Constructs of Keras's eras that break on the Keras of today, row by row as in ``eras.md``: layers, graphs, files."""

import importlib

import numpy as np
import pytest

from convia.compat import programs

IMAGES = np.random.default_rng(0).uniform(size=(4, 8, 8, 1)).astype("float32")


def keras_of():
    return importlib.import_module("keras")


def sequential(*layers):
    return keras_of().models.Sequential(list(layers))


@pytest.mark.parametrize(
    ("name", "arguments", "options", "shape"),
    [
        ("Convolution2D", (4, 3, 5), {"border_mode": "same", "subsample": (2, 1), "input_shape": (8, 8, 1)}, (4, 8, 4)),
        ("Convolution2D", (), {"nb_filter": 4, "nb_row": 3, "nb_col": 5, "bias": False, "init": "he_normal",
                               "W_constraint": None, "input_shape": (8, 8, 1)}, (6, 4, 4)),
        ("AtrousConvolution2D", (4, 3, 3), {"atrous_rate": (2, 2), "input_shape": (8, 8, 1)}, (4, 4, 4)),
        ("SeparableConvolution2D", (4, 3, 3), {"depth_multiplier": 2, "input_shape": (8, 8, 2)}, (6, 6, 4)),
        ("Deconvolution2D", (3, 3, 3), {"output_shape": (None, 9, 9, 3), "subsample": (2, 2),
                                        "input_shape": (4, 4, 2)}, (9, 9, 3)),
        ("Convolution1D", (4, 3), {"border_mode": "valid", "input_dim": 2, "input_length": 10}, (8, 4)),
        ("Convolution1D", (), {"nb_filter": 3, "filter_length": 2, "subsample_length": 2, "input_shape": (9, 2)},
         (4, 3)),
        ("Convolution3D", (4, 3, 2, 1), {"input_shape": (5, 5, 5, 1)}, (3, 4, 5, 4)),
        ("MaxPooling1D", (), {"pool_length": 2, "stride": 1, "border_mode": "valid", "input_shape": (5, 3)}, (4, 3)),
        ("LSTM", (), {"output_dim": 5, "inner_init": "orthogonal", "forget_bias_init": "one", "dropout_W": 0.1,
                      "inner_activation": "hard_sigmoid", "input_dim": 3, "input_length": 7,
                      "return_sequences": True}, (7, 5)),
        ("Embedding", (), {"input_dim": 10, "output_dim": 4, "input_length": 6, "init": "uniform", "dropout": 0.2},
         (6, 4)),
        ("TimeDistributedDense", (4,), {"input_dim": 5, "input_length": 3}, (3, 4)),
        ("MaxoutDense", (4,), {"nb_feature": 3, "input_dim": 5}, (4,)),
        ("Highway", (), {"input_dim": 5}, (5,)),
        ("Dropout", (), {"p": 0.3, "input_shape": (4,)}, (4,)),
        ("GaussianNoise", (), {"sigma": 0.1, "input_shape": (4,)}, (4,)),
        ("BatchNormalization", (), {"mode": 0, "beta_init": "zero", "gamma_init": "one", "input_shape": (4,)}, (4,)),
    ],
)  # fmt: skip
def test_layers_of_keras1(name, arguments, options, shape):
    with programs.using("keras1"):
        k = importlib.import_module("keras.backend")
        k.set_image_dim_ordering("tf")
        assert k.image_dim_ordering() == "tf"
        model = sequential(getattr(keras_of().layers, name)(*arguments, **options))
        assert model.output_shape == (None, *shape)
        assert model.predict(np.ones([2, *model.input_shape[1:]])).shape == (2, *shape)


@pytest.mark.parametrize("era", ["keras1", "keras2", "tfkeras"])
def test_sequences_say_the_sizes_of_their_inputs(era):
    with programs.using(era):
        layers = keras_of().layers
        model = sequential(layers.Embedding(10, 4, input_length=6), layers.LSTM(3))
        assert model.input_shape == (None, 6) and model.output_shape == (None, 3)
        assert sequential(layers.Embedding(10, 4), layers.LSTM(3)).input_shape == (None, None)
        assert sequential(layers.GRU(3, input_dim=4)).input_shape == (None, None, 4)
        assert sequential(layers.LSTM(3, input_dim=4, input_length=5)).input_shape == (None, 5, 4)
        start = np.arange(40.0).reshape(10, 4)
        model = sequential(layers.Embedding(10, 4, weights=[start], input_length=7, trainable=False), layers.Flatten())
        np.testing.assert_array_equal(model.get_weights()[0], start)
        assert model.output_shape == (None, 28) and not model.trainable_weights


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"input_dim": 3}, (None, 3)),
        ({"input_shape": (3,)}, (None, 3)),
        ({"batch_input_shape": (5, 3)}, (5, 3)),
        ({"input_dim": 3, "weights": [np.ones((3, 4)), np.zeros(4)]}, (None, 3)),
    ],
)
@pytest.mark.parametrize("era", ["keras1", "keras2", "tfkeras"])
def test_hints_of_inputs(era, options, shape):
    with programs.using(era):
        model = sequential(keras_of().layers.Dense(4, **options))
        assert model.input_shape == shape
        if "weights" in options:
            assert (model.get_weights()[0] == 1).all()


@pytest.mark.parametrize(("mode", "value"), [("concat", [1] * 4 + [2] * 4), ("sum", [3] * 4), ("mul", [2] * 4),
                                             ("ave", [1.5] * 4), ("max", [2] * 4), ("dot", [8]), ("cos", [1])])  # fmt: skip
def test_merges_of_keras1(mode, value):
    with programs.using("keras1"):
        keras = keras_of()
        a, b = keras.layers.Input(shape=(4,)), keras.layers.Input(shape=(4,))
        model = keras.models.Model(input=[a, b], output=keras.layers.merge([a, b], mode=mode))
        given = [np.ones((2, 4)), 2 * np.ones((2, 4))]
        np.testing.assert_allclose(model.predict(given)[0].ravel(), value, rtol=1e-6)
        branches = [sequential(keras.layers.Activation("linear", input_shape=(4,))) for _ in range(2)]
        joined = sequential(keras.layers.Merge(branches, mode=mode))
        np.testing.assert_allclose(joined.predict(given)[0].ravel(), value, rtol=1e-6)


def test_modern_layers_with_arguments_of_older_eras():
    with programs.using("keras2"):
        layers, regularizers = keras_of().layers, keras_of().regularizers
        assert float(layers.LeakyReLU(alpha=0.5)(np.array([[-1.0]], "float32"))[0, 0]) == -0.5
        assert regularizers.l2(l=0.25).l2 == regularizers.l1(l=0.25).l1 == 0.25
        depthwise = layers.DepthwiseConv2D(3, kernel_initializer="ones", kernel_regularizer="l2", input_shape=(5, 5, 2))
        assert (sequential(depthwise).get_weights()[0] == 1).all()
        for options in ({"mode": 2}, {"fused": True}, {"renorm": True, "renorm_clipping": None}):
            assert layers.BatchNormalization(**options).axis == -1


def test_calls_of_layers_can_be_looked_at():
    with programs.using("keras2"):
        keras, layers = keras_of(), keras_of().layers
        a, b, shared = layers.Input((4,)), layers.Input((4,), name="b"), layers.Dense(3, name="d")
        x, y = shared(a), shared(b)
        assert shared.get_output_shape_at(1) == (None, 3) and shared.get_input_shape_at(1) == (None, 4)
        assert shared.get_output_at(0) is x and shared.get_input_at(1) is b
        z = layers.add([x, y])
        model = keras.models.Model([a, b], z)
        assert {"d_ib-0", "d_ib-1", "b_ib-0"} < model._network_nodes
        assert {depth: len(nodes) for depth, nodes in model._nodes_by_depth.items()} == {0: 1, 1: 2, 2: 2}
        assert model._layers_by_depth[1] == [shared] and model._output_layers == [model.layers[-1]]
        (node,) = model.layers[-1].inbound_nodes
        assert node.inbound_layers == [shared, shared] and node.outbound_layer is model.layers[-1]
        assert node.node_indices == [0, 1] and node.tensor_indices == [0, 0]
        assert node.input_shapes == [(None, 3)] * 2 and node.output_shapes == [(None, 3)]
        assert [found[1] for found in node.iterate_inbound()] == [0, 1]
    with programs.using("tfkeras"):
        layer = keras_of().layers.Dense(3)
        node = layer(keras_of().Input((4,))).node
        assert node.output_shapes == (None, 3) and node.inbound_layers is node.inputs[0].node.operation


def test_a_sequential_has_its_ends_before_any_call():
    with programs.using("keras2"):
        keras = keras_of()
        model = sequential(keras.layers.Dense(3, input_shape=(2,)), keras.layers.Dense(4))
        part = keras.models.Model(inputs=model.input, outputs=[layer.output for layer in model.layers])
        assert [found.shape for found in part.predict(np.ones((2, 2)))] == [(2, 3), (2, 4)]
        late = sequential(keras.layers.Dense(3))
        late.build((None, 7))
        assert late.input.shape == (None, 7) and late.output.shape == (None, 3)


@pytest.mark.parametrize("era", ["keras1", "keras2", "tfkeras"])
def test_sizes_are_asked_for_as_of_tensorflow(era):
    with programs.using(era):
        k, tf = importlib.import_module("keras.backend"), importlib.import_module("tensorflow")
        y = keras_of().layers.Flatten()(keras_of().layers.Input((4, 4, 3)))
        assert y.get_shape().as_list() == y.shape.as_list() == [None, 48] and k.int_shape(y) == (None, 48)
        assert y.get_shape()[1].value == y.shape[1].value == [*y.get_shape()][1].value == 48
        assert type(y.get_shape()[1] + 1) is int and y.get_shape()[0] is None and y.shape[-1:].as_list() == [48]
        t = tf.zeros((2, 3))
        assert t.shape == [2, 3] and t.shape != [3, 2] and t.shape == (2, 3) and t.get_shape()[0].value == 2
        assert isinstance(t.shape[0], tf.Dimension) and tf.zeros(t.shape).shape == t.shape
        assert keras_of().layers.Dense(y.shape[-1]).get_config()


def test_images_and_what_was_beside_their_generator(tmp_path):
    with programs.using("keras2"):
        image = importlib.import_module("keras.preprocessing.image")
        for name in ("a/1.png", "b/2.png"):
            (tmp_path / name).parent.mkdir()
            image.array_to_img(IMAGES[0]).save(tmp_path / name)
        flow = image.ImageDataGenerator(rescale=1 / 255).flow_from_directory(str(tmp_path), (8, 8), class_mode="binary")
        assert [part.shape for part in flow.next()] == [(2, 8, 8, 3), (2,)]
        assert image.load_img(tmp_path / "a" / "1.png", grayscale=True).mode == "L"
        assert len(image.list_pictures(str(tmp_path))) == 2 and not image.list_pictures(str(tmp_path), "jpg")
        np.testing.assert_array_equal(image.flip_axis(IMAGES[0], 1), IMAGES[0][:, ::-1])
        turn = image.transform_matrix_offset_center(np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]), 7, 7)
        turned = image.apply_transform(IMAGES[0], turn, 2)
        np.testing.assert_array_equal(turned[:, 1:], np.rot90(IMAGES[0], -1)[:, :-1])  # about pixel (4, 4)
