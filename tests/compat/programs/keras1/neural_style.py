# expect: Iteration completed
from __future__ import print_function
from keras.preprocessing.image import load_img, img_to_array
from scipy.optimize import fmin_l_bfgs_b
import numpy as np
from keras.layers import Input, Convolution2D, AveragePooling2D
from keras.models import Model
from keras import backend as K

img_nrows, img_ncols = 16, 16
content_weight, style_weight, total_variation_weight = 0.025, 1., 1.


def preprocess_image(image_path):
    img = load_img(image_path, target_size=(img_nrows, img_ncols))
    img = img_to_array(img)
    img = np.expand_dims(img, axis=0)
    return img - 100.


base_image = K.variable(preprocess_image('data/content.jpg'))
style_reference_image = K.variable(preprocess_image('data/style.jpg'))
if K.image_dim_ordering() == 'th':
    combination_image = K.placeholder((1, 3, img_nrows, img_ncols))
else:
    combination_image = K.placeholder((1, img_nrows, img_ncols, 3))
input_tensor = K.concatenate([base_image, style_reference_image, combination_image], axis=0)
ip = Input(tensor=input_tensor, shape=(img_nrows, img_ncols, 3))
x = Convolution2D(4, 3, 3, activation='relu', border_mode='same', name='conv1_1')(ip)
x = AveragePooling2D((2, 2), strides=(2, 2))(x)
x = Convolution2D(6, 3, 3, activation='relu', border_mode='same', name='conv2_1')(x)
model = Model(ip, x)
outputs_dict = dict([(layer.name, layer.output) for layer in model.layers])


def gram_matrix(x):
    assert K.ndim(x) == 3
    features = K.batch_flatten(K.permute_dimensions(x, (2, 0, 1)))
    gram = K.dot(features, K.transpose(features))
    return gram


def style_loss(style, combination):
    S = gram_matrix(style)
    C = gram_matrix(combination)
    channels = 3
    size = img_nrows * img_ncols
    return K.sum(K.square(S - C)) / (4. * (channels ** 2) * (size ** 2))


def content_loss(base, combination):
    return K.sum(K.square(combination - base))


def total_variation_loss(x):
    assert K.ndim(x) == 4
    a = K.square(x[:, :img_nrows-1, :img_ncols-1, :] - x[:, 1:, :img_ncols-1, :])
    b = K.square(x[:, :img_nrows-1, :img_ncols-1, :] - x[:, :img_nrows-1, 1:, :])
    return K.sum(K.pow(a + b, 1.25))


loss = K.variable(0.)
layer_features = outputs_dict['conv2_1']
loss += content_weight * content_loss(layer_features[0, :, :, :], layer_features[2, :, :, :])
for layer_name in ['conv1_1', 'conv2_1']:
    layer_features = outputs_dict[layer_name]
    sl = style_loss(layer_features[1, :, :, :], layer_features[2, :, :, :])
    loss += (style_weight / 2) * sl
loss += total_variation_weight * total_variation_loss(combination_image)
grads = K.gradients(loss, combination_image)
outputs = [loss]
if type(grads) in {list, tuple}:
    outputs += grads
else:
    outputs.append(grads)
f_outputs = K.function([combination_image], outputs)


def eval_loss_and_grads(x):
    x = x.reshape((1, img_nrows, img_ncols, 3))
    outs = f_outputs([x])
    loss_value = outs[0]
    if len(outs[1:]) == 1:
        grad_values = outs[1].flatten().astype('float64')
    else:
        grad_values = np.array(outs[1:]).flatten().astype('float64')
    return loss_value, grad_values


class Evaluator(object):
    def __init__(self):
        self.loss_value = None
        self.grads_values = None

    def loss(self, x):
        assert self.loss_value is None
        self.loss_value, self.grad_values = eval_loss_and_grads(x)
        return self.loss_value

    def grads(self, x):
        assert self.loss_value is not None
        grad_values = np.copy(self.grad_values)
        self.loss_value = None
        self.grad_values = None
        return grad_values


evaluator = Evaluator()
x = np.random.uniform(0, 255, (1, img_nrows, img_ncols, 3)) - 128.
history = []
for i in range(2):
    x, min_val, info = fmin_l_bfgs_b(evaluator.loss, x.flatten(), fprime=evaluator.grads, maxfun=8)
    history.append(min_val)
    print('Current loss value:', min_val)
    print('Iteration completed in %ds' % i)
assert history[1] <= history[0]
