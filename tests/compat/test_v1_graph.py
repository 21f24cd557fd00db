"""Graphs of TensorFlow 1: layers and variables by name, iterators, gradients and rates that each run computes anew."""

import importlib

import numpy as np
import pytest

from convia.compat import programs

X = np.random.default_rng(0).uniform(size=(64, 8, 8, 2)).astype("float32")
Y = (X.mean((1, 2, 3)) > 0.5).astype("int64")


@pytest.fixture
def tf():
    with programs.using("tfkeras"):
        yield importlib.import_module("tensorflow")


def started(tf):
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session


def test_a_network_of_layers_learns_moves_its_statistics_and_is_saved(tf, tmp_path):
    tf.set_random_seed(1)
    x, y = tf.placeholder(tf.float32, [None, 8, 8, 2], name="x"), tf.placeholder(tf.int64, [None])
    training = tf.placeholder_with_default(False, shape=())

    def network(reuse):
        with tf.variable_scope("net", reuse=reuse):
            penalty = tf.contrib.layers.l2_regularizer(1e-3)
            h = tf.layers.conv2d(x, 4, 3, padding="same", kernel_regularizer=penalty)
            h = tf.nn.relu(tf.layers.batch_normalization(h, training=training, momentum=0.5))
            h = tf.layers.max_pooling2d(h, 2, 2)
            h = tf.layers.separable_conv2d(h, 4, (3, 3), padding="SAME", activation=tf.nn.relu)
            h = tf.layers.flatten(tf.layers.average_pooling2d(h, [2, 2], strides=2))
            h = tf.layers.dropout(tf.layers.dense(h, 8, tf.nn.relu), rate=0.1, training=training)
            return tf.layers.dense(inputs=h, units=2, name="scores")

    scores, shared = network(False), network(True)
    names = [v.name for v in tf.trainable_variables()]
    assert len(names) == 11 and {"net/conv2d/kernel:0", "net/dense/bias:0", "net/scores/kernel:0"} < set(names)
    assert len(tf.global_variables("net")) == 13 and not tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, "other")
    loss = tf.losses.sparse_softmax_cross_entropy(labels=y, logits=scores)
    total = loss + tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        step = tf.train.AdamOptimizer(1e-2).minimize(total)
    right = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(scores, 1), y), tf.float32))
    saver, (mean,) = tf.train.Saver(), (v for v in tf.global_variables() if "moving_mean" in v.name)
    session, feeds = started(tf), {x: X, y: Y}
    session.run(total, {**feeds, training: True})
    assert not session.run(mean).any()
    losses = [session.run([step, total], {**feeds, training: True})[1] for _ in range(40)]
    assert losses[-1] < losses[0] / 2 and session.run(mean).any()
    np.testing.assert_array_equal(*session.run([scores, shared], feeds))
    before = session.run(scores, feeds)
    path = saver.save(session, str(tmp_path / "model.ckpt"), global_step=40)
    assert path.endswith("model.ckpt-40") and tf.train.latest_checkpoint(str(tmp_path)) == path
    session.run(tf.global_variables_initializer())
    assert np.abs(session.run(scores, feeds) - before).max() > 0.1
    saver.restore(session, path)
    np.testing.assert_array_equal(session.run(scores, {"x:0": X}), before)
    assert right.eval(feeds, session=session) > 0.5
    with pytest.raises(tf.errors.NotFoundError, match="existing checkpoint"):
        saver.restore(session, str(tmp_path / "other"))
    with pytest.raises(NotImplementedError, match="Build the network"):
        tf.train.import_meta_graph("model.ckpt-40.meta")


@pytest.mark.parametrize(
    ("name", "arguments", "options", "shape"),
    [
        ("conv1d", (4, 3), {}, (6, 4)),
        ("conv2d", (4, 3), {"strides": 2, "use_bias": False}, (3, 3, 4)),
        ("conv2d", (4, (3, 3)), {"data_format": "channels_first"}, (4, 6, 6)),
        ("conv2d_transpose", (4, 3), {"strides": 2, "padding": "same"}, (16, 16, 4)),
        ("separable_conv2d", (4, 3), {"depth_multiplier": 2}, (6, 6, 4)),
        ("max_pooling2d", (2, 2), {}, (4, 4, 2)),
        ("average_pooling2d", (3, 2), {"padding": "same"}, (4, 4, 2)),
        ("dense", (5,), {"activation": "relu"}, (8, 8, 5)),
        ("flatten", (), {}, (128,)),
        ("dropout", (0.5,), {"training": True}, (8, 8, 2)),
        ("batch_normalization", (), {"training": True}, (8, 8, 2)),
    ],
)
def test_layers_in_graphs_and_at_once(tf, name, arguments, options, shape):
    inputs = X[:, 0] if name == "conv1d" else X
    options = {key: tf.nn.relu if value == "relu" else value for key, value in options.items()}
    inputs = np.moveaxis(X, -1, 1) if "data_format" in options else inputs
    function = getattr(tf.compat.v1.layers, name)
    at_once = function(tf.constant(inputs), *arguments, **options)
    assert at_once.shape == (len(X), *shape)
    x = tf.placeholder(tf.float32, [None, *inputs.shape[1:]])
    y = function(x, *arguments, **options)
    assert y.shape == (None, *shape)
    assert started(tf).run(y, {x: inputs}).shape == (len(X), *shape)


