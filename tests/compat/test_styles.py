"""What programs do that only some styles of theirs need: each test is one habit, and what TensorFlow 2.15 makes of it."""

import importlib

import numpy as np
import pytest
import torch

from convia.compat import programs


def test_layers_may_ask_for_numbers_while_their_shapes_are_computed():
    with programs.using("tfkeras"):
        tf = importlib.import_module("tensorflow")
        keras = tf.keras

        class Crop(keras.layers.Layer):
            def call(self, images):
                size = tf.random.uniform([], 8, 12, dtype=tf.int32)
                if tf.reduce_max(images) > 2:
                    images = images / 2
                return tf.image.resize(tf.image.random_crop(images, (tf.shape(images)[0], size, size, 3)), (4, 4))

        inputs = keras.Input((12, 12, 3))
        normal = keras.layers.BatchNormalization()
        model = keras.Model(inputs, normal(Crop()(inputs), training=True))
        assert model.output_shape == (None, 4, 4, 3)
        assert np.all(normal.get_weights()[3] == 1)  # the moving variance is not that of zeros
        assert model(np.full((2, 12, 12, 3), 8.0)).shape == (2, 4, 4, 3)


def test_subclassed_models_change_single_images_in_a_data_set():
    with programs.using("tfkeras"):
        tf = importlib.import_module("tensorflow")

        class Changed(tf.keras.Model):
            def call(self, image):
                size = tf.random.uniform([], 4, 6, dtype=tf.int32)
                return tf.image.resize(tf.image.random_crop(image, (size, size, 3)), (6, 6))

        images = tf.data.Dataset.from_tensor_slices(np.zeros((4, 6, 6, 3), "float32")).map(Changed()).batch(2)
        assert [batch.shape.as_list() for batch in images] == [[2, 6, 6, 3]] * 2


def test_results_in_a_graph_are_constants():
    with programs.using("tfkeras"):
        tf = importlib.import_module("tensorflow")
        layers = tf.keras.layers
        places = layers.Embedding(4, 3)
        inputs = layers.Input((4, 3))
        model = tf.keras.Model(inputs, layers.Dense(1)(layers.Dense(3)(inputs) + places(tf.range(4))))
        model.compile("sgd", "mse")
        before = places.get_weights()[0]
        model.fit(np.ones((4, 4, 3)), np.ones((4, 4, 1)), batch_size=2, verbose=0)
        assert len(model.trainable_weights) == 4
        assert np.array_equal(places.get_weights()[0], before)


def test_lists_of_numbers_are_arrays():
    with programs.using("tfkeras"):
        tf = importlib.import_module("tensorflow")
        model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(2,))])
        model.compile("sgd", "mse")
        x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [[0], [1], [1], [0]]
        assert list(model.fit(x, y, verbose=0).history) == ["loss"]
        assert model.predict(x, verbose=0).shape == (4, 1) and model.predict([[0, 1]], verbose=0).shape == (1, 1)
        assert model.evaluate(x, [0, 1, 1, 0], verbose=0) > 0


INNER = [
    ("tensorflow.python.ops.control_flow_ops", "while_loop", "while_loop"),
    ("tensorflow.python.ops.array_ops", "zeros_like", "zeros_like"),
    ("tensorflow.python.ops.math_ops", "reduce_sum", "reduce_sum"),
    ("tensorflow.python.ops.math_ops", "softplus", "math.softplus"),
    ("tensorflow.python.ops.nn_ops", "softmax", "nn.softmax"),
    ("tensorflow.python.framework.dtypes", "float32", "float32"),
    ("tensorflow.python.framework.ops", "convert_to_tensor", "convert_to_tensor"),
    ("tensorflow.python.util.nest", "flatten", "nest.flatten"),
    ("keras.layers.convolutional.conv2d", "Conv2D", "keras.layers.Conv2D"),
    ("keras.api._v2.keras.layers", "Dense", "keras.layers.Dense"),
    ("keras.optimizers.learning_rate_schedule", "CosineDecay", "keras.optimizers.schedules.CosineDecay"),
]


@pytest.mark.parametrize(("module", "name", "public"), INNER)
def test_private_modules_have_the_names_of_public_ones(module, name, public):
    with programs.using("tfkeras"):
        place = importlib.import_module("tensorflow")
        for part in public.split("."):
            place = getattr(place, part)
        assert getattr(importlib.import_module(module), name) is place


