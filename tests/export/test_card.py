"""Cards: figures against formulas by hand, words for people, JSON for programs."""

import json

import numpy as np
import pytest

import convia
from convia import layers as L
from convia.export import card

from exported_networks import cnn, through, two_by_two  # isort: skip


@pytest.mark.parametrize(
    ("layer", "shape", "multiply_adds"),
    [  # positions of the output × numbers of the kernel, after the convolution's definition
        (L.Conv2D(8, 3), (10, 10, 3), 8 * 8 * (3 * 3 * 3 * 8)),
        (L.Conv2D(8, 3, strides=2, padding="same"), (10, 10, 3), 5 * 5 * (3 * 3 * 3 * 8)),
        (L.Conv2D(8, 3, groups=2), (10, 10, 4), 8 * 8 * (3 * 3 * 2 * 8)),
        (L.Conv1D(8, 3), (10, 4), 8 * (3 * 4 * 8)),
        (L.Conv3D(2, 3), (5, 5, 5, 4), 27 * (27 * 4 * 2)),
        (L.DepthwiseConv2D(3), (10, 10, 3), 8 * 8 * (3 * 3 * 3)),
        (L.SeparableConv2D(8, 3), (10, 10, 3), 8 * 8 * (3 * 3 * 3 + 3 * 8)),
        (L.Conv2DTranspose(8, 3, strides=2), (10, 10, 3), 10 * 10 * (3 * 3 * 3 * 8)),
        (L.Dense(7), (10,), 10 * 7),
        (L.Dense(7), (4, 10), 4 * 10 * 7),
        (L.MaxPooling2D(2), (10, 10, 3), 0),
    ],
)  # fmt: skip
def test_multiply_adds(layer, shape, multiply_adds):
    facts = through(layer, shape=shape).card().facts
    kind = type(layer).__name__
    assert facts["multiply_adds"] == {"total": multiply_adds, "by_kind": {kind: multiply_adds} if multiply_adds else {}}
    assert facts["layers"][0]["multiply_adds"] == multiply_adds


def test_figures_of_a_whole_network():
    model = cnn()
    facts = model.card().facts
    kernels = {"Conv2D": 6 * 6 * 27 * 4, "SeparableConv2D": 6 * 6 * (9 * 4 + 4 * 4), "Dense": 36 * 3}
    assert facts["multiply_adds"] == {"total": sum(kernels.values()), "by_kind": kernels}
    assert facts["parameters"] == {
        "total": model.count_params(),
        "trainable": sum(w.numel() for w in model.trainable_weights),
        "frozen": 8,
    }
    assert facts["memory"]["weights"] == 4 * model.count_params()
    maps = 12 * 12 * 3 + 4 * 36 * 4 + 36 + 36 + 36 + 3  # scaled; four of 6×6×4; pooled, flat, dropped; out
    assert facts["memory"]["activations_per_sample"] == 4 * maps
    assert facts["inputs"] == {"image": [None, 12, 12, 3]}
    assert facts["outputs"] == [[None, 3]]
    assert [row["name"] for row in facts["layers"]] == [layer.name for layer in model.layers]
    assert [row["output_shape"] for row in facts["layers"]] == [layer.output.shape for layer in model.layers]


def test_a_layer_within_models_and_used_twice_is_one_row():
    shared = L.Dense(2, name="shared")
    inside = convia.Sequential([convia.Input((2,)), shared, L.ReLU(name="relu")])
    inputs = convia.Input((2,), name="in")
    facts = convia.Model(inputs, shared(inside(inputs))).card().facts
    assert [row["name"] for row in facts["layers"]] == ["in", "shared", "relu"]
    assert facts["multiply_adds"]["by_kind"] == {"Dense": 8}


def test_what_is_known_of_data_and_results(tmp_path):
    model = cnn()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.class_names, model.preprocessing = ["cat", "dog", "<owl>|"], {"image_size": 12, "color_mode": "rgb"}
    x, y = np.random.default_rng(0).random((6, 12, 12, 3), "float32"), np.arange(6) % 3
    model.fit(x, y, epochs=2, validation_data=(x, y), verbose=0)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    model.save(tmp_path / "m.keras")
    found = card(convia.saving.load_model(tmp_path / "m.keras"))
    facts = json.loads(found.json())
    assert facts["class_names"] == ["cat", "dog", "<owl>|"]
    assert facts["preprocessing"]["image_size"] == [12, 12]
    assert facts["results"]["evaluation"] == pytest.approx({"loss": loss, "accuracy": accuracy})
    assert facts["results"]["epochs"] == 2
    lines = str(found).splitlines()
    assert "| Classes | cat, dog, &lt;owl>\\| |" in lines
    assert "| Preprocessing | read as rgb, resize to 12×12 (bilinear) |" in lines
    assert any(line.startswith("| Evaluated | ") and f"accuracy {accuracy:.4g}" in line for line in lines)
    assert any(line.startswith("| After epoch 2 | ") for line in lines)


def test_markdown():
    model = two_by_two()
    lines = model.card().markdown.splitlines()
    assert "| Inputs | a (batch, 4, 4, 1); b (batch, 3) |" in lines
    assert "| Outputs | (batch, 2); (batch, 1) |" in lines
    assert "| Parameters | 60, of which 60 learn |" in lines
    assert "| Multiply-adds per sample | 57 |" in lines
    assert "| Dense | 57 | 100.0% |" in lines
    assert "| first | Dense | (batch, 2) | 40 | 38 |" in lines
    assert model.card()._repr_markdown_() == str(model.card())
    tables = [line for line in lines if line.startswith("|")]
    assert all(line.endswith(" |") for line in tables)


def test_many_classes_are_not_all_named():
    model = cnn()
    model.class_names = range(25)
    assert "18, 19, … (25 in all) |" in str(model.card())


def test_sizes_that_are_open():
    facts = convia.Sequential([convia.Input((None, None, 3)), L.Conv2D(2, 3)]).card().facts
    assert facts["multiply_adds"] is None
    assert facts["layers"][0] == {
        "name": facts["layers"][0]["name"], "kind": "Conv2D", "output_shape": (None, None, None, 2), "parameters": 56,
        "multiply_adds": None,
    }  # fmt: skip


def test_hooks_are_taken_away_and_training_is_left_alone():
    model = cnn()
    before = model.get_weights()
    model.train()
    model.card()
    assert model.training
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.layers)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_is_not_built():
    with pytest.raises(
        ValueError, match=r"card: received model 'm' without known inputs; expected a built model. Call"
    ):
        convia.Sequential([L.Dense(2)], name="m").card()
