"""Images that look alike: perceptual hashes, pairs of few differing bits without comparing all with all, and groups."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

SIDE = 32  # of the thumbnails (SIDE, SIDE, 3) that all is computed from
LEAST = 16  # pixels of the shorter side; what is smaller looks alike too easily
_LOW = 8  # frequencies per axis that the hash looks at
_BITS = 6  # bits of 64 in which alike images may differ
_BANDS = np.linspace(0, 64, _BITS + 2).astype(np.uint64)  # with so many bands, alike hashes have one in common
_NEIGHBOURS = 96  # with which an image is compared per band; more share one only where very many are alike
_CORRELATION = 0.985  # of the thumbnails at least
_BRIGHTER = 32.0  # levels of 255 by which the means may differ at most
_FLAT = 2.0  # a standard deviation in levels below which there is nothing to compare
_CHUNK, _GATHERED = 4096, 2**16  # pairs that are compared at once, that are looked through at once
_ONES = np.array([number.bit_count() for number in range(2**16)], np.uint8)


def _cosines() -> npt.NDArray[np.float32]:
    """Return the first rows of the discrete cosine transform, (_LOW, SIDE)."""
    steps = (2 * np.arange(SIDE) + 1)[None] * np.arange(_LOW)[:, None]
    return np.cos(np.pi * steps / (2 * SIDE)).astype(np.float32)


_COSINES = _cosines()


def perceptual_hashes(thumbnail: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Return 64 bits each: which low frequencies of the grey image are above their median; which places get brighter.

    Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2.1; Krawetz, "Kind
    of Like That", 2013. Few copies are missed by both.
    """
    grey = thumbnail.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    waves = (_COSINES @ grey @ _COSINES.T).reshape(-1)
    means = grey.reshape(_LOW, SIDE // _LOW, SIDE).mean(1)  # (8, 32)
    means = np.stack([part.mean(1) for part in np.array_split(means, _LOW + 1, 1)], 1)  # (8, 9)
    bits = waves > np.median(waves[1:]), means[:, 1:] > means[:, :-1]
    frequencies, slopes = (int.from_bytes(np.packbits(part).tobytes(), "big") for part in bits)
    return frequencies, slopes


def signature(thumbnail: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a quarter of the thumbnail's pixels, (768,), by which hashes that agree are checked."""
    quarters = thumbnail.reshape(SIDE // 2, 2, SIDE // 2, 2, 3).astype(np.float32)
    means: npt.NDArray[np.uint8] = np.rint(quarters.mean((1, 3))).astype(np.uint8).reshape(-1)
    return means


def groups(hashes: npt.NDArray[np.uint64], signatures: npt.NDArray[np.uint8]) -> list[list[int]]:
    """Return the positions of images that look alike: groups of at least two, each sorted.

    Args:
        hashes: (N, 2); it is enough that one of the two is alike.
        signatures: (N, 768), which decide.
    """
    parent = list(range(len(hashes)))
    for candidates in _gathered(chain.from_iterable(map(_near, np.ascontiguousarray(hashes.T)))):
        roots = _roots(parent)
        pairs = candidates[roots[candidates[:, 0]] != roots[candidates[:, 1]]]  # others are in one group already
        for start in range(0, len(pairs), _CHUNK):
            chunk = pairs[start : start + _CHUNK]
            for a, b in chunk[_look_alike(signatures, chunk)].tolist():
                _join(parent, a, b)
    parts: dict[int, list[int]] = defaultdict(list)
    for number, root in enumerate(_roots(parent).tolist()):
        parts[root].append(number)
    return [part for part in parts.values() if len(part) > 1]


def _near(hashes: npt.NDArray[np.uint64]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield pairs of positions (pairs, 2) whose hashes differ in at most _BITS bits.

    Such hashes agree in one of _BITS + 1 bands at least (Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with
    Multi-Index Hashing", 2012), so that only neighbours in the order of a band are compared.
    """
    for start, end in pairwise(_BANDS):
        band = (hashes >> start) & np.uint64((1 << int(end - start)) - 1)
        order = np.lexsort((hashes, band))
        ordered, places = band[order], np.arange(len(hashes))
        for lag in range(1, _NEIGHBOURS + 1):
            places = places[: np.searchsorted(places, len(hashes) - lag)]
            places = places[ordered[places] == ordered[places + lag]]
            if not len(places):
                break
            pairs = np.stack([order[places], order[places + lag]], 1)
            yield pairs[_differing(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]) <= _BITS]


def _gathered(parts: Iterable[npt.NDArray[np.int64]]) -> Iterator[npt.NDArray[np.int64]]:
    """Put pairs together until they are many."""
    waiting: list[npt.NDArray[np.int64]] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= _GATHERED:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _roots(parent: list[int]) -> npt.NDArray[np.int64]:
    """Return the root of each number in a forest in which each has a parent."""
    roots = np.array(parent, np.int64)
    while (higher := roots[roots]).tobytes() != roots.tobytes():
        roots = higher
    return roots


def _join(parent: list[int], a: int, b: int) -> None:
    """Put two numbers into one tree (union-find with path halving)."""
    ends = []
    for end in (a, b):
        number = end
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        ends.append(number)
    parent[max(ends)] = min(ends)


def _differing(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the number of ones in each."""
    counts: npt.NDArray[np.int64] = _ONES[bits.view(np.uint16).reshape(-1, 4)].sum(1, dtype=np.int64)
    return counts


def _look_alike(signatures: npt.NDArray[np.uint8], pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    a, b = (signatures[pairs[:, k]].astype(np.float32) for k in range(2))
    means = np.abs(a.mean(1) - b.mean(1))
    deviations = np.minimum(a.std(1), b.std(1))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    correlation = (a * b).sum(1) / np.maximum(np.sqrt((a * a).sum(1) * (b * b).sum(1)), 1e-6)
    alike: npt.NDArray[np.bool_] = (correlation >= _CORRELATION) & (means <= _BRIGHTER) & (deviations >= _FLAT)
    return alike
