# expect: concat (None, 8)
# expect: th (None, 4, 6, 6)
# era: keras1
"""merge, Merge, Model(input=, output=), Theano's axis order, atrous and transposed convolutions, get_output_at."""

import numpy as np
from keras import backend as K
from keras.engine import Input, merge
from keras.layers import AtrousConvolution2D, Convolution2D, Deconvolution2D, Dense, Flatten, LeakyReLU, Merge
from keras.layers.normalization import BatchNormalization
from keras.models import Model, Sequential
from keras.objectives import binary_crossentropy
from keras.regularizers import activity_l2, l2

a, b = Input(shape=(6,), name="a"), Input(shape=(6,), name="b")
shared = Dense(4, activation="relu", W_regularizer=l2(0.01), b_regularizer=l2(l=0.01))
one, other = shared(a), shared(b)
assert shared.get_output_at(0) is one and shared.get_output_at(1) is other
assert shared.get_output_shape_at(1) == (None, 4) and shared.get_input_at(1) is b
assert len(shared.inbound_nodes) == 2
joined = merge([one, other], mode="concat", concat_axis=1)
print("concat", joined.get_shape())
assert joined.get_shape().as_list() == [None, 8] and K.int_shape(joined)[1] == 8
mixed = merge([one, other], mode=lambda t: K.abs(t[0] - t[1]), output_shape=lambda s: s[0])
dotted = merge([one, other], mode="dot", dot_axes=1)
out = Dense(1, activation="sigmoid", init="normal", name="out")(merge([joined, mixed, dotted], mode="concat"))
model = Model(input=[a, b], output=out)
model.compile("Adam", loss=lambda t, p: K.mean(binary_crossentropy(t, p)), metrics=["accuracy"])
x = np.random.rand(32, 6)
history = model.fit([x, x[::-1]], np.random.randint(0, 2, (32, 1)), nb_epoch=1, batch_size=8, verbose=0)
assert sorted(history.history) == ["acc", "loss"], sorted(history.history)

left, right = Sequential(), Sequential()
left.add(Dense(3, input_dim=5))
right.add(Dense(3, input_shape=(7,)))
both = Sequential()
both.add(Merge([left, right], mode="sum"))
both.add(Dense(2, activation="softmax"))
both.compile(optimizer="sgd", loss="mse")
both.fit([np.ones((8, 5)), np.ones((8, 7))], np.ones((8, 2)), nb_epoch=1, verbose=0)
assert both.predict([np.ones((8, 5)), np.ones((8, 7))]).shape == (8, 2)

K.set_image_dim_ordering("th")
net = Sequential()
net.add(Convolution2D(4, 3, 3, input_shape=(3, 8, 8), activation="relu"))
print("th", net.output_shape)
net.add(AtrousConvolution2D(4, 3, 3, atrous_rate=(2, 2), border_mode="same"))
net.add(BatchNormalization(mode=0, axis=1))
net.add(LeakyReLU(alpha=0.2))
net.add(Deconvolution2D(2, 3, 3, output_shape=(None, 2, 12, 12), subsample=(2, 2), border_mode="same"))
assert net.output_shape == (None, 2, 12, 12), net.output_shape
net.add(Flatten())
net.add(Dense(1, activity_regularizer=activity_l2(0.01)))
net.compile(loss="mse", optimizer="rmsprop")
assert np.isfinite(net.train_on_batch(np.ones((2, 3, 8, 8)), np.ones((2, 1))))
K.set_image_dim_ordering("tf")
