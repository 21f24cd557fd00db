"""convia train writes into the model's file what its classes and images are."""

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from convia.cli.app import app
from convia.saving import load_model
from convia.saving.kept import Preprocessing, results


def test_a_trained_model_knows_its_classes_and_images(tmp_path):
    for shade, name in ((20, "dark"), (200, "bright")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            picture = Image.fromarray(np.full((12, 16, 3), shade + number, "uint8"))
            picture.save(tmp_path / "photos" / name / f"{number}.png")
    words = ["train", str(tmp_path / "photos"), "--model", "course", "--epochs", "1", "--output", str(tmp_path / "run")]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.output
    model = load_model(tmp_path / "run" / "model.keras")
    assert model.class_names == ("bright", "dark")
    assert model.preprocessing == Preprocessing("rgb", model.input_shape[1:3])
    assert results(model)["epochs"] == 1
    assert {"loss", "accuracy"} <= results(model)["evaluation"].keys()
