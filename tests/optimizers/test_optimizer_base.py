"""What all optimizers do: arguments, state, saving, gradients that are missing, and errors that teach."""

import pickle
from copy import deepcopy

import keras
import numpy as np
import pytest
import torch

from convia import optimizers, registry, schedules
from convia.optimizers.scalar import Scalar
from convia.variable import Variable


def _variable(values=(1.0, 2.0), **arguments):
    return Variable(np.array(values, "float32"), **arguments)


def _built(optimizer=None, values=(1.0, 2.0)):
    optimizer, variable = optimizer or optimizers.Adam(0.1), _variable(values, name="kernel")
    optimizer.build([variable])
    return optimizer, variable


@pytest.mark.parametrize("name", ["adam", "Adam", "ADAM"])
def test_names_in_any_case(name):
    assert type(optimizers.get(name)) is optimizers.Adam


@pytest.mark.parametrize(
    ("name", "cls"),
    [("sgd", "SGD"), ("rmsprop", "RMSprop"), ("RMSProp", "RMSprop"), ("adamw", "AdamW"), ("SGD", "SGD")],
)
def test_get_finds(name, cls):
    found = optimizers.get(name)
    assert type(found).__name__ == cls
    assert optimizers.get(found) is found
    assert optimizers.get({"class_name": name, "config": {"learning_rate": 0.5}}).get_config()["learning_rate"] == 0.5


def test_only_optimizers_are_registered():
    known = registry.registered("keras.optimizers")
    assert set(known) == {name for name in optimizers.__all__ if name[0].isupper()}


def test_get_none():
    assert optimizers.get(None) is None


@pytest.mark.parametrize(
    ("identifier", "message"),
    [("adamm", "'adamm'; expected a known name. Did you mean 'Adam"), (optimizers.Adam, "an Optimizer"), (abs, "abs")],
)
def test_get_refuses(identifier, message):
    with pytest.raises(ValueError, match=message):
        optimizers.get(identifier)


def test_names_count_up():
    assert [optimizers.RMSprop().name for _ in range(3)] == ["rm_sprop", "rm_sprop_1", "rm_sprop_2"]
    assert optimizers.SGD(name="mine").iterations.path == "mine/iteration"


def test_config_with_a_schedule_is_keras_s():
    theirs = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 10), name="a")
    ours = optimizers.Adam(schedules.CosineDecay(0.1, 10), name="a")
    assert ours.get_config() == theirs.get_config()
    again = optimizers.deserialize(optimizers.serialize(ours))
    assert again.get_config() == ours.get_config()
    assert isinstance(again.learning_rate, torch.Tensor)
    assert len(again.variables) == 1


def test_keras_reads_our_config():
    ours = optimizers.serialize(optimizers.RMSprop(0.25, momentum=0.5, name="r"))
    theirs = keras.optimizers.deserialize(ours)
    assert theirs.get_config() == ours["config"]


@pytest.mark.parametrize("rate", [1, 0.5, np.float32(0.5), np.float64(0.5), torch.tensor(0.5), np.array(0.5)])
def test_learning_rates_that_are_numbers(rate):
    optimizer = optimizers.SGD(rate)
    assert float(optimizer.learning_rate) == float(rate)
    optimizer.learning_rate = 0.125
    assert float(optimizer.learning_rate) == 0.125
    optimizer.learning_rate.assign(np.float32(0.25))
    assert optimizer.learning_rate == 0.25
    assert optimizer.learning_rate.numpy() == np.float32(0.25)


def test_learning_rate_as_a_function():
    rates = iter([0.5, 0.25])
    optimizer, variable = optimizers.SGD(lambda: next(rates)), _variable([1.0])
    for _ in range(2):
        optimizer.apply([torch.ones(1)], [variable])
    assert variable.item() == 0.25


def test_a_schedule_may_replace_a_number_but_not_the_reverse():
    optimizer = optimizers.SGD(0.1)
    optimizer.learning_rate = schedules.ExponentialDecay(0.5, 1, 0.5)
    assert float(optimizer.learning_rate) == 0.5
    assert len(optimizer.variables) == 1
    with pytest.raises(TypeError, match="while ExponentialDecay decides the learning rate"):
        optimizer.learning_rate = 0.1


class Rooted(schedules.LearningRateSchedule):
    def __call__(self, step):
        return torch.rsqrt(step + 1.0)


def test_your_own_schedule_gets_a_tensor():
    optimizer, variable = optimizers.SGD(Rooted()), _variable([0.0])
    for _ in range(4):
        optimizer.apply([torch.ones(1)], [variable])
    assert variable.item() == pytest.approx(-sum(n**-0.5 for n in range(1, 5)))


