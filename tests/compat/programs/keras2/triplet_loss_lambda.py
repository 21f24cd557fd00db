# expect: triplet
import numpy as np
from keras.layers import Input, Conv2D, Dense, Lambda, Flatten, concatenate, MaxPooling2D
from keras.models import Model, Sequential
from keras import backend as K
from keras.regularizers import l2
from keras.optimizers import Adam, SGD


def triplet_loss(y_true, y_pred, alpha=0.4):
    total_lenght = y_pred.shape.as_list()[-1]
    anchor = y_pred[:, 0:int(total_lenght*1/3)]
    positive = y_pred[:, int(total_lenght*1/3):int(total_lenght*2/3)]
    negative = y_pred[:, int(total_lenght*2/3):int(total_lenght*3/3)]
    pos_dist = K.sum(K.square(anchor-positive), axis=1)
    neg_dist = K.sum(K.square(anchor-negative), axis=1)
    basic_loss = pos_dist-neg_dist+alpha
    return K.maximum(basic_loss, 0.0)


def W_init(shape, name=None):
    values = np.random.normal(loc=0, scale=1e-2, size=shape)
    return K.variable(values, name=name)


def create_base_network():
    seq = Sequential()
    seq.add(Conv2D(4, (3, 3), activation='relu', input_shape=(10, 10, 1), kernel_initializer=W_init, kernel_regularizer=l2(2e-4)))
    seq.add(MaxPooling2D())
    seq.add(Flatten())
    seq.add(Dense(6))
    seq.add(Lambda(lambda x: K.l2_normalize(x, axis=1)))
    return seq


anchor_input = Input((10, 10, 1,), name='anchor_input')
positive_input = Input((10, 10, 1,), name='positive_input')
negative_input = Input((10, 10, 1,), name='negative_input')
Shared_DNN = create_base_network()
merged_vector = concatenate([Shared_DNN(anchor_input), Shared_DNN(positive_input), Shared_DNN(negative_input)], axis=-1, name='merged_layer')
model = Model(inputs=[anchor_input, positive_input, negative_input], outputs=merged_vector)
model.compile(loss=triplet_loss, optimizer=Adam())
a, p, n = np.random.rand(3, 12, 10, 10, 1)
Y_dummy = np.empty((12, 300))
h = model.fit([a, p, n], y=Y_dummy, validation_data=([a, p, n], Y_dummy), batch_size=4, epochs=2)
print('triplet', h.history['loss'][-1] < 1.5)
trained_model = Model(inputs=anchor_input, outputs=Shared_DNN(anchor_input))
trained_model.load_weights if False else None
assert np.allclose(np.linalg.norm(trained_model.predict(a), axis=1), 1, atol=1e-4)
