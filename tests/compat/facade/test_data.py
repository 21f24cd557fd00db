"""tf.data: order, sizes, structures, and what models make of datasets; the lists are what TensorFlow yields."""

import threading

import numpy as np
import pytest

import convia as keras
import convia.compat.tensorflow as tf
from convia.compat.tensorflow.data import of_batches

Dataset = tf.data.Dataset


def numbers(dataset):
    return [np.asarray(e).tolist() for e in dataset.as_numpy_iterator()]


def of(*values):
    return Dataset.from_tensor_slices(list(values))


PIPELINES = [
    (lambda: Dataset.range(5), [0, 1, 2, 3, 4], 5),
    (lambda: Dataset.range(1, 9, 3), [1, 4, 7], 3),
    (lambda: of(1, 2, 3).map(lambda x: x * 10), [10, 20, 30], 3),
    (lambda: Dataset.range(7).batch(3), [[0, 1, 2], [3, 4, 5], [6]], 3),
    (lambda: Dataset.range(7).batch(3, drop_remainder=True), [[0, 1, 2], [3, 4, 5]], 2),
    (lambda: Dataset.range(4).repeat(2).batch(3), [[0, 1, 2], [3, 0, 1], [2, 3]], 3),
    (lambda: Dataset.range(9).take(5).skip(2), [2, 3, 4], 3),
    (lambda: Dataset.range(3).take(-1), [0, 1, 2], 3),
    (lambda: Dataset.range(8).shard(3, 1), [1, 4, 7], 3),
    (lambda: Dataset.range(8).filter(lambda x: x % 3 == 0), [0, 3, 6], -2),
    (lambda: Dataset.range(2).concatenate(Dataset.range(5, 7)), [0, 1, 5, 6], 4),
    (lambda: Dataset.range(2).repeat().take(5), [0, 1, 0, 1, 0], 5),
    (lambda: Dataset.range(6).batch(4).unbatch(), [0, 1, 2, 3, 4, 5], -2),
    (lambda: Dataset.range(3).flat_map(lambda x: Dataset.from_tensors(x).repeat(2)), [0, 0, 1, 1, 2, 2], -2),
    (
        lambda: Dataset.range(1, 6).interleave(lambda x: Dataset.from_tensors(x).repeat(6), 2, 4),
        [1] * 4 + [2] * 4 + [1] * 2 + [2] * 2 + [3] * 4 + [4] * 4 + [3] * 2 + [4] * 2 + [5] * 6,
        -2,
    ),
    (lambda: Dataset.range(7).window(3).flat_map(lambda w: w.batch(3)), [[0, 1, 2], [3, 4, 5], [6]], -2),
    (
        lambda: Dataset.range(5).window(3, shift=1, drop_remainder=True).flat_map(lambda w: w.batch(3)),
        [[0, 1, 2], [1, 2, 3], [2, 3, 4]],
        -2,
    ),
    (lambda: Dataset.range(7).window(2, 3, 2, True).flat_map(lambda w: w.batch(2)), [[0, 2], [3, 5]], -2),
    (
        lambda: Dataset.range(1, 4).map(lambda n: tf.fill([n], n)).padded_batch(3),
        [[[1, 0, 0], [2, 2, 0], [3, 3, 3]]],
        1,
    ),
    (
        lambda: Dataset.range(1, 3).map(lambda n: tf.fill([n], n)).padded_batch(2, [4], tf.constant(9, tf.int64)),
        [[[1, 9, 9, 9], [2, 2, 9, 9]]],
        1,
    ),
    (lambda: Dataset.range(4).prefetch(2).cache(), [0, 1, 2, 3], 4),
    (lambda: Dataset.range(40).map(lambda x: x + 1, num_parallel_calls=tf.data.AUTOTUNE).skip(37), [38, 39, 40], 3),
    (lambda: Dataset.range(5).scan(np.int64(0), lambda s, x: (s + x, s + x)), [0, 1, 3, 6, 10], 5),
    (lambda: Dataset.range(9).take_while(lambda x: x < 3), [0, 1, 2], -2),
    (lambda: of(1, 2, 1).unique(), [1, 2], -2),
    (lambda: of([0, 1], [2, 3]).apply(tf.data.experimental.unbatch()), [0, 1, 2, 3], -2),
    (lambda: Dataset.choose_from_datasets([of(1, 2), of(5, 6)], of(0, 1, 0)), [1, 5, 2], -2),
    (lambda: of("b", "a").map(tf.strings.upper), [b"B", b"A"], 2),
]


