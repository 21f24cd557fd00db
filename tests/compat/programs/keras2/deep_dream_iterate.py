# expect: ..Loss value at
from keras import backend as K
from keras.layers import Input, Conv2D, MaxPooling2D
from keras.models import Model
import numpy as np
import scipy
import scipy.ndimage

K.set_learning_phase(0)
inp = Input((None, None, 3))
x = Conv2D(4, 3, activation='relu', padding='same', name='mixed2')(inp)
x = MaxPooling2D()(x)
x = Conv2D(4, 3, activation='relu', padding='same', name='mixed3')(x)
model = Model(inp, x)
layer_contributions = {'mixed2': 0.2, 'mixed3': 3.}
layer_dict = dict([(layer.name, layer) for layer in model.layers])
loss = K.variable(0.)
for layer_name in layer_contributions:
    coeff = layer_contributions[layer_name]
    activation = layer_dict[layer_name].output
    scaling = K.prod(K.cast(K.shape(activation), 'float32'))
    loss = loss + coeff * K.sum(K.square(activation[:, 2: -2, 2: -2, :])) / scaling
dream = model.input
grads = K.gradients(loss, dream)[0]
grads /= K.maximum(K.mean(K.abs(grads)), 1e-7)
outputs = [loss, grads]
fetch_loss_and_grads = K.function([dream], outputs)


def eval_loss_and_grads(x):
    outs = fetch_loss_and_grads([x])
    return outs[0], outs[1]


def gradient_ascent(x, iterations, step, max_loss=None):
    for i in range(iterations):
        loss_value, grad_values = eval_loss_and_grads(x)
        if max_loss is not None and loss_value > max_loss:
            break
        print('..Loss value at', i, ':', loss_value)
        x += step * grad_values
    return x


def resize_img(img, size):
    img = np.copy(img)
    factors = (1, float(size[0]) / img.shape[1], float(size[1]) / img.shape[2], 1)
    return scipy.ndimage.zoom(img, factors, order=1)


img = np.random.rand(1, 16, 16, 3)
first = eval_loss_and_grads(img)[0]
for shape in [(8, 8), (12, 12), (16, 16)]:
    img = resize_img(img, shape)
    img = gradient_ascent(img, iterations=3, step=0.1, max_loss=100.)
assert eval_loss_and_grads(img)[0] > first
K.set_learning_phase(1)
