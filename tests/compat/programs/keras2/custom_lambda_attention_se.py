# expect: se ok
import numpy as np
from keras import backend as K
from keras.layers import Input, GlobalAveragePooling2D, Reshape, Dense, multiply, Permute, Conv2D, add, Lambda, SeparableConv2D, GlobalMaxPooling2D, Concatenate, Activation, Dot, Softmax
from keras.models import Model
from keras.activations import softmax, relu
from keras.utils.generic_utils import get_custom_objects
from keras.engine import Layer, InputSpec


def swish(x):
    return K.sigmoid(x) * x


get_custom_objects().update({'swish': Activation(swish)})
get_custom_objects()['mish'] = lambda x: x * K.tanh(K.softplus(x))


def squeeze_excite_block(input, ratio=2):
    init = input
    channel_axis = 1 if K.image_data_format() == "channels_first" else -1
    filters = init._keras_shape[channel_axis]
    se_shape = (1, 1, filters)
    se = GlobalAveragePooling2D()(init)
    se = Reshape(se_shape)(se)
    se = Dense(filters // ratio, activation='relu', kernel_initializer='he_normal', use_bias=False)(se)
    se = Dense(filters, activation='sigmoid', kernel_initializer='he_normal', use_bias=False)(se)
    if K.image_data_format() == 'channels_first':
        se = Permute((3, 1, 2))(se)
    return multiply([init, se])


def spatial_attention(x):
    avg_pool = Lambda(lambda x: K.mean(x, axis=3, keepdims=True))(x)
    max_pool = Lambda(lambda x: K.max(x, axis=3, keepdims=True))(x)
    concat = Concatenate(axis=3)([avg_pool, max_pool])
    return multiply([x, Conv2D(1, 7, padding='same', activation='sigmoid', use_bias=False)(concat)])


inp = Input((8, 8, 3))
x = Conv2D(4, 3, activation='swish', padding='same')(inp)
x = squeeze_excite_block(x)
x = spatial_attention(x)
x = SeparableConv2D(4, 3, depth_multiplier=2, activation='mish')(x)
theta = Reshape((-1, 4))(x)
f = Dot(axes=2)([theta, theta])
f = Lambda(lambda z: softmax(z, axis=-1))(f)
y = Dot(axes=[2, 1])([f, theta])
out = Dense(2)(Lambda(lambda t: K.mean(t, axis=1), output_shape=(4,))(y))
model = Model(inp, out)
model.compile('nadam', 'logcosh')
model.fit(np.random.rand(4, 8, 8, 3), np.random.rand(4, 2), verbose=0)
print('se ok', model.count_params())
