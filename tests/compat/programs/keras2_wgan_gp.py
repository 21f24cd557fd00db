# expect: critic [
# era: keras2
"""The gradient penalty of 2017: a loss with symbolic averages in a partial, K.gradients within a loss, a _Merge layer."""

from functools import partial

import keras.backend as K
import numpy as np
from keras.layers import Dense, Input
from keras.layers.merge import _Merge
from keras.models import Model, Sequential
from keras.optimizers import RMSprop


class RandomWeightedAverage(_Merge):
    def _merge_function(self, inputs):
        alpha = K.random_uniform((8, 1))
        return (alpha * inputs[0]) + ((1 - alpha) * inputs[1])


def gradient_penalty_loss(y_true, y_pred, averaged_samples):
    gradients = K.gradients(y_pred, averaged_samples)[0]
    norm = K.sqrt(K.sum(K.square(gradients), axis=np.arange(1, len(gradients.shape))))
    return K.mean(K.square(1 - norm))


def wasserstein_loss(y_true, y_pred):
    return K.mean(y_true * y_pred)


critic = Sequential([Dense(6, input_dim=4, activation="tanh"), Dense(1)])
generator = Sequential([Dense(4, input_dim=3)])
generator.trainable = False
real, z = Input(shape=(4,)), Input(shape=(3,))
fake = generator(z)
interpolated = RandomWeightedAverage()([real, fake])
validity = critic(interpolated)
partial_gp_loss = partial(gradient_penalty_loss, averaged_samples=interpolated)
partial_gp_loss.__name__ = "gradient_penalty"
model = Model(inputs=[real, z], outputs=[critic(real), critic(fake), validity])
model.compile(
    loss=[wasserstein_loss, wasserstein_loss, partial_gp_loss], optimizer=RMSprop(lr=0.01), loss_weights=[1, 1, 10]
)
before = critic.get_weights()[0].copy()
ones = np.ones((8, 1))
found = model.train_on_batch([np.random.rand(8, 4), np.random.rand(8, 3)], [-ones, ones, ones * 0])
print("critic", found)
assert len(found) == 4 and not np.allclose(before, critic.get_weights()[0])
penalty = [
    model.train_on_batch([np.random.rand(8, 4), np.random.rand(8, 3)], [-ones, ones, ones * 0])[3] for _ in range(60)
]
assert np.mean(penalty[-5:]) < penalty[0], penalty
