# expect: xor (4, 1)
import numpy as np
from keras.models import Sequential
from keras.layers.core import Dense, Activation
from keras.optimizers import SGD

X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])
model = Sequential()
model.add(Dense(8, input_dim=2))
model.add(Activation('tanh'))
model.add(Dense(1))
model.add(Activation('sigmoid'))
model.compile(loss='binary_crossentropy', optimizer=SGD(lr=0.1))
model.fit(X, y, batch_size=1, epochs=5, verbose=0)
np.savez('w.npz', *model.get_weights())
model.set_weights([np.load('w.npz')['arr_%d' % i] for i in range(4)])
print('xor', model.predict_proba(X).shape)
