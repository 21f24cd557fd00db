"""Models drawn at random from a seed: stacks, branches, shared layers, nested models, several inputs and outputs."""

import random
from collections.abc import Callable
from typing import Any

Library = Any
Make = Callable[[Library], Any]


def _choices(rng: random.Random) -> list[Make]:
    """Layers that keep the size of images; the arguments are drawn once, for both libraries."""
    filters, size, dilation = rng.choice((2, 4, 6)), rng.choice((1, 2, 3)), rng.choice((1, 2))
    activation = rng.choice(("relu", "tanh", "elu", "swish", None))
    keep = {"padding": "same"}
    regular = {"kernel_regularizer": "l2", "bias_constraint": "non_neg"} if rng.random() < 0.3 else {}
    rate, alpha, bias = rng.choice((0.1, 0.4)), rng.choice((0.1, 0.3)), rng.random() < 0.7
    return [
        lambda la: la.Conv2D(filters, size, activation=activation, use_bias=bias, **keep, **regular),
        lambda la: la.Conv2D(filters, 3, dilation_rate=dilation, **keep),
        lambda la: la.SeparableConv2D(filters, 3, depth_multiplier=dilation, **keep),
        lambda la: la.DepthwiseConv2D(3, depth_multiplier=dilation, **keep),
        lambda la: la.Conv2DTranspose(filters, 3, **keep),
        lambda la: la.BatchNormalization(momentum=0.8, scale=bias),
        lambda la: la.LayerNormalization(),
        lambda la: la.Dropout(rate),
        lambda la: la.SpatialDropout2D(rate),
        lambda la: la.GaussianNoise(rate),
        lambda la: la.LeakyReLU(alpha),
        lambda la: la.PReLU(shared_axes=[1, 2]),
        lambda la: la.Activation(activation),
        lambda la: la.MaxPooling2D(3, strides=1, **keep),
        lambda la: la.Rescaling(0.5, offset=0.1),
        lambda la: la.Dense(filters, activation=activation),
    ]


def _plan(rng: random.Random, depth: int) -> list[tuple[str, Any]]:
    """Steps that a tensor goes through."""
    steps: list[tuple[str, Any]] = []
    for _ in range(rng.randint(1, 4)):
        kind = rng.choices(
            ("layer", "branches", "shared", "nested", "operator"), (6, 2 * (depth > -4), 1, 2 * (depth > 0), 1)
        )[0]
        if kind == "branches":
            join = rng.choice(("Add", "Concatenate", "Maximum", "Multiply", "Average", "Subtract"))
            steps.append((kind, (join, [_plan(rng, depth - 1) for _ in range(2)])))
        elif kind == "nested":
            steps.append((kind, (rng.random() < 0.5, _plan(rng, depth - 1), rng.choice((1, 2)))))
        elif kind == "operator":
            steps.append((kind, rng.randrange(3)))
        else:
            steps.append((kind, rng.choice(_choices(rng))))
    return steps


def _apply(k: Library, steps: list[tuple[str, Any]], x: Any) -> Any:
    la = k.layers
    for kind, plan in steps:
        channels = int(x.shape[-1])
        if kind == "layer":
            x = plan(la)(x)
        elif kind == "shared":  # the same layer twice
            layer = la.Conv2D(channels, 3, padding="same", activation="tanh")
            x = layer(layer(x))
        elif kind == "branches":
            join, branches = plan
            ends = [_apply(k, branch, x) for branch in branches]
            if join != "Concatenate":
                ends = [la.Conv2D(4, 1)(end) for end in ends]
            x = getattr(la, join)()(ends)
        elif kind == "nested":
            x = _nested(k, plan, x)
        else:
            x = (x * 0.5 + 1.0, 1.0 - x, -x / 2.0)[plan]
    return x


def _nested(k: Library, plan: Any, x: Any) -> Any:
    """A model within the model, called once or twice."""
    is_stack, steps, calls = plan
    channels = int(x.shape[-1])
    layers = [make(k.layers) for kind, make in steps if kind == "layer"]
    last = k.layers.Conv2D(channels, 1)
    if is_stack:
        model = k.Sequential([k.Input(x.shape[1:]), *layers, last])
    else:
        inputs = k.Input(x.shape[1:])
        model = k.Model(inputs, last(_apply(k, steps, inputs)))
    for _ in range(calls):
        x = model(x)
    return x


OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.01, "momentum": 0.9}),
    ("Adam", {"learning_rate": 0.002}),
    ("RMSprop", {"learning_rate": 0.001}),
    ("AdamW", {"learning_rate": 0.002, "weight_decay": 0.01}),
    ("Adagrad", {"learning_rate": 0.01}),
]


def generated(seed: int) -> Make:
    """Return the function from a library to the compiled model of a seed."""
    rng = random.Random(seed)
    plans = [_plan(rng, 2) for _ in range(rng.choice((1, 1, 2)))]
    head, outputs = _plan(rng, 1), rng.choice((1, 1, 2))
    frozen, (name, options) = rng.random() < 0.2, rng.choice(OPTIMIZERS)

    def make(k: Library) -> Any:
        la = k.layers
        inputs = [k.Input((6, 6, 2), name=f"in_{number}") for number in range(len(plans))]
        ends = [_apply(k, plan, x) for plan, x in zip(plans, inputs, strict=True)]
        x = _apply(k, head, ends[0] if len(ends) == 1 else la.Concatenate()(ends))
        x = la.GlobalAveragePooling2D()(x)
        results = [la.Dense(2 + number, name=f"out_{number}")(x) for number in range(outputs)]
        model = k.Model(inputs if len(inputs) > 1 else inputs[0], results if outputs > 1 else results[0])
        if frozen:
            next(layer for layer in model.layers if layer.weights).trainable = False
        model.compile(
            getattr(k.optimizers, name)(**options), ["mean_squared_error"] * outputs if outputs > 1 else "mse"
        )
        return model

    return make
