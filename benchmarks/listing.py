"""Seconds and bytes of memory per file that a folder of many files takes, listed for the first time and again.

Usage: python benchmarks/listing.py [--files 200000] [--folder FOLDER]
Quick: --files 2000
"""

import argparse
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import convia

CLASSES = 100


def make(folder: Path, files: int) -> None:
    """Make empty files in a folder per class; it looks as if it had been there for a while."""
    for number in range(CLASSES):
        place = folder / f"class{number:03}"
        place.mkdir()
        for each in range(files // CLASSES):
            (place / f"image_{number:03}_{each:06}.jpg").touch()
        os.utime(place, (time.time() - 60,) * 2)
    os.utime(folder, (time.time() - 60,) * 2)


def flow(folder: Path) -> Any:
    """Return the iterator of a folder."""
    return convia.preprocessing.image.ImageDataGenerator().flow_from_directory(folder)


def dataset(folder: Path) -> Any:
    """Return the data set of a folder."""
    return convia.utils.image_dataset_from_directory(folder, seed=0, verbose=False)


def measure(read: Callable[[Path], Any], folder: Path) -> tuple[float, int]:
    """Return the seconds, and then the bytes that are held."""
    start = time.perf_counter()
    read(folder)
    seconds = time.perf_counter() - start
    tracemalloc.start()
    held = read(folder)
    bytes_held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del held
    return seconds, bytes_held


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="one that there is already, instead of one made for this")
    options = parser.parse_args()
    convia.config.disable_interactive_logging()
    with tempfile.TemporaryDirectory() as place:
        os.environ["KERAS_HOME"] = f"{place}/home"
        folder = options.folder or Path(place, "images")
        if options.folder is None:
            folder.mkdir()
            make(folder, options.files)
        for read in (dataset, flow):
            for what in ("first", "again"):
                seconds, held = measure(read, folder)
                count = len(getattr(read(folder), "file_paths", None) or read(folder).filenames)
                print(
                    f"{read.__name__}, {what}: {count:,} files, {seconds:.2f} s ({seconds / count * 1e6:.1f} µs each), "
                    f"{held / count:.0f} bytes each"
                )


if __name__ == "__main__":
    main()
