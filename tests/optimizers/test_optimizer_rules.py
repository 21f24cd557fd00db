"""Every update rule and every common option against Keras, over 20 steps."""

import inspect

import keras
import numpy as np
import pytest
import torch

from convia import optimizers, schedules
from convia.variable import Variable

NAMES = ("kernel", "bias", "embedding", "scale")
SHAPES = ((3, 3, 2, 4), (4,), (5, 3), ())
STEPS = 20

RULES = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
    "Adam": [{}, {"amsgrad": True}, {"beta_1": 0.5, "epsilon": 0.1}],
    "AdamW": [{}, {"weight_decay": 0.1, "amsgrad": True}],
    "Adamax": [{}],
    "Nadam": [{}, {"beta_1": 0.7}],
    "RMSprop": [{}, {"momentum": 0.8}, {"centered": True}, {"centered": True, "momentum": 0.8, "rho": 0.5}],
    "Adagrad": [{}, {"initial_accumulator_value": 0.5}],
    "Adadelta": [{}, {"learning_rate": 1.0}],
    "Adafactor": [{}, {"relative_step": False, "learning_rate": 0.5}, {"clip_threshold": 0.3}],
    "Ftrl": [
        {},
        {"l1_regularization_strength": 0.01, "l2_regularization_strength": 0.02, "beta": 0.1},
        {"l2_shrinkage_regularization_strength": 0.1, "learning_rate_power": -0.3},
    ],
    "Lion": [{}, {"beta_1": 0.8}],
    "Lamb": [{}, {"weight_decay": 0.01}],
    "Muon": [{}, {"exclude_embeddings": False}, {"exclude_embeddings": False, "nesterov": False, "rms_rate": None}],
}
OPTIONS = [
    {"weight_decay": 0.1},
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.7},
    {"use_ema": True, "ema_momentum": 0.8},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 4},
    {"gradient_accumulation_steps": 4, "use_ema": True, "ema_overwrite_frequency": 2, "clipnorm": 0.3},
    {"loss_scale_factor": 8.0},
]


def _values(seed):
    draw = np.random.default_rng(seed)
    return [draw.normal(size=shape).astype("float32") for shape in SHAPES]


def _pair(name, /, **arguments):
    """Keras's optimizer and ours, each built on its own copy of the same variables."""
    theirs, ours = getattr(keras.optimizers, name)(**arguments), getattr(optimizers, name)(**arguments)
    their_variables = [keras.Variable(v, name=n, dtype="float32") for v, n in zip(_values(0), NAMES, strict=True)]
    our_variables = [Variable(v, name=n) for v, n in zip(_values(0), NAMES, strict=True)]
    theirs.build(their_variables)
    ours.build(our_variables)
    return theirs, their_variables, ours, our_variables


def _step(theirs, their_variables, ours, our_variables, number):
    grads = [g * (1 + number % 3) for g in _values(number + 1)]
    theirs.apply([torch.from_numpy(np.asarray(g)) for g in grads], their_variables)
    ours.apply([torch.from_numpy(np.asarray(g)) for g in grads], our_variables)


