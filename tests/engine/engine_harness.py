"""Runs a model's plan directly, and the same in torch with float64: the oracle of the engine's tests."""

import inspect

import pytest
import torch

from convia import engine, tree
from convia.engine.plan import Plan
from convia.engine.training import add_losses, add_optimizer
from convia.graph import _filled
from convia.symbolic import FunctionCall
from convia.training.objective import Objective

ISAS = [name for name, _ in engine.native().instruction_sets()] if engine.native() else []
needs_engine = pytest.mark.skipif(not ISAS, reason=engine.reason_for_absence() or "-")


def planned(model, loss, y, metrics=None, loss_weights=None, optimizer=None) -> tuple[Plan, Objective]:
    objective = Objective(loss, loss_weights, metrics, None)
    with torch.no_grad():
        count = min(2, len(listed(y)[0]))
        objective.build(first(y, count), model(inputs_of(model, count)), model.output_names)
    learned = list(model.trainable_variables)
    plan = engine.lower(model.graph, learned)
    add_losses(plan, objective)
    if optimizer is not None:
        if not optimizer.built:
            optimizer.build(learned)
        add_optimizer(plan, optimizer, learned)
    return plan, objective


def inputs_of(model, count):
    parts = [torch.rand(count, *tensor.shape[1:]) for tensor in model.inputs]
    return parts[0] if len(parts) == 1 else parts


def first(y, count):
    return [part[:count] for part in y] if isinstance(y, list) else y[:count]


def listed(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def targets_of(plan, y, weight=None):
    """Addresses of the labels, and what keeps them alive."""
    rows, kept = [], []
    for entry, part in zip(plan.losses, listed(y), strict=True):
        labels = part.to(torch.int32).contiguous() if entry["sparse"] else None
        dense = None if entry["sparse"] else part.float().contiguous()
        kept += [labels, dense, weight]
        rows.append(tuple(0 if each is None else each.data_ptr() for each in (dense, labels, weight)))
    return rows, kept


def gradients(plan, x, y, isa, threads, weight=None, keys=()):
    """One training step without an update: (loss, gradients by parameter, hits)."""
    xs = [part.contiguous() for part in listed(x)]
    count = len(xs[0])
    network = plan.assemble(engine.native(), isa, threads, count, True)
    rows, _kept = targets_of(plan, y, weight)
    inputs = [(part.data_ptr(), part.dtype is torch.uint8) for part in xs]
    tallies, penalty = network.run(0, inputs, rows, [], 0, count, count, [0.0], 1, list(keys))
    found = [
        torch.tensor(network.gradient(number)) if each.learns else None for number, each in enumerate(plan.parameters)
    ]
    total = sum(loss * entry["factor"] for (loss, _), entry in zip(tallies, plan.losses, strict=True)) + penalty
    return total / count, found, [hits / count for _, hits in tallies]


def by_torch(model, objective, x, y, weight=None):
    """Loss and gradients by autograd in float64, in the order of memory of each weight."""
    values = {id(v): v.data for v in model.weights}
    for v in model.weights:
        v.data = v.data.double()
    try:
        xs = [part.double() for part in listed(x)]
        with torch.enable_grad():
            outputs, penalty = run_training(model, xs)
            total = objective.loss(y, outputs, weight) + penalty
            for v in model.trainable_variables:
                if v.regularizer is not None:
                    total = total + v.regularizer(v)
        grads = torch.autograd.grad(total, list(model.trainable_variables), allow_unused=True)
    finally:
        for v in model.weights:
            v.data = values[id(v)]
    return float(total.detach()), dict(zip(map(id, model.trainable_variables), grads, strict=True))


def run_training(model, xs):
    """Run the graph with the layers' ``call``, which takes any type; return the outputs and the activities' penalty."""
    outputs, penalty = run_graph(model.graph, xs, True)
    return (outputs[0] if len(outputs) == 1 else outputs), penalty


def run_graph(graph, xs, training):
    values, penalty = [None] * graph._size, 0.0
    for slot, x in zip(graph.input_slots, xs, strict=True):
        values[slot] = x
    for step in graph.steps:
        operation, args, kwargs = step.operation, _filled(step.args, values), _filled(step.kwargs, values)
        trains = training and kwargs.pop("training", None) is not False
        if isinstance(operation, FunctionCall):
            result = tree.map_structure(torch.Tensor.double, operation.function(*args, **kwargs))
        elif getattr(operation, "graph", None) is not None:
            result, more = run_graph(operation.graph, tree.flatten(args), trains)
            penalty = penalty + more
        else:
            result = run_layer(operation, args, trains)
            if operation.activity_regularizer is not None:
                penalty = penalty + operation.activity_regularizer(result) / len(result)
        for slot, each in zip(step.results, tree.flatten(result), strict=True):
            values[slot] = each
    return [values[slot] for slot in graph.output_slots], penalty


def run_layer(layer, args, trains):
    takes = "training" in inspect.signature(layer.call).parameters
    typed = [each for each in layer.modules() if hasattr(each, "_input_dtype")]
    for each in typed:
        object.__setattr__(each, "_input_dtype", torch.float64)
    result = layer.call(*args, **({"training": trains} if takes else {}))
    for each in typed:
        object.__setattr__(each, "_input_dtype", torch.float32)
    return result


def flat(gradient, variable):
    """A gradient in the order in which the variable lies in memory."""
    order = sorted(range(variable.ndim), key=lambda axis: -variable.stride(axis) * 10 - (variable.shape[axis] > 1))
    return gradient.permute(order).reshape(-1)


def assert_gradients(model, loss, x, y, isa, threads, weight=None, tolerance=1e-5, **options):
    plan, objective = planned(model, loss, y, **options)
    value, found, _ = gradients(plan, x, y, isa, threads, weight)
    expected, grads = by_torch(model, objective, x, y, weight)
    assert value == pytest.approx(expected, rel=2e-5, abs=1e-6)
    for each, mine in zip(plan.parameters, found, strict=True):
        if mine is None:
            continue
        theirs = grads[id(each.tensor)]
        theirs = torch.zeros_like(each.tensor).double() if theirs is None else theirs
        wanted = flat(theirs, each.tensor)
        scale = max(float(wanted.abs().max()), 1e-2)
        error = float((mine.double() - wanted).abs().max()) / scale
        assert error <= tolerance, f"{each.tensor.path}: {error:.2e}"


def labels(kind, count, shape, generator):
    """Random labels for outputs of a shape (without the batch)."""
    if kind == "sparse":
        return torch.as_tensor(generator.integers(0, shape[-1], (count, *shape[:-1])))
    if kind == "one_hot":
        numbers = torch.as_tensor(generator.integers(0, shape[-1], (count, *shape[:-1])))
        return torch.nn.functional.one_hot(numbers, shape[-1]).float()
    if kind == "binary":
        return torch.as_tensor(generator.integers(0, 2, (count, *shape))).float()
    return torch.as_tensor(generator.normal(size=(count, *shape))).float()
