# expect: paths ok
# era: keras2
"""Every old module path and name that programs import."""

import keras
import keras_applications
import keras_preprocessing.image
from keras.applications.imagenet_utils import decode_predictions
from keras.backend.tensorflow_backend import set_session
from keras.callbacks import *
from keras.constraints import max_norm, maxnorm
from keras.engine.topology import Input, InputSpec, Layer, get_source_inputs
from keras.initializers import glorot_uniform, he_normal
from keras.layers import *
from keras.layers.advanced_activations import ELU, LeakyReLU, PReLU, ThresholdedReLU
from keras.layers.convolutional import Conv2D, Conv2DTranspose, Convolution2D, MaxPooling2D, UpSampling2D, ZeroPadding2D
from keras.layers.core import Activation, Dense, Dropout, Flatten, Lambda, Reshape
from keras.layers.embeddings import Embedding
from keras.layers.local import LocallyConnected2D
from keras.layers.merge import Concatenate, add, concatenate
from keras.layers.noise import GaussianNoise
from keras.layers.normalization import BatchNormalization
from keras.layers.pooling import AveragePooling2D, GlobalAveragePooling2D
from keras.layers.recurrent import GRU, LSTM
from keras.layers.wrappers import TimeDistributed
from keras.models import *
from keras.optimizers import *
from keras.preprocessing import image
from keras.preprocessing.sequence import pad_sequences
from keras.preprocessing.text import Tokenizer
from keras.regularizers import *
from keras.utils.conv_utils import conv_output_length
from keras.utils.data_utils import Sequence, get_file
from keras.utils.generic_utils import CustomObjectScope, Progbar
from keras.utils.io_utils import HDF5Matrix
from keras.utils.layer_utils import count_params
from keras.utils.np_utils import to_categorical
from keras.utils.vis_utils import model_to_dot, plot_model
from keras.wrappers.scikit_learn import KerasClassifier, KerasRegressor

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
