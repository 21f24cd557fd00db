"""The functions of Keras 1 and 2's backend: signatures, values against NumPy, torch and ops, and symbolic programs."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from keras.src.legacy import backend as legacy

from convia import backend as K
from convia import config, ops
from convia.graph import Input
from convia.layers import BatchNormalization, Conv2D, Dense, Dropout, GlobalAveragePooling2D, Lambda
from convia.models import Model
from convia.symbolic import KerasTensor

random = np.random.default_rng(3)
x, y = random.normal(size=(2, 3, 4)).astype("float32"), random.normal(size=(2, 3, 4)).astype("float32")
image = random.normal(size=(2, 6, 8, 3)).astype("float32")
p = random.uniform(0.05, 0.95, (4, 5)).astype("float32")
t = np.eye(5, dtype="float32")[[0, 2, 4, 1]]


def parameters(function: object) -> list[tuple]:
    return [(q.name, q.default) for q in inspect.signature(function).parameters.values()]


KNOWN = [name for name in K.__all__ if inspect.isroutine(getattr(legacy, name, None))]


def test_names() -> None:
    assert K.__all__ == sorted(K.__all__)
    assert len(KNOWN) > 110
    assert K.backend() == "torch"


@pytest.mark.parametrize("name", KNOWN)
def test_signatures_are_those_of_keras(name: str) -> None:
    assert parameters(getattr(K, name)) == parameters(getattr(legacy, name))
    assert getattr(K, name).__doc__


VALUES = {
    "abs": (K.abs(x), np.abs(x)),
    "sqrt": (K.sqrt(x), np.sqrt(np.maximum(x, 0))),
    "pow": (K.pow(x, 2), x**2),
    "clip": (K.clip(x, 0.5, None), np.maximum(x, 0.5)),
    "clip crossed": (K.clip(x, 0.5, 0.1), np.full_like(x, 0.5)),
    "maximum": (K.maximum(x, y), np.maximum(x, y)),
    "equal": (K.equal(x, x), np.ones_like(x, bool)),
    "hard_sigmoid": (K.hard_sigmoid(torch.tensor(x)), np.clip(0.2 * x + 0.5, 0, 1)),
    "relu": (K.relu(x, 0.1, 0.5), np.clip(x, 0, 0.5) - 0.1 * np.maximum(-x, 0)),
    "relu threshold": (K.relu(torch.tensor(x), 0.1, None, 0.3), np.where(x > 0.3, x, 0.1 * (x - 0.3))),
    "mean": (K.mean(x, axis=[1, 2]), x.mean((1, 2))),
    "std": (K.std(x, axis=-1, keepdims=True), x.std(-1, keepdims=True)),
    "argmax": (K.argmax(x), x.argmax(-1)),
    "cumsum": (K.cumsum(x), x.cumsum(0)),
    "l2_normalize": (K.l2_normalize(x, -1), x / np.linalg.norm(x, axis=-1, keepdims=True)),
    "batch_flatten": (K.batch_flatten(x), x.reshape(2, 12)),
    "flatten": (K.flatten(x), x.ravel()),
    "concatenate": (K.concatenate([x, y]), np.concatenate([x, y], -1)),
    "gather": (K.gather(x, [1, 0]), x[[1, 0]]),
    "permute_dimensions": (K.permute_dimensions(x, (0, 2, 1)), x.transpose(0, 2, 1)),
    "repeat": (K.repeat(p, 3), np.repeat(p[:, None], 3, 1)),
    "repeat_elements": (K.repeat_elements(x, 2, 1), np.repeat(x, 2, 1)),
    "reverse": (K.reverse(x, 1), x[:, ::-1]),
    "squeeze": (K.squeeze(x[:, :1], 1), x[:, 0]),
    "tile": (K.tile(x, [1, 2, 1]), np.tile(x, (1, 2, 1))),
    "transpose": (K.transpose(p), p.T),
    "one_hot": (K.one_hot([1, 0], 3), np.eye(3)[[1, 0]]),
    "arange": (K.arange(2, 8, 3), np.array([2, 5])),
    "eye": (K.eye(3), np.eye(3)),
    "constant": (K.constant([1, 2], shape=(2, 2)), np.array([[1, 2], [2, 2]])),
    "dot": (K.dot(x, p.T[:4]), x @ p.T[:4]),
    "dot 3d": (K.dot(x, y.transpose(0, 2, 1)), np.dot(x, y.transpose(0, 2, 1))),
    "batch_dot": (K.batch_dot(x, y.transpose(0, 2, 1)), x @ y.transpose(0, 2, 1)),
    "batch_dot axes": (K.batch_dot(x, y, axes=(1, 1)), np.einsum("nai,naj->nij", x, y)),
    "batch_dot vectors": (K.batch_dot(p, t, axes=1), (p * t).sum(1, keepdims=True)),
    "batch_dot mixed": (K.batch_dot(x, p[:2, :4], axes=(2, 1)), np.einsum("nab,nb->na", x, p[:2, :4])),
    "bias_add": (K.bias_add(image, [1.0, 2, 3]), image + np.arange(1.0, 4)),
    "bias_add first": (
        K.bias_add(image, [1.0, 2, 3, 4, 5, 6], "channels_first"),
        image + np.arange(1.0, 7)[:, None, None],
    ),
    "spatial_2d_padding": (K.spatial_2d_padding(image), np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))),
    "temporal_padding": (K.temporal_padding(x, (2, 0)), np.pad(x, ((0, 0), (2, 0), (0, 0)))),
    "resize_images": (K.resize_images(image, 2, 3, "channels_last"), image.repeat(2, 1).repeat(3, 2)),
    "resize_images bilinear": (
        K.resize_images(image, 2, 2, "channels_last", "bilinear"),
        ops.image.resize(image, (12, 16), "bilinear"),
    ),
    "resize_volumes": (K.resize_volumes(image[None], 1, 2, 2, "channels_last"), image[None].repeat(2, 2).repeat(2, 3)),
    "pool2d": (K.pool2d(image, (2, 2), (2, 2), pool_mode="avg"), image.reshape(2, 3, 2, 4, 2, 3).mean((2, 4))),
    "binary_crossentropy": (K.binary_crossentropy(t, p), -(t * np.log(p) + (1 - t) * np.log(1 - p))),
    "binary_crossentropy logits": (
        K.binary_crossentropy(t, np.log(p / (1 - p)), True),
        -(t * np.log(p) + (1 - t) * np.log(1 - p)),
    ),
    "binary_focal_crossentropy": (
        K.binary_focal_crossentropy(t, p, True),
        -np.where(t == 1, 0.25 * (1 - p) ** 2 * np.log(p), 0.75 * p**2 * np.log(1 - p)),
    ),
    "categorical_focal_crossentropy": (
        K.categorical_focal_crossentropy(t, p / p.sum(1, keepdims=True)),
        -(0.25 * t * (1 - p / p.sum(1, keepdims=True)) ** 2 * np.log(p / p.sum(1, keepdims=True))).sum(1),
    ),
    "sparse_categorical_crossentropy": (
        K.sparse_categorical_crossentropy([0, 2, 4, 1], p / p.sum(1, keepdims=True)),
        -np.log((t * p).sum(1) / p.sum(1)),
    ),
    "sparse ignored": (
        K.sparse_categorical_crossentropy([[0], [2], [4], [-1]], np.log(p), True, ignore_class=-1),
        -np.log((t * p).sum(1) / p.sum(1)) * [1, 1, 1, 0],
    ),
    "in_top_k": (K.in_top_k(p, p.argmax(1), 1), np.ones(4, bool)),
    "switch": (K.switch(x > 0, x, y), np.where(x > 0, x, y)),
    "switch rows": (K.switch([True, False], x, y), np.stack([x[0], y[1]])),
    "switch one": (K.switch(torch.tensor(True), lambda: x, lambda: y), x),
    "map_fn": (K.map_fn(lambda row: row.sum(), x), x.sum((1, 2))),
    "foldl": (K.foldl(lambda a, b: a - b, p), p[0] - p[1] - p[2] - p[3]),
    "foldr": (K.foldr(lambda a, b: a - b, p), p[3] - p[2] - p[1] - p[0]),
    "batch_normalization": (
        K.batch_normalization(torch.tensor(x), 0.5, torch.tensor(4.0), 1.0, 2.0, epsilon=0),
        (x - 0.5) / 2 * 2 + 1,
    ),
    "normalize_batch_in_training": (
        K.normalize_batch_in_training(torch.tensor(x), None, None, [0, 1], 0)[0],
        (x - x.mean((0, 1))) / x.std((0, 1)),
    ),
    "get_value": (K.get_value(K.variable(x)), x),
    "count_params": (K.count_params(K.variable(x)), 24),
    "int_shape": (K.int_shape(torch.tensor(x)), (2, 3, 4)),
    "cast_to_floatx": (K.cast_to_floatx([1, 2]), np.array([1.0, 2.0])),
    "eval": (K.eval(K.ones((2,))), np.ones(2)),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    ours, expected = VALUES[name]
    np.testing.assert_allclose(K.get_value(ours), K.get_value(expected), rtol=2e-5, atol=1e-5)


def test_convolutions() -> None:
    kernel = random.normal(size=(3, 3, 3, 5)).astype("float32")
    torch.testing.assert_close(K.conv2d(image, kernel, padding="same"), ops.conv(image, kernel, padding="same"))
    back = K.conv2d_transpose(K.conv2d(image, kernel, (2, 2)), kernel, (2, 6, 8, 3), (2, 2))
    assert back.shape == image.shape
    causal = K.conv1d(x, random.normal(size=(2, 4, 3)).astype("float32"), padding="causal")
    assert causal.shape == (2, 3, 3)
    depthwise = K.depthwise_conv2d(image, kernel[..., :2])
    assert K.separable_conv2d(image, kernel[..., :2], np.ones((1, 1, 6, 4), "float32")).shape == (2, 4, 6, 4)
    assert depthwise.shape == (2, 4, 6, 6)
    assert K.conv3d(image[None], np.ones((1, 2, 2, 3, 4), "float32")).shape == (1, 2, 5, 7, 4)
    assert K.pool3d(image[None], (1, 2, 2), (1, 2, 2)).shape == (1, 2, 3, 4, 3)


def test_local_convolution_with_one_kernel_is_a_convolution() -> None:
    kernel = random.normal(size=(3, 2, 3, 5)).astype("float32")
    local = np.broadcast_to(kernel.reshape(1, 18, 5), (4 * 7, 18, 5))
    expected = ops.conv(image, kernel)
    torch.testing.assert_close(K.local_conv2d(image, local, (3, 2), (1, 1), (4, 7)), expected)
    first = K.local_conv2d(image.transpose(0, 3, 1, 2), local, (3, 2), (1, 1), (4, 7), "channels_first")
    torch.testing.assert_close(first, expected.permute(0, 3, 1, 2))
    line = K.local_conv1d(x, np.broadcast_to(kernel[:2, 0].reshape(1, 6, 5)[:, :4], (3, 4, 5)), (1,), (1,))
    assert line.shape == (2, 3, 5)


def test_random_draws() -> None:
    assert set(np.unique(K.random_bernoulli((200,), 0.3))) == {0.0, 1.0}
    assert K.random_normal((300,), 5.0, 0.1).mean() == pytest.approx(5, abs=0.1)
    assert K.random_uniform((300,), 2, 3).min() >= 2
    assert K.truncated_normal((300,)).abs().max() <= 2
    assert K.random_normal_variable((2, 3), 0, 1).shape == K.random_uniform_variable((2, 3), 0, 1).shape == (2, 3)
    dropped = K.dropout(K.ones((1000,)), 0.5, seed=1)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(K.random_normal((3,), seed=1), K.random_normal((3,), seed=1))


def test_variables() -> None:
    a, b = K.variable(1.0), K.zeros((2,))
    K.set_value(a, 3.0)
    K.batch_set_value([(b, [1.0, 2.0])])
    K.update_add(a, 1.0)
    K.update_sub(b, [1.0, 0.0])
    assert [v.tolist() for v in K.batch_get_value([a, b])] == [4.0, [0.0, 2.0]]
    K.moving_average_update(a, 0.0, 0.5)
    K.update(b, [5.0, 5.0])
    assert (a.item(), b.tolist()) == (2.0, [5.0, 5.0])
    total = a
    total += 1.0
    total *= 2.0
    assert (total.item(), a.item()) == (6.0, 2.0)
    assert K.stop_gradient([a])[0].requires_grad is False
    with pytest.raises(TypeError, match=r"set_value: received 3; expected a variable"):
        K.set_value(3, 4)


def test_ctc() -> None:
    scores = F.softmax(torch.randn(3, 9, 6), -1)
    labels, lengths = np.array([[1, 2], [0, 4], [3, 3]]), np.full((3, 1), 2)
    cost = K.ctc_batch_cost(labels, scores, np.full((3, 1), 9), lengths)
    expected = F.ctc_loss(scores.log().transpose(0, 1), torch.tensor(labels), [9] * 3, [2] * 3, 5, reduction="none")
    torch.testing.assert_close(cost[:, 0], expected, rtol=1e-4, atol=1e-4)
    for greedy in (True, False):
        paths, found = K.ctc_decode(scores, np.full(3, 9), greedy, 20, 1)
        assert paths[0].shape == (3, 9) and found.shape == (3, 1)
    with pytest.raises(NotImplementedError, match="ctc_label_dense_to_sparse: received a call; expected dense"):
        K.ctc_label_dense_to_sparse(labels, lengths)


def test_rnn_with_a_mask() -> None:
    def add(item: torch.Tensor, states: list) -> tuple:
        return states[0] + item, [states[0] + item]

    start = [torch.zeros(2, 4)]
    last, outputs, states = K.rnn(add, x, start)
    np.testing.assert_allclose(outputs, x.cumsum(1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(last, states[0])
    mask = np.array([[True, True, False], [True, False, True]])
    last, outputs, _ = K.rnn(add, x, start, mask=mask)
    np.testing.assert_allclose(outputs, (x * mask[..., None]).cumsum(1), rtol=1e-5, atol=1e-6)
    last, outputs, _ = K.rnn(add, x, start, mask=mask, zero_output_for_mask=True)
    assert (outputs[0, 2] == 0).all()
    back, outputs, _ = K.rnn(
        add, x.transpose(1, 0, 2), start, go_backwards=True, time_major=True, return_all_outputs=False
    )
    np.testing.assert_allclose(back, x.sum(1), rtol=1e-5, atol=1e-6)
    assert outputs.shape == (1, 2, 4)


def test_learning_phase() -> None:
    assert K.learning_phase() == 0
    assert K.in_train_phase(1, 2) == 2 and K.in_test_phase(lambda: 1, 2) == 1
    with K.learning_phase_scope(1):
        assert K.in_train_phase(1, 2) == 1
    K.set_learning_phase(1)
    assert K.learning_phase() == 1
    K.clear_session()
    assert K.learning_phase() == 0
    with pytest.raises(ValueError, match=r"set_learning_phase: received 'train'"):
        K.set_learning_phase("train")


def test_settings() -> None:
    K.set_floatx("float16")
    assert K.floatx() == config.floatx() == "float16"
    K.set_floatx("float32")
    assert K.standardize_dtype(None) == "float32" and K.standardize_dtype(int) == "int32"
    assert K.is_float_dtype("float16") and K.is_int_dtype(torch.uint8) and not K.is_int_dtype("float32")
    assert K.get_uid("probe") == 1
    with K.name_scope("block"):
        K.manual_variable_initialization(True)
    with pytest.raises(AttributeError, match=r"keras.backend: received 'squre'.*Did you mean 'square'"):
        K.squre  # noqa: B018


# -- symbolic programs ----------------------------------------------------------------------------------------------

SYMBOLIC = [
    *[(name, ()) for name in ("abs", "square", "exp", "sqrt", "softmax", "relu", "sigmoid")],
    *[(name, ()) for name in ("batch_flatten", "mean", "sum", "l2_normalize")],
    ("reshape", ((-1, 2),)),
    ("clip", (0.0, 1.0)),
    ("expand_dims", ()),
    ("permute_dimensions", ((0, 2, 1),)),
    ("repeat_elements", (2, 1)),
    ("dropout", (0.5,)),
    ("map_fn", None),
    ("in_train_phase", (0.0,)),
]


@pytest.mark.parametrize(("name", "args"), SYMBOLIC, ids=[name for name, _ in SYMBOLIC])
def test_symbolic_calls_are_graphs(name: str, args: tuple | None) -> None:
    symbol = K.placeholder((2, 3, 4))
    call = (lambda v: K.map_fn(lambda row: row * 2, v)) if args is None else (lambda v: getattr(K, name)(v, *args))
    result = call(symbol)
    assert isinstance(result, KerasTensor) and K.is_keras_tensor(result)
    computed = K.function([symbol], [result])([x])[0]
    expected = call(torch.tensor(x))
    assert computed.shape == np.shape(expected)
    if name not in ("dropout", "in_train_phase"):
        np.testing.assert_allclose(computed, expected, rtol=1e-6)


def network() -> Model:
    inputs = Input((6, 8, 3))
    h = Conv2D(4, 3, activation="relu", name="conv")(inputs)
    h = GlobalAveragePooling2D()(h)
    return Model(inputs, Dense(5, activation="softmax")(h))


def test_function_computes_layers() -> None:
    model = network()
    run = K.function([model.input], [model.get_layer("conv").output, model.output])
    maps, scores = run([image])
    assert isinstance(maps, np.ndarray) and maps.shape == (2, 4, 6, 4)
    np.testing.assert_allclose(scores, model(torch.tensor(image)).detach(), rtol=1e-5, atol=1e-6)
    assert K.function(model.input, model.output)(image).shape == (2, 5)
    middle = K.function([model.get_layer("conv").output], [model.output])
    np.testing.assert_allclose(middle([maps])[0], scores, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"K.function: received 2 inputs; expected 1"):
        run([image, image])


def test_gradients_for_grad_cam() -> None:
    model = network()
    maps = model.get_layer("conv").output
    score = K.max(model.output[:, 2])
    gradient = K.gradients(K.sum(model.output[:, 2]), maps)[0]
    assert gradient.shape == (None, 4, 6, 4)
    weights = K.mean(gradient, axis=(1, 2))
    run = K.function([model.input], [maps, gradient, weights, score])
    computed, slopes, means, _ = run([image])
    real = torch.tensor(computed, requires_grad=True)
    rest = model.layers[-1](model.layers[-2](real))
    expected = torch.autograd.grad(rest[:, 2].sum(), real)[0]
    np.testing.assert_allclose(slopes, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(means, slopes.mean((1, 2)), rtol=1e-5, atol=1e-7)


def test_gradients_of_inputs_with_frozen_weights() -> None:
    model = network()
    model.trainable = False
    loss = K.variable(0.0)
    loss += K.mean(model.get_layer("conv").output)
    gradient = K.gradients(loss, [model.input])[0]
    gradient /= K.sqrt(K.mean(K.square(gradient))) + 1e-5
    iterate = K.function([model.input], [loss, gradient])
    picture = image[:1]
    before, step = iterate([picture])
    for _ in range(3):
        after, step = iterate([picture])
        picture = picture + step
    assert after > before


def test_gradients_of_numbers_and_of_weights() -> None:
    w, unused = K.variable([1.0, 2.0]), K.variable(1.0)
    found = K.gradients(K.sum(w**2), [w, unused])
    assert [g.tolist() for g in found] == [[2.0, 4.0], 0.0]
    symbol = K.placeholder((2,))
    gradient = K.gradients(K.sum(symbol * w), w)
    assert K.function([symbol], gradient)([np.array([3.0, 4.0])])[0].tolist() == [3.0, 4.0]


def test_learning_phase_as_an_input() -> None:
    inputs = Input((4,))
    model = Model(inputs, BatchNormalization()(Dropout(0.5)(inputs)))
    run = K.function([model.input, K.learning_phase()], [model.output])
    data = np.ones((50, 4), "float32")
    training = [layer.training for layer in model.layers]
    np.testing.assert_allclose(run([data, 0])[0], data, atol=1e-3)
    assert run([data, 1])[0].std() > 0.5
    assert [layer.training for layer in model.layers] == training


def test_in_train_phase_within_a_layer() -> None:
    inputs = Input((4,))
    model = Model(inputs, Lambda(lambda v: K.in_train_phase(v * 0, v))(inputs))
    data = torch.ones(2, 4)
    assert model(data, training=True).sum() == 0 and model(data, training=False).sum() == 8


def test_updates_are_made_after_the_call() -> None:
    counter, symbol = K.variable(0.0), K.placeholder((3,))
    run = K.function([symbol], [K.sum(symbol)], updates=[K.update_add(counter, K.max(symbol))])
    assert run([np.array([1.0, 2.0, 3.0])])[0] == 6.0
    run([np.array([1.0, 2.0, 3.0])])
    assert counter.item() == 6.0


def test_print_tensor(capsys: pytest.CaptureFixture) -> None:
    symbol = K.placeholder((2,))
    run = K.function([symbol], [K.print_tensor(symbol, "here:")])
    run([np.array([1.0, 2.0])])
    assert capsys.readouterr().out.startswith("here: tensor([1., 2.]")


def test_placeholders() -> None:
    assert K.placeholder(ndim=3).shape == (None, None, None)
    assert K.placeholder((2, None), dtype="int32").dtype == "int32"
    assert K.shape(K.placeholder((2, None))) == (2, None)
    assert not K.is_sparse(x) and K.to_dense(x) is x


ERRORS = [
    (lambda: K.batch_dot(x, x, axes=0), "batch_dot: received axes=0; expected another axis"),
    (lambda: K.batch_dot(x, x, axes=((1, 2), 1)), "batch_dot: received tensors of 3 and 3 axes"),
    (lambda: K.bias_add(image, p), "bias_add: received a bias of 2 axes for a tensor of 4"),
    (lambda: K.pool2d(image, (2, 2), pool_mode="min"), "pool, argument 'pool_mode': received 'min'"),
    (lambda: K.switch(x > 0, p, p), "switch: received a condition of 3 axes for tensors of 2"),
    (lambda: K.get_value(K.placeholder((2,))), "KerasTensor .* received a use as a NumPy array"),
]


@pytest.mark.parametrize(("wrong", "message"), ERRORS, ids=[message[:20] for _, message in ERRORS])
def test_errors_teach(wrong: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
