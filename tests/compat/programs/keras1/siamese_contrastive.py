# expect: * Accuracy on test set
'''Train a Siamese MLP on pairs of digits.'''
from __future__ import absolute_import
from __future__ import print_function
import numpy as np
np.random.seed(1337)
import random
from keras.datasets import mnist
from keras.models import Sequential, Model
from keras.layers import Dense, Dropout, Input, Lambda
from keras.optimizers import RMSprop
from keras import backend as K


def euclidean_distance(vects):
    x, y = vects
    return K.sqrt(K.maximum(K.sum(K.square(x - y), axis=1, keepdims=True), K.epsilon()))


def eucl_dist_output_shape(shapes):
    shape1, shape2 = shapes
    return (shape1[0], 1)


def contrastive_loss(y_true, y_pred):
    margin = 1
    return K.mean(y_true * K.square(y_pred) + (1 - y_true) * K.square(K.maximum(margin - y_pred, 0)))


def create_base_network(input_dim):
    seq = Sequential()
    seq.add(Dense(16, input_shape=(input_dim,), activation='relu'))
    seq.add(Dropout(0.1))
    seq.add(Dense(16, activation='relu'))
    return seq


def compute_accuracy(predictions, labels):
    return labels[predictions.ravel() < 0.5].mean()

(X_train, y_train), _ = mnist.load_data()
X_train = X_train.reshape(-1, 784).astype('float32') / 255
pairs, labels = [], []
for i in range(0, 40, 2):
    same = np.where(y_train == y_train[i])[0]
    other = np.where(y_train != y_train[i])[0]
    pairs += [[X_train[i], X_train[random.choice(list(same))]]]
    pairs += [[X_train[i], X_train[random.choice(list(other))]]]
    labels += [1, 0]
pairs, labels = np.array(pairs), np.array(labels)
input_dim = 784
base_network = create_base_network(input_dim)
input_a = Input(shape=(input_dim,))
input_b = Input(shape=(input_dim,))
processed_a = base_network(input_a)
processed_b = base_network(input_b)
distance = Lambda(euclidean_distance, output_shape=eucl_dist_output_shape)([processed_a, processed_b])
model = Model(input=[input_a, input_b], output=distance)
rms = RMSprop()
model.compile(loss=contrastive_loss, optimizer=rms)
model.fit([pairs[:, 0], pairs[:, 1]], labels, validation_data=([pairs[:, 0], pairs[:, 1]], labels),
          batch_size=8, nb_epoch=3, verbose=0)
pred = model.predict([pairs[:, 0], pairs[:, 1]])
pred[:2] = 0.
te_acc = compute_accuracy(pred, labels)
print('* Accuracy on test set: %0.2f%%' % (100 * te_acc))
