"""What Keras's public API has, convia has too, as far as tools/api.py does not say why not."""

import inspect

import pytest

from tools import api

ROWS = {row.namespace: row for row in api.report()}

COMPLETE = (
    "activations", "callbacks", "constraints", "Callback", "initializers", "Loss", "losses",
    "Metric", "metrics", "models", "ops", "ops.image", "ops.linalg", "ops.nn", "ops.numpy", "Optimizer",
    "optimizers.schedules", "random", "regularizers",
)  # fmt: skip
SHARES = {  # names that are here, of them those with the same arguments
    "layers": (0.9, 0.94),
    "backend": (1.0, 0.99),
    "optimizers": (1.0, 0.95),
    "saving": (0.92, 0.91),
    "Model": (0.89, 0.98),
    "Layer": (0.94, 1.0),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_complete(name):
    row = ROWS[name]
    assert not row.missing
    assert not row.differing


@pytest.mark.parametrize(("name", "names", "signatures"), [(name, *shares) for name, shares in SHARES.items()])
def test_share(name, names, signatures):
    row = ROWS[name]
    assert row.names_share >= names, row.missing
    assert row.signatures_share >= signatures, row.differing


def test_what_is_left_out_exists_and_is_not_here():
    paths = [name for name in api.EXCLUDED if name != "src"]
    here = [name for name in paths if api.find(name) is not None and not inspect.ismodule(api.find(name))]
    assert not here, "they need no excuse any more"


def test_defaults_and_order_are_compared():
    def theirs(a, b=1, *, c=2): ...

    def same(a, b=1, c=2, d=3): ...

    def other_default(a, b=2, c=2): ...

    def other_name(a, x=1, c=2): ...

    def shorter(a, b=1): ...

    def demanding(a, b=1, *, c=2, d): ...

    assert api.signature_difference(same, theirs) == ""
    assert api.signature_difference(other_default, theirs) == "b=1 in Keras, 2 here"
    assert api.signature_difference(other_name, theirs) == "argument 2 is 'b' in Keras, 'x' here"
    assert api.signature_difference(shorter, theirs) == "no argument 'c' here"
    assert api.signature_difference(demanding, theirs) == "'d' is required here"
