"""Wide 3 × 3 convolutions, which the engine computes by Winograd's algorithm, and what it fuses, against autograd."""

import pytest
from engine_harness import ISAS, needs_engine
from hypothesis import given
from hypothesis import strategies as st
from test_layers import CASES, batches, chain, check, isas, threads

from convia import layers as kl

pytestmark = needs_engine


@CASES
@given(
    st.tuples(st.integers(6, 15), st.integers(6, 15)),
    st.tuples(st.integers(16, 40), st.integers(16, 40)),
    st.sampled_from(["valid", "same"]),
    st.sampled_from(["relu", "tanh", None]),
    isas,
    threads,
    batches,
)
def test_wide_convolutions(size, channels, padding, activation, isa, thread_count, batch):
    model = chain(
        (*size, 2),
        kl.Conv2D(channels[0], 1, activation="tanh"),
        kl.Conv2D(channels[1], 3, padding=padding, activation=activation),
        kl.Conv2D(3, 2, activation="tanh"),
    )
    check(model, isa, thread_count, batch)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "softplus"])
@pytest.mark.parametrize(
    "layer",
    [
        kl.MaxPooling2D(),
        kl.AveragePooling2D(2),
        kl.MaxPooling2D(3, 2),
        kl.AveragePooling2D(2, padding="same"),
        kl.Conv2D(4, 3, strides=2),
        kl.Conv2D(17, 3, padding="same"),
    ],
    ids=lambda layer: layer.name,
)
def test_derivatives_in_the_next_step(layer, activation, isa):
    layer = type(layer).from_config({**layer.get_config(), "name": "tested"})
    model = chain((7, 9, 2), kl.Conv2D(16, 2, activation=activation), layer, kl.Flatten(), kl.Dense(3))
    check(model, isa, 2, 19)
