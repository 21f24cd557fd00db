"""Data sets: the embedded one as it is, the downloaded ones as tiny copies in Keras's places."""

import gzip
import os
import pickle
import struct
import warnings

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest

from convia import config, datasets, fetch
from convia.datasets import _sources

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(fetch, "_PAUSE", 0)
    (tmp_path / "datasets").mkdir()
    return tmp_path / "datasets"


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise fetch.urllib.error.URLError("no network")

    monkeypatch.setattr(fetch.urllib.request, "urlopen", refuse)


def write_mnist(path, count=3):
    x, y = rng.integers(0, 256, (count, 28, 28)).astype("uint8"), rng.integers(0, 10, count).astype("uint8")
    np.savez_compressed(path, x_train=x, y_train=y, x_test=x[:1], y_test=y[:1])
    return x, y


def idx(array):
    return gzip.compress(struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes())


def test_names():
    assert datasets.__all__ == sorted(datasets.__all__)
    assert all(callable(getattr(datasets, name).load_data) for name in datasets.__all__)


def test_digits():
    (x_train, y_train), (x_test, y_test) = datasets.digits.load_data()
    assert (x_train.dtype, y_train.dtype, x_train.shape[1:], len(x_train) + len(x_test)) == (
        np.uint8,
        np.uint8,
        (8, 8),
        1797,
    )
    assert (x_train.min(), x_train.max(), x_test.max()) == (0, 16, 16)
    assert np.ptp(np.bincount(y_test)) <= 2
    assert y_train[:8].tolist() == datasets.digits.load_data()[0][1][:8].tolist()
    assert y_train[:8].tolist() != datasets.digits.load_data(seed=1)[0][1][:8].tolist()
    rows = np.concatenate([x_train, x_test]).reshape(1797, -1)
    assert rows.sum() == 561718


@pytest.mark.parametrize(("split", "count"), [(0, 0), (0.25, 450), (0.5, 898)])
def test_digits_split(split, count):
    assert len(datasets.digits.load_data(test_split=split)[1][1]) == count


def test_mnist_of_ones_own(home):
    x, y = write_mnist(home / "mnist.npz")
    with pytest.warns(UserWarning, match=r"mnist\.npz: received other images than MNIST's"):
        (x_train, y_train), (x_test, y_test) = datasets.mnist.load_data()
    for ours, expected in ((x_train, x), (y_train, y), (x_test, x[:1]), (y_test, y[:1])):
        np.testing.assert_array_equal(ours, expected)


def test_mnist_repacked_is_mnist(home, monkeypatch):
    x, y = write_mnist(home / "other.npz")
    parts = {"x_train": x, "y_train": y, "x_test": x[:1], "y_test": y[:1]}
    originals = {k: fetch.hashlib.md5(gzip.decompress(idx(a))).hexdigest() for k, a in parts.items()}
    monkeypatch.setattr(datasets.mnist, "_ORIGINAL", originals)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(datasets.mnist.load_data("other.npz")[0][0], x)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_offline_says_what_to_put_where(name, home, offline):
    with pytest.raises(
        ConnectionError, match=rf"no network.*download https://\S+ elsewhere and save it here as {home}"
    ):
        getattr(datasets, name).load_data()


def test_a_damaged_file_is_downloaded_again(home, tmp_path, monkeypatch, capsys):
    (home / "mnist.npz").write_bytes(b"PK damaged")
    write_mnist(tmp_path / "published.npz")
    published = tmp_path / "published.npz"
    source = _sources.Source("mnist.npz", (published.as_uri(),), fetch.hash_file(published), 1)
    monkeypatch.setattr(datasets.mnist, "MNIST", source)
    with pytest.warns(UserWarning):
        assert len(datasets.mnist.load_data()[0][0]) == 3
    assert "damaged file" in capsys.readouterr().out


def test_a_published_file_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "bad.npz").write_bytes(b"bad")
    source = _sources.Source("mnist.npz", ((tmp_path / "bad.npz").as_uri(),), fetch.hash_file(tmp_path / "bad.npz"), 3)
    monkeypatch.setattr(datasets.mnist, "MNIST", source)
    with pytest.raises(OSError, match="unreadable content"):
        datasets.mnist.load_data()


def test_fashion_mnist_equals_keras(home):
    folder = home / "fashion-mnist"
    folder.mkdir()
    for part, count in (("train", 3), ("t10k", 2)):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(
            idx(rng.integers(0, 256, (count, 28, 28)).astype("uint8"))
        )
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(rng.integers(0, 10, count).astype("uint8")))
    keras.config.set_image_data_format("channels_last")
    before = keras.src.backend.config._KERAS_DIR
    keras.src.backend.config._KERAS_DIR = str(home.parent)
    try:
        theirs = keras.datasets.fashion_mnist.load_data()
    finally:
        keras.src.backend.config._KERAS_DIR = before
    for ours, expected in zip(datasets.fashion_mnist.load_data(), theirs, strict=True):
        for a, b in zip(ours, expected, strict=True):
            assert a.dtype == b.dtype
            assert a.flags.writeable
            np.testing.assert_array_equal(a, b)


