# expect: lrs
import numpy as np
from keras.callbacks import *
from keras import backend as K
from keras.models import Sequential
from keras.layers import Dense
from keras.optimizers import SGD
import math


class CyclicLR(Callback):
    def __init__(self, base_lr=0.001, max_lr=0.006, step_size=2000., mode='triangular'):
        super(CyclicLR, self).__init__()
        self.base_lr = base_lr
        self.max_lr = max_lr
        self.step_size = step_size
        self.clr_iterations = 0.
        self.history = {}

    def clr(self):
        cycle = np.floor(1+self.clr_iterations/(2*self.step_size))
        x = np.abs(self.clr_iterations/self.step_size - 2*cycle + 1)
        return self.base_lr + (self.max_lr-self.base_lr)*np.maximum(0, (1-x))

    def on_train_begin(self, logs={}):
        logs = logs or {}
        if self.clr_iterations == 0:
            K.set_value(self.model.optimizer.lr, self.base_lr)
        else:
            K.set_value(self.model.optimizer.lr, self.clr())

    def on_batch_end(self, epoch, logs=None):
        logs = logs or {}
        self.clr_iterations += 1
        self.history.setdefault('lr', []).append(K.get_value(self.model.optimizer.lr))
        self.history.setdefault('iterations', []).append(self.clr_iterations)
        for k, v in logs.items():
            self.history.setdefault(k, []).append(v)
        K.set_value(self.model.optimizer.lr, self.clr())


def step_decay(epoch):
    initial_lrate, drop, epochs_drop = 0.1, 0.5, 1.0
    return initial_lrate * math.pow(drop, math.floor((1+epoch)/epochs_drop))


model = Sequential()
model.add(Dense(1, input_shape=(2,)))
model.compile(loss='mse', optimizer=SGD(lr=0.0, momentum=0.9))
clr = CyclicLR(base_lr=0.01, max_lr=0.05, step_size=2.)
model.fit(np.random.rand(12, 2), np.random.rand(12), batch_size=2, epochs=1, callbacks=[clr], verbose=0)
print('lrs', [round(float(v), 4) for v in clr.history['lr']])
assert np.allclose(clr.history['lr'], [0.01, 0.03, 0.05, 0.03, 0.01, 0.03]), clr.history
lrate = LearningRateScheduler(step_decay, verbose=1)
h = model.fit(np.random.rand(12, 2), np.random.rand(12), epochs=2, callbacks=[lrate], verbose=0)
assert np.allclose(h.history['lr'], [0.05, 0.025])
model.save('model.h5')
