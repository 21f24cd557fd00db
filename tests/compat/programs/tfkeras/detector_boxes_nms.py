# expect: (2, 5, 4) (2, 5) (2,)
# expect: shape (2, 8, 8, 2, 7)
import numpy as np
import tensorflow as tf
from tensorflow.keras import Model
from tensorflow.keras.layers import BatchNormalization, Conv2D, Input, Lambda, LeakyReLU, ZeroPadding2D

ANCHORS = np.array([(0.2, 0.3), (0.6, 0.5)], np.float32)


def decode(output):
    size = tf.shape(output)[1:3]
    middle, sides, certain, kinds = tf.split(output, (2, 2, 1, 2), axis=-1)
    grid = tf.expand_dims(tf.stack(tf.meshgrid(tf.range(size[1]), tf.range(size[0])), axis=-1), axis=2)
    middle = (tf.sigmoid(middle) + tf.cast(grid, tf.float32)) / tf.cast(size, tf.float32)
    sides = tf.exp(sides) * ANCHORS
    return tf.concat([middle - sides / 2, middle + sides / 2], axis=-1), tf.sigmoid(certain) * tf.sigmoid(kinds)


def thin(parts):
    boxes, scores = parts
    boxes = tf.reshape(boxes, (tf.shape(boxes)[0], -1, 1, 4))
    scores = tf.reshape(scores, (tf.shape(scores)[0], -1, tf.shape(scores)[-1]))
    return tf.image.combined_non_max_suppression(boxes, scores, max_output_size_per_class=3, max_total_size=5, score_threshold=0.1)


inputs = Input([32, 32, 3])
x = ZeroPadding2D(((1, 0), (1, 0)))(inputs)
x = LeakyReLU(alpha=0.1)(BatchNormalization()(Conv2D(8, 3, strides=4, padding='same', use_bias=False)(x)))
x = Conv2D(14, 1)(x)
raw = Lambda(lambda t: tf.reshape(t[:, :8, :8], (-1, 8, 8, 2, 7)))(x)
detector = Model(inputs, Lambda(lambda t: thin(decode(t)))(raw))
boxes, scores, kinds, count = detector.predict(np.random.rand(2, 32, 32, 3))
print(boxes.shape, scores.shape, count.shape)
print('shape', Model(inputs, raw)(tf.zeros((2, 32, 32, 3))).shape)
