"""A tf.keras program with a loop of its own under a strategy; only where it leaves its results is not its own."""

import os
import sys
from pathlib import Path

import numpy as np

from convia import compat

compat.activate("tfkeras")

import tensorflow as tf  # noqa: E402 - the hook answers to it

strategy = tf.distribute.MirroredStrategy()
BATCH = 6 * strategy.num_replicas_in_sync if len(sys.argv) < 3 else int(sys.argv[2])
EPOCHS = 2

rng = np.random.default_rng(0)
x = rng.normal(size=(34, 8, 8, 1)).astype("float32")
y = rng.integers(0, 3, 34)
train = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
parts = strategy.experimental_distribute_dataset(train)

with strategy.scope():
    tf.random.set_seed(1)
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1)),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(3),
        ]
    )
    watcher = tf.keras.Sequential([tf.keras.layers.BatchNormalization(input_shape=(8, 8, 1))])
    optimizer = tf.keras.optimizers.Adam(0.01)
    losses = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=tf.keras.losses.Reduction.NONE)
    accuracy = tf.keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    mean_loss = tf.keras.metrics.Mean()


def train_step(inputs):
    images, labels = inputs
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = tf.nn.compute_average_loss(losses(labels, logits), global_batch_size=tf.shape(y[:BATCH])[0])
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    watcher(images, training=True)
    accuracy.update_state(labels, logits)
    mean_loss.update_state(losses(labels, logits))
    context = tf.distribute.get_replica_context()
    return loss, context.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(labels))


@tf.function
def distributed_step(inputs):
    loss, labels = strategy.run(train_step, args=(inputs,))
    return strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None), labels


found = {"losses": [], "labels": [], "accuracy": [], "mean": []}
for _ in range(EPOCHS):
    for batch in parts:
        loss, labels = distributed_step(batch)
        found["losses"].append(float(loss))
        found["labels"].append(int(labels))
    found["accuracy"].append(float(accuracy.result()))
    found["mean"].append(float(mean_loss.result()))
    accuracy.reset_state()
    mean_loss.reset_state()

predicted = [strategy.run(lambda batch: model(batch[0]), args=(batch,)) for batch in parts]
found["rows"] = np.concatenate([strategy.gather(rows, axis=0).numpy() for rows in predicted])
found["average"] = [
    float(strategy.reduce(tf.distribute.ReduceOp.MEAN, tf.reduce_sum(batch[0], [1, 2, 3]), axis=0)) for batch in parts
]
found |= {f"weight{place}": weight for place, weight in enumerate(model.get_weights())}
found |= {f"statistic{place}": weight for place, weight in enumerate(watcher.get_weights())}


def replica_batches(context):
    size = context.get_per_replica_batch_size(12)
    return tf.data.Dataset.range(34).batch(size)


turns = [batch.numpy() for batch in strategy.distribute_datasets_from_function(replica_batches)]
found["turns"] = np.concatenate(turns)
found["steps"] = len(turns)


def fitted(make):
    """Train by ``fit`` on batches that a strategy has divided."""
    tf.random.set_seed(1)
    with strategy.scope():
        network = tf.keras.Sequential([tf.keras.layers.Flatten(input_shape=(8, 8, 1)), tf.keras.layers.Dense(3)])
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        network.compile(tf.keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    history = network.fit(make(), epochs=2, verbose=0)
    return np.concatenate([*(w.ravel() for w in network.get_weights()), *history.history.values()])


def own_batches(context):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(context.get_per_replica_batch_size(BATCH))


found["fitted"] = fitted(lambda: strategy.experimental_distribute_dataset(train))
found["fitted by function"] = fitted(lambda: strategy.distribute_datasets_from_function(own_batches))
found["replicas"] = strategy.num_replicas_in_sync
with strategy.scope():
    found["scope"] = tf.distribute.get_strategy().num_replicas_in_sync

name = f"{os.environ.get('WORLD_SIZE', '1')}-{os.environ.get('RANK', '0')}"
np.savez(Path(sys.argv[1]) / f"strategy-{name}.npz", **found)
