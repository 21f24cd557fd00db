# expect: merged (None, 8, 8, 14)
from keras.layers import Input, Convolution2D, MaxPooling2D, merge, Flatten, Dense, Dropout, AveragePooling2D
from keras.models import Model
from keras.optimizers import Adagrad
from keras.regularizers import l2, activity_l2
from keras.utils.visualize_util import plot
import numpy as np

input_img = Input(shape=(8, 8, 3))
tower_1 = Convolution2D(4, 1, 1, border_mode='same', activation='relu')(input_img)
tower_1 = Convolution2D(4, 3, 3, border_mode='same', activation='relu', W_regularizer=l2(0.0002))(tower_1)
tower_2 = Convolution2D(5, 1, 1, border_mode='same', activation='relu')(input_img)
tower_2 = Convolution2D(5, 5, 5, border_mode='same', activation='relu')(tower_2)
tower_3 = MaxPooling2D((3, 3), strides=(1, 1), border_mode='same')(input_img)
tower_3 = Convolution2D(5, 1, 1, border_mode='same', activation='relu')(tower_3)
output = merge([tower_1, tower_2, tower_3], mode='concat', concat_axis=3)
print('merged', K_shape) if False else print('merged', output._keras_shape)
x = AveragePooling2D((4, 4), strides=(4, 4))(output)
x = Flatten()(x)
x = Dropout(0.4)(x)
loss3 = Dense(3, activation='softmax', W_regularizer=l2(0.01), activity_regularizer=activity_l2(0.01))(x)
model = Model(input=input_img, output=[loss3])
model.compile(optimizer=Adagrad(lr=0.01, epsilon=1e-08), loss='categorical_crossentropy')
X = np.random.rand(6, 8, 8, 3)
model.train_on_batch(X, np.eye(3)[[0, 1, 2, 0, 1, 2]])
assert model.predict(X).shape == (6, 3)
