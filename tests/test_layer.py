"""Layers of one's own: what the base class does for them."""

import numpy as np
import pytest
import torch

import convia
from convia.layer import Layer


class Scale(Layer):
    """A layer as users write it: its own __init__, build and call."""

    def __init__(self, factor=2.0, **kwargs):
        self.before_super = True
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="kernel")
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

    def call(self, inputs, training=None):
        if training:
            self.count.assign_add(1.0)
        return inputs * self.kernel * self.factor


def test_weights_are_torch_parameters_and_buffers():
    layer = Scale(name="scale")
    layer(np.ones((2, 3)))
    assert [v.path for v in layer.weights] == ["scale/kernel", "scale/count"]
    assert [name for name, _ in layer.named_parameters()] == ["kernel"]
    assert [name for name, _ in layer.named_buffers()] == ["count"]
    assert layer.count_params() == 4 and layer.before_super


def test_config_comes_from_the_signature():
    layer = Scale(3.0, name="scale", trainable=False)
    config = layer.get_config()
    assert config["factor"] == 3.0 and config["name"] == "scale" and config["trainable"] is False
    assert Scale.from_config(config).get_config() == config


def test_training_comes_from_the_call_then_from_the_call_around_then_from_the_module():
    layer = Scale()
    layer(torch.ones(1, 2), training=True)
    outer = convia.Sequential([layer])
    outer(torch.ones(1, 2), training=True)
    outer(torch.ones(1, 2))
    assert float(layer.count) == 2
    layer.train()
    layer(torch.ones(1, 2))
    assert float(layer.count) == 3


def test_building_by_hand_and_with_several_shapes():
    layer = Scale()
    layer.build((None, 5))
    assert layer.built and layer.get_build_config() == {"input_shape": (None, 5)}
    copy = Scale.from_config(layer.get_config())
    copy.build_from_config(layer.get_build_config())
    assert copy.kernel.shape == (5,)

    class Two(Layer):
        def build(self, query_shape, value_shape):
            self.shapes = query_shape, value_shape

        def call(self, query, value):
            return query.sum() + value.sum()

    two = Two()
    two(torch.ones(2, 3), torch.ones(4, 5))
    assert tuple(map(tuple, two.shapes)) == ((2, 3), (4, 5))


def test_layers_within_lists_and_dicts_are_found():
    class Nest(Layer):
        def __init__(self):
            super().__init__()
            self.blocks = []
            for _ in range(2):
                self.blocks.append(convia.layers.Dense(2))
            self.named = {"a": convia.layers.Dense(2)}

        def call(self, inputs):
            for block in self.blocks:
                inputs = block(inputs)
            return self.named["a"](inputs)

    nest = Nest()
    nest(torch.ones(1, 2))
    assert len(nest.weights) == 6 and len(list(nest.parameters())) == 6
    nest.trainable = False
    assert not any(p.requires_grad for p in nest.parameters())


