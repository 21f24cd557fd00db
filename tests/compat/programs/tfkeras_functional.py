# expect: keys accuracy loss val_accuracy val_loss
# expect: names ['loss', 'accuracy']
"""tf.keras of 2020: float steps_per_epoch, metrics_names, legacy optimizers, schedules, tf functions on symbolic tensors."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.layers.experimental import preprocessing
from tensorflow.keras.preprocessing.image import ImageDataGenerator
from tensorflow.python.keras.layers import Dense as PrivateDense

tf.random.set_seed(0)
x = np.random.rand(40, 8, 8, 1).astype("float32")
y = np.random.randint(0, 3, (40,))
inputs = keras.Input(shape=(8, 8, 1))
h = preprocessing.Rescaling(2.0)(inputs)
h = layers.Conv2D(4, 3, 2, activation="relu")(h)
assert h.shape.as_list() == [None, 3, 3, 4] and PrivateDense is layers.Dense
h = tf.nn.relu(h) + 1.0
h = tf.reduce_mean(h, axis=[1, 2])
outputs = layers.Dense(3, activation="softmax")(layers.Dropout(0.1)(h))
model = keras.Model(inputs=inputs, outputs=outputs)
schedule = keras.optimizers.schedules.ExponentialDecay(0.01, decay_steps=10, decay_rate=0.9)
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=schedule),
    loss=keras.losses.SparseCategoricalCrossentropy(reduction=keras.losses.Reduction.AUTO),
    metrics=["accuracy"],
)
flow = ImageDataGenerator(rotation_range=10).flow(x, y, batch_size=16)
history = model.fit(
    flow,
    steps_per_epoch=len(x) / 16,
    epochs=2,
    validation_data=(x, y),
    verbose=0,
    workers=2,
    class_weight={0: 1.0, 1: 2.0, 2: 1.0},
    use_multiprocessing=False,
    max_queue_size=10,
)
print("keys", *sorted(history.history))
print("names", model.metrics_names)
assert history.history["acc"] == history.history["accuracy"]
model.compile(keras.optimizers.legacy.SGD(lr=0.1, decay=0.01, momentum=0.9), "sparse_categorical_crossentropy", ["acc"])
assert "acc" in model.fit(x, y, verbose=0, epochs=1).history
model.optimizer.lr.assign(0.5)
assert float(model.optimizer.learning_rate) == 0.5
model.save("saved/folder")
again = keras.models.load_model("saved/folder", compile=False)
assert np.allclose(again.predict(x), model.predict(x), atol=1e-5)
model.save_weights("w.h5")
model.load_weights("w.h5", by_name=True)
model.save_weights("checkpoint/cp.ckpt")
model.load_weights("checkpoint/cp.ckpt")
with tf.distribute.MirroredStrategy().scope():
    seq = tf.keras.Sequential([tf.keras.layers.Flatten(input_shape=(8, 8, 1)), tf.keras.layers.Dense(3)])
assert seq.input.shape[1:] == (8, 8, 1) and seq.output_shape == (None, 3)