@pytest.mark.parametrize(("make", "expected", "count"), PIPELINES)
def test_elements_and_their_number(make, expected, count):
    dataset = make()
    assert numbers(dataset) == expected
    assert numbers(dataset) == expected, "a dataset can be iterated over again"
    assert int(dataset.cardinality()) == count
    assert int(tf.data.experimental.cardinality(dataset)) == count
    if count >= 0:
        assert len(dataset) == count


def test_structures():
    x, y = np.arange(8.0).reshape(4, 2).astype("float32"), np.arange(4)
    pairs = Dataset.from_tensor_slices((x, y)).batch(3)
    first = next(iter(pairs))
    np.testing.assert_array_equal(first[0], x[:3])
    assert [tuple(part.shape) for part in first] == [(3, 2), (3,)]
    assert repr(pairs.element_spec[0]) == "TensorSpec(shape=(None, 2), dtype=tf.float32, name=None)"
    named = Dataset.from_tensor_slices({"a": x, "b": y}).map(lambda e: (e["a"] + 1, e["b"]))
    np.testing.assert_array_equal(next(iter(named))[0], [1, 2])
    zipped = Dataset.zip((Dataset.range(3), Dataset.range(9)))
    assert [tuple(map(int, e)) for e in zipped] == [(0, 0), (1, 1), (2, 2)] and len(zipped) == 3
    assert [(int(n), int(e)) for n, e in Dataset.range(5, 7).enumerate()] == [(0, 5), (1, 6)]
    assert int(Dataset.range(5).reduce(np.int64(0), lambda s, e: s + e)) == 10
    assert int(of(7).get_single_element()) == 7


def test_shuffling():
    def epochs(dataset, count=3):
        return [numbers(dataset) for _ in range(count)]

    tf.random.set_seed(1)
    first = epochs(Dataset.range(20).shuffle(20))
    tf.random.set_seed(1)
    assert epochs(Dataset.range(20).shuffle(20)) == first, "tf.random.set_seed reproduces it"
    assert first[0] != first[1] and sorted(first[0]) == list(range(20))
    fixed = epochs(Dataset.range(20).shuffle(20, seed=4, reshuffle_each_iteration=False))
    assert fixed[0] == fixed[1] == fixed[2] != list(range(20))
    assert epochs(Dataset.range(20).shuffle(20, seed=4)) == epochs(Dataset.range(20).shuffle(20, seed=4))
    near = numbers(Dataset.range(1000).shuffle(10, seed=0))
    assert max(value - place for place, value in enumerate(near)) < 10, "an element comes at most a buffer too early"
    assert numbers(Dataset.range(5).shuffle(1)) == [0, 1, 2, 3, 4]


def test_generators_and_signatures():
    calls = []

    def generate(stop):
        calls.append(int(stop))
        for i in range(stop):
            yield i, [i, i + 0.5]

    spec = (tf.TensorSpec((), tf.int64), tf.TensorSpec((2,), tf.float32))
    dataset = Dataset.from_generator(generate, output_signature=spec, args=(3,))
    assert [float(b[1]) for _, b in dataset] == [0.5, 1.5, 2.5] and dataset.element_spec == spec
    list(dataset)
    assert calls == [3, 3]
    old = Dataset.from_generator(lambda: iter([[1, 2]]), tf.float32, tf.TensorShape([None]))
    assert next(iter(old)).dtype == tf.float32
    wrong = Dataset.from_generator(lambda: iter([[1, 2, 3]]), output_signature=tf.TensorSpec((2,), tf.int32))
    with pytest.raises(ValueError, match=r"shape \(3,\).*\(2,\)"):
        list(wrong)


def test_threads_work_in_order_and_end():
    before = threading.active_count()
    seen, matrix = set(), np.random.rand(60, 60)

    def slow(x):
        seen.add(threading.get_ident())
        np.linalg.svd(matrix)
        return x

    mapped = Dataset.range(40).map(slow, num_parallel_calls=3).prefetch(4)
    assert numbers(mapped) == list(range(40))
    assert len(seen) > 1
    for _ in mapped:
        break
    del _
    for thread in threading.enumerate()[before:]:
        thread.join(5)
    assert threading.active_count() <= before


def test_caching_maps_once():
    calls = []
    dataset = Dataset.range(3).map(lambda x: calls.append(int(x)) or x).cache()
    numbers(dataset.take(1))
    assert numbers(dataset) == numbers(dataset) == [0, 1, 2]
    assert len(calls) <= 5


