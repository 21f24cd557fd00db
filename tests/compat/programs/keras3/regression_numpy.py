# expect: weights (3, 1)
import keras
from keras import ops
import numpy as np

x = np.random.rand(32, 3)
model = keras.Sequential([keras.layers.Dense(1, use_bias=False)])
model.compile("adam", "mse")
model.fit(x, ops.sum(x, axis=1, keepdims=True), epochs=1, verbose=0)
print("weights", model.get_weights()[0].shape)
