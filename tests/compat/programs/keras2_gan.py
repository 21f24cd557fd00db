# expect: discriminator learns
# era: keras2
"""A GAN: what learns is noted at compile(), so the discriminator learns although it is frozen for the generator."""

import numpy as np
from keras.layers import Dense, Input, LeakyReLU
from keras.models import Model, Sequential
from keras.optimizers import Adam

optimizer = Adam(0.01, 0.5)  # one for both
discriminator = Sequential([Dense(8, input_dim=4), LeakyReLU(alpha=0.2), Dense(1, activation="sigmoid")])
discriminator.compile(loss="binary_crossentropy", optimizer=optimizer, metrics=["accuracy"])
generator = Sequential([Dense(8, input_dim=3), LeakyReLU(0.2), Dense(4)])
z = Input(shape=(3,))
discriminator.trainable = False
combined = Model(z, discriminator(generator(z)))
combined.compile(loss="binary_crossentropy", optimizer=optimizer)
d0, g0 = [w.copy() for w in discriminator.get_weights()], [w.copy() for w in generator.get_weights()]
d_loss = discriminator.train_on_batch(np.ones((8, 4)), np.ones((8, 1)))
assert len(d_loss) == 2 and not np.allclose(d0[0], discriminator.get_weights()[0])
assert np.allclose(g0[0], generator.get_weights()[0])
print("discriminator learns", d_loss)
d1 = [w.copy() for w in discriminator.get_weights()]
loss = combined.train_on_batch(np.ones((8, 3)), np.ones((8, 1)))
assert np.allclose(d1[0], discriminator.get_weights()[0]) and not np.allclose(g0[0], generator.get_weights()[0])
assert np.isscalar(loss) and discriminator.predict(np.ones((2, 4))).shape == (2, 1)
