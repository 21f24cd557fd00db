"""Names, gradients, files and functions of other libraries as they were in each era."""

import importlib
import json

import numpy as np
import pytest

import convia
from convia.compat import programs


def keras_of():
    return importlib.import_module("keras")


@pytest.mark.parametrize(
    ("era", "names"),
    [
        ("keras1", ["input_1", "convolution2d_1", "maxpooling2d_1", "merge_1", "dense_1"]),
        ("keras2", ["input_1", "conv2d_1", "max_pooling2d_1", "add_1", "dense_1"]),
        ("tfkeras", ["input_1", "conv2d", "max_pooling2d", "add", "dense"]),
        ("keras3", ["input_layer", "conv2d", "max_pooling2d", "add", "dense"]),
    ],
)
def test_automatic_names_are_those_of_the_era(era, names):
    with programs.using(era):
        layers, models = keras_of().layers, keras_of().models
        x = layers.Input((8, 8, 1))
        y = layers.MaxPooling2D()(layers.Conv2D(2, (3, 3))(x))
        model = models.Model(x, layers.Dense(2)(layers.Add()([y, y])))
        assert [layer.name for layer in model.layers] == names
        weight = model.layers[-1].weights[0].name
        assert weight == {"keras1": "dense_1_W", "keras3": "kernel"}.get(era, f"{names[-1]}/kernel:0")
    assert convia.layers.Dense(2).weights == []


def test_layers_of_older_eras_may_have_slashes_in_their_names():
    with programs.using("keras2"):
        assert keras_of().layers.Dense(2, name="fire2/squeeze").name == "fire2/squeeze"
    with pytest.raises(ValueError, match="without '/'"):
        convia.layers.Dense(2, name="fire2/squeeze")


def test_resnet50_has_its_older_names():
    with programs.using("keras2"):
        applications = importlib.import_module("keras.applications")
        names = [layer.name for layer in applications.ResNet50(weights=None, input_shape=(32, 32, 3)).layers]
    assert {"bn_conv1", "res2a_branch1", "bn5c_branch2c", "activation_49", "fc1000"} <= set(names)


GUIDED = """
import numpy as np
import tensorflow as tf
from keras import backend as K
from keras.layers import Dense
from keras.models import Sequential
from tensorflow.python.framework import ops

@ops.RegisterGradient("OnlyPositive")
def only_positive(operation, gradient):
    return gradient * tf.cast(gradient > 0, "float32") * tf.cast(operation.inputs[0] > 0, "float32")

def network():
    return Sequential([Dense(6, activation="relu", input_shape=(4,)), Dense(1)])

plain = network()
with K.get_session().graph.as_default(), tf.get_default_graph().gradient_override_map({"Relu": "OnlyPositive"}):
    guided = network()
guided.set_weights(plain.get_weights())
x = np.random.RandomState(0).normal(size=(3, 4)).astype("float32")
found = [K.function([m.input], K.gradients(m.output, m.input))([x])[0] for m in (plain, guided)]
"""


def test_gradients_of_relu_may_be_replaced_by_name():
    with programs.using("keras2"):
        names = {"__name__": "program"}
        exec(GUIDED, names)
        (kernel, bias, last, _), x = names["plain"].get_weights(), names["x"]
        above = (x @ kernel + bias > 0).astype("float32")
    plain, guided = names["found"]
    np.testing.assert_allclose(plain, (above * last.T) @ kernel.T, atol=1e-5)
    np.testing.assert_allclose(guided, (above * np.maximum(last.T, 0)) @ kernel.T, atol=1e-5)


def test_lambdas_of_a_program_are_found_again_in_its_files(tmp_path):
    with programs.using("keras2"):
        keras = keras_of()
        inputs = keras.Input((3,))
        model = keras.models.Model(inputs, keras.layers.Lambda(lambda t: 3 * t)(inputs))
        model.save(str(tmp_path / "m.h5"))
        again = keras.models.load_model(str(tmp_path / "m.h5"))
        assert again.predict(np.ones((1, 3))).tolist() == [[3, 3, 3]]
        assert "lambda" in json.dumps(model.get_config())
    with programs.using("keras2"), pytest.raises(ValueError, match="lambda"):  # another program does not know it
        keras_of().models.load_model(str(tmp_path / "m.h5"))


