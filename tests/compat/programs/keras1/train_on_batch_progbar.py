# expect: epoch 1
import numpy as np
from keras.models import Sequential
from keras.layers.core import Dense, Dropout, Activation, Flatten
from keras.layers.convolutional import Convolution2D, MaxPooling2D
from keras.preprocessing.image import ImageDataGenerator
from keras.utils import np_utils, generic_utils

nb_classes, nb_epoch = 3, 2
X_train = np.random.randint(0, 255, (20, 10, 10, 3)).astype('float32')
Y_train = np_utils.to_categorical(np.random.randint(0, nb_classes, 20), nb_classes)
model = Sequential()
model.add(Convolution2D(4, 3, 3, border_mode='same', input_shape=(10, 10, 3)))
model.add(Activation('relu'))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Flatten())
model.add(Dense(nb_classes))
model.add(Activation('softmax'))
model.compile(loss='categorical_crossentropy', optimizer='adagrad', metrics=['accuracy'])
datagen = ImageDataGenerator(featurewise_center=True, samplewise_center=False, featurewise_std_normalization=True,
                             samplewise_std_normalization=False, zca_whitening=False, rotation_range=20,
                             width_shift_range=0.2, height_shift_range=0.2, horizontal_flip=True, vertical_flip=False)
datagen.fit(X_train)
for e in range(nb_epoch):
    print('epoch', e)
    progbar = generic_utils.Progbar(X_train.shape[0])
    seen = 0
    for X_batch, Y_batch in datagen.flow(X_train, Y_train, batch_size=8):
        loss = model.train_on_batch(X_batch, Y_batch)
        progbar.add(X_batch.shape[0], values=[("train loss", loss[0])])
        seen += len(X_batch)
        if seen >= len(X_train):
            break
print(model.test_on_batch(X_train, Y_train))
