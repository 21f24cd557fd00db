# expect: grid (2, 4, 4, 6)
# expect: finite True
import numpy as np
import tensorflow as tf
from keras import backend as K
from keras.layers import Conv2D, Input, Lambda, MaxPooling2D, Reshape, concatenate
from keras.models import Model
from keras.optimizers import Adam

BATCH, GRID = 2, 4
image, boxes = Input((16, 16, 3)), Input((3, 4), name='boxes')
x = MaxPooling2D((2, 2))(Conv2D(4, (3, 3), padding='same')(image))
skip = Lambda(lambda t: tf.space_to_depth(t, block_size=2))(x)
x = concatenate([skip, MaxPooling2D((2, 2))(x)])
x = Conv2D(6, (1, 1), padding='same')(x)
out = Lambda(lambda parts: parts[0])([Reshape((GRID, GRID, 6))(x), boxes])
model = Model([image, boxes], out)

offset = np.tile(np.arange(GRID, dtype='float32'), [BATCH, GRID, 1])[..., None]


def loss(y_true, y_pred):
    corner = tf.sigmoid(y_pred[..., :1]) + offset
    mask = tf.to_float(y_true[..., 5] > 0)
    best = K.max(boxes[..., 2] * boxes[..., 3], axis=-1)
    where = tf.reduce_sum(tf.square(y_true[..., :1] - corner)[..., 0] * mask, axis=[1, 2])
    return tf.Print(where + 0.1 * best, [tf.shape(y_true)], message='seen ', summarize=4)


model.compile(loss=loss, optimizer=Adam(lr=1e-3, beta_1=0.9, epsilon=1e-08, decay=0.0))
target = np.ones((BATCH, GRID, GRID, 6))
value = model.train_on_batch([np.random.rand(BATCH, 16, 16, 3), np.ones((BATCH, 3, 4))], target)
print('grid', model.predict([np.random.rand(BATCH, 16, 16, 3), np.ones((BATCH, 3, 4))]).shape)
print('finite', bool(np.isfinite(value)))
