# expect: saved True
import keras
from keras import layers, ops
import numpy as np
import tensorflow as tf


class Denoiser(keras.Model):
    def __init__(self):
        super().__init__()
        inputs = keras.Input((8, 8, 3))
        self.network = keras.Model(inputs, layers.Conv2D(3, 1)(layers.BatchNormalization(center=False)(inputs)))
        self.slow = keras.models.clone_model(self.network)
        self.tracker = keras.metrics.Mean(name="noise_loss")

    @property
    def metrics(self):
        return [self.tracker]

    def train_step(self, images):
        noises = keras.random.normal(shape=ops.shape(images))
        with tf.GradientTape() as tape:
            loss = self.loss(noises, self.network(images + noises, training=True))
        gradients = tape.gradient(loss, self.network.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.network.trainable_weights))
        self.tracker.update_state(loss)
        for weight, slow in zip(self.network.weights, self.slow.weights):
            slow.assign(0.9 * slow + 0.1 * weight)
        return {m.name: m.result() for m in self.metrics}


model = Denoiser()
model.compile(optimizer=keras.optimizers.AdamW(learning_rate=1e-3, weight_decay=1e-4), loss=keras.losses.mean_absolute_error)
checkpoint = keras.callbacks.ModelCheckpoint("denoiser.weights.h5", save_weights_only=True, monitor="noise_loss", mode="min", save_best_only=True)
data = tf.data.Dataset.from_tensor_slices(np.random.rand(8, 8, 8, 3).astype("float32")).batch(4, drop_remainder=True)
model.fit(data, epochs=2, callbacks=[checkpoint], verbose=0)
before = [w.numpy() for w in model.network.weights]
model.load_weights("denoiser.weights.h5")
print("saved", len(before) == len(model.network.weights))
