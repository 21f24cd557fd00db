"""What files keep beside graph and weights: names of classes, preprocessing, results; Keras passes over them."""

import json
import re
import zipfile

import keras
import numpy as np
import pytest

import convia
from convia.saving.kept import MEMBER, Preprocessing

NAMES = ("cat", "dog", "Hörnchen ü")
STEPS = {"color_mode": "rgb", "image_size": (8, 8), "rescale": 1 / 255, "function": "vgg16"}
X, Y = np.random.default_rng(0).random((12, 8, 8, 3), "float32"), np.arange(12) % 3


@pytest.fixture
def model():
    network = convia.Sequential(
        [convia.Input((8, 8, 3)), convia.layers.Flatten(), convia.layers.Dense(3, activation="softmax")]
    )
    network.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    network.class_names, network.preprocessing = NAMES, STEPS
    return network


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "folder"])
def test_files_keep_them(model, tmp_path, name):
    model.fit(X, Y, epochs=2, verbose=0)
    loss, accuracy = model.evaluate(X, Y, verbose=0)
    model.save(tmp_path / name, zipped=False if name == "folder" else None)
    loaded = convia.saving.load_model(tmp_path / name)
    assert loaded.class_names == NAMES
    assert loaded.preprocessing == Preprocessing(**STEPS)
    results = convia.saving.kept.results(loaded)
    assert results["epochs"] == 2
    assert results["last_epoch"]["loss"] == pytest.approx(model.history.history["loss"][-1])
    assert results["evaluation"] == pytest.approx({"loss": loss, "accuracy": accuracy})
    loaded.save(tmp_path / f"again_{name}", zipped=False if name == "folder" else None)
    assert convia.saving.kept.results(convia.saving.load_model(tmp_path / f"again_{name}")) == results


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_keras_loads_such_files(model, tmp_path, name):
    model.save(tmp_path / name)
    np.testing.assert_allclose(
        np.asarray(keras.saving.load_model(tmp_path / name).predict(X, verbose=0)),
        model.predict(X, verbose=0),
        atol=1e-6,
    )


def test_a_model_about_which_nothing_is_known_has_no_member(tmp_path):
    convia.Sequential([convia.Input((2,)), convia.layers.Dense(1)]).save(tmp_path / "m.keras")
    assert MEMBER not in zipfile.ZipFile(tmp_path / "m.keras").namelist()
    assert convia.saving.load_model(tmp_path / "m.keras").class_names is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [(["a", "b"], ("a", "b")), (range(2), ("0", "1")), ({"b": 0, "a": 1}, ("b", "a")), (np.array(["x"]), ("x",)), (None, None)],
)  # fmt: skip
def test_names_of_classes(model, given, kept):
    model.class_names = given
    assert model.class_names == kept


def test_image_size_may_be_one_number(model):
    model.preprocessing = {"image_size": 32}
    assert model.preprocessing.image_size == (32, 32)
    model.preprocessing = None
    assert model.preprocessing is None


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (STEPS, "read as rgb, resize to 8×8 (bilinear), multiply by 0.00392157, applications.vgg16.preprocess_input"),
        ({}, "none: pixels as they are"),
    ],
)
def test_preprocessing_in_words(steps, text):
    assert str(Preprocessing(**steps)) == text


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("class_names", "cat", "class_names: received 'cat'; expected a list of texts, in the order of the model's outputs."),
        ("class_names", [1.5], "class_names: received [1.5]; expected a list of texts, in the order"),
        ("class_names", ["a", "a"], "class_names: received 'a' twice; expected a different name for each class."),
        ("preprocessing", "rgb", "preprocessing: received 'rgb'; expected a dictionary with some of the keys ['color_mode', "),
        ("preprocessing", {"rescal": 1}, "preprocessing: received the key 'rescal'; expected some of ['color_mode', "),
        ("preprocessing", {"rescal": 1}, "Did you mean 'rescale'?"),
        ("preprocessing", {"rescale": 0}, "preprocessing, 'rescale': received 0; expected a factor > 0, such as 1 / 255."),
        ("preprocessing", {"rescale": True}, "preprocessing, 'rescale': received True; expected a factor > 0"),
        ("preprocessing", {"color_mode": "bgr"}, "preprocessing, 'color_mode': received 'bgr'; expected one of ['grayscale', "),
        ("preprocessing", {"image_size": (8, 0)}, "preprocessing, 'image_size': received (8, 0); expected two whole numbers ≥ 1"),
        ("preprocessing", {"function": "a b"}, "preprocessing, 'function': received 'a b'; expected a name."),
        ("preprocessing", {"interpolation": None}, "preprocessing, 'interpolation': received None; expected a name."),
    ],
)  # fmt: skip
def test_what_cannot_be_kept(model, name, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        setattr(model, name, value)


def test_in_classes_of_ones_own_the_names_are_free(tmp_path):
    class Own(convia.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.preprocessing = convia.Sequential([convia.layers.Rescaling(1 / 255)])
            self.class_names = 5
            self.head = convia.layers.Dense(2)

        def call(self, inputs):
            return self.head(self.preprocessing(inputs))

    model = Own()
    out = model.predict(np.full((1, 4), 255.0), verbose=0)
    assert model.class_names == 5
    assert isinstance(model.preprocessing, convia.Sequential)
    model.save(tmp_path / "m.keras")
    loaded = convia.saving.load_model(tmp_path / "m.keras", custom_objects={"Own": Own})
    np.testing.assert_allclose(loaded.predict(np.full((1, 4), 255.0), verbose=0), out)


@pytest.mark.parametrize(
    "text", ["{", "[1]", json.dumps({"class_names": 3}), json.dumps({"preprocessing": {"x": 1}}), json.dumps({"results": 1})]
)  # fmt: skip
def test_broken_members(model, tmp_path, text):
    model.class_names = model.preprocessing = None
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "a") as archive:
        archive.writestr(MEMBER, text)
    with pytest.raises(OSError, match=r"'convia.json' that cannot be used .*; expected what convia writes there"):
        convia.saving.load_model(tmp_path / "m.keras")