def test_stateless_call_leaves_the_layer_as_it_is():
    layer = convia.layers.BatchNormalization()
    x = torch.randn(8, 3)
    layer(x)
    before = layer.get_weights()
    doubled = [2 * v.detach() for v in layer.trainable_variables]
    outputs, state = layer.stateless_call(doubled, layer.non_trainable_variables, x, training=True)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    torch.testing.assert_close(outputs, 2 * layer(x, training=True), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(state[0], layer.moving_mean.detach().as_subclass(torch.Tensor), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="one per variable"):
        layer.stateless_call([], [], x)


def test_penalties_of_layers_weights_and_outputs():
    layer = convia.layers.Dense(1, kernel_regularizer="l2", activity_regularizer="l1", kernel_initializer="ones")
    layer(torch.ones(4, 3))
    assert sorted(float(loss) for loss in layer.losses) == pytest.approx([0.03, 0.03])
    outputs, state, losses = layer.stateless_call(layer.trainable_variables, [], torch.ones(4, 3), return_losses=True)
    assert len(losses) == 2 and outputs.shape == (4, 1) and state == []


def test_penalties_of_symbolic_calls_are_forgotten():
    class Penalty(Layer):
        def call(self, inputs):
            self.add_loss(inputs.sum().item() * inputs.mean())  # .item() makes shapes come from fake tensors
            return inputs

        def compute_output_shape(self, input_shape):
            return input_shape

    class Plain(Layer):
        def call(self, inputs):
            self.add_loss(inputs.mean())
            return inputs

    for kind in (Penalty, Plain):
        layer = kind()
        layer(convia.Input((3,)))
        assert layer.losses == []
        model = convia.Sequential([convia.Input((3,)), layer])
        model(torch.ones(2, 3))
        assert len(model.losses) == 1 and not model.losses[0].is_meta


def test_add_metric_reports_the_mean():
    class Norm(Layer):
        def call(self, inputs):
            self.add_metric(inputs.abs().mean(), name="size")
            return inputs

    model = convia.Sequential([convia.Input((2,)), Norm(), convia.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(np.full((8, 2), 3.0), np.zeros(8), batch_size=4, verbose=0).history
    assert history["size"] == [3.0]


ERRORS = [
    (lambda: convia.layers.Dense(3, activatoin="relu"), TypeError, "Did you mean 'activation'"),
    (convia.layers.Dense, TypeError, "units"),
    (lambda: convia.layers.Dense(0), ValueError, "whole number"),
    (lambda: convia.layers.Dense(3, name="a/b"), ValueError, "without '/'"),
    (lambda: Layer()(torch.ones(1)), NotImplementedError, "call"),
    (lambda: Scale()(torch.ones(2, 3)).no_such, AttributeError, "no_such"),
    (lambda: Scale().no_such, AttributeError, "no_such"),
    (lambda: convia.layers.Dense(3)(torch.tensor(1.0)), ValueError, "dense"),
]


@pytest.mark.parametrize("action, kind, text", ERRORS, ids=[f"{i}: {row[2]}" for i, row in enumerate(ERRORS)])
def test_errors(action, kind, text):
    with pytest.raises(kind, match=text):
        action()


def test_an_error_of_torch_names_the_layer_and_the_shapes():
    class Odd(Layer):
        def call(self, inputs):
            return inputs @ torch.ones(7, 7)

    with pytest.raises(RuntimeError, match=r"Odd layer 'odd': failed on an input of shape \(2, 3\)"):
        Odd(name="odd")(torch.ones(2, 3))


def test_initial_weights_and_input_shape_of_older_programs():
    layer = convia.layers.Dense(2, weights=[np.ones((3, 2)), np.zeros(2)], input_dim=3)
    assert layer.input_shape_hint == (None, 3)
    np.testing.assert_array_equal(convia.Sequential([layer])(np.ones((1, 3))).detach().numpy(), [[3.0, 3.0]])


def test_constants_of_a_layer_do_not_hinder_shapes():
    class Constant(Layer):
        def __init__(self):
            super().__init__()
            self.table = torch.arange(3.0)

        def call(self, inputs):
            return inputs * self.table + torch.ones(3)

    assert Constant()(convia.Input((5, 3))).shape == (None, 5, 3)


def test_only_compute_output_shape_is_believed():
    class Opaque(Layer):
        def call(self, inputs):
            return torch.from_numpy(inputs.detach().numpy()[:, :2])

        def compute_output_shape(self, input_shape):
            return (input_shape[0], 2)

    assert Opaque()(convia.Input((5,))).shape == (None, 2)


def test_training_may_be_given_by_place():
    model = convia.Sequential([convia.Input((4,)), convia.layers.Dropout(0.5)])
    x = torch.ones(2, 4)
    assert torch.equal(model(x, False), x)
    assert set(model(x, True).flatten().tolist()) <= {0.0, 2.0}


def test_layers_may_put_samples_into_groups():
    class OfGroups(convia.layers.Layer):
        def call(self, inputs):
            return inputs.reshape(4, -1, 3).mean(0)

    assert OfGroups()(convia.Input((3,))).shape == (None, 3)
