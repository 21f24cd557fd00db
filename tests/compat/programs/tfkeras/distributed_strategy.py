# expect: Number of devices:
import tensorflow as tf
import numpy as np

physical_devices = tf.config.list_physical_devices('GPU')
for gpu in physical_devices:
    tf.config.experimental.set_memory_growth(gpu, True)
try:
    tpu = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    strategy = tf.distribute.TPUStrategy(tpu)
except ValueError:
    strategy = tf.distribute.MirroredStrategy() if len(physical_devices) > 1 else tf.distribute.get_strategy()
print('Number of devices: {}'.format(strategy.num_replicas_in_sync))
BATCH_SIZE = 4 * strategy.num_replicas_in_sync
with strategy.scope():
    model = tf.keras.Sequential([tf.keras.layers.Conv2D(4, 3, activation='relu', input_shape=(8, 8, 1)), tf.keras.layers.Flatten(), tf.keras.layers.Dense(3)])
    model.compile(loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer=tf.keras.optimizers.Adam(), metrics=['accuracy'])


def scale(image, label):
    image = tf.cast(image, tf.float32)
    image /= 255
    return image, label


options = tf.data.Options()
options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
ds = tf.data.Dataset.from_tensor_slices((np.random.randint(0, 255, (12, 8, 8, 1)), np.arange(12) % 3)).map(scale).cache().shuffle(12).batch(BATCH_SIZE).with_options(options)
model.fit(ds, epochs=1)
eval_loss, eval_acc = model.evaluate(ds)
with tf.device('/CPU:0'):
    print(tf.add(1, 2).numpy())