def test_metrics_of_keras1_are_those_of_each_batch():
    with programs.using("keras1"):
        metrics = keras_of().metrics
        true, found = np.array([1, 1, 0, 0], "float32"), np.array([0.9, 0.2, 0.8, 0.1], "float32")
        values = {name: float(getattr(metrics, name)(*map(keras_of().backend.variable, (true, found))))
                  for name in ("precision", "recall", "fmeasure", "matthews_correlation")}  # fmt: skip
        assert values == pytest.approx(
            {"precision": 0.5, "recall": 0.5, "fmeasure": 0.5, "matthews_correlation": 0}, abs=1e-5
        )
        model = keras_of().models.Sequential([keras_of().layers.Dense(1, input_dim=2)])
        model.compile("sgd", "mse", metrics=["precision", "fmeasure"])
        history = model.fit(np.ones((4, 2)), np.ones((4, 1)), nb_epoch=1, verbose=0).history
        assert {"precision", "fmeasure"} <= history.keys()


def test_batch_dot_keeps_leading_axes_apart_before_tf_keras():
    first, second = np.random.default_rng(0).normal(size=(2, 3, 4)), np.random.default_rng(1).normal(size=(2, 3, 5, 4))
    with programs.using("keras2"):
        backend = keras_of().backend
        product = backend.eval(backend.batch_dot(backend.variable(first), backend.variable(second), [2, 3]))
    np.testing.assert_allclose(product, np.einsum("bnd,bnkd->bnk", first, second), rtol=1e-4, atol=1e-5)


def test_numpys_older_names_are_lent_and_taken_back():
    with programs.using("keras2"):
        keras_of().layers  # noqa: B018
        assert np.float is float
    assert "float" not in vars(np)


def test_scipys_pictures_and_moved_modules(tmp_path):
    with programs.using("keras2"):
        misc = importlib.import_module("scipy.misc")
        ramp = np.arange(12.0).reshape(3, 4)
        misc.imsave(tmp_path / "a.png", ramp)
        assert misc.imread(tmp_path / "a.png")[0, 0] == 0
        assert misc.imread(tmp_path / "a.png").max() == 255
        assert misc.imresize(np.zeros((4, 6, 3), "uint8"), (2, 3)).shape == (2, 3, 3)
        assert misc.imresize(np.zeros((4, 6), "uint8"), 50).shape == (2, 3)
        assert misc.imrotate(np.eye(3, dtype="uint8"), 90).shape == (3, 3)
        assert misc.fromimage(misc.toimage(np.zeros((3, 4, 5)))).shape == (4, 5, 3)


def test_an_activation_may_be_changed_on_a_finished_layer():
    layer = convia.layers.Dense(2, activation="relu")
    x = convia.ops.convert_to_tensor([[1.0, -1.0]])
    layer(x)
    layer.set_weights([np.eye(2), np.zeros(2)])
    assert layer(x).tolist() == [[1, 0]]
    layer.activation = None
    assert layer(x).tolist() == [[1, -1]]
    layer.activation = convia.activations.softmax
    assert layer(x).sum().item() == pytest.approx(1)


def test_class_weights_that_are_no_dict_were_passed_over():
    with programs.using("keras2"):
        model = keras_of().models.Sequential([keras_of().layers.Dense(1, input_shape=(2,))])
        model.compile("sgd", "mse")
        run = {"__name__": "program", "model": model, "np": np}
        exec("history = model.fit(np.ones((4, 2)), np.ones(4), class_weight='auto', verbose=0).history", run)
        assert run["history"]["loss"]


def test_the_config_of_a_sequential_of_keras1_was_a_list():
    with programs.using("keras1"):
        model = keras_of().models.Sequential([keras_of().layers.Dense(1, input_shape=(2,))])
        config = model.get_config()
        assert config[-1]["class_name"] == "Dense"
        assert keras_of().models.Sequential.from_config(config).output_shape == (None, 1)


