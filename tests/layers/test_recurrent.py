"""Recurrent layers against Keras: outputs, gradients, states, masks, configs; and what a wrong use is told."""

import keras
import numpy as np
import pytest
import torch
from oracle import (
    GRADIENT_TOLERANCE,
    against_keras,
    assert_close,
    compare_config,
    compare_layer,
    compare_symbolic,
    copy_weights,
    positional,
    random_inputs,
)
from recurrent_oracle import ALL, IMAGES, MASK, ROWS, SEQUENCE, VOLUMES, assert_error, both, built, compare, listed

import convia
from convia import layers

RNNS = [
    *((name, (6,), {}) for name in ("SimpleRNN", "GRU", "LSTM")),
    *((name, (6,), ALL) for name in ("SimpleRNN", "GRU", "LSTM")),
    *((name, (6,), {**ALL, "go_backwards": True, "use_bias": False}) for name in ("SimpleRNN", "GRU", "LSTM")),
    *((name, (6, "relu"), {"unroll": True, "zero_output_for_mask": True}) for name in ("SimpleRNN", "GRU", "LSTM")),
    *((name, (6,), {**ALL, "use_cudnn": False, "zero_output_for_mask": True}) for name in ("GRU", "LSTM")),
    *((name, (6, "tanh", "hard_sigmoid"), {"return_sequences": True}) for name in ("GRU", "LSTM")),
    *((name, (6,), {"return_sequences": True, "zero_output_for_mask": True}) for name in ("GRU", "LSTM")),
    *((name, (6,), {"go_backwards": True, "implementation": 1}) for name in ("GRU", "LSTM")),
    ("GRU", (6,), {"reset_after": False, **ALL}),
    ("GRU", (6,), {"reset_after": False, "use_bias": False}),
    ("LSTM", (6,), {"unit_forget_bias": False, "kernel_regularizer": "l2", "recurrent_constraint": "max_norm"}),
]
CONVOLUTIONAL = [
    ("ConvLSTM1D", ROWS, (3, 3), {}),
    ("ConvLSTM1D", ROWS, (3, 3, 2, "same"), ALL),
    ("ConvLSTM1D", (2, 3, 2, 7), (3, 2), {"data_format": "channels_first", **ALL}),
    ("ConvLSTM2D", IMAGES, (3, 3), {"padding": "same", **ALL}),
    ("ConvLSTM2D", IMAGES, (3, (2, 3), (2, 1)), {"go_backwards": True, "use_bias": False}),
    ("ConvLSTM2D", (2, 3, 2, 6, 5), (3, 3), {"data_format": "channels_first", "dilation_rate": 2, **ALL}),
    ("ConvLSTM3D", VOLUMES, (2, 2), {"unit_forget_bias": False}),
    ("ConvLSTM3D", VOLUMES, (2, 2, 2, "same"), {"return_sequences": True}),
    ("ConvLSTM3D", (2, 2, 2, 4, 5, 3), (2, 2), {"data_format": "channels_first", **ALL}),
]
LAYERS = [*((name, SEQUENCE, args, options) for name, args, options in RNNS), *CONVOLUTIONAL]
IDS = [f"{name}-{number}" for number, (name, *_) in enumerate(LAYERS)]
MASKS = {
    "any": MASK,
    "right": np.sort(MASK)[:, ::-1].copy(),
    "left": np.sort(MASK),
    "whole": np.eye(3, 5, dtype=bool) & MASK,
}


@against_keras(("name", "shape", "args", "options"), LAYERS, ids=IDS)
def test_layer(name, shape, args, options):
    compare_config(*both(name, args, options))
    compare_symbolic(*both(name, args, options), (None, *shape[1:]))
    for training in (False, True):
        compare_layer(*both(name, args, options), *random_inputs(shape), training=training)
    compare(*built(name, shape, args, options))


@pytest.mark.parametrize(("name", "shape", "args", "options"), LAYERS, ids=IDS)
def test_first_states(name, shape, args, options):
    ours, theirs, x = built(name, shape, args, options)
    states = [
        torch.tensor(array) for array in random_inputs(*(tuple(s.shape) for s in theirs.get_initial_state(shape[0])))
    ]
    compare(ours, theirs, x, initial_state=states)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("name", "args", "options"), RNNS, ids=IDS[: len(RNNS)])
