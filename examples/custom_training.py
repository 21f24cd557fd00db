"""A training loop of your own, in two ways: by hand, and as a ``train_step``.

Tensors are torch tensors, so ``loss.backward()`` computes the gradients (TensorFlow's programs have a GradientTape
there). Here the network also learns to answer the same for an image and for its noisy twin.
"""

# %%
import numpy as np
import torch

import convia as keras
from convia import layers

EPOCHS = 10
keras.utils.set_random_seed(1)

(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = (x[..., None].astype("float32") / 16 for x in (x_train, x_test))


def network() -> keras.Model:
    """Return a small classifier that gives scores, not probabilities."""
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(32, 3, activation="relu")(image)
    return keras.Model(image, layers.Dense(10)(layers.Flatten()(x)))


loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# %% [markdown]
# By hand: batches, loss, gradients, a step of the optimizer.

# %%
model, optimizer = network(), keras.optimizers.Adam(0.003)
images, labels = torch.from_numpy(x_train), torch.from_numpy(y_train)
for epoch in range(EPOCHS):
    total = 0.0
    for batch in torch.randperm(len(images)).split(64):
        scores = model(images[batch], training=True)
        twins = model(images[batch] + 0.1 * torch.randn_like(images[batch]), training=True)
        loss = loss_of(labels[batch], scores) + (scores - twins).square().mean()
        model.zero_grad()
        loss.backward()
        optimizer.apply([weight.grad for weight in model.trainable_weights], model.trainable_weights)
        total += loss.item() * len(batch)
    if epoch in (0, EPOCHS - 1):
        print(f"epoch {epoch + 1:2}  loss {total / len(images):.3f}")
print(f"test accuracy {np.mean(model.predict(x_test, verbose=0).argmax(1) == y_test):.1%}")

# %% [markdown]
# As a ``train_step``: ``fit`` keeps its progress bar, callbacks, validation and metrics.


# %%
class Twins(keras.Model):
    """A model that is trained on images and their noisy twins."""

    def train_step(self, data: tuple) -> dict:
        """Learn one batch; return the metrics."""
        x, y = data
        scores = self(x, training=True)
        twins = self(x + 0.1 * torch.randn_like(x), training=True)
        loss = self.compute_loss(x, y, scores) + (scores - twins).square().mean()
        self.zero_grad()
        loss.backward()
        self.optimizer.apply([weight.grad for weight in self.trainable_weights], self.trainable_weights)
        for metric in self.metrics:
            metric.update_state(loss) if metric.name == "loss" else metric.update_state(y, scores)
        return {metric.name: metric.result() for metric in self.metrics}


base = network()
model = Twins(base.inputs, base.outputs[0])
model.compile(keras.optimizers.Adam(0.003), loss_of, metrics=["accuracy"])
model.fit(x_train, y_train, epochs=EPOCHS, batch_size=64, verbose=2)
print(f"test accuracy {np.mean(model.predict(x_test, verbose=0).argmax(1) == y_test):.1%}")