def test_shapes_of_tensors_read_as_tensorflows():
    with programs.using("tfkeras"):
        tf = importlib.import_module("tensorflow")
        run = {"__name__": "program", "tf": tf}
        exec("text, kind = f'{tf.ones((2, 3)).shape}', type(tf.ones(2).shape).__name__", run)
        assert (run["text"], run["kind"]) == ("(2, 3)", "TensorShape")


def test_private_names_that_packages_use():
    with programs.using("keras2"):
        model = keras_of().models.Sequential([keras_of().layers.Dense(1, input_shape=(2,))])
        assert not model._is_compiled
        assert len(model.layers[0]._trainable_weights) == 2
        backend, layers, models, utils = importlib.import_module("keras_applications").get_submodules_from_kwargs({})
        assert (backend.ndim, models.Model, layers.Dense) == (
            keras_of().backend.ndim,
            convia.Model,
            convia.layers.Dense,
        )
        assert utils.to_categorical


def test_boxes_of_several_classes_that_overlap_are_thinned_out():
    with programs.using("tfkeras"):
        image = importlib.import_module("tensorflow").image
        boxes = np.array([[[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.45], [0.6, 0.6, 1.2, 1.0]]], "float32")[:, :, None]
        scores = np.array([[[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]], "float32")
        found = image.combined_non_max_suppression(boxes, scores, 2, 4, 0.5, 0.25)
        assert found.valid_detections.tolist() == [3]
        assert found.nmsed_classes[0].tolist() == [0, 1, 0, 0]
        np.testing.assert_allclose(found.nmsed_scores[0], [0.9, 0.7, 0.3, 0])
        assert float(found.nmsed_boxes.max()) == 1


@pytest.mark.parametrize(("align", "wanted"), [(False, [0, 1 / 2, 1, 1]), (True, [0, 1 / 3, 2 / 3, 1])])
def test_tensorflow_1_resized_without_half_a_pixel(align, wanted):
    with programs.using("keras2"):
        image = importlib.import_module("tensorflow").image
        row = image.resize_bilinear(np.array([0.0, 1.0], "float32").reshape(1, 1, 2, 1), (1, 4), align_corners=align)
        np.testing.assert_allclose(row.reshape(-1), wanted, atol=1e-6)
        assert image.resize_nearest_neighbor(np.arange(4.0).reshape(1, 2, 2, 1), (4, 4)).shape == (1, 4, 4, 1)


def test_checkpoints_of_tf_keras_hold_layers_of_one_name(tmp_path):
    with programs.using("tfkeras"):
        keras = keras_of()

        class Pair(keras.Model):
            def __init__(self):
                super().__init__()
                self.one = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="half")
                self.other = keras.models.clone_model(self.one)

            def call(self, inputs):
                return self.one(inputs) + self.other(inputs)

        pair, again = Pair(), Pair()
        pair.save_weights(tmp_path / "checkpoint_1")
        again.load_weights(tmp_path / "checkpoint_1").expect_partial()
    for ours, theirs in zip(pair.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_losses_may_be_reduced_automatically():
    with programs.using("tfkeras"):
        losses = importlib.import_module("tensorflow.keras.losses")

        class Mine(losses.Loss):
            def __init__(self):
                super().__init__(reduction="auto", name="mine")

        assert Mine().reduction == losses.MeanSquaredError("AUTO").reduction == "sum_over_batch_size"


def test_sizes_of_symbolic_tensors_make_grids():
    with programs.using("keras2"):
        k, layers = importlib.import_module("keras.backend"), importlib.import_module("keras.layers")
        models = importlib.import_module("keras.models")
        x = layers.Input((4, 6, 2))
        sizes = k.shape(x)[1:3]
        rows = k.tile(k.arange(0, stop=sizes[0]), [sizes[1]])
        grid = k.cast(k.reshape(rows, [1, sizes[0], sizes[1], 1]), k.dtype(x))
        values = k.reshape(x + grid, [-1, sizes[0], sizes[1], 1, 2])
        assert k.int_shape(values) == (None, 4, 6, 1, 2)
        found = models.Model(x, values).predict(np.zeros((1, 4, 6, 2)))
        np.testing.assert_array_equal(found[0, ..., 0, 0].reshape(-1), np.tile(np.arange(4), 6))
        assert k.tf.reduce_sum(k.constant([1.0, 2.0])).numpy() == 3
