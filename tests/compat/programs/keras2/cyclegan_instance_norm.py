# expect: ok cyclegan
from keras.layers import Input, Conv2D, UpSampling2D, Concatenate, LeakyReLU, Dropout, Layer, InputSpec
from keras import initializers, regularizers, constraints
from keras import backend as K
from keras.models import Model
from keras.optimizers import Adam
import numpy as np


class InstanceNormalization(Layer):
    def __init__(self, axis=None, epsilon=1e-3, center=True, scale=True, beta_initializer='zeros', gamma_initializer='ones',
                 beta_regularizer=None, gamma_constraint=None, **kwargs):
        super(InstanceNormalization, self).__init__(**kwargs)
        self.supports_masking = True
        self.axis = axis
        self.epsilon = epsilon
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def build(self, input_shape):
        ndim = len(input_shape)
        self.input_spec = InputSpec(ndim=ndim)
        shape = (1,) if self.axis is None else (input_shape[self.axis],)
        self.gamma = self.add_weight(shape=shape, name='gamma', initializer=self.gamma_initializer, constraint=self.gamma_constraint)
        self.beta = self.add_weight(shape=shape, name='beta', initializer=self.beta_initializer, regularizer=self.beta_regularizer)
        self.built = True

    def call(self, inputs, training=None):
        input_shape = K.int_shape(inputs)
        reduction_axes = list(range(0, len(input_shape)))
        if self.axis is not None:
            del reduction_axes[self.axis]
        del reduction_axes[0]
        mean = K.mean(inputs, reduction_axes, keepdims=True)
        stddev = K.std(inputs, reduction_axes, keepdims=True) + self.epsilon
        normed = (inputs - mean) / stddev
        broadcast_shape = [1] * len(input_shape)
        if self.axis is not None:
            broadcast_shape[self.axis] = input_shape[self.axis]
        return normed * K.reshape(self.gamma, broadcast_shape) + K.reshape(self.beta, broadcast_shape)

    def get_config(self):
        config = {'axis': self.axis, 'epsilon': self.epsilon, 'beta_initializer': initializers.serialize(self.beta_initializer),
                  'beta_regularizer': regularizers.serialize(self.beta_regularizer)}
        base_config = super(InstanceNormalization, self).get_config()
        return dict(list(base_config.items()) + list(config.items()))


def build_generator():
    def conv2d(layer_input, filters, f_size=4):
        d = Conv2D(filters, kernel_size=f_size, strides=2, padding='same')(layer_input)
        d = LeakyReLU(alpha=0.2)(d)
        d = InstanceNormalization()(d)
        return d

    def deconv2d(layer_input, skip_input, filters, f_size=4, dropout_rate=0):
        u = UpSampling2D(size=2)(layer_input)
        u = Conv2D(filters, kernel_size=f_size, strides=1, padding='same', activation='relu')(u)
        if dropout_rate:
            u = Dropout(dropout_rate)(u)
        u = InstanceNormalization(axis=-1)(u)
        u = Concatenate()([u, skip_input])
        return u
    d0 = Input(shape=(16, 16, 3))
    d1 = conv2d(d0, 4)
    d2 = conv2d(d1, 8)
    u1 = deconv2d(d2, d1, 4, dropout_rate=0.2)
    u2 = UpSampling2D(size=2)(u1)
    return Model(d0, Conv2D(3, kernel_size=4, strides=1, padding='same', activation='tanh')(u2))


def build_discriminator():
    img = Input(shape=(16, 16, 3))
    d = LeakyReLU(alpha=0.2)(Conv2D(4, kernel_size=4, strides=2, padding='same')(img))
    return Model(img, Conv2D(1, kernel_size=4, strides=1, padding='same')(d))


optimizer = Adam(0.0002, 0.5)
d_A, d_B = build_discriminator(), build_discriminator()
d_A.compile(loss='mse', optimizer=optimizer, metrics=['accuracy'])
d_B.compile(loss='mse', optimizer=optimizer, metrics=['accuracy'])
g_AB, g_BA = build_generator(), build_generator()
img_A, img_B = Input(shape=(16, 16, 3)), Input(shape=(16, 16, 3))
fake_B, fake_A = g_AB(img_A), g_BA(img_B)
reconstr_A, reconstr_B = g_BA(fake_B), g_AB(fake_A)
d_A.trainable = False
d_B.trainable = False
combined = Model(inputs=[img_A, img_B], outputs=[d_A(fake_A), d_B(fake_B), reconstr_A, reconstr_B])
combined.compile(loss=['mse', 'mse', 'mae', 'mae'], loss_weights=[1, 1, 10., 10.], optimizer=optimizer)
A = B = np.random.rand(2, 16, 16, 3) * 2 - 1
valid = np.ones((2, 8, 8, 1))
dA_loss = d_A.train_on_batch(A, valid)
g_loss = combined.train_on_batch([A, B], [valid, valid, A, B])
assert len(g_loss) == 5 and np.mean(g_loss[1:3]) > 0
g_AB.save('g.h5')
from keras.models import load_model
g = load_model('g.h5', custom_objects={'InstanceNormalization': InstanceNormalization})
assert np.allclose(g.predict(A), g_AB.predict(A), atol=1e-5)
print('ok cyclegan')
