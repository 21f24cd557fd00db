"""convia convert: every input to every output, with the proof; nothing is written where something is wrong."""

import re

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import convia
from convia import layers as L
from convia.cli.app import app
from convia.export import conversion, convert, formats, read_safetensors

from exported_networks import cnn, through  # isort: skip

X = np.random.default_rng(0).random((3, 12, 12, 3), "float32")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same network in each form that is read; and what it computes."""
    folder, model = tmp_path_factory.mktemp("sources"), cnn()
    model.class_names = ["a", "b", "c"]
    for name in ("m.keras", "m.h5", "m.hdf5"):
        model.save(folder / name)
    (folder / "m.json").write_text(model.to_json())
    model.save_weights(folder / "m.weights.h5")
    convia.export.save_safetensors(model, folder / "m.safetensors")
    return folder, model.predict(X, verbose=0)


@pytest.mark.parametrize(
    ("source", "weights"),
    [("m.keras", None), ("m.h5", None), ("m.hdf5", None), ("m.json", "m.weights.h5"), ("m.json", "m.safetensors"), ("m.json", "m.h5")],
)  # fmt: skip
@pytest.mark.parametrize("target", ["o.keras", "o.h5"])
def test_models(sources, tmp_path, source, weights, target):
    folder, wanted = sources
    made = convert(folder / source, tmp_path / target, weights and folder / weights)
    assert made.difference <= 1e-6 < made.largest
    assert made.path == tmp_path / target
    assert made.size == made.path.stat().st_size
    for load in (convia.saving.load_model, keras.saving.load_model):
        np.testing.assert_allclose(np.asarray(load(made.path).predict(X, verbose=0)), wanted, atol=1e-5)
    assert [*tmp_path.iterdir()] == [made.path]


@pytest.mark.parametrize("target", ["o.weights.h5", "o.safetensors"])
def test_weights_alone(sources, tmp_path, target):
    folder, wanted = sources
    assert convert(folder / "m.h5", tmp_path / target).difference == 0
    model = cnn()
    model.set_weights([0 * w for w in model.get_weights()])
    if target == "o.safetensors":
        assert "dense" not in read_safetensors(tmp_path / target)
        convia.export.load_safetensors(model, tmp_path / target)
    else:
        model.load_weights(tmp_path / target)
    np.testing.assert_allclose(model.predict(X, verbose=0), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("target", "package"), [("o.onnx", "onnxruntime"), ("o.xml", "openvino"), ("o.pt2", "torch"), ("o.pt", "torch")]
)
def test_exports(sources, tmp_path, target, package):
    pytest.importorskip(package)
    if package != "torch":
        pytest.importorskip("onnxscript")
    folder, wanted = sources
    made = convert(folder / "m.keras", tmp_path / target)
    assert made.difference <= 1e-3
    assert made.size == sum(path.stat().st_size for path in tmp_path.iterdir())
    (found,) = formats.FORMATS[formats.format_of(made.path)].run(made.path, [X])
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_kerass_own_files(tmp_path):
    model = keras.Sequential(
        [keras.Input((5, 5, 2)), keras.layers.Conv2D(3, 3, activation="relu"), keras.layers.Flatten()]
    )
    x = X[:, :5, :5, :2]
    model.save(tmp_path / "k.keras")
    made = convert(tmp_path / "k.keras", tmp_path / "k.pt2")
    np.testing.assert_allclose(
        formats.FORMATS["torch"].run(made.path, [x])[0], np.asarray(model.predict(x, verbose=0)), atol=1e-5
    )


def test_classes_and_preprocessing_go_along(sources, tmp_path):
    convert(sources[0] / "m.keras", tmp_path / "o.h5")
    assert convia.saving.load_model(tmp_path / "o.h5").class_names == ("a", "b", "c")


def test_open_sizes(tmp_path):
    model = through(L.Conv2D(2, 3), L.GlobalMaxPooling2D(), shape=(None, None, 3))
    model.save(tmp_path / "m.keras")
    assert convert(tmp_path / "m.keras", tmp_path / "any.pt2").difference <= 1e-5
    assert convert(tmp_path / "m.keras", tmp_path / "o.pt2", image_size=9).difference <= 1e-5
    with pytest.raises(AssertionError, match="Guard failed"):
        formats.FORMATS["torch"].run(tmp_path / "o.pt2", [X])
    formats.FORMATS["torch"].run(tmp_path / "any.pt2", [X])


def test_a_file_that_computes_something_else_is_not_kept(sources, tmp_path, monkeypatch):
    wrong = lambda model, path: through(L.Flatten(), L.Dense(3)).save(path)  # noqa: E731
    monkeypatch.setattr(conversion, "_write", wrong)
    (tmp_path / "o.keras").write_text("old")
    with pytest.raises(
        ValueError,
        match=r"convert to 'o.keras': received outputs that differ by .* from the model's .*; expected at most 0.001 of the",
    ):
        convert(sources[0] / "m.keras", tmp_path / "o.keras")
    assert (tmp_path / "o.keras").read_text() == "old"
    assert len([*tmp_path.iterdir()]) == 1
    assert convert(sources[0] / "m.keras", tmp_path / "o.keras", check=False).difference is None


# -- the command -------------------------------------------------------------------------------------------------------


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], terminal_width=200)


def test_the_command_says_what_it_did(sources, tmp_path):
    result = run("convert", sources[0] / "m.json", tmp_path / "o.keras", "--weights", sources[0] / "m.h5")
    assert result.exit_code == 0, result.output
    assert re.fullmatch(
        rf"{tmp_path}/o.keras: [\d.]+ kB, largest difference [\d.e-]+ on random inputs \(largest output 0\.\d+\)\n",
        result.stdout,
    )
    result = run("convert", sources[0] / "m.h5", tmp_path / "o.keras", "--no-check")
    assert result.stdout.endswith(" kB, not checked\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.keras", "o.h5"], "convert: received 'none.keras', which does not exist; expected a model: .keras, .h5, .hdf5, .json."),
        (["m.txt", "o.h5"], "convert: received 'm.txt'; expected a model: .keras, .h5, .hdf5, .json."),
        (["m.onnx", "o.h5"], "received 'm.onnx'; expected a model: .keras, .h5, .hdf5, .json. Exports hold no layers and cannot be converted back."),
        (["m.json", "o.h5"], "convert: received the architecture 'm.json' alone; expected its weights too. Name the file of weights: --weights"),
        (["m.h5", "o.h5", "--weights", "m.h5"], "convert: received weights for 'm.h5'; expected weights only for an architecture (.json)."),
        (["m.h5", "folder"], "received 'folder', a TensorFlow format; expected a format without TensorFlow"),
        (["m.h5", "o.pt2", "--image-size", "0"], "--image-size: received 0; expected a number of pixels ≥ 1."),
        (["m.h5", "o", "--format", "onx"], "received format='onx'; expected .onnx (onnx)"),
    ],
)  # fmt: skip
def test_errors_of_the_command(sources, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    for name in ("m.txt", "m.onnx"):
        (tmp_path / name).write_text("")
    for name in ("m.json", "m.h5"):
        (tmp_path / name).write_bytes((sources[0] / name).read_bytes())
    result = run("convert", *words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"m.txt", "m.onnx", "m.json", "m.h5"}


def test_help_has_examples_and_exit_codes():
    for command, example in (("convert", "convia convert model.keras model.xml"), ("card", "convia card model.keras")):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert example in result.stdout
        assert "Exit codes" in result.stdout


def test_the_command_card(sources, tmp_path):
    result = run("card", sources[0] / "m.keras")
    assert result.exit_code == 0, result.output
    assert "| Classes | a, b, c |" in result.stdout
    as_json = run("card", sources[0] / "m.keras", "--json").stdout
    assert run("card", sources[0] / "m.keras", "--output", tmp_path / "c.json").exit_code == 0
    assert (tmp_path / "c.json").read_text() == as_json
    run("card", sources[0] / "m.keras", "-o", tmp_path / "c.md")
    assert (tmp_path / "c.md").read_text() == result.stdout
    result = run("card", tmp_path / "none.keras")
    assert result.exit_code == 1
    assert "none.keras', which does not exist" in result.stderr
