# expect: first (None, 3, 8, 8)
import keras.backend as K
from keras.layers import *
from keras.models import Model, Sequential
import numpy as np

assert K.image_data_format() == 'channels_last'
K.set_image_data_format('channels_first')
inp = Input((3, 8, 8))
print('first', K.int_shape(inp))
x = Conv2D(4, (3, 3), padding='same', activation='relu')(inp)
x = BatchNormalization(axis=1)(x)
x = MaxPooling2D()(x)
x = UpSampling2D()(x)
x = ZeroPadding2D(1)(x)
x = Cropping2D(1)(x)
x = DepthwiseConv2D(3, padding='same')(x)
x = Conv2DTranspose(2, 2, strides=2)(x)
assert K.int_shape(x) == (None, 2, 16, 16)
x = concatenate([x, x], axis=1)
x = GlobalAveragePooling2D()(x)
m = Model(inp, Dense(2, activation='softmax')(x))
m.compile('adam', 'categorical_crossentropy')
m.fit(np.random.rand(4, 3, 8, 8), np.eye(2)[[0, 1, 0, 1]], epochs=1, verbose=0)
from keras.preprocessing.image import img_to_array, load_img, ImageDataGenerator
a = img_to_array(load_img('data/elephant.jpg'))
assert a.shape == (3, 40, 40)
b, _ = next(ImageDataGenerator().flow_from_directory('data/train', target_size=(8, 8), batch_size=2))
assert b.shape == (2, 3, 8, 8)
