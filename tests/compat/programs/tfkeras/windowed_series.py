# expect: mae
import tensorflow as tf
import numpy as np

time = np.arange(80, dtype="float32")
series = np.sin(time / 5) + 0.1 * np.random.randn(80)


def windowed_dataset(series, window_size, batch_size, shuffle_buffer):
    series = tf.expand_dims(series, axis=-1)
    ds = tf.data.Dataset.from_tensor_slices(series)
    ds = ds.window(window_size + 1, shift=1, drop_remainder=True)
    ds = ds.flat_map(lambda w: w.batch(window_size + 1))
    ds = ds.shuffle(shuffle_buffer)
    ds = ds.map(lambda w: (w[:-1], w[1:]))
    return ds.batch(batch_size).prefetch(1)


tf.keras.backend.clear_session()
tf.random.set_seed(51)
train_set = windowed_dataset(series, 10, 16, 100)
model = tf.keras.models.Sequential([
    tf.keras.layers.Conv1D(filters=4, kernel_size=3, strides=1, padding="causal", activation="relu", input_shape=[None, 1]),
    tf.keras.layers.Bidirectional(tf.keras.layers.LSTM(4, return_sequences=True)),
    tf.keras.layers.Dense(1),
    tf.keras.layers.Lambda(lambda x: x * 4.0)])
lr_schedule = tf.keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 * 10**(epoch / 20))
model.compile(loss=tf.keras.losses.Huber(), optimizer=tf.keras.optimizers.SGD(learning_rate=1e-3, momentum=0.9), metrics=["mae"])
h = model.fit(train_set, epochs=2, callbacks=[lr_schedule], verbose=0)
print('mae', h.history['mae'], h.history['lr'])
fc = model.predict(series[np.newaxis, :20, np.newaxis])
assert fc.shape == (1, 20, 1)
print(tf.keras.metrics.mean_absolute_error(series[:20], fc[0, :, 0]).numpy())
