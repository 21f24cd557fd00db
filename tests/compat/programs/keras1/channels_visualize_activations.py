# expect: activations (1, 6, 6, 4)
import numpy as np
from keras import backend as K
from keras.models import Sequential
from keras.layers import Convolution2D, Dropout, Flatten, Dense

model = Sequential()
model.add(Convolution2D(4, 3, 3, activation='relu', input_shape=(8, 8, 1), name='conv'))
model.add(Dropout(0.5))
model.add(Flatten())
model.add(Dense(2, activation='softmax'))
get_activations = K.function([model.layers[0].input, K.learning_phase()], [model.layers[0].output, ])
x = np.random.rand(1, 8, 8, 1)
print('activations', get_activations([x, 0])[0].shape)
f = K.function([model.layers[0].input, K.learning_phase()], [model.layers[1].output])
a, b = f([x, 0])[0], f([x, 1])[0]
assert not np.allclose(a, b)
assert np.allclose(a, get_activations([x, 0])[0])
W = model.layers[0].W.get_value(borrow=True)
W = np.squeeze(W)
print("W shape : ", W.shape)
sess = K.get_session()
