import inspect

import keras
import numpy as np
import pytest
import torch
from oracle import against_keras, assert_close, compare_config, copy_weights, random_inputs

from convia import config, layers
from convia.graph import Input
from convia.models import Model

T, S, D = 5, 7, 6
HEADS = [
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}),
    ("MultiHeadAttention", {"num_heads": 3, "key_dim": 4, "value_dim": 2, "use_bias": False, "output_shape": 8}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "use_gate": True, "sliding_window": 2,
                            "output_shape": (2, 3)}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "dropout": 0.5, "seed": 1, "kernel_regularizer": "l2"}),
    ("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}),
    ("GroupQueryAttention", {"head_dim": 2, "num_query_heads": 3, "num_key_value_heads": 1, "use_gate": True}),
    ("GroupQueryAttention", {"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 2, "use_bias": False,
                             "dropout": 0.3, "seed": 2, "sliding_window": 3}),
]  # fmt: skip
SIMPLE = [
    ("Attention", {}),
    ("Attention", {"use_scale": True, "dropout": 0.4, "seed": 3}),
    ("Attention", {"score_mode": "concat"}),
    ("Attention", {"score_mode": "concat", "use_scale": True}),
    ("AdditiveAttention", {}),
    ("AdditiveAttention", {"use_scale": False}),
    ("AdditiveAttention", {"dropout": 0.4, "seed": 3}),
]
CALLS = {
    "plain": {},
    "causal": {"use_causal_mask": True},
    "scores": {"return_attention_scores": True},
    "causal scores": {"use_causal_mask": True, "return_attention_scores": True},
    "training": {"training": True},
    "causal training": {"training": True, "use_causal_mask": True},
}


def pair(name, arguments):
    return (getattr(module, name)(**arguments, name="it") for module in (layers, keras.layers))


def mask_of(*shape):
    mask = np.random.rand(*shape) < 0.6
    mask[..., 0] = True
    return torch.tensor(mask)


def compare(ours, theirs, call):
    """Compare outputs and gradients of one call, given as a function of the layer and its inputs."""
    arrays = random_inputs((2, T, D), (2, S, D), (2, S, D))
    results = []
    for layer in (ours, theirs):
        inputs = [torch.tensor(array, requires_grad=True) for array in arrays]
        if layer is ours:
            call(ours, inputs), call(theirs, inputs)  # both draw once
            copy_weights(ours, theirs)
        outputs = call(layer, inputs)
        outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
        loss = sum((output * torch.linspace(-1, 1, output.numel()).reshape(output.shape)).sum() for output in outputs)
        weights = [getattr(v, "value", v) for v in layer.trainable_weights]
        gradients = torch.autograd.grad(loss, [*inputs, *weights], allow_unused=True)
        results.append((outputs, torch.cat([g.flatten() for g in gradients if g is not None])))
    assert_close(results[0][0], results[1][0])
    assert_close(results[0][1], results[1][1], "gradient", 1e-4)


@pytest.mark.parametrize("keywords", CALLS.values(), ids=CALLS)
@against_keras(("name", "arguments"), HEADS)
def test_heads_equal_keras(name, arguments, keywords):
    ours, theirs = pair(name, arguments)
    compare(ours, theirs, lambda layer, x: layer(x[0], x[1], key=x[2], **keywords))
    compare_config(ours, theirs)


@pytest.mark.parametrize("masks", [("value",), ("key",), ("attention",), ("value", "key", "attention")])
@pytest.mark.parametrize(("name", "arguments"), HEADS)
def test_masks_of_heads_equal_those_of_keras(name, arguments, masks):
    shapes = {"value": (2, S), "key": (2, S), "attention": (2, T, S)}
    keywords = {f"{mask}_mask": mask_of(*shapes[mask]) for mask in masks}
    ours, theirs = pair(name, arguments)
    compare(ours, theirs, lambda layer, x: layer(x[0], x[1], key=x[2], **keywords))


def test_a_mask_of_queries_leaves_the_other_queries_alone():
    layer = layers.MultiHeadAttention(2, 3)
    x, mask = torch.randn(2, T, D), mask_of(2, T)
    assert_close(layer(x, x, query_mask=mask)[mask], layer(x, x)[mask])
    ours, theirs = pair("GroupQueryAttention", HEADS[4][1])
    compare(ours, theirs, lambda layer, x: layer(x[0], x[1], query_mask=mask))


def test_the_mask_of_an_input_of_keras_is_the_explicit_one():
    ours, theirs = pair("MultiHeadAttention", HEADS[0][1])
    x, mask = torch.randn(2, T, D), mask_of(2, T)
    ours(x, x), theirs(x, x)
    copy_weights(ours, theirs)
    expected = ours(x, x, query_mask=mask, value_mask=mask)
    x._keras_mask = mask
    assert_close(expected, theirs(x, x))


