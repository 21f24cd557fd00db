# expect: [D loss:
import numpy as np
from keras.models import Sequential, Model
from keras.layers import Input, Dense, LeakyReLU, Reshape, Flatten, BatchNormalization
from keras.optimizers import RMSprop
import keras.backend as K
from functools import partial


def wasserstein_loss(y_true, y_pred):
    return K.mean(y_true * y_pred)


critic = Sequential([Flatten(input_shape=(6, 6, 1)), Dense(8), LeakyReLU(0.2), Dense(1)])
critic.compile(loss=wasserstein_loss, optimizer=RMSprop(lr=0.00005), metrics=['accuracy'])
generator = Sequential([Dense(12, input_dim=4), BatchNormalization(momentum=0.8), LeakyReLU(0.2), Dense(36, activation='tanh'), Reshape((6, 6, 1))])
z = Input(shape=(4,))
critic.trainable = False
combined = Model(z, critic(generator(z)))
combined.compile(loss=wasserstein_loss, optimizer=RMSprop(lr=0.00005), metrics=['accuracy'])
valid, fake = -np.ones((8, 1)), np.ones((8, 1))
for epoch in range(2):
    for _ in range(2):
        gen_imgs = generator.predict(np.random.normal(0, 1, (8, 4)))
        d_loss = 0.5 * np.add(critic.train_on_batch(gen_imgs, fake), critic.train_on_batch(np.random.rand(8, 6, 6, 1), valid))
        for l in critic.layers:
            weights = l.get_weights()
            weights = [np.clip(w, -0.01, 0.01) for w in weights]
            l.set_weights(weights)
    g_loss = combined.train_on_batch(np.random.normal(0, 1, (8, 4)), valid)
    print("%d [D loss: %f] [G loss: %f]" % (epoch, 1 - d_loss[0], 1 - g_loss[0]))
assert len(combined.trainable_weights) == 6, len(combined.trainable_weights)