def test_files(tmp_path):
    for name in ("b.txt", "a.txt", "c.png"):
        (tmp_path / name).write_text(f"{name}\nx\n")
    files = Dataset.list_files(str(tmp_path / "*.txt"), shuffle=False)
    assert [e.numpy().decode().rpartition("/")[2] for e in files] == ["a.txt", "b.txt"]
    contents = files.map(tf.io.read_file)
    assert [e.numpy() for e in contents] == [b"a.txt\nx\n", b"b.txt\nx\n"]
    lines = tf.data.TextLineDataset(str(tmp_path / "a.txt"))
    assert [e.numpy() for e in lines] == [b"a.txt", b"x"]
    with pytest.raises(ValueError, match="some files match"):
        Dataset.list_files(str(tmp_path / "*.gif"))
    path = str(tmp_path / "x.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(b"one")
        writer.write(b"")
    assert [e.numpy() for e in tf.data.TFRecordDataset(path)] == [b"one", b""]


def test_records_have_tensorflows_checksums(tmp_path):
    """The bytes are those that TensorFlow 2.15 writes for one record, b"abc"."""
    path = tmp_path / "x.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"abc")
    assert path.read_bytes().hex() == "0300000000000000b099490e6162636e57f121"
    path.write_bytes(b"x" * 20)
    with pytest.raises(ValueError, match="damaged"):
        list(tf.data.TFRecordDataset(str(path)))


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: of(1, 2).batch(0), ValueError, "batch_size"),
        (lambda: of(1, 2).shuffle(0), ValueError, "buffer_size"),
        (lambda: Dataset.from_tensor_slices(3), ValueError, "a single number"),
        (lambda: Dataset.from_tensor_slices(([1, 2], [1])), ValueError, "one length"),
        (lambda: Dataset.from_generator([1]), TypeError, "a function"),
        (lambda: Dataset.from_generator(lambda: 1), TypeError, "output_signature"),
        (lambda: len(Dataset.range(3).repeat()), TypeError, "infinite length"),
        (lambda: len(Dataset.range(3).filter(lambda x: True)), TypeError, "unknown length"),
        (lambda: Dataset.range(3).shard(2, 2), ValueError, "from 0 to 1"),
        (lambda: Dataset.zip(3), TypeError, "datasets"),
        (lambda: Dataset.range(2).get_single_element(), ValueError, "exactly one"),
        (lambda: list(Dataset.range(1, 3).map(lambda n: tf.ones([n])).batch(2)), ValueError, "padded_batch"),
        (lambda: list(Dataset.range(5, 6).map(lambda n: tf.ones([n])).padded_batch(1, [2])), ValueError, "at most"),
    ],
)
def test_errors(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_models_learn_from_datasets():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype("float32")
    y = (x.sum(1) > 0).astype("int64")
    train = Dataset.from_tensor_slices((x, y)).shuffle(64, seed=1).batch(16).prefetch(tf.data.AUTOTUNE)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss, metrics=["accuracy"])
    history = model.fit(train, epochs=10, validation_data=train.take(2), verbose=0).history
    assert history["accuracy"][-1] > 0.9 and len(history["val_loss"]) == 10
    assert model.evaluate(train, verbose=0)[1] > 0.9
    assert model.predict(train.map(lambda a, b: a), verbose=0).shape == (64, 2)


def test_an_endless_dataset_goes_on_where_the_epoch_stopped():
    seen = []
    data = Dataset.range(6).map(
        lambda i: seen.append(int(i)) or (tf.ones((2, 1)) * tf.cast(i, "float32"), tf.ones((2, 1)))
    )
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(data.repeat(), epochs=3, steps_per_epoch=2, verbose=0)
    assert seen[:6] == [0, 1, 2, 3, 4, 5]


def test_batches_of_others_become_datasets():
    class Folder:
        def __init__(self):
            self.class_names = ["cat", "dog"]

        def __len__(self):
            return 2

        def __iter__(self):
            return iter([(np.zeros((2, 3)), np.zeros(2)), (np.ones((1, 3)), np.ones(1))])

    made = of_batches(Folder())
    assert isinstance(made, Dataset) and len(made) == 2
    again = made.cache().shuffle(10).prefetch(tf.data.AUTOTUNE)
    assert again.class_names == ["cat", "dog"] and made.map(lambda a, b: (a, b)).class_names == ["cat", "dog"]
    assert len(list(made.unbatch())) == 3


def test_a_folder_of_images_is_a_pipeline(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        tf.io.write_file(str(tmp_path / name), tf.io.encode_png(tf.zeros((5, 5, 3), tf.uint8)))
    folder = keras.utils.image_dataset_from_directory(tmp_path, image_size=(4, 4), batch_size=2, verbose=False)
    ready = folder.map(lambda x, y: (x / 255, y)).cache().shuffle(8).prefetch(buffer_size=tf.data.AUTOTUNE)
    assert ready.class_names == ["a", "b"] and len(ready) == 2
    assert sum(len(labels) for _, labels in ready) == 3
    for images, _ in folder.take(1):
        assert images.shape.as_list() == [2, 4, 4, 3]
