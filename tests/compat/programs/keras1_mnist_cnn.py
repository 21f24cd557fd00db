# expect: Test score
# expect: keys acc loss val_acc val_loss
# era: keras1
# translated: nb_epoch → epochs
"""The classic of 2016: Convolution2D(nb_filter, nb_row, nb_col), nb_epoch, adadelta."""

import numpy as np
from keras import backend as K
from keras.layers import Activation, Convolution2D, Dense, Dropout, Flatten, MaxPooling2D
from keras.models import Sequential
from keras.utils import np_utils

np.random.seed(1337)
batch_size, nb_classes, nb_epoch = 16, 4, 3
img_rows, img_cols, nb_filters, pool_size, kernel_size = 12, 12, 8, (2, 2), (3, 3)

labels = np.random.randint(0, nb_classes, 128)
X = np.random.rand(128, img_rows, img_cols) * 0.1
for i, c in enumerate(labels):
    X[i, 3 * c : 3 * c + 3] += 1
if K.image_dim_ordering() == "th":
    X = X.reshape(X.shape[0], 1, img_rows, img_cols)
    input_shape = (1, img_rows, img_cols)
else:
    X = X.reshape(X.shape[0], img_rows, img_cols, 1)
    input_shape = (img_rows, img_cols, 1)
X_train, X_test = X[:96].astype("float32"), X[96:].astype("float32")
Y_train, Y_test = np_utils.to_categorical(labels[:96], nb_classes), np_utils.to_categorical(labels[96:], nb_classes)

model = Sequential()
model.add(Convolution2D(nb_filters, kernel_size[0], kernel_size[1], border_mode="valid", input_shape=input_shape))
model.add(Activation("relu"))
model.add(Convolution2D(nb_filters, kernel_size[0], kernel_size[1], init="he_normal", subsample=(1, 1)))
model.add(Activation("relu"))
model.add(MaxPooling2D(pool_size=pool_size))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(output_dim=16, W_regularizer=None))
model.add(Activation("relu"))
model.add(Dropout(p=0.1))
model.add(Dense(nb_classes))
model.add(Activation("softmax"))
assert model.layers[0].output_shape == (None, 10, 10, 8), model.layers[0].output_shape
assert model.layers[0].W.shape == (3, 3, 1, 8)
model.compile(loss="categorical_crossentropy", optimizer="adadelta", metrics=["accuracy"])
assert abs(float(K.get_value(model.optimizer.lr)) - 1.0) < 1e-6  # Adadelta's default then
history = model.fit(
    X_train, Y_train, batch_size=batch_size, nb_epoch=nb_epoch, verbose=2, validation_data=(X_test, Y_test)
)
score = model.evaluate(X_test, Y_test, verbose=0)
print("Test score:", score[0])
print("keys", *sorted(history.history))
assert history.history["val_acc"] == history.history["val_accuracy"]
assert model.predict_classes(X_test).shape == (32,)
assert model.predict_proba(X_test).shape == (32, 4)
assert score[1] > 0.5, score
