"""Freed memory stays: a training on torch does not fault its feature maps in anew at each step."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
import convia as keras

keras.config.set_engine("torch")
model = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Conv2D(32, 3), keras.layers.Flatten(), keras.layers.Dense(1)])
model.compile("sgd", "mse")
x, y = np.zeros((128, 64, 64, 3), "float32"), np.zeros((128, 1), "float32")
model.fit(x, y, batch_size=16, epochs=2, verbose=0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
model.fit(x, y, batch_size=16, epochs=3, verbose=0)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 24)
"""


def page_faults(**environment: str) -> int:
    result = subprocess.run([sys.executable, "-c", FAULTS], env=environment, capture_output=True, text=True, check=True)
    return int(result.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other ways")
def test_steps_reuse_memory_unless_the_user_has_tuned_the_allocator() -> None:
    maps = 16 * 62 * 62 * 32 * 4 // 4096  # pages of one batch's feature maps
    assert page_faults() < maps / 4
    assert page_faults(MALLOC_MMAP_THRESHOLD_="1048576") > maps
