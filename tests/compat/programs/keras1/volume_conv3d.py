# expect: volume ok
import numpy as np
from keras import backend as K
from keras.models import Sequential
from keras.layers import Dense, Dropout, Flatten, Activation
from keras.layers.convolutional import Convolution3D, MaxPooling3D, ZeroPadding3D, AveragePooling3D, UpSampling3D
from keras.optimizers import SGD, RMSprop

img_rows, img_cols, img_depth = 8, 8, 6
model = Sequential()
model.add(Convolution3D(4, kernel_dim1=3, kernel_dim2=3, kernel_dim3=3, input_shape=(img_rows, img_cols, img_depth, 1),
                        activation='relu', border_mode='same', dim_ordering='tf', subsample=(1, 1, 1)))
model.add(MaxPooling3D(pool_size=(2, 2, 2), dim_ordering='tf'))
model.add(ZeroPadding3D((1, 1, 1)))
model.add(Convolution3D(4, 3, 3, 3, activation='relu', dim_ordering='tf'))
model.add(Flatten())
model.add(Dense(4, init='normal', activation='relu'))
model.add(Dense(2, init='normal'))
model.add(Activation('softmax'))
model.compile(loss='categorical_crossentropy', optimizer='RMSprop', metrics=['mse', 'accuracy'])
X, Y = np.random.rand(6, 8, 8, 6, 1), np.eye(2)[[0, 1] * 3]
hist = model.fit(X, Y, validation_data=(X, Y), batch_size=2, nb_epoch=1, shuffle=True)
score = model.evaluate(X, Y, batch_size=2)
assert len(score) == 3
assert 'val_acc' in hist.history and 'val_mean_squared_error' in hist.history, hist.history
print('volume ok')
