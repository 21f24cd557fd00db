# expect: (None, 1, 12, 12)
# expect: ok
'''border_mode='full' of the Theano days.'''
import numpy as np
from keras import backend as K
from keras.models import Sequential
from keras.layers import Convolution2D, Convolution1D, Flatten, Dense, Activation

K.set_image_dim_ordering('th')
model = Sequential()
model.add(Convolution2D(1, 3, 3, border_mode='full', input_shape=(1, 10, 10)))
print(model.output_shape)
model.add(Activation('relu'))
model.add(Flatten())
model.add(Dense(2, activation='softmax'))
model.compile(loss='categorical_crossentropy', optimizer='sgd')
x = np.random.rand(4, 1, 10, 10)
model.fit(x, np.eye(2)[[0, 1, 0, 1]], nb_epoch=1, batch_size=2, verbose=0)
conv = Sequential([Convolution2D(1, 3, 3, border_mode='full', input_shape=(1, 10, 10))])
W, b = conv.get_weights()
from scipy.signal import correlate2d
want = correlate2d(x[0, 0], W[:, :, 0, 0], mode='full') + b
assert np.allclose(conv.predict(x[:1])[0, 0], want, atol=1e-4)
K.set_image_dim_ordering('tf')
print('ok')
