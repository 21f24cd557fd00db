# expect: dogs
import tensorflow as tf
import os
import numpy as np
AUTOTUNE = tf.data.AUTOTUNE
data_dir = 'data/train'
image_count = len([1 for _ in tf.io.gfile.glob(data_dir + '/*/*.jpg')])
list_ds = tf.data.Dataset.list_files(data_dir + '/*/*', shuffle=False)
list_ds = list_ds.shuffle(image_count, reshuffle_each_iteration=False)
class_names = np.array(sorted(os.listdir(data_dir)))
val_size = int(image_count * 0.25)
train_ds, val_ds = list_ds.skip(val_size), list_ds.take(val_size)
print(tf.data.experimental.cardinality(train_ds).numpy())


def get_label(file_path):
    parts = tf.strings.split(file_path, os.path.sep)
    one_hot = parts[-2] == class_names
    return tf.argmax(one_hot)


def decode_img(img):
    img = tf.io.decode_jpeg(img, channels=3)
    return tf.image.resize(img, [20, 20])


def process_path(file_path):
    label = get_label(file_path)
    img = tf.io.read_file(file_path)
    return decode_img(img), label


def augment(image, label):
    image = tf.image.random_flip_left_right(image)
    image = tf.image.random_brightness(image, 0.1)
    image = tf.image.random_contrast(image, 0.8, 1.2)
    image = tf.image.resize_with_crop_or_pad(image, 24, 24)
    image = tf.image.random_crop(image, size=[20, 20, 3])
    return image / 255.0, label


train_ds = train_ds.map(process_path, num_parallel_calls=AUTOTUNE).map(augment).batch(4).prefetch(AUTOTUNE)
val_ds = val_ds.map(process_path, num_parallel_calls=AUTOTUNE).map(lambda x, y: (x / 255., y)).batch(4)
image_batch, label_batch = next(iter(train_ds))
assert image_batch.shape == (4, 20, 20, 3) and label_batch.shape == (4,)
print(class_names[label_batch[0].numpy()], *class_names)
model = tf.keras.models.Sequential([tf.keras.layers.Conv2D(4, 3, input_shape=(20, 20, 3)), tf.keras.layers.GlobalAvgPool2D(), tf.keras.layers.Dense(2, 'softmax')])
model.compile('adam', 'sparse_categorical_crossentropy', ['accuracy'])
model.fit(train_ds, validation_data=val_ds, epochs=1, verbose=2)