def test_private_modules_say_what_they_do_not_have():
    with programs.using("tfkeras"):
        ops = importlib.import_module("tensorflow.python.ops.array_ops")
        with pytest.raises(AttributeError, match=r"array_ops: received the name 'reshap'"):
            _ = ops.reshap
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("tensorflow.python.ops.no_such_ops")


def test_the_backend_has_the_modules_that_it_was_made_of():
    with programs.using("keras2"):
        k = importlib.import_module("keras.backend")
        assert int(k.control_flow_ops.while_loop(lambda i: i < 3, lambda i: i + 1, [k.constant(0)])[0]) == 3
        tf = k.tf
        _, squares = tf.while_loop(
            lambda i, *rest: i < 3, lambda i, squares: (i + 1, squares.write(i, i**2)), [0, tf.TensorArray("int32", 3)]
        )
        assert squares.stack().numpy().tolist() == [0, 1, 4]
        assert k.tf is importlib.import_module("tensorflow")


def test_programs_compute_with_sizes():
    with programs.using("keras2"):
        k, layers = importlib.import_module("keras.backend"), importlib.import_module("keras.layers")
        assert (k.shape(k.ones((2, 3, 4)))[1:] * 32).tolist() == [96, 128]
        scaled = layers.Lambda(lambda x: x / k.cast(k.shape(x)[1:3][::-1] * 2, k.dtype(x)))
        assert float(k.eval(scaled(k.ones((1, 4, 8, 2))))[0, 0, 0, 1]) == 1 / 8


def test_a_lambda_is_believed_where_sizes_that_are_not_known_do_not_fit():
    with programs.using("keras2"):
        layers, models = importlib.import_module("keras.layers"), importlib.import_module("keras.models")
        image, target = layers.Input((None, None, 1)), layers.Input((3, 3, 1))
        error = layers.Lambda(lambda pair: (pair[0] - pair[1]) ** 2, output_shape=(1,))([image, target])
        model = models.Model([image, target], error)
        assert error.shape == (None, 1)
        assert model.predict([np.ones((2, 3, 3, 1)), np.zeros((2, 3, 3, 1))]).sum() == 18
        found = layers.Lambda(lambda x: x[:, :2], output_shape=(7,))(layers.Input((5,)))
        assert found.shape == (None, 2)  # as TensorFlow found it


def test_sizes_that_are_not_known_follow_from_the_inputs():
    with programs.using("tfkeras"):
        tf = importlib.import_module("tensorflow")
        layers = tf.keras.layers
        image = layers.Input((None, None, 3))
        boxes = layers.Reshape((-1, 4))(layers.Conv2D(4, 3, strides=2, padding="same")(image))

        class Decoded(layers.Layer):
            def call(self, image, boxes):
                height, width = tf.shape(image)[1] // 2, tf.shape(image)[2] // 2
                return boxes + tf.reshape(tf.ones((height, width, 4)), (-1, 4))

        model = tf.keras.Model(image, Decoded()(image, boxes))
        assert model.output_shape == (None, None, 4) and model(tf.zeros((2, 8, 12, 3))).shape == (2, 24, 4)


def test_sizes_of_outputs_may_be_tensors():
    with programs.using("tfkeras"):
        tf = importlib.import_module("tensorflow")

        class Best(tf.keras.layers.Layer):
            def call(self, scores):
                return scores[:, :3]

            def compute_output_shape(self, input_shape):
                return (input_shape[0], tf.constant(3))

        assert Best()(tf.keras.layers.Input((8,))).shape == (None, 3)


def test_a_condition_of_rows_picks_rows():
    with programs.using("keras2"):
        tf = importlib.import_module("tensorflow")
        x, y = np.ones((2, 3)), np.zeros((2, 3))
        assert tf.where([True, False], x, y).numpy().tolist() == [[1, 1, 1], [0, 0, 0]]
        assert tf.where([True, False], np.ones((2, 2)), np.zeros((2, 2))).numpy().tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize(("sizes", "kernel", "expected"), [
    ((None, 8, 9, 3), 3, ((0, 1), (1, 1))), ((None, None, None, 3), (5, 3), ((1, 2), (0, 1)))
])  # fmt: skip
def test_zeros_before_strides(sizes, kernel, expected):
    with programs.using("tfkeras"):
        utils = importlib.import_module("keras.applications.imagenet_utils")
        keras = importlib.import_module("keras")
        assert utils.correct_pad(keras.Input(sizes[1:]), kernel) == expected