def batch(count, protocol=3, **labels):
    data = rng.integers(0, 256, (count, 3072)).astype("uint8")
    content = {b"data": data, b"batch_label": b"b", b"filenames": [b"x"]} | {k.encode(): v for k, v in labels.items()}
    return data.reshape(-1, 3, 32, 32), pickle.dumps(content, protocol)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_cifar10(home, data_format):
    folder = home / "cifar-10-batches-py-target" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    images = []
    for number in range(1, 6):
        data, content = batch(2, labels=[number, 9])
        images.append(data)
        (folder / f"data_batch_{number}").write_bytes(content)
    (folder / "test_batch").write_bytes(batch(1, labels=[7])[1])
    config.set_image_data_format(data_format)
    try:
        (x_train, y_train), (x_test, y_test) = datasets.cifar10.load_data()
    finally:
        config.set_image_data_format("channels_last")
    expected = np.concatenate(images)
    expected = expected.transpose(0, 2, 3, 1) if data_format == "channels_last" else expected
    np.testing.assert_array_equal(x_train, expected)
    assert y_train.ravel().tolist() == [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]
    assert (y_train.dtype, y_train.shape, y_test.tolist(), len(x_test)) == (np.uint8, (10, 1), [[7]], 1)


@pytest.mark.parametrize(("mode", "label"), [("fine", 99), ("coarse", 19)])
def test_cifar100_from_an_archive(tmp_path, home, monkeypatch, mode, label):
    archive = tmp_path / "c.tgz"
    with fetch.tarfile.open(archive, "w:gz") as tar:
        for name in ("train", "test"):
            (tmp_path / name).write_bytes(batch(2, fine_labels=[0, 99], coarse_labels=[0, 19])[1])
            tar.add(tmp_path / name, f"cifar-100-python/{name}")
    facts = _sources.Source(
        "cifar-100-python-target", (archive.as_uri(),), fetch.hash_file(archive), 1, is_archive=True
    )
    monkeypatch.setattr(datasets.cifar100, "CIFAR100", facts)
    (x_train, y_train), _ = datasets.cifar100.load_data(mode)
    assert (x_train.shape, y_train.tolist()) == ((2, 32, 32, 3), [[0], [label]])
    assert (home / "cifar-100-python-target_archive").exists()


def python2_batch(data, labels):
    """Write what Python 2's pickle wrote: byte strings as STRING, arrays by numpy.core.multiarray."""
    text = lambda b: b"T" + struct.pack("<i", len(b)) + b  # noqa: E731
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85U\x01bt\x52"
    kind = b"cnumpy\ndtype\n(U\x02u1K\0K\1tR(K\3U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    shape = b"K" + bytes([len(data)]) + b"M" + struct.pack("<H", 3072) + b"\x86"
    state = b"(K\1" + shape + kind + b"\x89" + text(data.tobytes()) + b"tb"
    numbers = b"]" + b"".join(b"K" + bytes([n]) + b"a" for n in labels)
    return b"\x80\x02}" + text(b"data") + array + state + b"s" + text(b"labels") + numbers + b"s."


def test_a_batch_written_by_python_2(tmp_path):
    data = rng.integers(0, 256, (2, 3072)).astype("uint8")
    (tmp_path / "b").write_bytes(python2_batch(data, [3, 4]))
    images, labels = datasets._cifar.read_batch(tmp_path / "b")
    np.testing.assert_array_equal(images.reshape(2, -1), data)
    assert labels == [3, 4]


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({b"data": Evil(), b"labels": []}, r"asks for \w+\.system"),
        ({b"data": np.array([1.5]), b"labels": []}, "another type than bytes"),
        ({b"data": np.array([Evil()]), b"labels": []}, r"asks for \w+\.system"),
        ([1], "not a batch of CIFAR"),
        (print, "asks for builtins.print"),
    ],
)
def test_pickles_that_are_not_cifar(tmp_path, content, message):
    (tmp_path / "b").write_bytes(pickle.dumps(content, 3))
    with pytest.raises((pickle.UnpicklingError, ValueError), match=message):
        datasets._cifar.read_batch(tmp_path / "b")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: datasets.cifar100.load_data("both"),
            "argument 'label_mode': received 'both'; expected 'fine' or 'coarse'",
        ),
        (lambda: datasets.digits.load_data(1.0), r"argument 'test_split': received 1\.0"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_facts():
    for source in (_sources.MNIST, *_sources.FASHION.values(), _sources.CIFAR10, _sources.CIFAR100):
        assert len(source.hash) in (32, 64)
        assert len(source.urls) > 1
        assert source.size > 0
