# expect: 'merge'
# expect: trained
from keras.models import Model
from keras.layers import Input, merge, Convolution2D, BatchNormalization, Activation, AveragePooling2D, Flatten, Dense
from keras.regularizers import l2
import keras.backend as K
import numpy as np

nb_classes = 3
CHANNEL_AXIS = 3 if K.image_dim_ordering() == 'tf' else 1


def _bn_relu_conv(nb_filter, nb_row, nb_col, subsample=(1, 1)):
    def f(input):
        norm = BatchNormalization(mode=0, axis=CHANNEL_AXIS)(input)
        activation = Activation("relu")(norm)
        return Convolution2D(nb_filter=nb_filter, nb_row=nb_row, nb_col=nb_col, subsample=subsample,
                             init="he_normal", border_mode="same", W_regularizer=l2(1e-4))(activation)
    return f


def _shortcut(input, residual):
    stride_width = input._keras_shape[2] // residual._keras_shape[2]
    equal_channels = residual._keras_shape[CHANNEL_AXIS] == input._keras_shape[CHANNEL_AXIS]
    shortcut = input
    if stride_width > 1 or not equal_channels:
        shortcut = Convolution2D(nb_filter=residual._keras_shape[CHANNEL_AXIS], nb_row=1, nb_col=1,
                                 subsample=(stride_width, stride_width), init="he_normal", border_mode="valid")(input)
    return merge([shortcut, residual], mode="sum")


inp = Input(shape=(12, 12, 3))
x = Convolution2D(8, 3, 3, border_mode='same', init='he_normal')(inp)
x = _shortcut(x, _bn_relu_conv(8, 3, 3)(_bn_relu_conv(8, 3, 3)(x)))
x = _shortcut(x, _bn_relu_conv(16, 3, 3)(_bn_relu_conv(16, 3, 3, subsample=(2, 2))(x)))
x = Activation('relu')(BatchNormalization(axis=CHANNEL_AXIS)(x))
x = AveragePooling2D(pool_size=(6, 6), strides=(1, 1), border_mode="same")(x)
x = Flatten()(x)
out = Dense(output_dim=nb_classes, init="he_normal", activation="softmax")(x)
model = Model(input=inp, output=out)
print([l.name.split('_')[0] for l in model.layers])
model.compile(optimizer='Adam', loss='categorical_crossentropy', metrics=['accuracy'])
X = np.random.rand(16, 12, 12, 3)
Y = np.eye(3)[np.arange(16) % 3]
model.fit(X, Y, batch_size=8, nb_epoch=1, verbose=0)
print('trained')
