# expect: ImageId,Label
import pandas as pd
import numpy as np
from keras.utils import np_utils
from keras.models import Sequential
from keras.layers import Dense, Dropout, Activation, Flatten, Convolution2D, MaxPooling2D

train = pd.read_csv('data/train.csv')
labels = train.iloc[:, 0].values.astype('int32')
X_train = (train.iloc[:, 1:].values).astype('float32')
X_test = X_train[:5]
y_train = np_utils.to_categorical(labels)
scale = np.max(X_train)
X_train /= scale
mean = np.std(X_train)
X_train -= mean
X_train = X_train.reshape(-1, 8, 8, 1)
nb_classes = y_train.shape[1]
model = Sequential()
model.add(Convolution2D(8, 3, 3, input_shape=(8, 8, 1), activation='relu', border_mode='same'))
model.add(MaxPooling2D())
model.add(Flatten())
model.add(Dense(16, activation='relu'))
model.add(Dropout(0.15))
model.add(Dense(nb_classes))
model.add(Activation('softmax'))
model.compile(loss='categorical_crossentropy', optimizer='rmsprop')
print("Training...")
model.fit(X_train, y_train, nb_epoch=2, batch_size=16, validation_split=0.1, verbose=2, show_accuracy=True)
preds = model.predict_classes(X_test.reshape(-1, 8, 8, 1), verbose=0)
def write_preds(preds, fname):
    pd.DataFrame({"ImageId": list(range(1, len(preds)+1)), "Label": preds}).to_csv(fname, index=False, header=True)
write_preds(preds, "keras-mlp.csv")
print(open("keras-mlp.csv").read())
