# expect: done training
import numpy as np
import keras
from keras.models import Sequential
from keras.layers import Conv3D, MaxPool3D, Flatten, Dense


class DataGenerator(keras.utils.Sequence):
    'Generates data for Keras'
    def __init__(self, list_IDs, labels, batch_size=4, dim=(8, 8, 8), n_channels=1, n_classes=3, shuffle=True):
        'Initialization'
        self.dim = dim
        self.batch_size = batch_size
        self.labels = labels
        self.list_IDs = list_IDs
        self.n_channels = n_channels
        self.n_classes = n_classes
        self.shuffle = shuffle
        self.on_epoch_end()

    def __len__(self):
        return int(np.floor(len(self.list_IDs) / self.batch_size))

    def __getitem__(self, index):
        indexes = self.indexes[index*self.batch_size:(index+1)*self.batch_size]
        list_IDs_temp = [self.list_IDs[k] for k in indexes]
        X, y = self.__data_generation(list_IDs_temp)
        return X, y

    def on_epoch_end(self):
        self.indexes = np.arange(len(self.list_IDs))
        if self.shuffle == True:
            np.random.shuffle(self.indexes)

    def __data_generation(self, list_IDs_temp):
        X = np.empty((self.batch_size, *self.dim, self.n_channels))
        y = np.empty((self.batch_size), dtype=int)
        for i, ID in enumerate(list_IDs_temp):
            X[i,] = np.load('vol/' + ID + '.npy')
            y[i] = self.labels[ID]
        return X, keras.utils.to_categorical(y, num_classes=self.n_classes)


import os
os.mkdir('vol')
labels = {}
for i in range(10):
    np.save('vol/id-%d.npy' % i, np.random.rand(8, 8, 8, 1))
    labels['id-%d' % i] = i % 3
params = {'dim': (8, 8, 8), 'batch_size': 2, 'n_classes': 3, 'n_channels': 1, 'shuffle': True}
partition = {'train': list(labels)[:6], 'validation': list(labels)[6:]}
training_generator = DataGenerator(partition['train'], labels, **params)
validation_generator = DataGenerator(partition['validation'], labels, **params)
model = Sequential()
model.add(Conv3D(4, kernel_size=(3, 3, 3), activation='relu', input_shape=(8, 8, 8, 1)))
model.add(MaxPool3D(pool_size=(2, 2, 2)))
model.add(Flatten())
model.add(Dense(3, activation='softmax'))
model.compile('adam', keras.losses.categorical_crossentropy, metrics=[keras.metrics.categorical_accuracy])
h = model.fit_generator(generator=training_generator, validation_data=validation_generator, use_multiprocessing=True, workers=2, epochs=2)
assert 'val_categorical_accuracy' in h.history
loss, acc = model.evaluate_generator(validation_generator)
print('done training', len(model.predict_generator(validation_generator)))