def test_structures_are_flattened_and_mapped():
    with programs.using("tfkeras"):
        nest = importlib.import_module("tensorflow").nest
        structure = {"b": [1, 2], "a": (3,)}
        assert nest.flatten(structure, expand_composites=True) == [3, 1, 2]
        assert nest.map_structure(lambda x, y: x + y, structure, structure) == {"b": [2, 4], "a": (6,)}
        assert nest.pack_sequence_as(structure, [7, 8, 9]) == {"b": [8, 9], "a": (7,)}
        assert nest.is_nested([1]) and not nest.is_nested(1)
        with pytest.raises(ValueError):
            nest.assert_same_structure([1], [1, 2])


def test_the_greatest_of_nothing_loses_against_any():
    with programs.using("keras2"):
        tf, k = importlib.import_module("tensorflow"), importlib.import_module("keras.backend")
        assert k.eval(k.max(k.zeros((2, 0)), axis=-1)).tolist() == [-np.inf, -np.inf]
        assert tf.reduce_min(tf.zeros((0,))).numpy() == np.inf
        assert k.eval(k.max(k.zeros((0, 3)), axis=-1)).shape == (0,)
        layers = importlib.import_module("keras.layers")
        assert k.max(layers.Input((3,)), axis=-1).shape == (None,)


RESULTS = {
    "keras1": ["val_loss", "val_acc", "loss", "acc"],
    "keras2": ["val_loss", "val_acc", "loss", "acc"],
    "tfkeras": ["loss", "acc", "val_loss", "val_acc"],
    "keras3": ["acc", "loss", "val_acc", "val_loss"],
}


@pytest.mark.parametrize("era", RESULTS)
def test_results_come_in_the_order_of_their_era(era, capsys):
    with programs.using(era):
        keras = importlib.import_module("keras")
        model = keras.models.Sequential([keras.layers.Dense(2, activation="softmax", input_shape=(3,))])
        model.compile("sgd", "categorical_crossentropy", metrics=["acc"])
        seen = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print("logs", list(logs)))
        history = model.fit(np.ones((8, 3)), np.eye(2)[[0, 1] * 4], validation_split=0.25, verbose=2, callbacks=[seen])
        assert list(history.history) == RESULTS[era]
        shown = capsys.readouterr().out
        assert f"logs {RESULTS[era]}" in shown
        if era != "keras3":
            assert [shown.index(f" {name}: ") for name in RESULTS["tfkeras"]] == sorted(
                shown.index(f" {name}: ") for name in RESULTS["tfkeras"]
            )


def test_results_of_several_outputs_come_in_the_order_of_the_outputs():
    with programs.using("tfkeras"):
        keras = importlib.import_module("tensorflow").keras
        inputs = keras.Input((3,))
        outputs = [keras.layers.Dense(1, name=name)(inputs) for name in ("b", "a")]
        model = keras.Model(inputs, outputs)
        model.compile("sgd", "mse", metrics={"a": ["mae", "mse"], "b": "mae"})
        expected = ["loss", "b_loss", "a_loss", "b_mae", "a_mae", "a_mse"]
        history = model.fit(np.ones((4, 3)), [np.ones((4, 1))] * 2, verbose=0)
        assert list(history.history) == model.metrics_names == expected
        found = model.evaluate(np.ones((4, 3)), [np.ones((4, 1))] * 2, verbose=0, return_dict=True)
        assert list(found) == expected


def test_classes_weigh_per_output():
    with programs.using("keras2"):
        keras = importlib.import_module("keras")
        inputs = keras.layers.Input((3,))
        outputs = [keras.layers.Dense(1, activation="sigmoid", name=name)(inputs) for name in ("a", "b")]
        model = keras.models.Model(inputs, outputs)
        model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy")
        x, y = np.ones((4, 3)), [np.ones((4, 1))] * 2
        _, a, b = model.test_on_batch(x, y)
        assert model.train_on_batch(x, y, class_weight=[{1: 10}, None])[1:] == pytest.approx([10 * a, b])
        assert model.train_on_batch(x, y, class_weight={"b": {1: 3}})[1:] == pytest.approx([a, 3 * b])
        single = keras.models.Model(inputs, outputs[0])
        single.compile(keras.optimizers.SGD(0.0), "binary_crossentropy")
        assert single.train_on_batch(x, y[0], class_weight=[{1: 10}]) == pytest.approx(10 * a)
        assert single.train_on_batch(x, y[0], class_weight=[{1: 10}, {}]) == pytest.approx(a)  # as if there were none


