# expect: params
from keras.models import Sequential
from keras.layers import Dense, Flatten, MaxoutDense, Highway
from keras.layers.advanced_activations import LeakyReLU, PReLU, ELU, ThresholdedReLU, ParametricSoftplus, SReLU
from keras.layers.noise import GaussianNoise, GaussianDropout
from keras.layers.convolutional import AtrousConvolution2D, Convolution2D, SeparableConvolution2D, Deconvolution2D, Cropping2D
from keras.constraints import maxnorm, nonneg, unitnorm
from keras.regularizers import l1l2, l1, WeightRegularizer
import numpy as np

model = Sequential()
model.add(AtrousConvolution2D(4, 3, 3, atrous_rate=(2, 2), border_mode='same', input_shape=(9, 9, 2)))
model.add(LeakyReLU(alpha=0.3))
model.add(SeparableConvolution2D(4, 3, 3, border_mode='same'))
model.add(PReLU())
model.add(Deconvolution2D(3, 3, 3, output_shape=(None, 11, 11, 3), border_mode='valid'))
model.add(ELU(alpha=1.0))
model.add(Cropping2D(cropping=((2, 2), (1, 1))))
model.add(Flatten())
model.add(GaussianNoise(sigma=0.1))
model.add(Dense(6, W_constraint=maxnorm(m=2), b_constraint=nonneg(), W_regularizer=l1l2(l1=0.01, l2=0.01)))
model.add(ThresholdedReLU(theta=0.5))
model.add(GaussianDropout(p=0.1))
model.add(MaxoutDense(5, nb_feature=3))
model.add(Highway())
model.add(Dense(2, activation='softmax', W_regularizer=WeightRegularizer(l1=0.1)))
print('params', model.count_params())
model.compile('adamax', 'categorical_crossentropy', metrics=['accuracy'])
h = model.fit(np.random.rand(8, 9, 9, 2), np.eye(2)[np.arange(8) % 2], nb_epoch=1, verbose=0)
assert 'acc' in h.history
