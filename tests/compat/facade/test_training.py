"""Programs in small: GANs, styles, loops of one's own, and layers, losses and metrics written with tf functions."""

import numpy as np
import pytest

import convia as keras
import convia.compat.tensorflow as tf

layers = keras.layers


@pytest.fixture(autouse=True)
def _seed():
    tf.random.set_seed(3)


def test_adversaries(tmp_path):
    """The pattern of TensorFlow's DCGAN tutorial: two tapes over one graph, checkpoints of both models."""
    generator = keras.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(4 * 4 * 4, use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Reshape((4, 4, 4)),
            layers.Conv2DTranspose(1, 5, strides=2, padding="same", activation="tanh"),
        ]
    )
    discriminator = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 5, 2, padding="same"),
            layers.LeakyReLU(),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    optimizers = keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3)

    @tf.function
    def train_step(images):
        noise = tf.random.normal([16, 8])
        with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
            generated = generator(noise, training=True)
            real, fake = discriminator(images, training=True), discriminator(generated, training=True)
            gen_loss = cross_entropy(tf.ones_like(fake), fake)
            disc_loss = cross_entropy(tf.ones_like(real), real) + cross_entropy(tf.zeros_like(fake), fake)
        gradients = gen_tape.gradient(gen_loss, generator.trainable_variables)
        others = disc_tape.gradient(disc_loss, discriminator.trainable_variables)
        optimizers[0].apply_gradients(zip(gradients, generator.trainable_variables, strict=True))
        optimizers[1].apply_gradients(zip(others, discriminator.trainable_variables, strict=True))
        return disc_loss

    images = np.ones((64, 8, 8, 1), "float32")
    data = tf.data.Dataset.from_tensor_slices(images).shuffle(64).batch(16)
    losses = [float(train_step(batch)) for _ in range(10) for batch in data]
    assert losses[-1] < losses[0] * 0.7
    checkpoint = tf.train.Checkpoint(
        generator=generator, discriminator=discriminator, generator_optimizer=optimizers[0], other=optimizers[1]
    )
    before, moment = generator.get_weights(), optimizers[0].variables[3].numpy()
    path = checkpoint.save(str(tmp_path / "ckpt"))
    generator.set_weights([w * 0 for w in before])
    assert tf.train.latest_checkpoint(str(tmp_path)) == path
    checkpoint.restore(path).assert_consumed()
    np.testing.assert_array_equal(generator.get_weights()[0], before[0])
    fresh = keras.optimizers.Adam(1e-3)
    later = tf.train.Checkpoint(generator=generator, generator_optimizer=fresh)
    later.restore(path).expect_partial()
    fresh.build(generator.trainable_variables)
    assert int(fresh.iterations) == int(optimizers[0].iterations) == 40
    np.testing.assert_array_equal(fresh.variables[3].numpy(), moment)


