# expect: LR 0.05
# expect: epoch 2
import numpy as np
from keras.models import Sequential, load_model
from keras.layers import Dense
from keras.callbacks import Callback, LearningRateScheduler, ModelCheckpoint, EarlyStopping, CSVLogger, ReduceLROnPlateau, BaseLogger, LambdaCallback
from keras.optimizers import SGD
import keras.backend as K
import os


class LossHistory(Callback):
    def on_train_begin(self, logs={}):
        self.losses = []
        self.sizes = []

    def on_batch_end(self, batch, logs={}):
        self.losses.append(logs.get('loss'))
        self.sizes.append(logs['size'])
        assert logs['batch'] == batch

    def on_epoch_end(self, epoch, logs={}):
        print('epoch', epoch, self.params['nb_epoch'], self.params['nb_sample'], self.params['metrics'])


def scheduler(epoch):
    if epoch == 1:
        model.optimizer.lr.set_value(0.05)
        print('LR', round(float(model.optimizer.lr.get_value()), 6))
    return float(model.optimizer.lr.get_value())


model = Sequential()
model.add(Dense(4, input_dim=3, activation='relu'))
model.add(Dense(1))
model.compile(loss='mean_squared_error', optimizer=SGD(lr=0.1))
X, y = np.random.rand(20, 3), np.random.rand(20)
history = LossHistory()
checkpointer = ModelCheckpoint(filepath='weights.{epoch:02d}-{val_loss:.2f}.hdf5', verbose=1, save_best_only=True)
model.fit(X, y, batch_size=8, nb_epoch=3, verbose=0, validation_split=0.2,
          callbacks=[history, LearningRateScheduler(scheduler), checkpointer, CSVLogger('log.csv'),
                     EarlyStopping(patience=5), ReduceLROnPlateau(epsilon=0.01),
                     LambdaCallback(on_epoch_end=lambda epoch, logs: None)])
assert len(history.losses) == 6 and history.sizes == [8, 8] * 3, history.sizes
saved = [f for f in os.listdir('.') if f.endswith('hdf5')]
assert saved
m = load_model(sorted(saved)[-1])
