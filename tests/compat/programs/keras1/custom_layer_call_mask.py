# expect: mylayer ok
from keras import backend as K
from keras.engine.topology import Layer, InputSpec
from keras import initializations, activations, regularizers, constraints
from keras.models import Sequential
from keras.layers import Dense
import numpy as np


class MyDense(Layer):
    def __init__(self, output_dim, init='glorot_uniform', activation='linear', W_regularizer=None, **kwargs):
        self.init = initializations.get(init)
        self.activation = activations.get(activation)
        self.output_dim = output_dim
        self.W_regularizer = regularizers.get(W_regularizer)
        self.input_spec = [InputSpec(ndim=2)]
        super(MyDense, self).__init__(**kwargs)

    def build(self, input_shape):
        input_dim = input_shape[1]
        self.W = self.init((input_dim, self.output_dim), name='{}_W'.format(self.name))
        self.b = K.zeros((self.output_dim,), name='{}_b'.format(self.name))
        self.trainable_weights = [self.W, self.b]
        self.built = True

    def call(self, x, mask=None):
        return self.activation(K.dot(x, self.W) + self.b)

    def get_output_shape_for(self, input_shape):
        assert input_shape and len(input_shape) == 2
        return (input_shape[0], self.output_dim)

    def get_config(self):
        config = {'output_dim': self.output_dim, 'init': self.init.__name__}
        base_config = super(MyDense, self).get_config()
        return dict(list(base_config.items()) + list(config.items()))


class L2Norm(Layer):
    def __init__(self, scale, **kwargs):
        self.scale = scale
        super(L2Norm, self).__init__(**kwargs)

    def build(self, input_shape):
        self.gamma = self.add_weight((input_shape[-1],), initializer='one', name='{}_gamma'.format(self.name))
        super(L2Norm, self).build(input_shape)

    def call(self, x, mask=None):
        return K.l2_normalize(x, -1) * self.gamma * self.scale


model = Sequential()
model.add(MyDense(4, input_shape=(3,), activation='tanh'))
model.add(L2Norm(2.))
model.add(Dense(2, activation='softmax'))
assert len(model.trainable_weights) == 5, model.trainable_weights
w0 = K.get_value(model.layers[0].W).copy()
model.compile('sgd', 'categorical_crossentropy')
model.fit(np.random.rand(8, 3), np.eye(2)[np.arange(8) % 2], nb_epoch=2, verbose=0)
assert not np.allclose(w0, K.get_value(model.layers[0].W))
assert np.allclose(np.linalg.norm(model.predict(np.random.rand(1, 3)).sum()), 1, atol=1e-5)
print('mylayer ok')