def test_masks(name, args, options, mask):
    if options.get("unroll") or (options.get("zero_output_for_mask") and not options.get("return_sequences")):
        options = {key: value for key, value in options.items() if key not in ("unroll", "zero_output_for_mask")}
    compare(*built(name, SEQUENCE, args, options), mask=torch.tensor(MASKS[mask]))


def test_mask_of_images():
    compare(*built("ConvLSTM2D", (3, 5, 6, 5, 2), (3, 3), ALL), mask=torch.tensor(MASK))


@pytest.mark.parametrize("name", ["SimpleRNN", "GRU", "LSTM"])
@pytest.mark.parametrize("options", [{}, ALL, {"go_backwards": True}])
@pytest.mark.parametrize("steps", [4, 0])
def test_masks_travel(name, options, steps):
    """A row of nothing but padding keeps its first state; a first state given keeps the mask from the layer."""
    tokens = np.array([[1, 2, 3, 0], [0, 0, 0, 0], [4, 0, 5, 6]])
    found = []
    for library in (convia, keras):
        keras.utils.set_random_seed(1)
        x = library.layers.Embedding(9, 4, mask_zero=True, embeddings_initializer="ones")(torch.tensor(tokens))
        layer = getattr(library.layers, name)(6, kernel_initializer="ones", recurrent_initializer="ones", **options)
        states = [torch.ones(3, 6)] * (1 + (name == "LSTM"))
        out = listed(layer(x) if steps else layer(x, initial_state=states))
        found.append(([o.detach() for o in out], [getattr(o, "_keras_mask", None) is not None for o in out]))
    assert_close(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


CELLS = [
    ("SimpleRNNCell", (6,), {}),
    ("SimpleRNNCell", (6, "relu"), {"use_bias": False}),
    ("SimpleRNNCell", (6,), {"bias_initializer": "ones"}),
    ("GRUCell", (6,), {}),
    ("GRUCell", (6,), {"reset_after": False, "bias_regularizer": "l1"}),
    ("GRUCell", (6, "relu", "tanh"), {"use_bias": False}),
    ("LSTMCell", (6,), {}),
    ("LSTMCell", (6,), {"unit_forget_bias": False}),
    ("LSTMCell", (6, "relu", "tanh"), {"use_bias": False}),
]


@against_keras(("name", "args", "options"), CELLS)
def test_cell(name, args, options):
    compare_config(*both(name, args, options))
    ours, theirs = both(name, args, options)
    x, *states = random_inputs((3, 4), (3, 6), (3, 6))
    states = states[: len(listed(theirs.state_size))]
    given = lambda: [torch.tensor(state) for state in states]  # noqa: E731
    ours(torch.tensor(x), given()), theirs(torch.tensor(x), given())
    if options.get("use_bias", True):
        assert_close(ours.bias, theirs.bias.value, "first bias")
    copy_weights(ours, theirs)
    for training in (False, True):
        found = []
        for layer in (ours, theirs):
            leaves = [torch.tensor(array, requires_grad=True) for array in (x, *states)]
            output, after = layer(leaves[0], leaves[1:], training=training)
            weights = [getattr(v, "value", v) for v in layer.trainable_weights]
            total = sum(part.square().sum() for part in (output, *after))
            found.append(([output, *after], list(torch.autograd.grad(total, [*leaves, *weights]))))
        assert_close(found[0][0], found[1][0])
        assert_close(found[0][1], found[1][1], "gradient", GRADIENT_TOLERANCE)
    assert_close(ours.get_initial_state(3), theirs.get_initial_state(3))
    if len(states) == 1:
        assert_close(*(layer(torch.tensor(x), given()[0])[1] for layer in (ours, theirs)))


def stacked(library, **options):
    cells = [library.layers.LSTMCell(3), library.layers.GRUCell(4, reset_after=False), library.layers.SimpleRNNCell(5)]
    return library.layers.RNN(cells, name="layer", **options)


@pytest.mark.parametrize("options", [{}, ALL, {"return_sequences": True, "go_backwards": True}])
@pytest.mark.parametrize("masked", [False, True])
def test_stacked_cells(options, masked):
    ours, theirs = (stacked(library, **options) for library in (convia, keras))
    assert ours.from_config(ours.get_config()).get_config() == ours.get_config()
    x = random_inputs(SEQUENCE)[0]
    ours(x), theirs(x)
    copy_weights(ours, theirs)
    found = []
    for layer in (ours, theirs):
        out = listed(layer(torch.tensor(x), **({"mask": torch.tensor(MASK)} if masked else {})))
        found.append([*out[:1], *keras.tree.flatten(out[1:])])
    assert_close(*found)
    assert ours.state_size == theirs.state_size and ours.cell.output_size == theirs.cell.output_size


def own_cell(library):
    class Minimal(library.layers.Layer):
        state_size = 5

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], 5), name="kernel")
            self.recurrent_kernel = self.add_weight(shape=(5, 5), name="recurrent_kernel")

        def call(self, inputs, states):
            output = torch.tanh(inputs @ getattr(self.kernel, "value", self.kernel)) + states[0] @ getattr(
                self.recurrent_kernel, "value", self.recurrent_kernel
            )
            return output, [output]

    return Minimal()