def test_symbolic_tensors_have_sizes_with_values():
    with programs.using("keras1"):
        inputs = importlib.import_module("keras.layers").Input(shape=(3, 8, 8))
        assert inputs._shape[1].value == 3


def test_names_of_layers_are_the_same_objects_as_those_in_the_text_of_a_program():
    with programs.using("keras2"):
        networks = importlib.import_module("keras.applications")
        model = networks.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
        wanted = "block5_pool"
        assert [layer for layer in model.layers if layer.name is wanted]


# What TensorFlow 2.15 prints
PRINTED = {
    "tf.constant([1, 2])": "tf.Tensor([1 2], shape=(2,), dtype=int32)",
    "tf.constant(1.5)": "tf.Tensor(1.5, shape=(), dtype=float32)",
    "tf.constant([[1.0, 2.0], [3, 4]])": "tf.Tensor(\n[[1. 2.]\n [3. 4.]], shape=(2, 2), dtype=float32)",
    "[tf.constant(1)]": "[<tf.Tensor: shape=(), dtype=int32, numpy=1>]",
    "repr(tf.constant([[1.0, 2.0]]))": "<tf.Tensor: shape=(1, 2), dtype=float32, numpy=array([[1., 2.]], dtype=float32)>",
    "tf.Variable(3.0)": "<tf.Variable 'Variable:0' shape=() dtype=float32, numpy=3.0>",
    "'%s %.3f %d' % (tf.constant(0.5), tf.constant(0.5), tf.constant(3))":
        "tf.Tensor(0.5, shape=(), dtype=float32) 0.500 3",
    "f'{tf.constant(0.5)} {tf.constant(0.5):.2f} {tf.constant([1, 2])}'": "0.5 0.50 [1 2]",
    "tf.keras.layers.Dense(2, name='d')(tf.keras.Input((3,))).__repr__()":
        "<KerasTensor: shape=(None, 2) dtype=float32 (created by layer 'd')>",
    "built.bias":
        "<tf.Variable 'built/bias:0' shape=(2,) dtype=float32, numpy=array([0., 0.], dtype=float32)>",
}  # fmt: skip


@pytest.mark.parametrize("expression", PRINTED)
def test_tensors_are_printed_as_tensorflow_did(expression):
    with programs.using("tfkeras"):
        tf = importlib.import_module("tensorflow")
        built = tf.keras.layers.Dense(2, name="built")
        built.build((None, 3))
        assert str(eval(expression, {"tf": tf, "built": built})) == PRINTED[expression]
    assert str(torch.ones(1)) == "tensor([1.])"


def test_sequential_models_name_their_inputs_after_their_first_layer():
    with programs.using("tfkeras"):
        keras = importlib.import_module("tensorflow").keras
        model = keras.Sequential([keras.layers.Conv2D(2, 3, input_shape=(8, 8, 1), name="first")])
        assert model.input_names == ["first_input"] and keras.Input((3,)).name == "input_1"
        built = keras.Sequential([keras.layers.Dense(2)])
        built.build((None, 3))
        assert built.input_names == ["dense_input"]
        assert keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).input_names == ["input_2"]


def test_a_sequential_model_goes_on_from_the_graph_of_a_model():
    with programs.using("keras1"):
        layers, models = importlib.import_module("keras.layers"), importlib.import_module("keras.models")
        k = importlib.import_module("keras.backend")
        inputs = layers.Input(shape=(4, 4, 1))
        features = layers.Convolution2D(2, 3, 3, init="one")(inputs)
        network = models.Model(input=inputs, output=layers.Flatten()(features))
        model = models.Sequential()
        model.add(network)
        model.add(layers.Lambda(lambda x: x * x))
        slope = k.gradients(k.sum(model.layers[-1].output), features)[0]
        found, slopes = k.function([model.layers[0].input], [features, slope])([np.ones((1, 4, 4, 1))])
        assert np.allclose(slopes, 2 * found) and model.layers[0] is network
        assert model.predict(np.ones((2, 4, 4, 1))).shape == (2, 8) and len(model.trainable_weights) == 2
