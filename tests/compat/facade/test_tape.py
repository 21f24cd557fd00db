"""Gradients by tapes: derivatives known by hand, what is not connected, second order, and what a tape lets go."""

import numpy as np
import pytest
import torch

import convia as keras
import convia.compat.tensorflow as tf


def derivative(function, at, **options):
    x = tf.constant(at)
    with tf.GradientTape(**options) as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x)


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (lambda x: x**2, 3.0, 6.0),
        (tf.sin, 0.0, 1.0),
        (lambda x: tf.reduce_sum(x**3), [1.0, 2.0], [3.0, 12.0]),
        (lambda x: x * 2, [1.0, 2.0], [2.0, 2.0]),  # not a number: its sum counts
        (lambda x: tf.stop_gradient(x) * x, 3.0, 3.0),
        (lambda x: tf.clip_by_value(x, 0.0, 1.0), [0.5, 2.0], [1.0, 0.0]),
        (lambda x: [x, 2 * x], 1.0, 3.0),  # several targets add up
        (lambda x: tf.gather(x, [1, 1]), [1.0, 2.0, 3.0], [0.0, 2.0, 0.0]),
    ],
)
def test_derivatives(function, at, expected):
    np.testing.assert_allclose(derivative(function, at), expected, rtol=1e-6)


def test_structures_of_sources_and_what_is_not_connected():
    a, b, c = tf.Variable(2.0), tf.Variable(3.0), tf.Variable(1.0, trainable=False)
    with tf.GradientTape(persistent=True) as tape:
        y = a * a * c
    assert tape.gradient(y, {"a": a, "b": b})["b"] is None
    assert float(tape.gradient(y, [a])[0]) == 4
    assert tape.gradient(y, c) is None
    zero = tape.gradient(y, b, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    assert float(zero) == 0 and float(tape.gradient(y, b, unconnected_gradients="zero")) == 0
    assert float(tape.gradient(y, a, output_gradients=tf.constant(0.5))) == 2


def test_only_what_is_watched():
    a, b = tf.Variable(2.0), tf.Variable(3.0)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(a)
        y = a * b
    assert [None if g is None else float(g) for g in tape.gradient(y, [a, b])] == [3.0, None]


def test_no_recording_in_a_block():
    x = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = x * x
        with tape.stop_recording():
            z = y * x
    assert not z.requires_grad and float(tape.gradient(y, x)) == 4


def test_second_derivatives_and_persistent_tapes():
    x = tf.Variable(3.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = x**3
        first = inner.gradient(y, x)
    assert (float(first), float(outer.gradient(first, x))) == (27, 18)
    with tf.GradientTape(persistent=True) as tape:
        z = x * x
        w = z * z
    assert [float(tape.gradient(*pair)) for pair in ((w, z), (w, x), (z, x))] == [18, 108, 6]


def test_a_gradient_penalty_reaches_the_weights():
    critic = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    x = tf.constant([[1.0, 2.0, 3.0]])
    with tf.GradientTape() as tape:
        with tf.GradientTape() as inner:
            inner.watch(x)
            score = critic(x, training=True)
        norm = tf.sqrt(tf.reduce_sum(tf.square(inner.gradient(score, x)), axis=1))
        penalty = tf.reduce_mean((norm - 1.0) ** 2)
    kernel = tape.gradient(penalty, critic.trainable_variables)[0]
    np.testing.assert_allclose(kernel[:, 0], np.full(3, 2 * (3**0.5 - 1) / 3**0.5), rtol=1e-5)


def test_a_second_question_is_refused():
    x = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = x * 2
    tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="persistent=True"):
        tape.gradient(y, x)
    with pytest.raises(ValueError, match=r"watch.*a tensor"):
        tape.watch("x")


def test_jacobians():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        rows = tf.reduce_sum(y, axis=1)
    np.testing.assert_array_equal(tape.jacobian(rows, x), [[[2, 4], [0, 0]], [[0, 0], [6, 8]]])
    np.testing.assert_array_equal(tape.batch_jacobian(y, x), [[[2, 0], [0, 4]], [[6, 0], [0, 8]]])
    with pytest.raises(ValueError, match="the same first size"):
        tape.batch_jacobian(y, tf.zeros((3, 2)))
    assert tape.jacobian(rows, tf.Variable([1.0])) is None


def test_custom_gradients():
    @tf.custom_gradient
    def clipped(x):
        return x, lambda upstream: tf.clip_by_value(upstream, -0.1, 0.1)

    np.testing.assert_allclose(derivative(lambda x: clipped(x) * 5.0, [1.0, 2.0]), [0.1, 0.1])


def test_a_used_tape_lets_go_of_the_graph():
    """A sum of losses, or an image changed step by step, must not keep every step's intermediate results."""
    total = tf.constant(0.0)
    weight = tf.Variable([1.0, 2.0])
    for _ in range(3):
        with tf.GradientTape() as tape, tf.GradientTape() as other:
            hidden = weight * 2.0
            loss, second = tf.reduce_sum(hidden**2), tf.reduce_sum(hidden)
        tape.gradient(loss, weight)
        other.gradient(second, weight)
        total += loss
    assert total.grad_fn is None
    image = tf.constant([1.0, 2.0])
    for _ in range(2):
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = tf.reduce_mean(image**2)
        image = image - 0.1 * tape.gradient(loss, image)
    assert not image.requires_grad


def test_functions_outside_tapes_record_nothing():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))

    @tf.function
    def infer(x):
        return layer(x)

    assert not infer(np.ones((1, 3), "float32")).requires_grad
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(infer(tf.ones((1, 3))))
    assert tape.gradient(y, layer.trainable_variables)[0] is not None
    assert torch.is_grad_enabled()


def test_frozen_layers_record_within_tapes_as_in_tensorflow():
    maker, judge = (keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)]) for _ in range(2))
    noise, real = tf.random.normal((4, 2)), tf.random.normal((4, 2))
    for model in (maker, judge):
        model.build((None, 2))

    def losses(freezes):
        with tf.GradientTape(persistent=True) as tape:
            judge.trainable = not freezes
            fake = tf.reduce_sum(judge(maker(noise)) ** 2)
            judge.trainable = True
            both = fake + tf.reduce_sum(judge(real) ** 3)
        return tape, fake, both

    (tape, fake, both), (other, _, same) = losses(True), losses(False)
    assert all(gradient is not None for gradient in tape.gradient(fake, maker.trainable_variables))
    for found, wanted in zip(
        *(t.gradient(y, judge.trainable_variables) for t, y in ((tape, both), (other, same))), strict=True
    ):
        np.testing.assert_allclose(found, wanted)
    judge.trainable = False
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(judge(real))
    assert not judge.trainable_variables and all(g is not None for g in tape.gradient(loss, judge.weights))
    assert not any(weight.requires_grad for weight in judge.weights)
    assert not judge(real).requires_grad