@pytest.mark.parametrize("options", [{}, ALL, {"return_sequences": True, "zero_output_for_mask": True}])
def test_own_cell(options):
    ours, theirs = (library.layers.RNN(own_cell(library), **options) for library in (convia, keras))
    x = random_inputs(SEQUENCE)[0]
    ours(x), theirs(x)
    copy_weights(ours, theirs)
    compare(ours, theirs, x)
    compare(ours, theirs, x, mask=torch.tensor(MASK))


@pytest.mark.parametrize("name", ["SimpleRNN", "GRU", "LSTM", "ConvLSTM1D", "Bidirectional"])
def test_stateful(name):
    found = []
    shape = ROWS if name == "ConvLSTM1D" else SEQUENCE
    batches = random_inputs(shape, shape, shape)
    for library in (convia, keras):
        if name == "Bidirectional":
            layer = library.layers.Bidirectional(library.layers.LSTM(3, stateful=True))
        else:
            layer = getattr(library.layers, name)(*((3, 3) if name == "ConvLSTM1D" else (3,)), stateful=True)
        layer(torch.tensor(batches[0]))
        layer.reset_states()
        layer.set_weights([np.linspace(-1, 1, w.size).reshape(w.shape) for w in layer.get_weights()])
        out = [layer(torch.tensor(batch)).detach() for batch in batches]
        layer.reset_state()
        found.append([*out, layer(torch.tensor(batches[0])).detach(), *(state.numpy() for state in layer.states)])
        assert len(layer.weights) == len(layer.trainable_weights)
    assert_close(*found)
    assert np.array_equal(found[0][0], found[0][3])


@pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.5), (0.3, 0.4)])
@pytest.mark.parametrize("name", ["SimpleRNN", "GRU", "LSTM", "ConvLSTM1D"])
def test_dropout_with_a_seed_is_that_of_keras(name, rates):
    shape = ROWS if name == "ConvLSTM1D" else SEQUENCE
    args = (3, 3) if name == "ConvLSTM1D" else (6,)
    options = {"dropout": rates[0], "recurrent_dropout": rates[1], "seed": 3, "return_sequences": True}
    ours, theirs, x = built(name, shape, args, options)
    theirs.cell.seed_generator.state.assign([3, 0])  # Keras drew masks for the inference before
    for _ in range(2):
        compare(ours, theirs, x, training=True)
    compare(ours, theirs, x, training=False)
    assert ours.get_config()["seed"] == 3


def test_dropout_is_the_same_at_all_steps():
    for name in ("SimpleRNN", "GRU", "LSTM"):
        layer = getattr(layers, name)(4, dropout=0.5, return_sequences=True, recurrent_initializer="zeros", seed=1)
        x = torch.ones(2, 6, 3)
        y = (
            layer(x, training=True)
            if name == "SimpleRNN"
            else layer.cell.project(x, True)
            if layer(x) is not None
            else 0
        )
        assert torch.allclose(y[:, 0], y[:, -1])


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16", "bfloat16"])
@pytest.mark.parametrize("name", ["SimpleRNN", "GRU", "LSTM"])
def test_types(name, dtype):
    tolerance = 1e-5 if dtype == "float64" else 3e-2
    compare_layer(
        *both(name, (6,), {"dtype": dtype, "recurrent_initializer": "he_normal", **ALL}),
        *random_inputs(SEQUENCE),
        grads=False,
        tolerance=tolerance,
    )


