# expect: mixup (8, 8, 8, 3)
import tensorflow as tf
import numpy as np


def sample_beta_distribution(size, concentration_0=0.2, concentration_1=0.2):
    gamma_1_sample = tf.random.gamma(shape=[size], alpha=concentration_1)
    gamma_2_sample = tf.random.gamma(shape=[size], alpha=concentration_0)
    return gamma_1_sample / (gamma_1_sample + gamma_2_sample)


def mix_up(ds_one, ds_two, alpha=0.2):
    images_one, labels_one = ds_one
    images_two, labels_two = ds_two
    batch_size = tf.shape(images_one)[0]
    l = sample_beta_distribution(batch_size, alpha, alpha)
    x_l = tf.reshape(l, (batch_size, 1, 1, 1))
    y_l = tf.reshape(l, (batch_size, 1))
    return images_one * x_l + images_two * (1 - x_l), labels_one * y_l + labels_two * (1 - y_l)


@tf.function
def get_box(lambda_value):
    cut_rat = tf.math.sqrt(1.0 - lambda_value)
    cut_w = tf.cast(8 * cut_rat, tf.int32)
    cut_x = tf.random.uniform((1,), minval=0, maxval=8, dtype=tf.int32)
    boundaryx1 = tf.clip_by_value(cut_x[0] - cut_w // 2, 0, 8)
    bbx2 = tf.clip_by_value(cut_x[0] + cut_w // 2, 0, 8)
    target_h = bbx2 - boundaryx1
    if target_h == 0:
        target_h += 1
    return boundaryx1, target_h


x = np.random.rand(16, 8, 8, 3).astype('float32')
y = tf.one_hot(np.arange(16) % 4, 4)
one = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(32).batch(8)
two = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(32).batch(8)
train_ds = tf.data.Dataset.zip((one, two)).map(lambda a, b: mix_up(a, b, alpha=0.2), num_parallel_calls=tf.data.AUTOTUNE)
sample_images, sample_labels = next(iter(train_ds))
print('mixup', sample_images.shape)
print(get_box(tf.constant(0.5)))
model = tf.keras.Sequential([tf.keras.layers.Input(shape=(8, 8, 3)), tf.keras.layers.Conv2D(4, 3), tf.keras.layers.GlobalAvgPool2D(), tf.keras.layers.Dense(4)])
model.compile('adam', tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), ['accuracy'])
model.fit(train_ds, epochs=1, steps_per_epoch=2)