def test_style():
    network = keras.Sequential([layers.Input((12, 12, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(4, 3)])
    network.trainable = False
    features = keras.Model([network.inputs], [layer.output for layer in network.layers])

    def gram(x):
        product = tf.linalg.einsum("bijc,bijd->bcd", x, x)
        size = tf.shape(x)
        return product / tf.cast(size[1] * size[2], tf.float32)

    targets = [gram(f) for f in features(tf.random.uniform((1, 12, 12, 3)))]
    image = tf.Variable(tf.random.uniform((1, 12, 12, 3)))
    optimizer = keras.optimizers.Adam(learning_rate=0.02, beta_1=0.99, epsilon=1e-1)

    @tf.function()
    def train_step(image):
        with tf.GradientTape() as tape:
            grams = [gram(f) for f in features(image)]
            loss = tf.add_n([tf.reduce_mean((a - b) ** 2) for a, b in zip(grams, targets, strict=True)])
            loss += 1e-3 * tf.reduce_sum(tf.image.total_variation(image))
        gradient = tape.gradient(loss, image)
        optimizer.apply_gradients([(gradient, image)])
        image.assign(tf.clip_by_value(image, clip_value_min=0.0, clip_value_max=1.0))
        return loss

    losses = [float(train_step(image)) for _ in range(20)]
    assert losses[-1] < losses[0] and float(tf.reduce_min(image)) >= 0 and float(tf.reduce_max(image)) <= 1


class Scaled(layers.Layer):
    """A layer with a weight of Keras and a tf.Variable of its own."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True)
        self.scale = tf.Variable(1.0, trainable=True)

    def call(self, inputs):
        batch = tf.shape(inputs)[0]
        noise = tf.random.normal((batch, self.units)) * 0.0
        return tf.matmul(inputs, self.w) * self.scale + tf.reduce_mean(inputs, axis=-1, keepdims=True) + noise


class TotalError(keras.metrics.Metric):
    """A metric written with tf functions."""

    def __init__(self, name="total", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(tf.reduce_sum(tf.abs(tf.cast(y_true, tf.float32) - y_pred)))

    def result(self):
        return self.total

    def reset_state(self):
        self.total.assign(0.0)


def squared(y_true, y_pred):
    return tf.reduce_mean(tf.square(tf.cast(y_true, y_pred.dtype) - y_pred), axis=-1)


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_layers_losses_and_metrics_of_ones_own(run_eagerly):
    x = np.random.default_rng(1).uniform(size=(40, 6))
    y = x[:, :2] * 2
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    model = keras.Sequential([keras.Input((6,)), Scaled(4), layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.05), squared, metrics=[TotalError()], run_eagerly=run_eagerly)
    history = model.fit(data, epochs=15, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 3 and history["total"][-1] < history["total"][0]
    assert len(model.trainable_variables) == 4


class Own(keras.Model):
    """A training step by a tape."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            metric.update_state(loss) if metric.name == "loss" else metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


def test_a_train_step_of_ones_own_learns_as_the_built_in_one(monkeypatch):
    monkeypatch.setitem(keras.config._settings, "engine", "torch")
    x = np.random.default_rng(1).normal(size=(32, 3)).astype("float32")
    weights, histories = None, []
    for kind in (Own, keras.Model):
        inputs = keras.Input((3,))
        model = kind(inputs, layers.Dense(1)(inputs))
        weights = model.get_weights() if weights is None else weights
        model.set_weights(weights)
        model.compile("sgd", "mse", metrics=["mae"])
        histories.append(model.fit(x, x[:, :1], epochs=3, shuffle=False, batch_size=8, verbose=0).history)
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-5)
    np.testing.assert_allclose(histories[0]["mae"], histories[1]["mae"], rtol=1e-5)


def test_a_loop_of_ones_own():
    x, y = np.eye(4, dtype="float32").repeat(8, 0), np.arange(4).repeat(8)
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(32).batch(8)
    model = keras.Sequential([layers.Input((4,)), layers.Dense(4)])
    loss_object = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer, mean = keras.optimizers.Adam(0.1), keras.metrics.Mean(name="loss")
    accuracy = keras.metrics.SparseCategoricalAccuracy()

    @tf.function
    def train_step(images, labels):
        with tf.GradientTape() as tape:
            predictions = model(images, training=True)
            loss = loss_object(labels, predictions)
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
        )
        mean(loss)
        accuracy(labels, predictions)

    for _ in range(15):
        mean.reset_state()
        accuracy.reset_state()
        for images, labels in data:
            train_step(images, labels)
    assert float(accuracy.result()) == 1 and float(mean.result()) < 0.7


def test_strategies_are_scopes():
    strategy = tf.distribute.MirroredStrategy()
    with strategy.scope():
        model = keras.Sequential([layers.Input((2,)), layers.Dense(1)])
    assert strategy.num_replicas_in_sync == 1 and strategy.run(model, (tf.ones((1, 2)),)).shape == (1, 1)
    assert float(strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant([1.0, 2.0]), axis=0)) == 3
    with pytest.raises(ValueError, match="no TPU"):
        tf.distribute.cluster_resolver.TPUClusterResolver.connect()
