# expect: vae ok
# era: keras2
"""Variational autoencoders of three kinds: a loss with symbolic tensors, add_loss, a layer with add_loss."""

import numpy as np
from keras import backend as K
from keras import metrics, objectives
from keras.layers import Dense, Input, Lambda, Layer
from keras.losses import binary_crossentropy
from keras.models import Model

x_train = np.random.rand(40, 12).astype("float32")
batch_size, original_dim, latent_dim, epsilon_std = 10, 12, 2, 1.0
x = Input(batch_shape=(batch_size, original_dim))
h = Dense(8, activation="relu")(x)
z_mean = Dense(latent_dim)(h)
z_log_var = Dense(latent_dim)(h)


def sampling(args):
    z_mean, z_log_var = args
    epsilon = K.random_normal(shape=(batch_size, latent_dim), mean=0.0, stddev=epsilon_std)
    return z_mean + K.exp(z_log_var / 2) * epsilon


z = Lambda(sampling, output_shape=(latent_dim,))([z_mean, z_log_var])
x_decoded_mean = Dense(original_dim, activation="sigmoid")(Dense(8, activation="relu")(z))


def vae_loss(x, x_decoded_mean):
    xent_loss = original_dim * objectives.binary_crossentropy(x, x_decoded_mean)
    kl_loss = -0.5 * K.sum(1 + z_log_var - K.square(z_mean) - K.exp(z_log_var), axis=-1)
    return xent_loss + kl_loss


vae = Model(x, x_decoded_mean)
vae.compile(optimizer="rmsprop", loss=vae_loss)
history = vae.fit(
    x_train, x_train, shuffle=True, epochs=3, batch_size=batch_size, verbose=0, validation_data=(x_train, x_train)
)
assert history.history["loss"][-1] < history.history["loss"][0] and np.isfinite(history.history["val_loss"]).all()
plain = original_dim * 0.3
assert history.history["loss"][0] > plain  # the loss is that of twelve pixels

inputs = Input(shape=(original_dim,))
h = Dense(8, activation="relu")(inputs)
z_mean, z_log_var = Dense(latent_dim, name="z_mean")(h), Dense(latent_dim, name="z_log_var")(h)


def sampling2(args):
    z_mean, z_log_var = args
    batch, dim = K.shape(z_mean)[0], K.int_shape(z_mean)[1]
    return z_mean + K.exp(0.5 * z_log_var) * K.random_normal(shape=(batch, dim))


z = Lambda(sampling2, output_shape=(latent_dim,), name="z")([z_mean, z_log_var])
outputs = Dense(original_dim, activation="sigmoid")(z)
model = Model(inputs, outputs, name="vae_mlp")
reconstruction = binary_crossentropy(inputs, outputs) * original_dim
kl = K.sum(1 + z_log_var - K.square(z_mean) - K.exp(z_log_var), axis=-1) * -0.5
model.add_loss(K.mean(reconstruction + kl))
model.compile(optimizer="adam")
model.summary()
history = model.fit(x_train, epochs=2, batch_size=8, validation_data=(x_train, None), verbose=0)
assert history.history["loss"][0] > plain and "val_loss" in history.history


class CustomVariationalLayer(Layer):
    def __init__(self, **kwargs):
        self.is_placeholder = True
        super().__init__(**kwargs)

    def vae_loss(self, x, decoded):
        xent = original_dim * metrics.binary_crossentropy(x, decoded)
        return K.mean(xent)

    def call(self, inputs):
        x, decoded = inputs[0], inputs[1]
        self.add_loss(self.vae_loss(x, decoded), inputs=inputs)
        return x


inputs = Input(shape=(original_dim,))
decoded = Dense(original_dim, activation="sigmoid")(inputs)
y = CustomVariationalLayer()([inputs, decoded])
third = Model(inputs, y)
third.compile(optimizer="rmsprop", loss=None)
assert third.fit(x_train, shuffle=True, epochs=1, batch_size=8, verbose=0).history["loss"][0] > plain
print("vae ok")
