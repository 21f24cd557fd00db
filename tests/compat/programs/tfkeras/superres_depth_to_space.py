# expect: psnr
import tensorflow as tf
from tensorflow.keras import layers, Model, Input
import numpy as np


def pixel_shuffle(scale):
    return lambda x: tf.nn.depth_to_space(x, scale)


def res_block(x_in, filters, scaling):
    x = layers.Conv2D(filters, 3, padding='same', activation='relu')(x_in)
    x = layers.Conv2D(filters, 3, padding='same')(x)
    if scaling:
        x = layers.Lambda(lambda t: t * scaling)(x)
    return layers.Add()([x_in, x])


def normalize(x):
    return (x - 127.5) / 127.5


def denormalize(x):
    return x * 127.5 + 127.5


x_in = Input(shape=(None, None, 3))
x = layers.Lambda(normalize)(x_in)
x = b = layers.Conv2D(4, 3, padding='same')(x)
b = res_block(b, 4, 0.5)
x = x + b
x = layers.Conv2D(4 * 4, 3, padding='same')(x)
x = layers.Lambda(pixel_shuffle(2))(x)
x = layers.Conv2D(3, 3, padding='same')(x)
x = layers.Lambda(denormalize)(x)
model = Model(x_in, x, name="edsr")
hr = tf.cast(tf.random.uniform((4, 16, 16, 3), 0, 255, dtype=tf.int32), tf.float32)
lr = tf.image.resize(hr, (8, 8), method='bicubic')


def psnr(x1, x2):
    return tf.image.psnr(x1, x2, max_val=255)


model.compile('adam', 'mae', metrics=[psnr])
h = model.fit(lr, hr, epochs=1, verbose=0)
sr = tf.cast(tf.round(tf.clip_by_value(model(lr), 0, 255)), tf.uint8)
print('psnr', h.history['psnr'], tf.image.ssim(tf.cast(sr, tf.float32), hr, 255).shape)
