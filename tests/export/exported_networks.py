"""Small networks of every kind of layer that CNNs are made of, for exports."""

import numpy as np

import convia
from convia import layers as L


def seeded(model):
    """Give all weights random values, statistics too."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 0.9, w.shape) - 0.4 * (len(w.shape) > 1) for w in model.get_weights()])
    return model


def through(*layers, shape=(12, 12, 3)):
    return seeded(convia.Sequential([convia.Input(shape), *layers]))


def cnn(shape=(12, 12, 3)):
    x = inputs = convia.Input(shape, name="image")
    x = L.Rescaling(1 / 255)(x)
    x = L.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    x = L.BatchNormalization()(x)
    y = L.SeparableConv2D(4, 3, padding="same", activation="swish")(x)
    x = L.Add()([x, y])
    x = L.MaxPooling2D(2)(x)
    x = L.Dropout(0.5)(L.Flatten()(x))
    return seeded(convia.Model(inputs, L.Dense(3, activation="softmax", name="probabilities")(x), name="cnn"))


def two_by_two():
    a, b = convia.Input((4, 4, 1), name="a"), convia.Input((3,), name="b")
    x = L.Concatenate()([L.Flatten()(a), b])
    return seeded(convia.Model({"a": a, "b": b}, [L.Dense(2, name="first")(x), L.Dense(1, name="second")(x)]))


def long():
    """One of nearly every layer of images, in a row."""
    return through(
        L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
        L.RandomFlip(), L.RandomRotation(0.1), L.Conv2D(4, 3, dilation_rate=2), L.LeakyReLU(), L.ZeroPadding2D(((1, 2), (0, 3))),
        L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), L.Activation("gelu"), L.Cropping2D(((0, 1), (2, 0))),
        L.UpSampling2D(2), L.Conv2DTranspose(4, 3, strides=2, padding="same"), L.PReLU(shared_axes=[1, 2]), L.GaussianNoise(0.1),
        L.AveragePooling2D(3, strides=2, padding="same"), L.SpatialDropout2D(0.5), L.LayerNormalization(), L.GroupNormalization(2),
        L.Conv2D(4, 1, groups=2, activation="elu"), L.UpSampling2D(2, interpolation="bilinear"), L.Permute((3, 1, 2)),
        L.GlobalMaxPooling2D(data_format="channels_first"), L.Reshape((2, 2)), L.Softmax(axis=1), L.Flatten(), L.Dense(2, "tanh"),
    )  # fmt: skip


def one_dimension():
    return through(
        L.Conv1D(4, 3, padding="causal"), L.ReLU(max_value=6), L.SeparableConv1D(4, 3), L.MaxPooling1D(2, padding="same"),
        L.Conv1DTranspose(3, 3), L.GlobalAveragePooling1D(), shape=(12, 3),
    )  # fmt: skip


def three_dimensions():
    return through(
        L.Conv3D(2, 3, padding="same"), L.AveragePooling3D(2), L.UpSampling3D(2), L.Conv3DTranspose(2, 2), L.GlobalMaxPooling3D(),
        shape=(4, 4, 4, 2),
    )  # fmt: skip


def channels_first():
    return through(
        L.Conv2D(4, 3, data_format="channels_first"), L.BatchNormalization(axis=1), L.ReLU(),
        L.MaxPooling2D(2, data_format="channels_first"), L.GlobalAveragePooling2D(data_format="channels_first"), shape=(3, 12, 12),
    )  # fmt: skip


def squeeze():
    """Squeeze and excitation: a product of maps and of one number per channel."""
    x = inputs = convia.Input((8, 8, 4))
    x = L.Conv2D(4, 3, padding="same")(x)
    weights = L.Conv2D(4, 1, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(x))
    x = L.Concatenate()([L.Multiply()([x, weights]), L.Conv2D(2, 3, padding="same")(x)])
    return seeded(convia.Model(inputs, L.Conv2D(2, 1)(x)))


NETWORKS = (cnn, two_by_two, long, one_dimension, three_dimensions, channels_first, squeeze)