def test_statistics_of_a_normalization_move_as_the_formula_says(tf):
    found = tf.layers.batch_normalization(tf.constant(X), training=True, momentum=0.75, name="n")
    np.testing.assert_allclose(found, (X - X.mean((0, 1, 2))) / np.sqrt(X.var((0, 1, 2)) + 1e-3), atol=1e-5)
    mean, variance = tf.global_variables()[2:]
    np.testing.assert_allclose(mean, 0.25 * X.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, 0.75 + 0.25 * X.var((0, 1, 2)), rtol=1e-5)


def test_layers_as_objects_share_their_variables(tf):
    tf.disable_v2_behavior()
    layer = tf.layers.Dense(3, name="d")
    first, second = layer(tf.constant(np.ones((1, 2), "float32"))), layer.apply(tf.constant(np.ones((1, 2), "float32")))
    np.testing.assert_array_equal(*started(tf).run([first, second]))
    assert [v.name for v in tf.trainable_variables()] == ["d/kernel:0", "d/bias:0"]


def test_variables_of_a_scope_are_new_or_shared(tf):
    tf.disable_v2_behavior()
    with tf.variable_scope("a") as scope:
        w = tf.get_variable("w", [2], initializer=tf.ones_initializer())
        with pytest.raises(ValueError, match="'a/w' a second time"):
            tf.get_variable("w", [2])
        scope.reuse_variables()
        assert tf.get_variable("w", [2]) is w
        with pytest.raises(ValueError, match="in a scope that is reused"):
            tf.get_variable("v", [2])
    with tf.variable_scope("a", reuse=tf.AUTO_REUSE):
        assert tf.get_variable("w") is w and tf.get_variable("v", [1]).name == "a/v:0"
    with tf.variable_scope(scope):
        assert tf.Variable(1.0, name="x").name == "a/x:0" and w.op.name == "a/w"
    with pytest.raises(ValueError, match="without a shape"):
        tf.get_variable("z")
    tf.reset_default_graph()
    assert not tf.global_variables() and tf.get_variable_scope().name == ""


def test_what_is_made_of_variables_is_computed_in_each_run(tf):
    tf.disable_eager_execution()
    w, count = tf.Variable([[1.0], [2.0]]), tf.Variable(0, trainable=False)
    values = [tf.nn.l2_loss(w), tf.reduce_sum(w**2) / 2, (-w[1, 0] + 2 * w[0, 0]) * 0 + tf.reduce_sum(tf.square(w)) / 2]
    twice, counted = w.assign(w * 2), tf.assign_add(count, 3)
    session = started(tf)
    assert not tf.executing_eagerly() and session.run(values) == [2.5, 2.5, 2.5]
    kept = session.run(w)
    session.run([tf.group(twice), counted])
    assert session.run(values) == [10, 10, 10] and session.run(count) == 3 and kept[0, 0] == 1
    session.run(w.initializer)
    assert session.run(w)[0, 0] == 1
    drawn = tf.random_normal([3])
    one, same = session.run([drawn, drawn])
    assert (one == same).all() and (session.run(drawn) != one).any()
    start = tf.Variable(tf.truncated_normal([3]))
    session.run(start.initializer)
    before = session.run(start)
    session.run(start.initializer)
    assert (session.run(start) != before).any()


def test_gradients_are_clipped_on_their_way(tf):
    x = tf.placeholder(tf.float32, [None, 2])
    w = tf.get_variable("w", [2, 1], initializer=tf.ones_initializer())
    loss = tf.reduce_sum(tf.matmul(x, w))
    optimizer, count = tf.train.GradientDescentOptimizer(0.1), tf.train.get_or_create_global_step()
    pairs = optimizer.compute_gradients(loss)
    clipped = optimizer.apply_gradients([(tf.clip_by_value(g, -1.0, 1.0), v) for g, v in pairs], global_step=count)
    gradients, norm = tf.clip_by_global_norm(tf.gradients(loss, tf.trainable_variables()), 1.0)
    scaled = optimizer.apply_gradients(zip(gradients, tf.trainable_variables(), strict=True))
    session, feeds = started(tf), {x: [[3.0, 4.0]]}
    np.testing.assert_array_equal(session.run(pairs[0][0], feeds), [[3], [4]])
    session.run(clipped, feeds)
    np.testing.assert_allclose(session.run(w), [[0.9], [0.9]])
    assert session.run(norm, feeds) == 5 and session.run(count) == 1
    session.run(scaled, feeds)
    np.testing.assert_allclose(session.run(w), [[0.84], [0.82]], rtol=1e-6)


