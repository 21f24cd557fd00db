# expect: updates ok
# era: keras2
"""Reinforcement learning of 2017: K.placeholder, get_updates, K.function with updates; sessions; SGD by positions."""

import numpy as np
from keras import backend as K
from keras.layers import Dense, Input
from keras.models import Model, Sequential
from keras.optimizers import Adam, SGD

m = Sequential([Dense(3, input_dim=4, activation="softmax")])
adv = K.placeholder(shape=(None,))
act = K.placeholder(shape=(None, 3))
prob = K.sum(act * m.output, axis=1)
loss = -K.mean(K.log(prob + 1e-10) * adv)
opt = Adam(lr=0.05)
updates = opt.get_updates(m.trainable_weights, [], loss)
train = K.function([m.input, act, adv], [loss], updates=updates)
w = m.get_weights()[0].copy()
ls = [float(train([np.ones((2, 4)), np.eye(3)[:2], np.ones(2)])[0]) for _ in range(5)]
assert ls[-1] < ls[0], ls
assert not np.allclose(w, m.get_weights()[0])
updates = opt.get_updates(params=m.trainable_weights, loss=loss)
print("updates ok", ls)
m.compile(SGD(0.1, 0.9, 1e-4, True), "mse")
assert m.optimizer.nesterov and m.optimizer.momentum == 0.9
sess = K.get_session()
assert abs(sess.run(K.sum(m.output), feed_dict={m.input: np.ones((1, 4))}) - 1) < 1e-5
print(m.layers[0].get_config()["units"], K.eval(K.variable(3.0)), m.input_shape, m.layers[0].input_shape)
from keras.models import load_model

m.save("xx.h5")
load_model("xx.h5")
m.save_weights("xx_w")
m.load_weights("xx_w")
