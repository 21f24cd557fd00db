# expect: shared (None, 1)
from keras.layers import Input, Dense, Dropout, Lambda, merge, Convolution2D, Flatten
from keras.models import Sequential, Model
from keras.optimizers import Adam
import keras.backend as K
import numpy as np

input_shape = (12, 12, 1)
left_input = Input(input_shape)
right_input = Input(input_shape)
convnet = Sequential()
convnet.add(Convolution2D(4, 4, 4, activation='relu', input_shape=input_shape, init='normal'))
convnet.add(Flatten())
convnet.add(Dense(8, activation='sigmoid'))
encoded_l = convnet(left_input)
encoded_r = convnet(right_input)
L1_distance = lambda x: K.abs(x[0] - x[1])
both = merge([encoded_l, encoded_r], mode=L1_distance, output_shape=lambda x: x[0])
prediction = Dense(1, activation='sigmoid')(both)
siamese_net = Model(input=[left_input, right_input], output=prediction)
print('shared', siamese_net.output_shape)
siamese_net.compile(loss='binary_crossentropy', optimizer=Adam(0.00006))
siamese_net.train_on_batch([np.random.rand(4, 12, 12, 1)] * 2, np.array([0, 1, 0, 1]))
cos = merge([encoded_l, encoded_r], mode='cos', dot_axes=1)
dot = merge([encoded_l, encoded_r], mode='dot', dot_axes=1)
mul = merge([encoded_l, encoded_r], mode='mul')
ave = merge([encoded_l, encoded_r], mode='ave')
mx = merge([encoded_l, encoded_r], mode='max')
m = Model([left_input, right_input], [cos, dot, mul, ave, mx])
outs = m.predict([np.random.rand(4, 12, 12, 1)] * 2)
print([o.shape for o in outs])