def test_learning_rates_are_those_of_the_run(tf):
    x, rate = tf.placeholder(tf.float32, [None, 1]), tf.placeholder(tf.float32, [])
    w, count, own = tf.Variable([[1.0]]), tf.Variable(0, trainable=False), tf.Variable(0.5, trainable=False)
    loss = tf.reduce_sum(tf.matmul(x, w))
    falling = tf.train.exponential_decay(0.1, count, 1, 0.5, staircase=True)
    constant = tf.train.piecewise_constant(count, [1], [1.0, 2.0])
    steps = [tf.train.GradientDescentOptimizer(r).minimize(loss, global_step=count) for r in (falling, rate, own)]
    session, feeds = started(tf), {x: [[1.0]], rate: 0.25}
    assert session.run(constant) == 1
    for step, wanted in zip([*steps, steps[0]], (0.9, 0.65, 0.15, 0.1375), strict=True):
        session.run(step, feeds)
        assert session.run(w)[0, 0] == pytest.approx(wanted)
    session.run(tf.assign(own, 0.0))
    session.run(steps[2], feeds)
    assert session.run(w)[0, 0] == pytest.approx(0.1375) and session.run(constant) == 2


def test_iterators_yield_an_element_in_each_run(tf):
    rows = np.arange(20, dtype="float32").reshape(10, 2)
    iterator = tf.data.Dataset.from_tensor_slices((rows, rows[:, 0])).map(lambda a, b: (a * 2, b)).batch(4)
    a, b = iterator.make_one_shot_iterator().get_next()
    assert a.shape == (None, 2)
    session, sizes = started(tf), []
    with pytest.raises(tf.errors.OutOfRangeError):
        while True:
            doubled, first = session.run([a, b])
            np.testing.assert_array_equal(doubled[:, 0], 2 * first)
            sizes.append(len(doubled))
    assert sizes == [4, 4, 2]
    x, size = tf.placeholder(tf.float32, [None, 2]), tf.placeholder(tf.int64, [])
    iterator = tf.data.Dataset.from_tensor_slices(x).repeat().batch(size).make_initializable_iterator()
    element = iterator.get_next()
    with pytest.raises(ValueError, match=r"Run iterator\.initializer first"):
        session.run(element)
    for count in (5, 3):
        session.run(iterator.initializer, {x: rows, size: count})
        assert [len(session.run(element)) for _ in range(4)] == [count] * 4
    small, large = (tf.data.Dataset.from_tensor_slices(rows).batch(count) for count in (2, 5))
    iterator = tf.data.Iterator.from_structure(small.output_types, small.output_shapes)
    element, starts = iterator.get_next(), [iterator.make_initializer(part) for part in (small, large)]
    for start, count in zip(starts, (2, 5), strict=True):
        session.run(start)
        assert len(session.run(element)) == count
    with pytest.raises(NotImplementedError, match="texts in elements"):
        tf.data.Dataset.from_tensor_slices(["a"]).make_one_shot_iterator().get_next()


def test_an_eager_program_gets_elements_themselves(tf):
    tf.enable_eager_execution()
    iterator = tf.data.Dataset.range(2).make_one_shot_iterator()
    assert [int(iterator.get_next()) for _ in range(2)] == [0, 1] and tf.executing_eagerly()
    with pytest.raises(tf.errors.OutOfRangeError):
        iterator.get_next()


@pytest.mark.parametrize(
    ("name", "first", "second", "options", "wanted"),
    [
        ("mean_squared_error", [1.0, 2.0], [2.0, 4.0], {}, 2.5),
        ("mean_squared_error", [1.0, 2.0], [2.0, 4.0], {"weights": [1.0, 0.0]}, 1.0),
        ("absolute_difference", [1.0, 2.0], [2.0, 4.0], {"reduction": "weighted_sum"}, 3.0),
        ("log_loss", [1.0], [0.5], {}, 0.6931470),
        ("huber_loss", [0.0, 0.0], [0.5, 3.0], {}, (0.125 + 2.5) / 2),
        ("hinge_loss", [1.0, 0.0], [0.5, 0.5], {}, 1.0),
        ("softmax_cross_entropy", [[0.0, 1.0]], [[0.0, 0.0]], {"label_smoothing": 0.2}, 0.6931472),
        ("sigmoid_cross_entropy", [[0.0, 1.0]], [[0.0, 0.0]], {}, 0.6931472),
        ("sparse_softmax_cross_entropy", [1, 0], [[0.0, 0.0], [0.0, 0.0]], {"weights": 2.0}, 1.3862944),
    ],
)
def test_losses_are_collected(tf, name, first, second, options, wanted):
    found = getattr(tf.losses, name)(np.array(first), tf.constant(second), **options)
    assert float(found) == pytest.approx(wanted, rel=1e-5)
    assert float(tf.losses.get_total_loss()) == float(found) and tf.compat.v1.losses is tf.losses
    assert tf.losses.MeanSquaredError is tf.keras.losses.MeanSquaredError