class PlainMomentum(optimizers.Optimizer):
    """Written as Keras's documentation tells its users to."""

    def __init__(self, learning_rate=0.1, momentum=0.9, name="plain", **kwargs):
        super().__init__(learning_rate, name=name, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        super().build(variables)
        self.momentums = [self.add_variable_from_reference(v, name="momentum") for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        m = self.momentums[self._get_variable_index(variable)]
        self.assign(m, m * self.momentum - gradient * learning_rate)
        self.assign_add(variable, m.value)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


class Declared(optimizers.Optimizer):
    """Written the short way."""

    momentum: float = 0.9

    def slot_groups(self):
        return [{"momentum": 0}]

    def update_step(self, gradient, variable, learning_rate):
        (m,) = self.slots(variable)
        variable.add_(m.mul_(self.momentum).sub_(gradient, alpha=learning_rate))


@pytest.mark.parametrize("cls", [PlainMomentum, Declared])
def test_your_own_optimizer(cls):
    mine, theirs = _built(cls(0.1, clipnorm=1.0)), _built(optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0))
    for _ in range(5):
        for optimizer, variable in (mine, theirs):
            optimizer.minimize(variable.square().sum(), [variable])
    torch.testing.assert_close(mine[1].data, theirs[1].data)
    config = optimizers.serialize(mine[0])
    again = optimizers.deserialize(config, {cls.__name__: cls})
    assert again.get_config() == mine[0].get_config()
    assert again.get_config()["momentum"] == 0.9


def test_state_goes_to_keras_and_back():
    ours, _ = _built(optimizers.Adam(0.1, amsgrad=True))
    theirs = keras.optimizers.Adam(0.2, amsgrad=True)
    weight = keras.Variable(np.ones(2), dtype="float32")
    theirs.build([weight])
    theirs.apply([torch.tensor([0.5, -1.0])], [weight])
    store = {}
    theirs.save_own_variables(store)
    ours.load_own_variables(store)
    assert float(ours.learning_rate) == pytest.approx(0.2)
    assert int(ours.iterations) == 1
    again = {}
    ours.save_own_variables(again)
    assert again.keys() == store.keys()
    for key, value in store.items():
        np.testing.assert_array_equal(again[key], value)
        assert again[key].dtype == value.dtype
    fresh, _ = _built(optimizers.Adam(amsgrad=True))
    fresh.set_weights([v.numpy() for v in ours.variables])
    np.testing.assert_array_equal(fresh.slots(fresh._trainable_variables[0])[0].numpy(), store["2"])


@pytest.mark.parametrize("copy", [deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["deepcopy", "pickle"])
def test_copies_go_on_as_the_original(copy):
    pair = _built(optimizers.Nadam(0.1, use_ema=True))
    pair[0].minimize(pair[1].square().sum(), [pair[1]])
    twin = copy(pair)
    for optimizer, variable in (pair, twin):
        optimizer.minimize(variable.square().sum(), [variable])
    torch.testing.assert_close(twin[1].data, pair[1].data)
    assert int(twin[0].iterations) == 2
    assert twin[1] is not pair[1]


def test_stateless_apply_changes_nothing():
    optimizer, variable = _built()
    before = [np.copy(v.numpy()) for v in [variable, *optimizer.variables]]
    values, state = optimizer.stateless_apply(
        [v.numpy() for v in optimizer.variables], [torch.ones(2)], [variable.numpy()]
    )
    for old, now in zip(before, [variable, *optimizer.variables], strict=True):
        np.testing.assert_array_equal(old, now.numpy())
    optimizer.apply([torch.ones(2)])
    for new, now in zip([*values, *state], [variable, *optimizer.variables], strict=True):
        np.testing.assert_array_equal(np.asarray(new), now.numpy())


def test_apply_gradients_minimize_and_iterations():
    optimizer, variable = optimizers.SGD(0.5), _variable()
    assert int(optimizer.apply_gradients(zip([torch.ones(2)], [variable], strict=True))) == 1
    count = optimizer.minimize(variable.sum, [variable])
    assert count == 2
    assert optimizer.iterations + 1 == 3
    assert variable.tolist() == [0.0, 1.0]
    optimizer.apply([])
    assert int(optimizer.iterations) == 2
    optimizer.iterations = 7
    assert optimizer.iterations % 5 == 2


def test_arrays_and_other_types_are_gradients_too():
    optimizer, variable = optimizers.SGD(1.0), _variable()
    optimizer.apply([np.array([1.0, 2.0])], [variable])
    optimizer.apply([torch.ones(2, dtype=torch.float64)], [variable])
    assert variable.tolist() == [-1.0, -1.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", ["SGD", "Adam", "Lion"])
def test_gradients_of_another_type_become_the_variable_s(name, dtype):
    one, other = (_built(getattr(optimizers, name)(0.1)) for _ in range(2))
    for gradient in (torch.tensor([0.5, -1.0]), torch.tensor([2.0, 0.25])):
        one[0].apply([gradient.to(dtype)])
        other[0].apply([gradient])
    assert one[1].tolist() == other[1].tolist() != [1.0, 2.0]


def test_missing_gradients_are_named_and_their_variables_stay():
    optimizer, kernel, bias = optimizers.Adam(), _variable(name="kernel"), _variable(name="bias")
    with pytest.warns(UserWarning, match="received no gradients for bias"):
        optimizer.apply([torch.ones(2), None], [kernel, bias])
    assert bias.tolist() == [1.0, 2.0]
    assert kernel.tolist() != [1.0, 2.0]


def test_half_precision_and_double():
    for dtype in (torch.bfloat16, torch.float64):
        variable = torch.nn.Parameter(torch.ones(3, dtype=dtype))
        optimizer = optimizers.AdamW(0.5)
        optimizer.minimize(variable.square().sum(), [variable])
        assert {slot.dtype for slot in optimizer.slots(variable)} == {dtype}
        assert variable[0] < 1


def test_scalar_is_a_number():
    one = Scalar(2.5, "float32", "rate")
    assert (one + 1, 1 - one, one * 2, one**2, -one, one // 1, 5 / one) == (3.5, -1.5, 5.0, 6.25, -2.5, 2.0, 2.0)
    assert one > 2
    assert one == Scalar(2.5, "float32", "other")
    assert f"{one:.2f}" == "2.50"
    assert one.assign_add(1).assign_sub(0.5).item() == 3.0
    assert (torch.ones(2) * one).tolist() == [3.0, 3.0]
    assert np.asarray(one).dtype == np.float32
    assert one.value.shape == one.shape == ()
    assert list(range(3))[Scalar(1, "int32", "place")] == 1
    assert bool(one) and int(one) == 3
    assert repr(one) == "<Variable path=rate, shape=(), dtype=float32, value=3.0>"
    with pytest.raises(ValueError, match=r"Variable 'rate': received a value of shape \(2,\); expected one number"):
        one.assign([1, 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.Adam("fast"), "Adam, argument 'learning_rate': received 'fast'; expected a number"),
        (lambda: optimizers.SGD(None), "SGD, argument 'learning_rate': received None"),
        (lambda: optimizers.SGD(learning_rates=1.0), "argument learning_rates=1.0; .* Did you mean 'learning_rate'"),
        (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=2.0), "'clipnorm': 1.0, 'clipvalue': 2.0}; expected only one"),
        (lambda: optimizers.SGD(use_ema=True, ema_momentum=2), "'ema_momentum': received 2; expected a number from 0"),
        (lambda: optimizers.SGD(use_ema=True, ema_overwrite_frequency=0.5), "'ema_overwrite_frequency': received 0.5"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), "'gradient_accumulation_steps': received 1"),
        (lambda: optimizers.SGD(momentum=1.5), "SGD, argument 'momentum': received 1.5"),
        (lambda: optimizers.Lion(beta_1=0), "Lion, argument 'beta_1': received 0"),
        (lambda: optimizers.AdamW(weight_decay=None), "received None; expected a number. Without it, use Adam"),
        (lambda: optimizers.Ftrl(learning_rate_power=1), "'learning_rate_power': received 1; expected a number ≤ 0"),
        (lambda: optimizers.Ftrl(initial_accumulator_value=-1), "'initial_accumulator_value': received -1"),
        (lambda: optimizers.Muon().zeropower_via_newtonschulz5(torch.ones(3), 5), "expected at least two axes"),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_decay_is_ignored_with_a_warning():
    with pytest.warns(UserWarning, match="'decay': received a number; expected none. It is ignored"):
        optimizers.SGD(decay=1e-6)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda o, v: o.apply([None], [v]), "no gradients for any variable"),
        (lambda o, v: o.apply([torch.ones(2)], [_variable(name="new")]), "unknown variable 'new'"),
        (lambda o, v: o.apply([torch.ones(2)] * 2, [v]), "2 gradients for 1 variables"),
        (lambda o, v: o.apply([torch.ones(2)] * 2), "2 gradients for 1 variables"),
        (lambda o, v: optimizers.SGD().apply([torch.ones(2)]), "gradients without variables.*build"),
        (lambda o, v: o.apply_gradients([]), "received no pairs"),
        (lambda o, v: o.set_weights([]), "0 weights; expected 4 of them"),
        (lambda o, v: optimizers.SGD().set_weights([]), "before the optimizer is built"),
        (lambda o, v: o.stateless_apply([], [torch.ones(2)], [v]), "1 variables and 0 optimizer variables"),
        (lambda o, v: o.add_optimizer_variables([v], ["a", "b"], ["zeros"]), "2 names and 1 initializers"),
        (
            lambda o, v: _built(optimizers.SGD(use_ema=True))[0].finalize_variable_values([]),
            "0 variables; expected the 1",
        ),
    ],
)
def test_misuse_is_explained(act, message):
    with pytest.raises(ValueError, match=message):
        act(*_built())


def test_a_rule_is_needed():
    optimizer = optimizers.Optimizer(0.1)
    with pytest.raises(NotImplementedError, match="overrides update_step"):
        optimizer.apply([torch.ones(2)], [_variable()])


def test_other_state_is_skipped_with_a_warning():
    optimizer, _ = _built()
    with pytest.warns(UserWarning, match="received 1 saved variables; expected 4. They are skipped"):
        optimizer.load_own_variables({"0": np.array(3)})
    with pytest.warns(UserWarning, match="has not been built yet"):
        optimizers.Adam().load_own_variables({"0": np.array(3)})
    assert int(optimizer.iterations) == 0
