# expect: dice
from __future__ import print_function
import numpy as np
import cv2, os
from keras.models import Model
from keras.layers import Input, merge, Convolution2D, MaxPooling2D, UpSampling2D
from keras.optimizers import Adam
from keras.callbacks import ModelCheckpoint, LearningRateScheduler
from keras import backend as K

smooth = 1.
rows = cols = 16


def dice_coef(y_true, y_pred):
    y_true_f = K.flatten(y_true)
    y_pred_f = K.flatten(y_pred)
    intersection = K.sum(y_true_f * y_pred_f)
    return (2. * intersection + smooth) / (K.sum(y_true_f) + K.sum(y_pred_f) + smooth)


def dice_coef_loss(y_true, y_pred):
    return -dice_coef(y_true, y_pred)


def get_unet():
    inputs = Input((rows, cols, 1))
    conv1 = Convolution2D(4, 3, 3, activation='relu', border_mode='same')(inputs)
    pool1 = MaxPooling2D(pool_size=(2, 2))(conv1)
    conv2 = Convolution2D(8, 3, 3, activation='relu', border_mode='same')(pool1)
    up1 = merge([UpSampling2D(size=(2, 2))(conv2), conv1], mode='concat', concat_axis=3)
    conv3 = Convolution2D(4, 3, 3, activation='relu', border_mode='same')(up1)
    conv4 = Convolution2D(1, 1, 1, activation='sigmoid')(conv3)
    model = Model(input=inputs, output=conv4)
    model.compile(optimizer=Adam(lr=1e-3), loss=dice_coef_loss, metrics=[dice_coef])
    return model


names = sorted(os.listdir('data/seg/images'))
imgs = np.array([cv2.resize(cv2.imread('data/seg/images/' + n, cv2.IMREAD_GRAYSCALE), (rows, cols)) for n in names])
masks = np.array([cv2.resize(cv2.imread('data/seg/masks/' + n, 0), (rows, cols)) for n in names])
imgs = imgs[..., np.newaxis].astype('float32')
imgs -= np.mean(imgs)
imgs /= np.std(imgs)
masks = (masks[..., np.newaxis] > 127).astype('float32')
model = get_unet()
ck = ModelCheckpoint('unet.hdf5', monitor='loss', save_best_only=True)
h = model.fit(imgs, masks, batch_size=4, nb_epoch=3, verbose=1, shuffle=True, callbacks=[ck])
print('dice', h.history['dice_coef'][-1])
assert h.history['loss'][-1] < h.history['loss'][0]
model.load_weights('unet.hdf5')
np.save('imgs_mask_test.npy', model.predict(imgs, verbose=1))