def _assert_same(theirs, their_variables, ours, our_variables, tolerance=1e-5):
    for theirs_one, ours_one in zip(their_variables, our_variables, strict=True):
        np.testing.assert_allclose(ours_one.numpy(), theirs_one.numpy(), rtol=tolerance, atol=tolerance)
    assert len(theirs.variables) == len(ours.variables)
    for theirs_one, ours_one in zip(theirs.variables, ours.variables, strict=True):
        assert tuple(ours_one.shape) == tuple(theirs_one.shape)
        scale = max(1.0, np.abs(theirs_one.numpy()).max())
        np.testing.assert_allclose(ours_one.numpy(), theirs_one.numpy(), rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize(("name", "arguments"), [(name, case) for name, cases in RULES.items() for case in cases])
def test_rule_is_keras_s(name, arguments):
    pair = _pair(name, **arguments)
    for number in range(STEPS):
        _step(*pair, number)
    _assert_same(*pair)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Nadam", "Muon"])
@pytest.mark.parametrize("arguments", OPTIONS, ids=str)
def test_option_is_keras_s(name, arguments):
    pair = _pair(name, **arguments)
    for number in range(STEPS):
        _step(*pair, number)
        _assert_same(*pair)
    pair[0].finalize_variable_values(pair[1])
    pair[2].finalize_variable_values(pair[3])
    _assert_same(*pair)


def test_schedule_free_adamw_follows_its_paper():
    lr, beta_1, beta_2, epsilon, warmup = 0.05, 0.9, 0.99, 1e-8, 4
    optimizer = optimizers.ScheduleFreeAdamW(lr, beta_1, beta_2, epsilon, warmup)
    variable = Variable(np.array([1.0, -2.0], "float32"))
    x = y = z = variable.numpy().astype("float64")
    v = np.zeros(2)
    for t in range(1, STEPS + 1):
        g = np.random.default_rng(t).normal(size=2).astype("float32")
        optimizer.apply([torch.from_numpy(g)], [variable])
        v = beta_2 * v + (1 - beta_2) * g.astype("float64") ** 2
        z = z - lr * min(t / warmup, 1) * g / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
        x = (1 - 1 / t) * x + z / t
        y = (1 - beta_1) * z + beta_1 * x
    np.testing.assert_allclose(variable.numpy(), y, rtol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adafactor"])
@pytest.mark.parametrize(
    ("schedule", "arguments"),
    [
        ("ExponentialDecay", (0.1, 5, 0.5)),
        ("CosineDecay", (0.1, 15)),
        ("PiecewiseConstantDecay", ([3, 9], [0.3, 0.2, 0.1])),
    ],
)
def test_schedule_is_followed(name, schedule, arguments):
    make = {keras: keras.optimizers.schedules, optimizers: schedules}
    theirs = getattr(keras.optimizers, name)(getattr(make[keras], schedule)(*arguments), gradient_accumulation_steps=2)
    ours = getattr(optimizers, name)(getattr(make[optimizers], schedule)(*arguments), gradient_accumulation_steps=2)
    their_variables = [keras.Variable(v, name=n, dtype="float32") for v, n in zip(_values(0), NAMES, strict=True)]
    our_variables = [Variable(v, name=n) for v, n in zip(_values(0), NAMES, strict=True)]
    for number in range(STEPS):
        _step(theirs, their_variables, ours, our_variables, number)
        assert float(ours.learning_rate) == pytest.approx(float(theirs.learning_rate), rel=1e-5)
    _assert_same(theirs, their_variables, ours, our_variables)


def test_learning_rate_changes_take_effect_on_the_next_step():
    pair = _pair("Adam")
    for number, rate in enumerate([0.1, np.float32(0.02), torch.tensor(0.3), 0.004]):
        pair[0].learning_rate = float(rate)
        pair[2].learning_rate = rate
        _step(*pair, number)
        pair[0].learning_rate.assign(float(rate) / 2)
        pair[2].learning_rate.assign(float(rate) / 2)
        _step(*pair, number)
        _assert_same(*pair)


def test_weight_decay_spares_the_excluded():
    pair = _pair("SGD", weight_decay=0.3)
    for optimizer, variables in (pair[:2], pair[2:]):
        optimizer.exclude_from_weight_decay(var_list=[variables[0]], var_names=["bias"])
    _step(*pair, 0)
    _assert_same(*pair)


def test_constraints_are_applied():
    theirs = [keras.Variable(_values(0)[0], dtype="float32")]
    theirs[0].constraint = keras.constraints.NonNeg()
    ours = [Variable(_values(0)[0], constraint=lambda w: w.clamp(min=0))]
    gradient = torch.from_numpy(_values(1)[0])
    keras.optimizers.SGD(0.1).apply([gradient], theirs)
    optimizers.SGD(0.1).apply([gradient], ours)
    np.testing.assert_allclose(ours[0].numpy(), theirs[0].numpy(), rtol=1e-6)
    assert ours[0].numpy().min() == 0


@pytest.mark.parametrize("name", [*RULES, "ScheduleFreeAdamW", "LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"])
def test_signature_is_keras_s(name):
    def arguments(module):
        given = inspect.signature(getattr(module, name)).parameters.values()
        return [(p.name, p.default) for p in given]

    assert arguments(optimizers) == arguments(keras.optimizers)


@pytest.mark.parametrize(("name", "arguments"), [(name, cases[-1]) for name, cases in RULES.items()])
def test_names_and_config_are_keras_s(name, arguments):
    theirs, _, ours, _ = _pair(name, use_ema=True, **({"name": "o"} | arguments))
    # Keras leaves the running product of Nadam without a name of its own and numbers it: variable_12
    assert [v.name for v in ours.variables] == [v.name.rstrip("_0123456789") for v in theirs.variables]
    assert ours.variables[2].path == theirs.variables[2].path == "o/kernel_average"
    assert ours.get_config() == theirs.get_config()
    again = optimizers.deserialize(keras.optimizers.serialize(theirs))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()


@pytest.mark.parametrize("name", RULES)
def test_state_memory_runs_as_the_variable_s(name):
    variable = Variable(np.ones, (3, 3, 2, 4), order=(3, 2, 0, 1))
    optimizer = getattr(optimizers, name)()
    optimizer.apply([torch.ones(3, 3, 2, 4)], [variable])
    for slot in optimizer.slots(variable):
        assert slot.shape != variable.shape or slot.stride() == variable.stride()
    assert torch.isfinite(variable).all()


@pytest.mark.parametrize("name", RULES)
def test_the_order_of_memory_changes_no_number(name):
    generator = np.random.default_rng(0)
    start, gradients = generator.normal(size=(3, 3, 2, 4)), generator.normal(size=(4, 3, 3, 2, 4))
    results = []
    for order in (None, (3, 2, 0, 1)):
        variable = Variable(lambda shape, **_: torch.from_numpy(start).float(), (3, 3, 2, 4), order=order)
        optimizer = getattr(optimizers, name)(0.1)
        for gradient in torch.from_numpy(gradients).float():
            optimizer.apply([torch.empty_like(variable).copy_(gradient)], [variable])
        results.append(variable.detach())
    torch.testing.assert_close(results[1], results[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [*RULES, "ScheduleFreeAdamW"])
def test_a_quadratic_goes_down(name):
    variable = torch.nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 3.0]]))
    optimizer = getattr(optimizers, name)(0.05)
    for _ in range(30):
        optimizer.minimize(lambda: variable.square().sum(), [variable])
    assert variable.square().sum() < 14.25


