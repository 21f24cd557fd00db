"""Predictions with the names of their files."""

import numpy as np
import pytest
from PIL import Image

import convia
from convia import images


class Brightest:
    """Predicts by what an image's first pixel says; counts what it is given."""

    def __init__(self, outputs=3):
        self.outputs = outputs

    def predict(self, batches, verbose):
        first = np.concatenate([np.asarray(batch)[:, 0, 0, 0] for batch in batches])
        if self.outputs == 1:
            return first[:, None] / 255
        return np.eye(self.outputs, dtype="float32")[(first // 80).astype(int)]


@pytest.fixture
def photos(tmp_path):
    for k, name in enumerate(("cat", "dog", "emu")):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.fromarray(np.full((4, 4, 3), 80 * k + number, "uint8")).save(tmp_path / name / f"{number}.png")
    (tmp_path / "cat" / "1.png").write_bytes(b"broken")
    return tmp_path


def sources(folder):
    made = images.ImageDataGenerator()
    listed = {"filename": [str(path) for path in sorted(folder.rglob("*.png"))]}
    return {
        "flow": made.flow_from_directory(folder, (4, 4), class_mode=None, batch_size=2, seed=1),
        "table": made.flow_from_dataframe(listed, target_size=(4, 4), class_mode=None, batch_size=2),
        "data set": images.image_dataset_from_directory(folder, image_size=4, batch_size=2, shuffle=False),
        "replacing": made.flow_from_directory(folder, (4, 4), on_error="replace"),
    }


@pytest.mark.filterwarnings("ignore:.*cannot be read.*")
@pytest.mark.parametrize("kind", ["flow", "table", "data set", "replacing"])
def test_rows_keep_the_names(photos, kind):
    found = images.rows(Brightest(), sources(photos)[kind], ["cat", "dog", "emu"] if kind == "table" else None)
    expected = [(str(path), path.parent.name) for path in sorted(photos.rglob("*.png")) if path.stat().st_size > 6]
    assert [(row.path, row.class_name) for row in found] == expected
    assert len(found) == 8
    for path, class_name, probabilities in found:
        assert f"/{class_name}/" in path
        assert probabilities.shape == (3,) and probabilities.max() == 1


@pytest.mark.filterwarnings("ignore:.*cannot be read.*")
def test_rows_of_a_shuffled_data_set_are_right(photos):
    data = images.image_dataset_from_directory(photos, image_size=4, batch_size=4, seed=4)
    found = images.rows(Brightest(), data)
    assert [row.path for row in found] == [path for path in data.file_paths if path not in data.unreadable]
    assert all(f"/{row.class_name}/" in row.path for row in found)


@pytest.mark.filterwarnings("ignore:.*cannot be read.*")
def test_one_output_means_the_second_of_two_classes(photos):
    found = images.rows(Brightest(1), sources(photos)["flow"], ["dark", "bright"])
    assert {row.class_name for row in found if "emu" in row.path} == {"bright"}
    assert {row.class_name for row in found if "emu" not in row.path} == {"dark"}
    without = images.rows(Brightest(1), sources(photos)["table"])
    assert {row.class_name for row in without} == {"0", "1"}


@pytest.mark.filterwarnings("ignore:.*cannot be read.*")
def test_rows_of_a_model(photos):
    model = convia.Sequential([convia.layers.Flatten(), convia.layers.Dense(3, activation="softmax")])
    flow = sources(photos)["flow"]
    found = images.rows(model, flow)
    for row in found:
        pixels = images.img_to_array(images.load_img(row.path))[None]
        np.testing.assert_allclose(model.predict(pixels, verbose=0)[0], row.probabilities, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*cannot be read.*")
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (lambda s: (Brightest(), [1, 2]), TypeError, "argument 'source': received list; .*has no files"),
        (lambda s: (Brightest(), s["data set"].take(1)), TypeError, "received Dataset"),
        (lambda s: (Brightest(), s["flow"], ["a"]), ValueError, "1 class names for 3 classes"),
        (lambda s: (Brightest(4), s["flow"]), ValueError, "3 class names for 4 classes"),
        (lambda s: (Other(lambda x: [x, x]), s["flow"]), ValueError, "several outputs; expected one output"),
        (lambda s: (Other(lambda x: x), s["flow"]), ValueError, r"an output of shape \(8, 4, 4, 3\)"),
    ],
)
def test_messages(photos, arguments, error, message):
    with pytest.raises(error, match=message):
        images.rows(*arguments(sources(photos)))


class Other:
    def __init__(self, output):
        self.output = output

    def predict(self, batches, verbose):
        return self.output(np.concatenate([*batches]))
