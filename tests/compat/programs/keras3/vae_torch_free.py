# expect: kl
import keras
from keras import ops, layers
import numpy as np


class Sampling(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        epsilon = keras.random.normal(shape=ops.shape(z_mean), seed=self.seed_generator)
        self.add_loss(-0.5 * ops.mean(1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var)))
        return z_mean + ops.exp(0.5 * z_log_var) * epsilon


inp = keras.Input((8, 8, 1))
x = layers.Flatten()(inp)
z = Sampling()([layers.Dense(2)(x), layers.Dense(2)(x)])
out = layers.Reshape((8, 8, 1))(layers.Dense(64, activation="sigmoid")(z))
vae = keras.Model(inp, out)
vae.compile("adam", "binary_crossentropy")
d = np.random.rand(16, 8, 8, 1)
h = vae.fit(d, d, epochs=1, verbose=0)
vae(d[:2])
print("kl", len(vae.losses))
