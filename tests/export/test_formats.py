"""model.export: what other programs compute is what the model computes, for batches of any size."""

import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import convia
from convia import layers as L
from convia import tree
from convia.export import FORMATS
from convia.export.program import examples, signature

from exported_networks import NETWORKS, cnn, seeded, through, two_by_two  # isort: skip

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
runtime = pytest.importorskip("onnxruntime")


def agree(model, path, format, batch, **options):
    specs = signature("test", model, options.get("input_signature"))
    inputs = examples(specs, batch=batch, seed=7)
    with torch.no_grad():
        wanted = tree.flatten(model(tree.pack(specs, [torch.from_numpy(x) for x in inputs]), training=False))
    found = FORMATS[format].run(path, inputs)
    for have, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-3, atol=1e-4 * max(1, float(want.abs().max())))


@pytest.mark.parametrize("make", NETWORKS)
def test_onnx_of_every_layer(make, tmp_path):
    model = make()
    model.export(tmp_path / "m.onnx")
    onnx.checker.check_model(tmp_path / "m.onnx", full_check=True)
    for batch in (1, 4):
        agree(model, tmp_path / "m.onnx", "onnx", batch)


@pytest.mark.parametrize("make", [cnn, two_by_two])
@pytest.mark.parametrize("name", ["m.xml", "m.pt2", "m.pt"])
def test_other_formats(make, name, tmp_path):
    if name == "m.xml":
        pytest.importorskip("openvino")
    format = {"m.xml": "openvino", "m.pt2": "torch", "m.pt": "torchscript"}[name]
    model = make()
    model.export(tmp_path / name)
    for batch in (1, 5):
        agree(model, tmp_path / name, format, batch)
    assert {path.suffix for path in tmp_path.iterdir()} == {f".{name[2:]}"} | (
        {".bin"} if format == "openvino" else set()
    )
    assert str(Path(convia.__file__).parents[1]).encode() not in _contents(tmp_path / name)  # no paths of this computer


