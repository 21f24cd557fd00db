import contextlib
import resource

import pytest
from PIL import Image


@pytest.fixture
def small_files():
    """Return what lets writes fail in files beyond a size, as on a full disk."""

    @contextlib.contextmanager
    def limited(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def photos(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (8, 8), (number * 9, 0, 0)).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"
