# expect: schedules ok
import tensorflow as tf
import numpy as np
from tensorflow.keras.optimizers.schedules import ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, InverseTimeDecay
from tensorflow.keras.experimental import CosineDecay, CosineDecayRestarts


class CustomSchedule(tf.keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, d_model, warmup_steps=4000):
        super(CustomSchedule, self).__init__()
        self.d_model = tf.cast(d_model, tf.float32)
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        arg1 = tf.math.rsqrt(step + 1)
        arg2 = step * (self.warmup_steps ** -1.5)
        return tf.math.rsqrt(self.d_model) * tf.math.minimum(arg1, arg2)


x, y = np.random.rand(8, 3), np.random.rand(8, 1)
for s in [ExponentialDecay(0.1, decay_steps=10, decay_rate=0.96, staircase=True), PiecewiseConstantDecay([2, 4], [0.1, 0.01, 0.001]),
          PolynomialDecay(0.1, 10), InverseTimeDecay(0.1, 10, 0.5), CosineDecay(0.1, 10), CosineDecayRestarts(0.1, 5), CustomSchedule(16, 10)]:
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(3,))])
    model.compile(tf.keras.optimizers.Adam(s, beta_1=0.9, beta_2=0.98, epsilon=1e-9), 'mse')
    model.fit(x, y, epochs=1, batch_size=2, verbose=0)
    assert float(s(tf.constant(3))) >= 0
opt = tf.keras.optimizers.Adam(lr=0.01, decay=0.01) if not hasattr(tf.keras.optimizers, 'legacy') else tf.keras.optimizers.legacy.Adam(lr=0.01, decay=0.01)
model.compile(opt, 'mse')
model.fit(x, y, epochs=1, verbose=0)
print(tf.keras.backend.get_value(model.optimizer.lr), model.optimizer.get_config()['learning_rate'])
tf.keras.backend.set_value(model.optimizer.learning_rate, 0.5)
assert np.isclose(model.optimizer.lr.numpy(), 0.5)
model.optimizer.lr.assign(0.25)
assert np.isclose(float(model.optimizer.lr), 0.25)
print('schedules ok', model.optimizer.iterations.numpy())
