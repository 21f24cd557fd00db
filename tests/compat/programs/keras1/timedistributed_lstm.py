# expect: (None, 4, 10)
import numpy as np
from keras.models import Sequential
from keras.layers.core import Dense, Activation, Flatten, RepeatVector
from keras.layers import TimeDistributed, Bidirectional
from keras.layers.convolutional import Convolution2D, MaxPooling2D
from keras.layers.recurrent import LSTM, GRU, SimpleRNN

model = Sequential()
model.add(TimeDistributed(Convolution2D(4, 3, 3, border_mode='same'), input_shape=(4, 8, 8, 1)))
model.add(TimeDistributed(Activation('relu')))
model.add(TimeDistributed(MaxPooling2D((2, 2))))
model.add(TimeDistributed(Flatten()))
model.add(TimeDistributed(Dense(10)))
print(model.output_shape)
model.add(Bidirectional(LSTM(output_dim=5, return_sequences=True, inner_activation='hard_sigmoid')))
model.add(GRU(5, return_sequences=False, go_backwards=False, consume_less='gpu'))
model.add(RepeatVector(2))
model.add(SimpleRNN(3, init='normal', inner_init='orthogonal', return_sequences=True))
model.add(TimeDistributed(Dense(1)))
model.compile(loss='mae', optimizer='rmsprop')
X, y = np.random.rand(6, 4, 8, 8, 1), np.random.rand(6, 2, 1)
model.fit(X, y, nb_epoch=1, batch_size=3, verbose=2)
assert model.predict(X, batch_size=3).shape == (6, 2, 1)
