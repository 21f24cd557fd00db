"""Small programs as people write them, across tasks, on random data: they run and they learn."""

import numpy as np
import pytest
import torch

import convia as keras
from convia import layers, ops

rng = np.random.default_rng(0)
IMAGES = rng.random((48, 16, 16, 1), dtype=np.float32)


def falls(history, key="loss"):
    return history.history[key][-1] < history.history[key][0]


def test_autoencoder():
    image = keras.Input((16, 16, 1))
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(image)
    x = layers.MaxPooling2D(2, padding="same")(x)
    encoded = layers.Conv2D(4, 3, activation="relu", padding="same", name="code")(x)
    x = layers.UpSampling2D()(encoded)
    decoded = layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x)
    autoencoder, encoder = keras.Model(image, decoded), keras.Model(image, encoded)
    autoencoder.compile("adam", "binary_crossentropy")
    before = encoder.predict(IMAGES[:2], verbose=0)
    assert falls(autoencoder.fit(IMAGES, IMAGES, epochs=4, batch_size=16, verbose=0))
    assert before.shape == (2, 8, 8, 4)
    assert not np.array_equal(before, encoder.predict(IMAGES[:2], verbose=0))  # the two share their layers


def test_unet():
    def block(x, filters):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        return layers.Activation("relu")(layers.BatchNormalization()(x))

    image = keras.Input((None, None, 1))
    one = block(image, 4)
    two = block(layers.MaxPooling2D()(one), 8)
    up = layers.Conv2DTranspose(4, 2, strides=2, padding="same")(two)
    x = block(layers.Concatenate()([up, one]), 4)
    model = keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(x))
    assert model.output_shape == (None, None, None, 1)
    model.compile(
        keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=[keras.metrics.BinaryIoU(target_class_ids=[1])]
    )
    masks = (IMAGES > 0.5).astype("float32")
    assert falls(model.fit(IMAGES, masks, epochs=4, batch_size=16, verbose=0))
    assert model.predict(IMAGES[:3, :12, :8], verbose=0).shape == (3, 12, 8, 1)


def test_gan_with_a_frozen_discriminator():
    generator = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(64, activation="relu"),
            layers.Reshape((8, 8, 1)),
            layers.UpSampling2D(),
            layers.Conv2D(1, 3, padding="same", activation="tanh"),
        ]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(4, 3, strides=2),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    discriminator.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    discriminator.trainable = False
    noise = keras.Input((4,))
    gan = keras.Model(noise, discriminator(generator(noise)))
    gan.compile("adam", "binary_crossentropy")
    for _ in range(2):
        z = rng.normal(size=(8, 4)).astype("float32")
        fakes = generator.predict(z, verbose=0)
        frozen = [w.copy() for w in discriminator.get_weights()]
        assert np.isfinite(gan.train_on_batch(z, np.ones((8, 1))))
        for old, new in zip(frozen, discriminator.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
        discriminator.trainable = True
        loss, accuracy = discriminator.train_on_batch(
            np.concatenate([IMAGES[:8], fakes]), np.repeat([[1.0], [0.0]], 8, axis=0)
        )
        discriminator.trainable = False
        assert np.isfinite(loss) and 0 <= accuracy <= 1
        assert any(not np.array_equal(old, new) for old, new in zip(frozen, discriminator.get_weights(), strict=True))


def test_siamese_with_a_lambda():
    base = keras.Sequential(
        [keras.Input((16, 16, 1)), layers.Conv2D(4, 3, activation="relu"), layers.GlobalMaxPooling2D()]
    )
    a, b = keras.Input((16, 16, 1)), keras.Input((16, 16, 1))
    distance = layers.Lambda(lambda pair: ops.abs(pair[0] - pair[1]))([base(a), base(b)])
    model = keras.Model([a, b], layers.Dense(1, activation="sigmoid")(distance))
    model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"])
    same = np.concatenate([IMAGES[:16], IMAGES[16:32]])
    other = np.concatenate([IMAGES[:16], IMAGES[:16]])
    labels = np.repeat([1.0, 0.0], 16)
    assert falls(model.fit([same, other], labels, epochs=5, batch_size=8, verbose=0))


class Sampling(layers.Layer):
    """z = μ + σ·ε, and the divergence from the standard normal distribution as a penalty."""

    def call(self, inputs):
        mean, log_variance = inputs
        self.add_loss(-0.5 * ops.mean(1 + log_variance - ops.square(mean) - ops.exp(log_variance)))
        return mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean))


def test_vae():
    image = keras.Input((16, 16, 1))
    x = layers.Flatten()(layers.Conv2D(4, 3, strides=2, activation="relu")(image))
    z = Sampling()([layers.Dense(2)(x), layers.Dense(2)(x)])
    x = layers.Dense(64, activation="relu")(z)
    x = layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid")(layers.Reshape((8, 8, 1))(x))
    vae = keras.Model(image, x)
    vae.compile("adam", "binary_crossentropy")
    history = vae.fit(IMAGES, IMAGES, epochs=5, batch_size=16, verbose=0)
    assert falls(history) and len(vae.losses) == 1


def test_signal_in_one_dimension_and_volume_in_three():
    signals, labels = rng.normal(size=(32, 50, 2)).astype("float32"), rng.integers(0, 2, 32)
    one = keras.Sequential(
        [
            keras.Input((50, 2)),
            layers.Conv1D(8, 5, activation="relu", padding="causal"),
            layers.MaxPooling1D(),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    one.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert falls(one.fit(signals, labels, epochs=6, verbose=0))
    volumes = rng.normal(size=(16, 8, 8, 8, 1)).astype("float32")
    three = keras.Sequential(
        [
            keras.Input((8, 8, 8, 1)),
            layers.Conv3D(4, 3, activation="relu"),
            layers.MaxPooling3D(),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    three.compile("adam", "sparse_categorical_crossentropy")
    assert falls(three.fit(volumes, labels[:16], epochs=6, verbose=0))


def test_transfer_with_a_frozen_backbone():
    backbone = keras.Sequential(
        [keras.Input((16, 16, 1)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()], name="backbone"
    )
    backbone.trainable = False
    model = keras.Sequential([backbone, layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    before = [w.copy() for w in backbone.get_weights()]
    model.fit(IMAGES, rng.integers(0, 3, 48), epochs=2, verbose=0)
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert len(model.trainable_weights) == 2 and len(model.non_trainable_weights) == 6


def test_grad_cam_with_autograd():
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(4, 3, activation="relu", name="last"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )
    both = keras.Model(model.inputs, [model.get_layer("last").output, model.output])
    maps, scores = both(torch.from_numpy(IMAGES[:1]))
    (gradient,) = torch.autograd.grad(scores[0].max(), maps)
    heat = torch.relu((maps * gradient.mean((1, 2), keepdim=True)).sum(-1))
    assert heat.shape == (1, 14, 14)


@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_train_save_load_and_go_on(kind, tmp_path):
    x, y = IMAGES, rng.integers(0, 2, 48)
    model = keras.Sequential(
        [keras.Input((16, 16, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        x,
        y,
        epochs=1,
        verbose=0,
        callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / f"best.{kind}", monitor="loss", save_best_only=True)],
    )
    loaded = keras.models.load_model(tmp_path / f"best.{kind}")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)
    a, b = (m.fit(x, y, epochs=1, shuffle=False, verbose=0).history["loss"] for m in (model, loaded))
    assert a == pytest.approx(b, rel=1e-5)
