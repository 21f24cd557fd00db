# expect: Embedding
# expect: Test accuracy
from __future__ import print_function
import numpy as np
from keras.preprocessing import sequence
from keras.models import Sequential
from keras.layers import Dense, Dropout, Activation
from keras.layers import Embedding
from keras.layers import Convolution1D, GlobalMaxPooling1D, MaxPooling1D, LSTM

max_features = 50
maxlen = 20
X_train = [list(np.random.randint(1, 50, np.random.randint(5, 30))) for _ in range(24)]
y_train = np.array([1 if s[0] > 25 else 0 for s in X_train])
X_train = sequence.pad_sequences(X_train, maxlen=maxlen)
print('X_train shape:', X_train.shape)
model = Sequential()
model.add(Embedding(max_features, 8, input_length=maxlen, dropout=0.2))
model.add(Dropout(0.25))
model.add(Convolution1D(nb_filter=12, filter_length=3, border_mode='valid', activation='relu', subsample_length=1))
model.add(MaxPooling1D(pool_length=2))
model.add(LSTM(6, dropout_W=0.2, dropout_U=0.2))
model.add(Dense(1))
model.add(Activation('sigmoid'))
print([type(l).__name__ for l in model.layers])
model.compile(loss='binary_crossentropy', optimizer='adam', metrics=['accuracy'])
model.fit(X_train, y_train, batch_size=8, nb_epoch=1, validation_data=(X_train, y_train))
score, acc = model.evaluate(X_train, y_train, batch_size=8)
print('Test score:', score)
print('Test accuracy:', acc)
