"""Training as TensorFlow 1 did: steps of a session, its optimizers in Keras and with tapes."""

import importlib

import numpy as np
import pytest

from convia.compat import programs

X = np.random.default_rng(0).normal(size=(64, 6, 6, 1)).astype("float32")
Y = (X.mean((1, 2, 3)) > 0).astype("int64")


def test_a_session_trains_a_network_of_functions():
    with programs.using("tfkeras"):
        tf = importlib.import_module("tensorflow")
        x, y = tf.placeholder(tf.float32, [None, 6, 6, 1]), tf.placeholder(tf.int64, [None])
        keep = tf.placeholder(tf.float32)
        kernel = tf.Variable(tf.truncated_normal([3, 3, 1, 4], stddev=0.1, seed=1))
        maps = tf.nn.relu(tf.nn.conv2d(x, kernel, strides=[1, 1, 1, 1], padding="SAME"))
        weights = tf.Variable(tf.truncated_normal([144, 2], stddev=0.1, seed=2))
        logits = tf.matmul(tf.nn.dropout(tf.reshape(maps, [-1, 144]), keep), weights)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
        right = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), y), tf.float32))
        counter = tf.train.get_or_create_global_step()
        before = int(counter)
        step = tf.train.AdamOptimizer(0.01).minimize(loss, global_step=counter)
        feeds = {x: X, y: Y, keep: 0.9}
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            first = session.run(loss, feed_dict={**feeds, keep: 1.0})
            for _ in range(30):
                session.run(step, feed_dict=feeds)
            _, last = session.run([step, loss], feed_dict={**feeds, keep: 1.0})
            assert last < first / 2 and right.eval(feed_dict={**feeds, keep: 1.0}) > 0.9
        assert int(counter) == before + 31


def test_layers_of_keras_learn_in_a_session():
    with programs.using("keras2"):
        tf, k = importlib.import_module("tensorflow"), importlib.import_module("keras.backend")
        layers = importlib.import_module("keras.layers")
        x, y = tf.placeholder(tf.float32, (None, 6, 6, 1)), tf.placeholder(tf.float32, (None, 1))
        found = layers.Dense(1, activation="sigmoid")(layers.Flatten()(x))
        loss = tf.reduce_mean(importlib.import_module("keras.losses").binary_crossentropy(y, found))
        step = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
        feeds = {x: X, y: Y[:, None]}
        session = k.get_session()
        first, _ = session.run([loss, step], feed_dict=feeds)
        assert session.run([step, loss], feed_dict=feeds)[1] < first


@pytest.mark.parametrize("name", ["AdamOptimizer", "GradientDescentOptimizer", "MomentumOptimizer", "RMSPropOptimizer",
                                  "AdagradOptimizer", "AdadeltaOptimizer", "FtrlOptimizer"])  # fmt: skip
def test_optimizers_of_tensorflow_1_train_models_and_serve_tapes(name):
    with programs.using("tfkeras"):
        tf = importlib.import_module("tensorflow")
        options = {"momentum": 0.9} if name == "MomentumOptimizer" else {}
        optimizer = getattr(tf.train, name)(learning_rate=0.1, **options)
        model = tf.keras.Sequential([tf.keras.layers.Flatten(input_shape=(6, 6, 1)), tf.keras.layers.Dense(1)])
        model.compile(optimizer=optimizer, loss="mse")
        assert np.isfinite(model.fit(X, Y, epochs=1, verbose=0).history["loss"][0])
        variable = tf.Variable([1.0])
        other = getattr(tf.train, name)(0.1, **options)
        with tf.GradientTape() as tape:
            loss = variable**2
        other.apply_gradients([(tape.gradient(loss, variable), variable)])
        assert variable.numpy()[0] < 1
        before = variable.numpy()[0]
        other.minimize(lambda: tf.reduce_sum(variable**2))
        assert variable.numpy()[0] < before
        (gradient, same), *_ = other.compute_gradients(lambda: variable * 3)
        assert same is variable and gradient.numpy()[0] == 3


def test_steps_that_cannot_be_made():
    with programs.using("tfkeras"):
        tf = importlib.import_module("tensorflow")
        x = tf.placeholder(tf.float32, [None, 2])
        optimizer = tf.train.GradientDescentOptimizer(0.1)
        with pytest.raises(ValueError, match="received no variables"):
            optimizer.minimize(tf.reduce_sum(x)).run({x: np.ones((1, 2))})
        with pytest.raises(ValueError, match="no value for the placeholder 'Placeholder:0'"):
            tf.Session().run(x)
        assert tf.train.exponential_decay(0.1, None, 10, 0.5, staircase=True)(25) == pytest.approx(0.025)
