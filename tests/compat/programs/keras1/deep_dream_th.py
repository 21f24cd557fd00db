# expect: Current loss value
'''Gradient ascent on a filter of a small net, with K.gradients and K.iterate-style loops (th and tf).'''
from __future__ import print_function
from keras.layers import Input, Convolution2D, MaxPooling2D
from keras.models import Model
from keras import backend as K
import numpy as np
import time

img_width = img_height = 16
layer_name = 'block2_conv1'


def deprocess_image(x):
    x -= x.mean()
    x /= (x.std() + 1e-5)
    x *= 0.1
    x += 0.5
    x = np.clip(x, 0, 1)
    x *= 255
    if K.image_dim_ordering() == 'th':
        x = x.transpose((1, 2, 0))
    x = np.clip(x, 0, 255).astype('uint8')
    return x


def normalize(x):
    return x / (K.sqrt(K.mean(K.square(x))) + 1e-5)


inp = Input(shape=(img_width, img_height, 3))
y = Convolution2D(4, 3, 3, activation='relu', border_mode='same', name='block1_conv1')(inp)
y = MaxPooling2D((2, 2), strides=(2, 2))(y)
y = Convolution2D(6, 3, 3, activation='relu', border_mode='same', name='block2_conv1')(y)
model = Model(inp, y)
input_img = model.input
layer_dict = dict([(layer.name, layer) for layer in model.layers])
kept_filters = []
for filter_index in range(0, 6):
    start_time = time.time()
    layer_output = layer_dict[layer_name].output
    if K.image_dim_ordering() == 'th':
        loss = K.mean(layer_output[:, filter_index, :, :])
    else:
        loss = K.mean(layer_output[:, :, :, filter_index])
    grads = K.gradients(loss, input_img)[0]
    grads = normalize(grads)
    iterate = K.function([input_img], [loss, grads])
    step = 1.
    input_img_data = np.random.random((1, img_width, img_height, 3))
    input_img_data = (input_img_data - 0.5) * 20 + 128
    first = None
    for i in range(5):
        loss_value, grads_value = iterate([input_img_data])
        first = loss_value if first is None else first
        input_img_data += grads_value * step
        print('Current loss value:', loss_value)
        if loss_value <= 0.:
            break
    if loss_value > 0:
        assert loss_value >= first
        kept_filters.append((deprocess_image(input_img_data[0]), loss_value))
kept_filters.sort(key=lambda x: x[1], reverse=True)
