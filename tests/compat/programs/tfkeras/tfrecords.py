# expect: records 6
import tensorflow as tf
import numpy as np


def _bytes_feature(value):
    if isinstance(value, type(tf.constant(0))):
        value = value.numpy()
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _float_feature(value):
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))


def _int64_feature(value):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def image_example(image_string, label, w):
    image_shape = tf.io.decode_jpeg(image_string).shape
    feature = {'height': _int64_feature(image_shape[0]), 'label': _int64_feature(label), 'weight': _float_feature(w),
               'box': tf.train.Feature(float_list=tf.train.FloatList(value=[0.5, 1.5, 2.5])), 'image_raw': _bytes_feature(image_string)}
    return tf.train.Example(features=tf.train.Features(feature=feature))


with tf.io.TFRecordWriter('images.tfrecords') as writer:
    for i in range(6):
        image_string = open('data/train/cats/cat.%d.jpg' % i, 'rb').read()
        tf_example = image_example(image_string, i - 2, 0.5 * i)
        writer.write(tf_example.SerializeToString())
raw_image_dataset = tf.data.TFRecordDataset('images.tfrecords')
image_feature_description = {'height': tf.io.FixedLenFeature([], tf.int64), 'label': tf.io.FixedLenFeature([], tf.int64),
                             'weight': tf.io.FixedLenFeature([], tf.float32), 'box': tf.io.VarLenFeature(tf.float32),
                             'image_raw': tf.io.FixedLenFeature([], tf.string), 'missing': tf.io.FixedLenFeature([2], tf.int64, default_value=[7, 8])}


def _parse_image_function(example_proto):
    f = tf.io.parse_single_example(example_proto, image_feature_description)
    image = tf.image.decode_jpeg(f['image_raw'], channels=3)
    image = tf.image.resize(image, (8, 8)) / 255.
    return image, f['label'], f['weight'], tf.sparse.to_dense(f['box']), f['missing']


n = 0
for image, label, w, box, missing in raw_image_dataset.map(_parse_image_function):
    assert image.shape == (8, 8, 3) and int(label) == n - 2 and float(w) == 0.5 * n
    assert box.numpy().tolist() == [0.5, 1.5, 2.5] and missing.numpy().tolist() == [7, 8]
    n += 1
print('records', n)
for raw_record in raw_image_dataset.take(1):
    example = tf.train.Example()
    example.ParseFromString(raw_record.numpy())
    assert example.features.feature['label'].int64_list.value[0] == -2
    print(sorted(example.features.feature))
