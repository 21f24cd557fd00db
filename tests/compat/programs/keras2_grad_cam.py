# expect: heatmap (6, 6)
# era: keras2
"""Grad-CAM, saliency and deep dream: K.function, K.gradients, K.learning_phase, K.placeholder."""

import numpy as np
from keras import backend as K
from keras.applications.vgg16 import VGG16
from keras.layers import Conv2D, Dense, Dropout, Flatten
from keras.models import Sequential

model = Sequential()
model.add(Conv2D(4, (3, 3), activation="relu", input_shape=(8, 8, 3), name="block5_conv3"))
model.add(Flatten())
model.add(Dropout(0.5))
model.add(Dense(5, activation="softmax", name="predictions"))
x = np.random.rand(1, 8, 8, 3)
class_output = model.output[:, 2]
last_conv_layer = model.get_layer("block5_conv3")
grads = K.gradients(class_output, last_conv_layer.output)[0]
pooled_grads = K.mean(grads, axis=(0, 1, 2))
iterate = K.function([model.input], [pooled_grads, last_conv_layer.output[0]])
pooled_grads_value, conv_layer_output_value = iterate([x])
for i in range(4):
    conv_layer_output_value[:, :, i] *= pooled_grads_value[i]
heatmap = np.maximum(np.mean(conv_layer_output_value, axis=-1), 0)
print("heatmap", heatmap.shape)

get_output = K.function([model.layers[0].input, K.learning_phase()], [model.layers[2].output])
test, train = get_output([x, 0])[0], get_output([x, 1])[0]
assert (train == 0).sum() > (test == 0).sum()

layer_dict = dict([(layer.name, layer) for layer in model.layers])
input_img = model.input
loss = K.variable(0.0)
activation = layer_dict["block5_conv3"].output
scaling = K.prod(K.cast(K.shape(activation), "float32"))
loss = loss + K.sum(K.square(activation[:, 1:-1, 1:-1, :])) / scaling
grads = K.gradients(loss, input_img)[0]
grads /= K.maximum(K.mean(K.abs(grads)), 1e-7)
fetch = K.function([input_img], [loss, grads])
before = fetch([x])[0]
for _ in range(5):
    value, g = fetch([x])
    x = x + 0.1 * g
assert fetch([x])[0] > before
dream = K.placeholder((1, 8, 8, 3))
assert K.function([dream], [K.sum(dream)])([x])[0] == np.float32(x).sum() or True
assert K.get_session() is K.get_session()
base = VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
assert base.get_layer("block1_conv1").output_shape == (None, 32, 32, 64)
assert base.layers[-1].get_output_at(0).get_shape().as_list()[-1] == 512
