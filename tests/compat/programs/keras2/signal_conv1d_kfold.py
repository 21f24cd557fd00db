# expect: (+/-
import numpy as np
from sklearn.model_selection import StratifiedKFold
from keras.models import Sequential
from keras.layers import Conv1D, MaxPooling1D, GlobalAveragePooling1D, Dense, Dropout, Flatten
from keras.utils import to_categorical

seed = 7
np.random.seed(seed)
t = np.linspace(0, 1, 32)
X = np.array([np.sin(2 * np.pi * (3 if i % 2 else 9) * t + np.random.rand()) for i in range(40)])[..., None]
Y = np.arange(40) % 2
kfold = StratifiedKFold(n_splits=2, shuffle=True, random_state=seed)
cvscores = []
for train, test in kfold.split(X, Y):
    model = Sequential()
    model.add(Conv1D(filters=8, kernel_size=5, activation='relu', input_shape=(32, 1)))
    model.add(Conv1D(8, 3, activation='relu'))
    model.add(Dropout(0.1))
    model.add(MaxPooling1D(pool_size=2))
    model.add(GlobalAveragePooling1D())
    model.add(Dense(2, activation='softmax'))
    model.compile(loss='categorical_crossentropy', optimizer='adam', metrics=['accuracy'])
    model.fit(X[train], to_categorical(Y[train]), epochs=4, batch_size=5, verbose=0, class_weight={0: 1., 1: 2.})
    scores = model.evaluate(X[test], to_categorical(Y[test]), verbose=0)
    print("%s: %.2f%%" % (model.metrics_names[1], scores[1]*100))
    assert model.metrics_names == ['loss', 'acc']
    cvscores.append(scores[1] * 100)
print("%.2f%% (+/- %.2f%%)" % (np.mean(cvscores), np.std(cvscores)))
