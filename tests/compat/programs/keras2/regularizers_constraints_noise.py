# expect: penalty
import numpy as np
from keras import layers, models, regularizers, constraints, initializers
from keras.constraints import max_norm, non_neg, min_max_norm, unit_norm
from keras import backend as K


def l1_reg(weight_matrix):
    return 0.01 * K.sum(K.abs(weight_matrix))


class MyReg(regularizers.Regularizer):
    def __init__(self, rate=0.1):
        self.rate = K.cast_to_floatx(rate)

    def __call__(self, x):
        return self.rate * K.sum(K.square(x))

    def get_config(self):
        return {'rate': float(self.rate)}


model = models.Sequential()
model.add(layers.Dense(8, kernel_regularizer=regularizers.l1_l2(l1=0.001, l2=0.001), activity_regularizer=regularizers.l1(0.001), input_shape=(5,)))
model.add(layers.GaussianNoise(0.1))
model.add(layers.Dense(6, kernel_regularizer=l1_reg, kernel_constraint=max_norm(2.)))
model.add(layers.Dense(6, kernel_regularizer=MyReg(0.2), bias_constraint=non_neg()))
model.add(layers.AlphaDropout(0.1))
model.add(layers.Dense(1, kernel_initializer=initializers.VarianceScaling(scale=2.0, mode='fan_in', distribution='normal'), kernel_constraint=min_max_norm(0.1, 1.)))
model.compile(optimizer='rmsprop', loss='mse', metrics=['mae'])
assert len(model.losses) >= 3, model.losses
h = model.fit(np.random.rand(10, 5), np.random.rand(10, 1), epochs=2, batch_size=5, verbose=0)
assert 'mean_absolute_error' in h.history or 'mae' in h.history
w = model.layers[-1].get_weights()[0]
assert 0.099 <= np.linalg.norm(w) <= 1.001
print('penalty', K.eval(sum(model.losses[:1])) >= 0)
model.save('reg.h5')
m = models.load_model('reg.h5', custom_objects={'l1_reg': l1_reg, 'MyReg': MyReg})
assert np.allclose(m.predict(np.ones((1, 5))), model.predict(np.ones((1, 5))), atol=1e-5)
