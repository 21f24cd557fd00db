"""Published networks: outputs and gradients equal to torch's, in both layouts, on every instruction set.

``CONVIA_EXAMPLES=1`` in the environment takes all of them, else some small ones; ``-k NAME`` takes one.
"""

import os
from functools import lru_cache

import pytest
import torch
from engine_harness import ISAS, assert_gradients, by_torch, flat, gradients, needs_engine, planned, targets_of

import convia as keras
from convia import applications, engine
from convia.applications.convnext import LayerScale
from convia.applications.history import LocalResponseNormalization, TableConv2D
from convia.applications.inception_resnet_v2 import CustomScaleLayer
from convia.engine import Unsupported
from tools import applications as table

pytestmark = needs_engine
THOROUGH = os.environ.get("CONVIA_EXAMPLES")
NETWORKS = [name for name in applications.__all__ if name[0].isupper() and callable(getattr(applications, name))]
QUICK = ["LeNet5", "MobileNetV3Small"]
SIDES = {"LeNet1989": 16, "LeNet5": 32, "AlexNet": 67, "InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
EXCLUDED = {"LeNet1989": "a bias of each position"}
COUNT, THREADS = 4, 2
L = keras.layers
LAYERS = {  # that only these networks have
    "neighbours": LocalResponseNormalization(alpha=0.1),
    "table": TableConv2D([(0, 2), (1,), (0, 1, 3), (4,)], 3),
    "strided table": TableConv2D([(0, 2), (1, 4)], 3, 2, "same"),
    "scale": LayerScale(0.5, 5),
    "scaled sum": lambda x: CustomScaleLayer(0.3)([x, L.Conv2D(5, 1)(x)]),
}


@pytest.mark.parametrize("case", LAYERS)
def test_their_layers_equal_torchs(case):
    inputs = keras.Input((7, 6, 5))
    model = keras.Model(inputs, L.Conv2D(4, 3)(LAYERS[case](L.Conv2D(5, 1, activation="tanh")(inputs))))
    x = torch.rand(3, 7, 6, 5)
    y = torch.randn(3, *model.output_shape[1:])
    assert_gradients(model, "mse", x, y, ISAS[0], THREADS)
    plan, objective = planned(model, "mse", y)
    found = wide_gradients(plan, x, y, ISAS[0], 3)
    _, wanted = by_torch(model, objective, x, y)
    for parameter, mine in zip(plan.parameters, found, strict=True):
        if mine is not None:
            theirs = flat(wanted[id(parameter.tensor)], parameter.tensor)
            assert (mine.double() - theirs).abs().max() <= 1e-5 * max(float(theirs.abs().max()), 1e-2)


@lru_cache(maxsize=1)
def network(name, seed=1):
    """A small one with random numbers, which draws nothing at random: the masks of the two are not the same."""
    keras.utils.set_random_seed(seed)
    side = SIDES.get(name, 64)
    grey = name.startswith("LeNet")
    model = getattr(applications, name)(
        weights=None, input_shape=(side, side, 1 if grey else 3), classes=10, classifier_activation=None
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
        if layer.name.endswith("project_bn"):  # as trained networks are; else each block enlarges what rounding does
            layer.gamma.assign(0.3 * layer.gamma)
    for v in model.weights:
        if "moving_variance" in v.path or "layer_scale" in v.path:
            v.assign(torch.rand(v.shape) * 0.5 + 0.75)
        elif "moving_mean" in v.path or "beta" in v.path:
            v.assign(torch.randn(v.shape) * 0.1)
    x = torch.rand(COUNT, side, side, model.input_shape[-1])
    return model, x, torch.randn(COUNT, 10)


@pytest.mark.parametrize("name", NETWORKS if THOROUGH else [*QUICK, *EXCLUDED])
def test_all_lower_but_some(name):
    model, _, _ = network(name)
    if name in EXCLUDED:
        with pytest.raises(Unsupported, match=EXCLUDED[name]):
            engine.lower(model.graph, [])
    else:
        assert engine.lower(model.graph, []).beyond_wide() is None


@pytest.mark.parametrize("name", NETWORKS if THOROUGH else ["LeNet1989", "LeNet5", "MobileNetV3Small"])
def test_the_page_is_current(name):
    assert table.rows_of(table.PAGE.read_text(encoding="utf-8"))[name] == table.row(name)


@pytest.mark.parametrize("name", [name for name in (NETWORKS if THOROUGH else QUICK) if name not in EXCLUDED])
def test_outputs_equal_torchs(name):
    model, x, _ = network(name)
    keras.config.set_engine("torch")
    with torch.inference_mode():
        want = model(x, training=False)
    keras.config.set_engine("auto")
    plan = engine.lower(model.graph, [])
    for isa in ISAS:
        for network_, call in both(plan, isa):
            out = torch.full((COUNT, 10), 9.0)
            call(network_, x, out)
            error = (out - want).abs().max() / want.abs().max()
            assert error <= 1e-4, f"{isa}, {type(network_).__name__}: {error:.1e}"


def both(plan, isa):
    """Networks of both layouts, and what has them predict."""
    yield plan.assemble_wide(engine.native(), isa, THREADS), predict_wide
    if plan.cost() < 2e8 or THOROUGH:
        yield plan.assemble(engine.native(), isa, THREADS, COUNT, False), predict


def predict_wide(network_, x, out):
    network_.run([(x.data_ptr(), False)], [out.data_ptr()], 0, COUNT, 1)


def predict(network_, x, out):
    network_.run(2, [(x.data_ptr(), False)], [], [out.data_ptr()], 0, COUNT, COUNT, [], 1, [])


@pytest.mark.parametrize("name", [name for name in (NETWORKS if THOROUGH else QUICK) if name not in EXCLUDED])
def test_gradients_equal_torchs(name):
    """By two thousandths of all gradients' length, or, where rounding grows, by no more than torch's single precision.

    A single unit at its rectifier's edge may change gradients by some per cent of their length, for which it takes other
    numbers than the first ones; a mistake shows with all of them.
    """
    for seed in (1, 2, 3, 4):
        far = [each for each in gradients_apart(name, seed) if each is not None]
        if not far:
            return
    raise AssertionError(far)


def gradients_apart(name, seed):
    """Yield what is too far from torch's gradients, and by how much; None for what is not."""
    model, x, y = network(name, seed)
    plan, objective = planned(model, "mse", y)
    kept = [weight.detach().clone() for weight in model.weights]  # statistics move with a step
    _, wanted = by_torch(model, objective, x, y)
    oracle = [flat(wanted[id(p.tensor)], p.tensor) if p.learns else None for p in plan.parameters]
    single = by_torch_in_single_precision(model, objective, x, y)
    torchs = [flat(single[id(p.tensor)], p.tensor) if p.learns else None for p in plan.parameters]
    whole, worst = apart(torchs, oracle)
    allowed = max(2e-3, 2 * whole), max(5e-2, 2 * worst)
    for isa in ISAS:
        for layout in ("wide", "narrow") if THOROUGH else ("wide",):
            restore(model, kept)
            found = (
                wide_gradients(plan, x, y, isa, COUNT) if layout == "wide" else gradients(plan, x, y, isa, THREADS)[1]
            )
            whole, worst = apart(found, oracle)
            yield None if whole <= allowed[0] and worst <= allowed[1] else (isa, layout, whole, worst)
    restore(model, kept)


def by_torch_in_single_precision(model, objective, x, y):
    keras.config.set_engine("torch")
    variables = list(model.trainable_variables)
    grads = torch.autograd.grad(objective.loss(y, model(x, training=True), None), variables)
    keras.config.set_engine("auto")
    return dict(zip(map(id, variables), grads, strict=True))


def apart(found, oracle):
    """Errors as parts of lengths of vectors: of all gradients as one, and the largest of a weight (of a 1000th of all)."""
    rows = [
        (float((a.double() - b).norm()), float(b.norm())) for a, b in zip(found, oracle, strict=True) if b is not None
    ]
    errors, lengths = torch.tensor(rows).unbind(1)
    return float(errors.norm() / lengths.norm()), float((errors / lengths.clamp(min=1e-3 * lengths.norm())).max())


def wide_gradients(plan, x, y, isa, count):
    network_ = plan.assemble_wide_training(engine.native(), isa, THREADS, count)
    targets, _held = targets_of(plan, y)
    network_.run(0, [(x.data_ptr(), False)], targets, [], 0, count, count, [0.0], 1, [])
    return [torch.tensor(network_.gradient(k)) if p.learns else None for k, p in enumerate(plan.parameters)]


def restore(model, kept):
    for weight, value in zip(model.weights, kept, strict=True):
        weight.data.copy_(value)
