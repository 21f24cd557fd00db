"""Where data sets come from, as facts; and how a file is read from the cache, or else from its sources."""

import gzip
import pickle
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from convia import config
from convia.errors import explain
from convia.fetch import get_file

Arrays = npt.NDArray[Any]
Split = tuple[tuple[Arrays, Arrays], tuple[Arrays, Arrays]]
T = TypeVar("T")

_DAMAGED = (OSError, EOFError, ValueError, LookupError, zlib.error, zipfile.BadZipFile, pickle.UnpicklingError)


@dataclass(frozen=True)
class Source:
    """A published file: its name in the cache (Keras's own), URLs in order of trial, SHA-256 or MD5, bytes."""

    name: str
    urls: tuple[str, ...]
    hash: str
    size: int
    folder: str = "datasets"
    is_archive: bool = False

    def place(self, name: str | None = None) -> Path:
        """Return where the file is, or its unpacked folder, once it is there."""
        return config.home() / self.folder / (name or self.name)

    def fetch(self, name: str | None = None, again: bool = False) -> Path:
        """Download the file if it is not there or not the published one."""
        origin, *mirrors = self.urls
        path = get_file(
            name or self.name,
            origin,
            file_hash=self.hash,
            cache_subdir=self.folder,
            extract=self.is_archive,
            force_download=again,
            mirrors=mirrors,
        )
        return Path(path)


_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"
_TORONTO = "https://www.cs.toronto.edu/~kriz"
_PADDLE = "https://dataset.bj.bcebos.com"


def _fashion(name: str, md5: str, size: int) -> Source:
    urls = (
        f"{_KERAS}/{name}",
        f"https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/{name}",
        f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}",
    )
    return Source(name, urls, md5, size, folder="datasets/fashion-mnist")


MNIST = Source(
    "mnist.npz",
    (f"{_KERAS}/mnist.npz", "https://s3.amazonaws.com/img-datasets/mnist.npz"),
    "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    11_490_434,
)
FASHION = {  # (part, content)
    ("train", "images"): _fashion("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
    ("train", "labels"): _fashion("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe", 29_515),
    ("test", "images"): _fashion("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79", 4_422_102),
    ("test", "labels"): _fashion("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310", 5_148),
}
CIFAR10 = Source(
    "cifar-10-batches-py-target",
    (f"{_TORONTO}/cifar-10-python.tar.gz", f"{_PADDLE}/cifar/cifar-10-python.tar.gz"),
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    170_498_071,
    is_archive=True,
)
CIFAR100 = Source(
    "cifar-100-python-target",
    (f"{_TORONTO}/cifar-100-python.tar.gz", f"{_PADDLE}/cifar/cifar-100-python.tar.gz"),
    "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    169_001_437,
    is_archive=True,
)


def load(source: Source, read: Callable[[Path], T], name: str | None = None) -> T:
    """Read what is in the cache; download it where nothing readable is there.

    A readable file in the cache is believed: it may have been put there by hand. What is downloaded is checked.

    Raises:
        ConnectionError, ValueError: no source has the file; see :func:`convia.fetch.get_file`.
        OSError: the published file cannot be read.
    """
    place = source.place(name)
    is_there = place.exists()
    if is_there:
        try:
            return read(place)
        except _DAMAGED as error:
            print(explain(str(place), f"a damaged file ({error})", f"{source.size} bytes", "It is downloaded again."))
    path = source.fetch(name, again=is_there)
    try:
        return read(path)
    except _DAMAGED as error:
        raise OSError(explain(str(path), f"unreadable content ({error})", "the published data set")) from error


def read_idx(path: Path) -> Arrays:
    """Read a gzipped array in the IDX format of MNIST: 0, 0, type 8, rank, sizes (big-endian), uint8 values."""
    with gzip.open(path) as file:
        content = file.read()
    rank = content[3]
    sizes = np.frombuffer(content, ">u4", rank, offset=4).tolist()
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
    if content[:3] != b"\0\0\x08" or not 1 <= rank <= 4:
        raise ValueError("not an IDX file of bytes")
    return values.reshape(sizes).copy()
