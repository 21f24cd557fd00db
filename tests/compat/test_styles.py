"""What programs do that only some styles of theirs need: each test is one habit, and what TensorFlow 2.15 makes of it."""

import importlib

import numpy as np

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
