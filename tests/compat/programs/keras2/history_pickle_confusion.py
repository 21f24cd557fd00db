# expect: Confusion matrix
# expect: acc loss val_acc val_loss
import keras
import numpy as np
import pickle
import itertools
import matplotlib.pyplot as plt
from sklearn.metrics import confusion_matrix
from keras.models import Sequential
from keras.layers import Dense, Dropout, Flatten, Conv2D, MaxPool2D
from keras.optimizers import RMSprop
from keras.utils.np_utils import to_categorical
from keras.callbacks import ReduceLROnPlateau, CSVLogger, EarlyStopping
import pandas as pd

train = pd.read_csv("data/train.csv")
Y_train = train["label"]
X_train = train.drop(labels=["label"], axis=1)
X_train = X_train / 16.0
X_train = X_train.values.reshape(-1, 8, 8, 1)
Y_train = to_categorical(Y_train, num_classes=10)
model = Sequential()
model.add(Conv2D(filters=4, kernel_size=(5, 5), padding='Same', activation='relu', input_shape=(8, 8, 1)))
model.add(MaxPool2D(pool_size=(2, 2), strides=(2, 2)))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(10, activation="softmax"))
optimizer = RMSprop(lr=0.001, rho=0.9, epsilon=1e-08, decay=0.0)
model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
learning_rate_reduction = ReduceLROnPlateau(monitor='val_acc', patience=3, verbose=1, factor=0.5, min_lr=0.00001)
history = model.fit(X_train, Y_train, batch_size=20, epochs=3, verbose=2, validation_split=0.2,
                    callbacks=[learning_rate_reduction, CSVLogger('training.log', separator=',', append=False)])
with open('trainHistoryDict', 'wb') as file_pi:
    pickle.dump(history.history, file_pi)
h = pickle.load(open('trainHistoryDict', 'rb'))
print(*sorted(k for k in h if k != 'lr'))
assert 'lr' in h
log = pd.read_csv('training.log')
assert list(log.columns)[0] == 'epoch' and 'val_acc' in log.columns, log.columns


def plot_confusion_matrix(cm, classes, normalize=False, title='Confusion matrix', cmap=plt.cm.Blues):
    plt.imshow(cm, interpolation='nearest', cmap=cmap)
    plt.title(title)
    plt.colorbar()
    thresh = cm.max() / 2.
    for i, j in itertools.product(range(cm.shape[0]), range(cm.shape[1])):
        plt.text(j, i, cm[i, j], horizontalalignment="center", color="white" if cm[i, j] > thresh else "black")
    print(title)


Y_pred = model.predict(X_train)
Y_pred_classes = np.argmax(Y_pred, axis=1)
Y_true = np.argmax(Y_train, axis=1)
plot_confusion_matrix(confusion_matrix(Y_true, Y_pred_classes), classes=range(10))
plt.close('all')
results = pd.Series(np.argmax(model.predict(X_train), axis=1), name="Label")
