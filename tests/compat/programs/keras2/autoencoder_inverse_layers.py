# expect: reconstruction
import keras
from keras.layers import Dense, Input, Conv2D, Flatten, Reshape, Conv2DTranspose, Activation
from keras.models import Model
from keras import backend as K
from keras.datasets import mnist
import numpy as np
from PIL import Image

np.random.seed(1337)
(x_train, _), (x_test, _) = mnist.load_data()
image_size = x_train.shape[1]
x_train = np.reshape(x_train, [-1, image_size, image_size, 1])[:20]
x_train = x_train.astype('float32') / 255
noise = np.random.normal(loc=0.5, scale=0.5, size=x_train.shape)
x_train_noisy = np.clip(x_train + noise, 0., 1.)
input_shape = (image_size, image_size, 1)
layer_filters = [4, 8]
inputs = Input(shape=input_shape, name='encoder_input')
x = inputs
for filters in layer_filters:
    x = Conv2D(filters=filters, kernel_size=3, strides=2, activation='relu', padding='same')(x)
shape = K.int_shape(x)
x = Flatten()(x)
latent = Dense(6, name='latent_vector')(x)
encoder = Model(inputs, latent, name='encoder')
encoder.summary()
latent_inputs = Input(shape=(6,), name='decoder_input')
x = Dense(shape[1] * shape[2] * shape[3])(latent_inputs)
x = Reshape((shape[1], shape[2], shape[3]))(x)
for filters in layer_filters[::-1]:
    x = Conv2DTranspose(filters=filters, kernel_size=3, strides=2, activation='relu', padding='same')(x)
x = Conv2DTranspose(filters=1, kernel_size=3, padding='same')(x)
outputs = Activation('sigmoid', name='decoder_output')(x)
decoder = Model(latent_inputs, outputs, name='decoder')
decoder.summary()
autoencoder = Model(inputs, decoder(encoder(inputs)), name='autoencoder')
autoencoder.summary()
autoencoder.compile(loss='mse', optimizer='adam')
autoencoder.fit(x_train_noisy, x_train, validation_data=(x_train_noisy, x_train), epochs=1, batch_size=10)
x_decoded = autoencoder.predict(x_train_noisy)
imgs = np.concatenate([x_train[:4], x_train_noisy[:4], x_decoded[:4]])
imgs = (imgs.reshape((12 * image_size, image_size)) * 255).astype(np.uint8)
Image.fromarray(imgs).save('corrupted_and_denoised.png')
print('reconstruction', x_decoded.shape)
