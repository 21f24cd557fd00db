# expect: paths ok
# era: keras2
"""Every old module path and name that programs import."""

import keras
from keras.callbacks import *
from keras.constraints import maxnorm
from keras.layers import *
from keras.layers.advanced_activations import LeakyReLU
from keras.layers.convolutional import ZeroPadding2D
from keras.layers.core import Dense, Flatten
from keras.layers.local import LocallyConnected2D
from keras.models import *
from keras.optimizers import *
from keras.regularizers import *
from keras.utils.conv_utils import conv_output_length

assert keras.__version__.startswith("2.") and keras.backend.backend() == "tensorflow"
model = Sequential()
model.add(ZeroPadding2D((1, 1), input_shape=(6, 6, 1)))
model.add(LocallyConnected2D(2, (3, 3)))
model.add(LeakyReLU(alpha=0.1))
model.add(Flatten())
model.add(Dense(2, kernel_constraint=maxnorm(2), activation="softmax"))
model.compile(Adam(lr=1e-3), "categorical_crossentropy", metrics=["acc"])
assert model.output_shape == (None, 2) and model.layers[1].output_shape == (None, 6, 6, 2)
assert conv_output_length(10, 3, "valid", 1) == 8
assert model.input.shape[1:] == (6, 6, 1) and model.output.get_shape()[-1] == 2
print("paths ok")