@pytest.mark.parametrize("amsgrad", [False, True])
def test_a_step_of_ones_own_around_adams_equals_the_fused_one(amsgrad):
    taken = []

    class Own(optimizers.Adam):
        def update_step(self, gradient, variable, learning_rate):
            taken.append(variable)
            super().update_step(gradient, variable, learning_rate)

    theirs, their_variables, _, _ = _pair("Adam", amsgrad=amsgrad)
    ours, our_variables = Own(amsgrad=amsgrad), [Variable(v, name=n) for v, n in zip(_values(0), NAMES, strict=True)]
    ours.build(our_variables)
    for number in range(5):
        _step(theirs, their_variables, ours, our_variables, number)
    _assert_same(theirs, their_variables, ours, our_variables)
    assert len(taken) == 5 * len(our_variables)


def test_adam_updates_all_variables_in_one_call(monkeypatch):
    calls, fused = [], torch._fused_adam_
    monkeypatch.setattr(
        torch, "_fused_adam_", lambda *args, **kwargs: (calls.append(len(args[0])), fused(*args, **kwargs))
    )
    variables = [Variable(np.ones(3)), Variable(np.ones((2, 2)))]
    optimizer = optimizers.Adam(0.1)
    optimizer.build(variables)
    optimizer.apply([torch.ones(3), torch.ones(2, 2)], variables)
    assert calls == [2]
    for variable in variables:
        np.testing.assert_allclose(variable.numpy(), 0.9, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "calls"), [(torch.float32, 1), (torch.float64, 0), (torch.bfloat16, 0)])
def test_adams_fused_kernel_is_for_single_precision(dtype, calls, monkeypatch):
    fused, taken = torch._fused_adam_, []
    monkeypatch.setattr(torch, "_fused_adam_", lambda *args, **kwargs: (taken.append(args), fused(*args, **kwargs)))
    variable = torch.nn.Parameter(torch.ones(3, dtype=dtype))
    optimizers.Adam(0.25, epsilon=1e-30).apply([torch.tensor([1.0, -2.0, 0.0], dtype=dtype)], [variable])
    assert len(taken) == calls
    torch.testing.assert_close(variable.data, torch.tensor([0.75, 1.25, 1.0], dtype=dtype))


@pytest.mark.parametrize(("shape", "order", "calls"), [((3, 4), (1, 0), 0), ((3, 1, 4), (1, 0, 2), 1), ((), (), 1)])
def test_adams_fused_kernel_needs_gradients_that_lie_as_the_variable_does(shape, order, calls, monkeypatch):
    fused, taken = torch._fused_adam_, []
    monkeypatch.setattr(torch, "_fused_adam_", lambda *args, **kwargs: (taken.append(args), fused(*args, **kwargs)))
    gradient = torch.arange(1.0, 1 + np.prod(shape)).reshape(shape) * 1e-7  # as small as ε: steps are unlike
    plain, ordered = Variable(np.zeros, shape), Variable(np.zeros, shape, order=order)
    optimizers.Adam(0.25).apply([gradient], [plain])
    taken.clear()
    optimizers.Adam(0.25).apply([gradient], [ordered])
    assert len(taken) == calls
    torch.testing.assert_close(ordered.data, plain.data)


def test_lamb_takes_the_plain_step_where_weights_or_gradients_are_zero():
    zeros, ones = Variable(np.zeros(3)), Variable(np.ones(3))
    optimizers.Lamb(0.25).apply([torch.tensor([2.0, -0.5, 3.0]), torch.zeros(3)], [zeros, ones])
    np.testing.assert_allclose(zeros.numpy(), [-0.25, 0.25, -0.25], rtol=1e-5)
    np.testing.assert_array_equal(ones.numpy(), 1)
