# expect: loaded custom
import tensorflow as tf
from tensorflow.keras import backend as K
from tensorflow.keras.layers import Layer, Dense, Input
import numpy as np


class SimpleDense(Layer):
    def __init__(self, units=32, activation=None, **kwargs):
        super(SimpleDense, self).__init__(**kwargs)
        self.units = units
        self.activation = tf.keras.activations.get(activation)

    def build(self, input_shape):
        w_init = tf.random_normal_initializer()
        self.w = tf.Variable(name="kernel", initial_value=w_init(shape=(input_shape[-1], self.units), dtype='float32'), trainable=True)
        b_init = tf.zeros_initializer()
        self.b = tf.Variable(name="bias", initial_value=b_init(shape=(self.units,), dtype='float32'), trainable=True)
        super().build(input_shape)

    def call(self, inputs):
        self.add_metric(tf.reduce_mean(inputs), name='mean_in', aggregation='mean')
        return self.activation(tf.matmul(inputs, self.w) + self.b)

    def get_config(self):
        config = super().get_config().copy()
        config.update({'units': self.units, 'activation': tf.keras.activations.serialize(self.activation)})
        return config


class Huber(tf.keras.losses.Loss):
    threshold = 1

    def __init__(self, threshold=1, **kwargs):
        super().__init__(**kwargs)
        self.threshold = threshold

    def call(self, y_true, y_pred):
        error = y_true - y_pred
        is_small_error = tf.abs(error) <= self.threshold
        return tf.where(is_small_error, tf.square(error) / 2, self.threshold * (tf.abs(error) - (0.5 * self.threshold)))

    def get_config(self):
        return {**super().get_config(), 'threshold': self.threshold}


def my_rmse(y_true, y_pred):
    return K.sqrt(K.mean(K.square(y_pred - tf.cast(y_true, y_pred.dtype))))


class F1(tf.keras.metrics.Metric):
    def __init__(self, name='f1', **kw):
        super().__init__(name=name, **kw)
        self.total = self.add_weight('total', initializer='zeros')
        self.p = tf.keras.metrics.Precision()

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(tf.cast(tf.size(y_true), self.dtype))
        self.p.update_state(y_true > 0.5, y_pred)

    def result(self):
        return self.p.result() + 0 * self.total

    def reset_states(self):
        self.total.assign(0.)
        self.p.reset_states()


model = tf.keras.Sequential([SimpleDense(4, 'relu', input_shape=[2]), Dense(1, activation='sigmoid')])
model.compile(optimizer='sgd', loss=Huber(threshold=1.02), metrics=[my_rmse, F1()])
h = model.fit(np.random.rand(8, 2), np.random.rand(8, 1), epochs=2, verbose=0)
assert {'my_rmse', 'f1', 'mean_in'} <= set(h.history), h.history
assert len(model.trainable_variables) == 4
model.save('c.h5')
m = tf.keras.models.load_model('c.h5', custom_objects={'SimpleDense': SimpleDense, 'Huber': Huber, 'my_rmse': my_rmse, 'F1': F1})
assert np.allclose(m.predict(np.ones((1, 2))), model.predict(np.ones((1, 2))), atol=1e-6)
print('loaded custom')
