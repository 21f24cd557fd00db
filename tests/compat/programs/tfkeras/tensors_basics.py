# expect: basics ok
import tensorflow as tf
import numpy as np

x = tf.constant([[1., 2.], [3., 4.]])
print(x.shape, x.dtype, tf.rank(x).numpy(), tf.size(x).numpy())
assert (x @ x).numpy().tolist() == [[7., 10.], [15., 22.]]
v = tf.Variable(3.0, name='v')
with tf.GradientTape(persistent=True) as t:
    y = v * v
    z = y * y
assert t.gradient(z, v).numpy() == 108 and t.gradient(y, v).numpy() == 6
del t
v.assign_add(1.)
a = tf.reshape(tf.range(12), (3, 4))
assert a[:, 1].numpy().tolist() == [1, 5, 9]
assert tf.reduce_sum(a, axis=1).numpy().tolist() == [6, 22, 38]
assert tf.concat([a, a], 0).shape.as_list() == [6, 4]
b, c = tf.split(a, 2, axis=1)
assert tf.stack([b, c]).shape == (2, 3, 2)
assert tf.gather(a, [0, 2]).shape == (2, 4)
assert tf.cast(tf.constant([1.7, 2.2]), tf.int32).numpy().tolist() == [1, 2]
assert tf.one_hot([0, 2], 3).numpy().tolist() == [[1, 0, 0], [0, 0, 1]]
assert tf.where(a > 5, a, 0).numpy().sum() == 51
assert tf.boolean_mask(a, a > 9).numpy().tolist() == [10, 11]
assert tf.strings.join(['a', 'b']).numpy() == b'ab'
m = tf.math.confusion_matrix([0, 1, 1], [0, 1, 0])
assert m.numpy().tolist() == [[1, 0], [1, 1]]
s = tf.data.Dataset.range(5).filter(lambda x: x % 2 == 0).map(lambda x: x * x)
assert [int(i) for i in s.as_numpy_iterator()] == [0, 4, 16]


@tf.function
def collatz(n):
    steps = 0
    while n > 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps += 1
    return steps


assert int(collatz(tf.constant(6))) == 8
e = tf.linalg.norm(x)
assert abs(e.numpy() - 5.477) < 1e-3
tf.debugging.assert_equal(x, x)
k = tf.nn.conv2d(tf.ones((1, 4, 4, 1)), tf.ones((2, 2, 1, 1)), strides=1, padding='VALID')
assert k.numpy().max() == 4
print('basics ok', tf.executing_eagerly())
