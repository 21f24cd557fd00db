import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (8, 8), (number * 9, 0, 0)).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"
