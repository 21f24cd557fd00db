"""``Graph`` of Keras 0.x, ``tf.contrib`` and the tutorials' MNIST, layers that ask for gradients."""

import importlib
import struct

import numpy as np
import pytest

from convia.compat import programs

contrib = importlib.import_module("convia.compat.tensorflow.contrib")  # the package's attribute is tf.contrib


def test_a_graph_is_made_of_named_nodes():
    with programs.using("keras1"):
        layers, models = importlib.import_module("keras.layers"), importlib.import_module("keras.models")
        graph = models.Graph()
        graph.add_input(name="x", input_shape=(3,))
        graph.add_node(layers.Dense(2), name="a", input="x")
        graph.add_node(layers.Dense(2), name="b", input="x")
        graph.add_output(name="y", inputs=["a", "b"], merge_mode="concat")
        graph.compile("sgd", {"y": "mse"})
        data = {"x": np.ones((8, 3)), "y": np.zeros((8, 4))}
        assert graph.fit(data, nb_epoch=1, verbose=0).history["loss"]
        assert graph.predict(data)["y"].shape == (8, 4)
        with pytest.raises(ValueError, match="the node 'z'"):
            graph.add_node(layers.Dense(2), name="c", input="z")


def test_a_layer_may_ask_for_gradients_in_a_prediction():
    with programs.using("keras2"):
        keras, k = importlib.import_module("keras"), importlib.import_module("keras.backend")
        x = keras.layers.Input((4, 4, 1))
        y = keras.layers.MaxPooling2D()(x)
        where = keras.layers.Lambda(lambda pair: k.gradients(k.sum(pair[1]), pair[0]))([x, y])
        images = np.arange(16.0).reshape(1, 4, 4, 1)
        assert keras.models.Model(x, where).predict(images).sum() == 4


def test_mnist_of_the_tutorials_is_read_from_a_folder(tmp_path):
    for name, count in zip(contrib._FILES, (6, 6, 2, 2), strict=True):
        shape = (count, 28, 28) if "images" in name else (count,)
        content = struct.pack(f">{1 + len(shape)}I", 0, *shape) + np.ones(shape, np.uint8).tobytes()
        (tmp_path / name).write_bytes(content)
    sets = contrib.read_data_sets(tmp_path, one_hot=True, validation_size=2)
    assert sets.train.num_examples == 4 and sets.test.images.shape == (2, 784)
    assert sets.train.images.max() == np.float32(1 / 255)
    images, labels = sets.train.next_batch(5)
    assert images.shape == (5, 784) and labels.shape == (5, 10) and sets.train.epochs_completed == 1


def test_images_turn_and_shift():
    image = np.arange(9.0, dtype="float32").reshape(1, 3, 3, 1)
    np.testing.assert_allclose(contrib._rotate(image, np.pi / 2)[0, :, :, 0], np.rot90(image[0, :, :, 0]))
    np.testing.assert_allclose(contrib._translate(image, [1, 0])[0, :, 0, 0], 0)
