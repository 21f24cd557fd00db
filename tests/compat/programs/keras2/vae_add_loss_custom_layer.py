# expect: vae loss went down
import numpy as np
from keras.layers import Input, Dense, Lambda, Flatten, Reshape, Layer, Conv2D, Conv2DTranspose
from keras.models import Model
from keras import backend as K
from keras import metrics

batch_size, latent_dim = 8, 2
img_shape = (28, 28, 1)
input_img = Input(shape=img_shape)
x = Conv2D(4, 3, padding='same', activation='relu')(input_img)
x = Conv2D(8, 3, padding='same', activation='relu', strides=(2, 2))(x)
shape_before_flattening = K.int_shape(x)
x = Flatten()(x)
x = Dense(8, activation='relu')(x)
z_mean = Dense(latent_dim)(x)
z_log_var = Dense(latent_dim)(x)


def sampling(args):
    z_mean, z_log_var = args
    epsilon = K.random_normal(shape=(K.shape(z_mean)[0], latent_dim), mean=0., stddev=1.)
    return z_mean + K.exp(z_log_var) * epsilon


z = Lambda(sampling)([z_mean, z_log_var])
decoder_input = Input(K.int_shape(z)[1:])
x = Dense(np.prod(shape_before_flattening[1:]), activation='relu')(decoder_input)
x = Reshape(shape_before_flattening[1:])(x)
x = Conv2DTranspose(4, 3, padding='same', activation='relu', strides=(2, 2))(x)
x = Conv2D(1, 3, padding='same', activation='sigmoid')(x)
decoder = Model(decoder_input, x)
z_decoded = decoder(z)


class CustomVariationalLayer(Layer):
    def vae_loss(self, x, z_decoded):
        x = K.flatten(x)
        z_decoded = K.flatten(z_decoded)
        xent_loss = metrics.binary_crossentropy(x, z_decoded)
        kl_loss = -5e-4 * K.mean(1 + z_log_var - K.square(z_mean) - K.exp(z_log_var), axis=-1)
        return K.mean(xent_loss + kl_loss)

    def call(self, inputs):
        x = inputs[0]
        z_decoded = inputs[1]
        loss = self.vae_loss(x, z_decoded)
        self.add_loss(loss, inputs=inputs)
        return x


y = CustomVariationalLayer()([input_img, z_decoded])
vae = Model(input_img, y)
vae.compile(optimizer='rmsprop', loss=None)
vae.summary()
from keras.datasets import mnist
(x_train, _), (x_test, y_test) = mnist.load_data()
x_train = x_train[:40].astype('float32') / 255.
x_train = x_train.reshape(x_train.shape + (1,))
h = vae.fit(x=x_train, y=None, shuffle=True, epochs=3, batch_size=batch_size, validation_data=(x_train, None))
assert h.history['loss'][-1] < h.history['loss'][0], h.history
print('vae loss went down')
digit = decoder.predict(np.zeros((1, 2)), batch_size=1)
