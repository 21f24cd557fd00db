# expect: [D loss:
from keras.layers import Input, Dense, Reshape, Flatten, Dropout, multiply, Embedding, Concatenate, LeakyReLU
from keras.models import Sequential, Model
from keras.optimizers import Adam
import numpy as np

num_classes, latent_dim, img_shape = 4, 6, (8, 8, 1)


def build_generator():
    model = Sequential()
    model.add(Dense(16, input_dim=latent_dim))
    model.add(LeakyReLU(alpha=0.2))
    model.add(Dense(np.prod(img_shape), activation='tanh'))
    model.add(Reshape(img_shape))
    noise = Input(shape=(latent_dim,))
    label = Input(shape=(1,), dtype='int32')
    label_embedding = Flatten()(Embedding(num_classes, latent_dim)(label))
    return Model([noise, label], model(multiply([noise, label_embedding])))


def build_discriminator():
    model = Sequential()
    model.add(Dense(16, input_dim=np.prod(img_shape)))
    model.add(LeakyReLU(alpha=0.2))
    model.add(Dropout(0.4))
    model.add(Dense(1, activation='sigmoid'))
    img = Input(shape=img_shape)
    label = Input(shape=(1,), dtype='int32')
    label_embedding = Flatten()(Embedding(num_classes, np.prod(img_shape))(label))
    flat_img = Flatten()(img)
    return Model([img, label], model(multiply([flat_img, label_embedding])))


optimizer = Adam(0.0002, 0.5)
discriminator = build_discriminator()
discriminator.compile(loss=['binary_crossentropy'], optimizer=optimizer, metrics=['accuracy'])
generator = build_generator()
noise, label = Input(shape=(latent_dim,)), Input(shape=(1,))
img = generator([noise, label])
discriminator.trainable = False
valid = discriminator([img, label])
combined = Model([noise, label], valid)
combined.compile(loss=['binary_crossentropy'], optimizer=optimizer)
imgs, labels = np.random.rand(8, 8, 8, 1), np.random.randint(0, num_classes, (8, 1))
for epoch in range(2):
    n = np.random.normal(0, 1, (8, latent_dim))
    gen_imgs = generator.predict([n, labels])
    d_loss = 0.5 * np.add(discriminator.train_on_batch([imgs, labels], np.ones((8, 1))),
                          discriminator.train_on_batch([gen_imgs, labels], np.zeros((8, 1))))
    g_loss = combined.train_on_batch([n, np.random.randint(0, num_classes, 8).reshape(-1, 1)], np.ones((8, 1)))
    print("%d [D loss: %f, acc.: %.2f%%] [G loss: %f]" % (epoch, d_loss[0], 100 * d_loss[1], g_loss))