@pytest.mark.parametrize("axes", [None, 1, (2,), (-2,), (1, 2)])
def test_attention_over_axes_equals_keras(axes):
    ours, theirs = pair("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "attention_axes": axes})
    x = torch.randn(2, 3, 4, D)
    ours(x, x), theirs(x, x)
    copy_weights(ours, theirs)
    for a, b in zip(*(layer(x, x, return_attention_scores=True) for layer in (ours, theirs)), strict=True):
        assert_close(a, b)
    compare_config(ours, theirs)


@pytest.mark.parametrize("keywords", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("masked", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("count", [2, 3])
@against_keras(("name", "arguments"), SIMPLE)
def test_attention_equals_keras(name, arguments, count, masked, keywords):
    given = [mask_of(2, T), mask_of(2, S)]
    mask = [given[which] if which in masked else None for which in range(2)] if masked else None
    ours, theirs = pair(name, arguments)
    compare(ours, theirs, lambda layer, x: layer(x[:count], mask=mask, **keywords))
    compare_config(ours, theirs)


@pytest.mark.parametrize(("name", "arguments"), HEADS)
@pytest.mark.parametrize("scores", [False, True])
def test_symbolic_shapes(name, arguments, scores):
    layer = getattr(layers, name)(**arguments)
    query, value = Input((None, D)), Input((S, D))
    outputs = layer(query, value, return_attention_scores=scores)
    model = Model([query, value], outputs)
    x, y = torch.randn(2, T, D), torch.randn(2, S, D)
    assert_close(model([x, y]), layer(x, y, return_attention_scores=scores))
    shape = (outputs[0] if scores else outputs).shape
    size = arguments.get("output_shape", D)
    assert shape == (None, None, *(size if isinstance(size, tuple) else (size,)))
    assert not scores or outputs[1].shape[2:] == (None, S)


@pytest.mark.parametrize(("name", "arguments"), HEADS)
def test_from_config_and_weights(name, arguments):
    layer = getattr(layers, name)(**arguments)
    x = torch.randn(2, T, D)
    expected = layer(x, x)
    copy = type(layer).from_config(layer.get_config())
    copy.build_from_config(layer.get_build_config())
    copy.set_weights(layer.get_weights())
    assert_close(copy(x, x), expected)


def test_penalties_on_activities_are_those_of_keras():
    for name, arguments in (HEADS[0], HEADS[4]):
        ours, theirs = pair(name, {**arguments, "activity_regularizer": "l2"})
        x = torch.randn(2, T, D)
        ours(x, x), theirs(x, x)
        copy_weights(ours, theirs)
        ours(x, x), theirs(x, x)
        assert_close(sum(ours.losses), sum(theirs.losses))


def test_projections_start_from_different_values():
    layer = layers.MultiHeadAttention(2, 3)
    layer(torch.zeros(1, T, D), torch.zeros(1, T, D))
    assert not torch.equal(layer.query_dense.kernel, layer.key_dense.kernel)
    assert [w.path for w in layer.weights][:2] == [f"{layer.name}/query/kernel", f"{layer.name}/query/bias"]


def test_mixed_precision():
    layer = layers.MultiHeadAttention(2, 3, dtype="mixed_bfloat16")
    x = torch.randn(2, T, D)
    assert layer(x, x).dtype is torch.bfloat16
    assert layer.query_dense.kernel.dtype is torch.float32


@pytest.mark.parametrize(("name", "arguments"), [HEADS[0], HEADS[4], SIMPLE[0], SIMPLE[4]])
def test_signatures(name, arguments):
    def described(cls):
        parameters = inspect.signature(cls.__init__).parameters.values()
        common = ("kwargs", "self", "trainable", "dtype", "autocast", "name")
        return [(p.name, p.default) for p in parameters if p.name not in common and p.kind is p.POSITIONAL_OR_KEYWORD]

    assert described(getattr(layers, name)) == described(getattr(keras.layers, name))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.MultiHeadAttention(0, 3), "num_heads"),
        (lambda: layers.MultiHeadAttention(2, 3, sliding_window=0), "sliding_window"),
        (lambda: layers.MultiHeadAttention(2, 3, attention_axes="x"), "an axis, several of them, or None"),
        (lambda: layers.MultiHeadAttention(2, 3, flash_attention=True, dropout=0.1), "flash attention and dropout"),
        (lambda: layers.GroupQueryAttention(2, 3, 2), "a multiple and its divisor"),
        (lambda: layers.Attention(score_mode="x"), "score_mode"),
        (lambda: layers.Attention()(torch.zeros(1, 2, 3)), "received no list; expected a list"),
        (lambda: layers.Attention()([torch.zeros(1, 2, 3)]), "a list of 1"),
        (
            lambda: layers.Attention()([torch.zeros(1, 2, 3)] * 2, mask=torch.ones(1, 2)),
            "mask.: received no list",
        ),
        (lambda: layers.MultiHeadAttention(1, 2)(*map(torch.zeros, ((1, 2, 3), (1, 4, 3), (1, 5, 3)))), "one number"),
    ],
)
def test_messages(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_flash_attention_does_not_return_scores():
    config.enable_flash_attention()
    try:
        layer = layers.MultiHeadAttention(1, 2)
    finally:
        config.disable_flash_attention()
    with pytest.raises(ValueError, match="flash attention and return_attention_scores=True"):
        layer(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), return_attention_scores=True)
