"""``Model.quantize``: what it asks for, what computes afterwards, what files keep, and what is lost of the accuracy."""

import json

import numpy as np
import pytest
import torch

import convia as keras
from convia import engine
from convia.datasets import digits
from convia.saving import kept

pytestmark = pytest.mark.skipif(
    not hasattr(engine.native(), "byte_kernels"), reason="an engine without kernels on bytes"
)
L = keras.layers
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.standard_normal((20, 8, 8, 3)).astype("float32")


def small():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(20, 3, padding="same", use_bias=False, name="first")(inputs)
    x = L.ReLU()(L.BatchNormalization()(x))
    x = L.add([x, L.Conv2D(20, 3, padding="same")(x)])
    model = keras.Model(inputs, L.Dense(5, activation="softmax")(L.GlobalAveragePooling2D()(x)), name="small")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def quantized():
    model = small()
    model.quantize("int8", calibration_data=IMAGES)
    return model


def refused(parts, call, error=ValueError):
    with pytest.raises(error) as caught:
        call()
    for part in ("received", "expected", *parts):
        assert part in str(caught.value)


# -- what computes -----------------------------------------------------------------------------------------------------


def test_predictions_are_those_of_bytes_and_near_those_of_floats():
    model = small()
    floats = model.predict(IMAGES, verbose=0)
    assert model.quantize("int8", calibration_data=IMAGES) is None
    assert model.engine.startswith("native (int8, ") and "torch" not in model.engine
    bytes_ = model.predict(IMAGES, verbose=0)
    assert 0 < np.abs(bytes_ - floats).max() < 0.02
    np.testing.assert_allclose(
        model(torch.from_numpy(IMAGES)).detach().numpy(), floats, atol=1e-5
    )  # a call is one of floats
    model.quantize("float32")
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), floats)
    assert "int8" not in model.engine


def test_every_way_of_predicting_and_measuring_computes_the_same():
    model, labels = quantized(), np.arange(20) % 5
    found = model.predict(IMAGES, verbose=0)
    batches = [(IMAGES[i : i + 8], labels[i : i + 8]) for i in range(0, 20, 8)]
    np.testing.assert_array_equal(model.predict((x for x, _ in batches), verbose=0), found)
    np.testing.assert_array_equal(model.predict_on_batch(IMAGES[:3]), found[:3])
    loss = -np.log(found[np.arange(20), labels]).mean()
    accuracy = (found.argmax(1) == labels).mean()
    np.testing.assert_allclose(model.evaluate(IMAGES, labels, verbose=0), [loss, accuracy], rtol=1e-5)
    np.testing.assert_allclose(model.test_on_batch(IMAGES, labels), [loss, accuracy], rtol=1e-5)
    assert model.evaluate(iter(batches), verbose=0)[1] == pytest.approx(accuracy)


def test_samples_may_come_in_batches_and_weights_may_change():
    model, other = quantized(), small()
    other.quantize("int8", calibration_data=((IMAGES[i : i + 5], None) for i in range(0, 20, 5)))
    found = model.predict(IMAGES, verbose=0)
    np.testing.assert_array_equal(other.predict(IMAGES, verbose=0), found)
    model.get_layer("first").kernel.assign(model.get_layer("first").kernel * 0)
    assert np.abs(model.predict(IMAGES, verbose=0) - found).max() > 1e-3


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_files_keep_the_ranges(tmp_path, ending):
    model = quantized()
    model.save(tmp_path / f"model{ending}")
    again = keras.models.load_model(tmp_path / f"model{ending}")
    assert again.engine == model.engine
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))


def test_little_accuracy_is_lost():
    """At most half a point of a small network that knows the digits."""
    (x, y), (test_x, test_y) = digits.load_data()
    x, test_x = x[..., None] / np.float32(16), test_x[..., None] / np.float32(16)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    h = L.Conv2D(24, 3, padding="same", use_bias=False)(inputs)
    h = L.ReLU()(L.BatchNormalization()(h))
    h = L.ReLU(6.0)(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", use_bias=False)(h)))
    h = L.MaxPooling2D()(L.Conv2D(32, 1, activation="relu")(h))
    h = L.Dense(10, activation="softmax")(L.Flatten()(L.Conv2D(48, 3, activation="relu")(h)))
    model = keras.Model(inputs, h)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=15, verbose=0)
    floats = model.evaluate(test_x, test_y, verbose=0)[1]
    model.quantize("int8", calibration_data=x[:128])
    bytes_ = model.evaluate(test_x, test_y, verbose=0)[1]
    assert floats > 0.95 and bytes_ >= floats - 0.005, (floats, bytes_)


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_other_modes_and_arguments_are_refused():
    model = small()
    refused(["quantize of 'small'", "'float8'", "'int8'"], lambda: model.quantize("float8", calibration_data=IMAGES))
    refused(["no calibration_data", "A hundred"], lambda: model.quantize("int8"))
    refused(["'filters'"], lambda: model.quantize("int8", filters="dense", calibration_data=IMAGES))
    refused(["'config'"], lambda: model.quantize("int8", config={}, calibration_data=IMAGES))
    refused(["another shape"], lambda: model.quantize("int8", calibration_data=IMAGES[:, :4]))
    refused(["no samples"], lambda: model.quantize("int8", calibration_data=IMAGES[:0]))
    assert "int8" not in model.engine


