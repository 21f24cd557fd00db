# expect: (None, 1, 28, 28)
# expect: done
# VGG-like net, Theano ordering set by hand, one line per layer as in the blog posts of 2015
import numpy as np
from keras import backend as K
K.set_image_dim_ordering('th')
from keras.models import Sequential
from keras.layers import Dense, Dropout, Activation, Flatten
from keras.layers import Convolution2D, MaxPooling2D, ZeroPadding2D
from keras.optimizers import SGD
from keras.datasets import mnist
from keras.utils.np_utils import to_categorical

(x, y), _ = mnist.load_data()
x = x[:40].reshape(40, 1, 28, 28).astype('float32') / 255.
y = to_categorical(y[:40], 10)

model = Sequential()
model.add(ZeroPadding2D((1, 1), input_shape=(1, 28, 28)))
print(model.layers[0].input_shape)
model.add(Convolution2D(4, 3, 3, activation='relu', name='conv1_1'))
model.add(ZeroPadding2D((1, 1)))
model.add(Convolution2D(4, 3, 3, activation='relu'))
model.add(MaxPooling2D((2, 2), strides=(2, 2)))
model.add(Convolution2D(8, 3, 3, border_mode='valid'))
model.add(Activation('relu'))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(16, activation='relu'))
model.add(Dropout(0.5))
model.add(Dense(10, activation='softmax'))
assert model.output_shape == (None, 10)
assert model.get_layer('conv1_1').output_shape == (None, 4, 28, 28)

sgd = SGD(lr=0.1, decay=1e-6, momentum=0.9, nesterov=True)
model.compile(loss='categorical_crossentropy', optimizer=sgd)
model.fit(x, y, batch_size=20, nb_epoch=1, validation_split=0.25, shuffle=True)
json_string = model.to_json()
open('my_model_architecture.json', 'w').write(json_string)
model.save_weights('my_model_weights.h5', overwrite=True)
from keras.models import model_from_json
model2 = model_from_json(open('my_model_architecture.json').read())
model2.load_weights('my_model_weights.h5')
assert np.allclose(model.predict(x), model2.predict(x), atol=1e-6)
print('done')
