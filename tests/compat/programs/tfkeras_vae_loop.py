# expect: epoch 1
"""tf.keras: a subclassed model with train_step and trackers, GradientTape, add_loss and add_metric on a functional model."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import backend as K
from tensorflow.keras import layers


class Sampling(layers.Layer):
    def call(self, inputs):
        z_mean, z_log_var = inputs
        batch = tf.shape(z_mean)[0]
        dim = tf.shape(z_mean)[1]
        epsilon = tf.keras.backend.random_normal(shape=(batch, dim))
        return z_mean + tf.exp(0.5 * z_log_var) * epsilon


encoder_inputs = keras.Input(shape=(8, 8, 1))
h = layers.Conv2D(4, 3, activation="relu", strides=2, padding="same")(encoder_inputs)
h = layers.Flatten()(h)
z_mean, z_log_var = layers.Dense(2, name="z_mean")(h), layers.Dense(2, name="z_log_var")(h)
z = Sampling()([z_mean, z_log_var])
encoder = keras.Model(encoder_inputs, [z_mean, z_log_var, z], name="encoder")
latent = keras.Input(shape=(2,))
h = layers.Reshape((4, 4, 4))(layers.Dense(64, activation="relu")(latent))
decoder = keras.Model(latent, layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same", strides=2)(h))


class VAE(keras.Model):
    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.total_loss_tracker = keras.metrics.Mean(name="total_loss")

    @property
    def metrics(self):
        return [self.total_loss_tracker]

    def train_step(self, data):
        with tf.GradientTape() as tape:
            z_mean, z_log_var, z = self.encoder(data)
            reconstruction = self.decoder(z)
            loss = tf.reduce_mean(tf.reduce_sum(keras.losses.binary_crossentropy(data, reconstruction), axis=(1, 2)))
            kl = -0.5 * (1 + z_log_var - tf.square(z_mean) - tf.exp(z_log_var))
            total = loss + tf.reduce_mean(tf.reduce_sum(kl, axis=1))
        grads = tape.gradient(total, self.trainable_weights)
        self.optimizer.apply_gradients(zip(grads, self.trainable_weights))
        self.total_loss_tracker.update_state(total)
        return {"loss": self.total_loss_tracker.result()}


x = np.random.rand(32, 8, 8, 1).astype("float32")
vae = VAE(encoder, decoder)
vae.compile(optimizer=keras.optimizers.Adam())
history = vae.fit(x, epochs=2, batch_size=8, verbose=0)
assert history.history["loss"][1] < history.history["loss"][0]

inputs = keras.Input((4,))
h = layers.Dense(3, activation="relu")(inputs)
model = keras.Model(inputs, layers.Dense(1)(h))
model.add_loss(1e-2 * tf.reduce_sum(K.square(h)))
model.add_metric(tf.reduce_mean(h), name="mean_of_h", aggregation="mean")
model.compile("adam", "mse")
history = model.fit(np.ones((8, 4)), np.ones((8, 1)), epochs=1, verbose=0)
assert "mean_of_h" in history.history, history.history

optimizer, loss_fn = tf.keras.optimizers.Adam(1e-2), tf.keras.losses.MeanSquaredError()
mean = tf.keras.metrics.Mean()


@tf.function
def step(a, b):
    with tf.GradientTape() as tape:
        loss = loss_fn(b, model(a, training=True)) + sum(model.losses)
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables))
    mean.update_state(loss)
    return loss


for epoch in range(2):
    mean.reset_states()
    for a, b in tf.data.Dataset.from_tensor_slices((np.ones((8, 4), "float32"), np.ones((8, 1), "float32"))).batch(4):
        step(a, b)
    print("epoch", epoch, float(mean.result()))