def _contents(path):
    """The bytes of a file, those within an archive one after the other."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return b"".join(map(archive.read, archive.namelist()))


def test_what_the_graph_says(tmp_path):
    cnn().export(tmp_path / "m", format="onnx", opset_version=18)
    model = onnx.load(tmp_path / "m")
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [18]
    (given,), (made,) = model.graph.input, model.graph.output
    assert (given.name, made.name) == ("image", "probabilities")
    sizes = [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim]
    assert sizes == ["batch", 12, 12, 3]
    assert not any(node.metadata_props for node in model.graph.node)  # no paths of the machine


def test_names_of_several_inputs_and_outputs(tmp_path):
    two_by_two().export(tmp_path / "m.onnx")
    session = runtime.InferenceSession(tmp_path / "m.onnx")
    assert [entry.name for entry in session.get_inputs()] == ["a", "b"]
    assert [entry.name for entry in session.get_outputs()] == ["first", "second"]


def transpositions(model, path):
    model.export(path)
    return sum(node.op_type == "Transpose" for node in onnx.load(path).graph.node)


def test_transpositions_vanish_between_layers(tmp_path):
    """Six convolutions with what is between them need one transposition at the start, one before Flatten."""
    block = [L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), L.ReLU(), L.Activation("swish")]
    layers = [
        type(layer).from_config(layer.get_config() | {"name": f"{i}{n}"})
        for i in range(6)
        for n, layer in enumerate(block)
    ]
    assert transpositions(through(*layers, L.Flatten()), tmp_path / "m.onnx") == 2


def test_transpositions_through_sums_joins_constants_and_padding(tmp_path):
    x = inputs = convia.Input((8, 8, 3))
    x = L.Conv2D(4, 3, padding="same")(x)
    y = L.Conv2D(4, 3, strides=2)(L.ZeroPadding2D(((0, 1), (2, 3)))(L.ReLU(max_value=6)(x)))
    x = L.Concatenate()(
        [L.Conv2D(2, 3, padding="same")(x), L.Normalization(mean=[0, 1, 2, 3], variance=[1, 1, 1, 2])(x)]
    )
    x = L.Conv2D(4, (4, 3), strides=2)(L.Add()([L.Multiply()([x, x]), x]))
    outputs = [L.GlobalAveragePooling2D()(x), L.GlobalAveragePooling2D()(y)]
    model = seeded(convia.Model(inputs, outputs))
    assert transpositions(model, tmp_path / "m.onnx") == 1
    agree(model, tmp_path / "m.onnx", "onnx", 3)


def test_sizes_that_a_model_leaves_open(tmp_path):
    model = through(L.Conv2D(2, 3), L.GlobalAveragePooling2D(), shape=(None, None, 3))
    model.export(tmp_path / "any.onnx")
    x = np.random.default_rng(0).random((2, 9, 17, 3), "float32")
    (found,) = FORMATS["onnx"].run(tmp_path / "any.onnx", [x])
    np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=1e-5)
    given = [convia.InputSpec(shape=(None, 8, 8, 3))]
    model.export(tmp_path / "eight.onnx", input_signature=given)
    agree(model, tmp_path / "eight.onnx", "onnx", 3, input_signature=given)


class Own(convia.Model):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(2)

    def call(self, inputs):
        return self.dense(inputs) * 2


@pytest.mark.parametrize("given", [None, (None, 3), [(None, 3)], np.zeros((1, 3), "float32")])
def test_a_model_of_ones_own(tmp_path, given):
    model = Own()
    if given is None:
        model(np.zeros((1, 3), "float32"))
    model.export(tmp_path / "m.pt2", input_signature=given)
    agree(model, tmp_path / "m.pt2", "torch", 3, input_signature=(None, 3))


def test_exporting_changes_nothing_and_says_what_it_is_asked_to(tmp_path, capsys):
    model = through(L.BatchNormalization(), L.Dropout(0.5), L.Flatten(), L.Dense(2))
    before = model.get_weights()
    model.train()
    model.export(tmp_path / "new" / "m.pt2")
    assert capsys.readouterr().out == ""
    model.export(tmp_path / "m.pt2", verbose=True)
    assert capsys.readouterr().out == f"Saved artifact at {str(tmp_path / 'm.pt2')!r}.\n"
    assert model.training and all(module.training for module in model.modules())
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


class Branching(convia.Model):
    def build(self, input_shape):
        """Nothing to build, so that the first call is not on shapes alone."""

    def call(self, inputs):
        return inputs if float(inputs.sum()) > 0 else -inputs


class Rows(convia.Model):
    def build(self, input_shape):
        """Nothing to build."""

    def call(self, inputs):
        return sum(inputs[:, row] for row in range(inputs.shape[1]))


def called(model, shape):
    model(np.zeros(shape, "float32"))
    return model


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("folder", {}, "model.export: received 'folder', a TensorFlow format; expected a format without TensorFlow: .onnx (onnx), "),
        ("m", {"format": "tf_saved_model"}, "received 'm', a TensorFlow SavedModel; expected a format without TensorFlow"),
        ("m", {"format": "tf_saved_model"}, "keras.models.load_model('model.keras').export(…)"),
        ("m.tflite", {}, "received 'm.tflite', a TensorFlow format; expected"),
        ("m", {"format": "litert"}, "received 'm', a LiteRT model; expected"),
        ("m", {"format": "onx"}, "model.export: received format='onx'; expected .onnx (onnx), .xml (openvino), .pt2 (torch), .pt (torchscript). Did you mean 'onnx'?"),
        ("m.bin", {}, "model.export: received 'm.bin'; expected .onnx (onnx), "),
        ("m.keras", {}, "received 'm.keras'; expected .onnx (onnx), .xml (openvino), .pt2 (torch), .pt (torchscript). Use model.save('m.keras')."),
        ("m.onnx", {"opset_versio": 18}, "model.export: received the unknown arguments ['opset_versio']; expected some of ['format', 'input_signature', 'opset_version', 'verbose']. Did you mean 'opset_version'?"),
        ("m.pt2", {"input_signature": ["x"]}, "input_signature: received 'x'; expected InputSpecs, tensors or shapes (None, …)."),
    ],
)  # fmt: skip
def test_what_cannot_be_exported(tmp_path, monkeypatch, name, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(message)):
        through(L.Flatten(), L.Dense(2)).export(name, **options)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Own, r"model.export: received model 'own\w*' without known inputs; expected a built model. Call the model on data first"),
        (lambda: called(Branching(), (2, 3)), r"model.export: received model '\w+', which torch cannot trace \(.*\); expected a traceable model. Write the layer without code"),
        (lambda: called(Rows(), (2, 3)), r"Sizes besides the batch should be known: give input_signature=\["),
    ],
)  # fmt: skip
def test_models_that_cannot_be_traced(make, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        make().export(tmp_path / "m.pt2", input_signature=(None, None) if "Sizes" in message else None)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(("name", "package"), [("m.onnx", "onnxscript"), ("m.onnx", "onnx"), ("m.xml", "openvino")])
def test_packages_that_are_missing(tmp_path, monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError,
        match=rf"model.export: received a Python without the package '{package}'; expected the extra packages for exports. "
        r"Install: pip install 'convia\[export\]'",
    ):
        through(L.Flatten(), L.Dense(2)).export(tmp_path / name)
    assert not [*tmp_path.iterdir()]
