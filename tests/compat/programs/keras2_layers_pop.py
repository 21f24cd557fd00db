# expect: features (None, 4096)
# era: keras2
"""Fine tuning of 2017: layers.pop(), Model of a layer's output, frozen layers, bottleneck features, Sequential.add(base)."""

import numpy as np
from keras.applications.vgg16 import VGG16
from keras.layers import Dense, Dropout, Flatten, GlobalAveragePooling2D
from keras.models import Model, Sequential
from keras.optimizers import SGD

vgg = VGG16(weights=None, input_shape=(32, 32, 3), classes=10)
vgg.layers.pop()
vgg.outputs = [vgg.layers[-1].output]
vgg.layers[-1].outbound_nodes = []
features = Model(vgg.input, vgg.layers[-1].output)
print("features", features.output_shape)
base = VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
x = GlobalAveragePooling2D()(base.output)
x = Dense(8, activation="relu")(x)
model = Model(inputs=base.input, outputs=Dense(2, activation="softmax")(x))
for layer in base.layers:
    layer.trainable = False
model.compile(SGD(lr=1e-4, momentum=0.9), loss="categorical_crossentropy", metrics=["accuracy"])
before = base.layers[1].get_weights()[0].copy()
model.fit(np.random.rand(2, 32, 32, 3), np.eye(2), epochs=1, verbose=0)
assert np.array_equal(before, base.layers[1].get_weights()[0])
top = Sequential()
top.add(Flatten(input_shape=base.output_shape[1:]))
top.add(Dropout(0.5))
top.add(Dense(1, activation="sigmoid"))
top.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"])
stack = Sequential()
stack.add(base)
stack.add(top)
assert stack.output_shape == (None, 1) and len(model.layers) == 22