@pytest.mark.parametrize(
    "name",
    [
        "RNN",
        "SimpleRNN",
        "SimpleRNNCell",
        "GRU",
        "GRUCell",
        "LSTM",
        "LSTMCell",
        "StackedRNNCells",
        "ConvLSTM1D",
        "ConvLSTM2D",
        "ConvLSTM3D",
        "Bidirectional",
        "TimeDistributed",
        "Masking",
    ],
)
def test_signature(name):
    assert positional(getattr(layers, name)) == positional(getattr(keras.layers, name))


def test_models_train_and_masks_reach_the_layers():
    tokens, labels = np.random.randint(0, 9, (16, 7)), np.random.randint(0, 2, (16, 1))
    for layer in (
        layers.LSTM(4),
        layers.Bidirectional(layers.GRU(4)),
        layers.RNN([layers.LSTMCell(3), layers.GRUCell(4)]),
    ):
        model = convia.Sequential([layers.Input((None,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True), layer])
        model.add(layers.Dense(1, activation="sigmoid"))
        model.compile("adam", "binary_crossentropy")
        losses = model.fit(tokens, labels, epochs=2, verbose=0).history["loss"]
        assert np.isfinite(losses).all()
        padded = np.pad(tokens, ((0, 0), (0, 3)))
        np.testing.assert_allclose(model.predict(tokens, verbose=0), model.predict(padded, verbose=0), atol=1e-6)


def test_files(tmp_path):
    inputs = convia.Input((5, 4))
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(inputs)
    x = layers.TimeDistributed(layers.Dense(3))(x)
    x = layers.RNN([layers.LSTMCell(3), layers.GRUCell(4)], return_sequences=True)(x)
    model = convia.Model(inputs, layers.SimpleRNN(2)(layers.Masking()(x)))
    data = random_inputs(SEQUENCE)[0]
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        for library in (convia, keras):
            loaded = library.models.load_model(tmp_path / name)
            assert_close(
                torch.as_tensor(loaded.predict(data, verbose=0)), torch.as_tensor(model.predict(data, verbose=0))
            )


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (lambda: layers.RNN(layers.Dense(3)), ValueError, ["RNN, argument 'cell'", "without state_size", "states)"]),
        (lambda: layers.StackedRNNCells([3]), ValueError, ["StackedRNNCells, argument 'cells'", "without call and"]),
        (lambda: layers.LSTM(0), ValueError, ["LSTM, argument 'units'", "whole number ≥ 1"]),
        (lambda: layers.GRU(3, use_cudnn="no"), ValueError, ["GRU, argument 'use_cudnn'", "'auto'"]),
        (
            lambda: layers.GRU(3, use_cudnn=True, reset_after=False, name="g")(torch.zeros(2, 3, 4)),
            ValueError,
            ["GRU layer 'g', use_cudnn=True", "reset_after=False", "use_cudnn='auto'"],
        ),
        (
            lambda: layers.LSTM(3, stateful=True, name="l")(layers.Input((5, 4))),
            ValueError,
            ["LSTM layer 'l' with stateful=True", "(None, 5, 4)", "a known batch size", "batch_size="],
        ),
        (
            lambda: [layer := layers.LSTM(3, stateful=True, name="l"), *(layer(torch.zeros(n, 3, 4)) for n in (2, 3))],
            ValueError,
            ["LSTM layer 'l' with stateful=True", "a batch of 3", "2, as in the first call"],
        ),
        (lambda: layers.LSTM(3, name="l")(torch.zeros(2, 4)), ValueError, ["LSTM layer 'l'", "(2, 4)", "3 dimensions"]),
        (lambda: layers.ConvLSTM2D(3, 3, 2, dilation_rate=2), ValueError, ["ConvLSTM2D", "strides=(2, 2)", "only one"]),
        (
            lambda: layers.ConvLSTM2D(3, 3)(layers.Input((None, None, 6, 2))),
            ValueError,
            ["ConvLSTM2D", "(None, 6, 2)", "known sizes"],
        ),
    ],
)  # fmt: skip
def test_errors(make, error, parts):
    assert_error(make, error, parts)