def test_samples_must_lead_to_finite_numbers():
    model = small()
    refused(["layer 'input'", "finite"], lambda: model.quantize("int8", calibration_data=IMAGES * np.float32(np.nan)))
    model.get_layer("first").kernel.assign(model.get_layer("first").kernel * np.float32("inf"))
    refused(["layer 're_lu", "finite"], lambda: model.quantize("int8", calibration_data=IMAGES))


def test_layers_that_the_engine_does_not_know_are_named():
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, L.LayerNormalization(axis=(1, 2), name="planes")(inputs), name="odd")
    four = IMAGES[..., [0, 1, 2, 0]]
    refused(["quantize of 'odd'", "layer 'planes'"], lambda: model.quantize("int8", calibration_data=four))
    model = keras.Sequential([keras.Input((8, 3)), L.LSTM(4, name="memory")])
    refused(["layer 'memory' (LSTM)"], lambda: model.quantize("int8", calibration_data=IMAGES[:, 0]))


def test_transposed_convolutions_stay_floats():
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(16, 3)(L.Conv2DTranspose(8, 3, strides=2)(L.Conv2D(12, 3, activation="relu")(inputs)))
    model = keras.Model(inputs, L.GlobalAveragePooling2D()(x))
    floats = model.predict(IMAGES, verbose=0)
    model.quantize("int8", calibration_data=IMAGES)
    found = model.predict(IMAGES, verbose=0)
    assert 0 < np.abs(found - floats).max() < 0.03 * np.abs(floats).max()


def test_groups_of_channels_stay_floats():
    inputs = keras.Input((8, 8, 4))
    x = L.Conv2D(8, 3, groups=2)(L.Conv2D(4, 3, activation="relu")(inputs))
    model, four = keras.Model(inputs, L.GlobalAveragePooling2D()(x)), IMAGES[..., [0, 1, 2, 0]]
    floats = model.predict(four, verbose=0)
    model.quantize("int8", calibration_data=four)
    assert 0 < np.abs(model.predict(four, verbose=0) - floats).max() < 0.02


def test_without_the_engine_nothing_is_computed_in_floats_unnoticed():
    model, other = quantized(), small()
    keras.config.set_engine("torch")
    try:
        refused(["in int8", "set_engine", "quantize('float32')"], lambda: model.predict(IMAGES, verbose=0))
        refused(["in int8", "set_engine"], lambda: model.evaluate(IMAGES, np.zeros(20), verbose=0))
        refused(["set_engine"], lambda: other.quantize("int8", calibration_data=IMAGES))
    finally:
        keras.config.set_engine("auto")


def test_a_quantized_model_does_not_learn():
    model, labels = quantized(), np.arange(20) % 5
    for call in (
        lambda: model.fit(IMAGES, labels, verbose=0),
        lambda: model.train_on_batch(IMAGES, labels),
        lambda: model.train_step((torch.from_numpy(IMAGES), torch.from_numpy(labels))),
    ):
        refused(["of 'small'", "quantized to int8", "quantize('float32')"], call)
    model.quantize("float32")
    model.fit(IMAGES, labels, verbose=0)


@pytest.mark.parametrize("ranges", [{"input": [1, 0]}, {"input": [0]}, {"input": [0, 1e999]}, {"input": ["a", 1]}, []])
def test_ranges_of_a_file_are_checked(ranges):
    text = json.dumps({"version": 1, "ranges": ranges})
    refused(["a file", "convia.json"], lambda: kept.read("a file", small(), text), OSError)


def test_ranges_of_another_model_are_refused():
    model = quantized()
    vars(model)["_ranges"] = {"elsewhere": (0.0, 1.0)}
    refused(["ranges of 'elsewhere'"], lambda: model.predict(IMAGES, verbose=0))
