# expect: movie (1, 5, 8, 8, 1)
from keras.models import Sequential
from keras.layers.convolutional import Conv3D
from keras.layers.convolutional_recurrent import ConvLSTM2D
from keras.layers.normalization import BatchNormalization
from keras.layers import TimeDistributed, Conv2D, GlobalAveragePooling2D, LSTM, Dense, Flatten, CuDNNLSTM, CuDNNGRU, Input
from keras.models import Model
import numpy as np

seq = Sequential()
seq.add(ConvLSTM2D(filters=4, kernel_size=(3, 3), input_shape=(None, 8, 8, 1), padding='same', return_sequences=True))
seq.add(BatchNormalization())
seq.add(Conv3D(filters=1, kernel_size=(3, 3, 3), activation='sigmoid', padding='same', data_format='channels_last'))
seq.compile(loss='binary_crossentropy', optimizer='adadelta')
movies = np.random.rand(3, 5, 8, 8, 1)
seq.fit(movies, movies, batch_size=3, epochs=1, validation_split=0.34)
track = movies[0][:4]
new_pos = seq.predict(track[np.newaxis, ::, ::, ::, ::])
new = new_pos[::, -1, ::, ::, ::]
track = np.concatenate((track, new), axis=0)
print('movie', track[np.newaxis].shape)
video = Input(shape=(5, 8, 8, 3))
cnn = Sequential([Conv2D(4, 3, activation='relu', input_shape=(8, 8, 3)), GlobalAveragePooling2D()])
h = TimeDistributed(cnn)(video)
h = CuDNNLSTM(6, return_sequences=True)(h)
h = CuDNNGRU(4)(h)
out = Dense(2, activation='softmax')(h)
m = Model(video, out)
m.compile('Adam', 'sparse_categorical_crossentropy', metrics=['acc'])
m.fit(np.random.rand(4, 5, 8, 8, 3), np.array([0, 1, 0, 1]), epochs=1, verbose=0)
