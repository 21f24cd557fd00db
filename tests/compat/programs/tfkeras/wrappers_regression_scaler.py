# expect: val_mae
from __future__ import absolute_import, division, print_function, unicode_literals
import pandas as pd
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
from sklearn.preprocessing import StandardScaler
from sklearn.metrics import mean_squared_error, r2_score

dataset = pd.DataFrame(np.random.rand(30, 4), columns=['MPG', 'Cyl', 'HP', 'Weight'])
train_dataset = dataset.sample(frac=0.8, random_state=0)
test_dataset = dataset.drop(train_dataset.index)
train_stats = train_dataset.describe().transpose()
train_labels = train_dataset.pop('MPG')
test_labels = test_dataset.pop('MPG')


def build_model():
    model = keras.Sequential([layers.Dense(8, activation='relu', input_shape=[len(train_dataset.keys())]), layers.Dense(1)])
    optimizer = tf.keras.optimizers.RMSprop(0.001)
    model.compile(loss='mse', optimizer=optimizer, metrics=['mae', 'mse'])
    return model


class PrintDot(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs):
        if epoch % 100 == 0:
            print('')
        print('.', end='')


model = build_model()
example_batch = train_dataset[:5]
print(model.predict(example_batch).shape)
history = model.fit(train_dataset, train_labels, epochs=3, validation_split=0.2, verbose=0, callbacks=[PrintDot()])
hist = pd.DataFrame(history.history)
hist['epoch'] = history.epoch
print(list(hist.columns))
loss, mae, mse = model.evaluate(test_dataset, test_labels, verbose=2)
test_predictions = model.predict(test_dataset).flatten()
normalizer = tf.keras.layers.Normalization(axis=-1)
normalizer.adapt(np.array(train_dataset))
lin = tf.keras.Sequential([normalizer, layers.Dense(units=1)])
lin.compile(optimizer=tf.optimizers.Adam(learning_rate=0.1), loss='mean_absolute_error')
lin.fit(train_dataset, train_labels, epochs=1, verbose=0)
