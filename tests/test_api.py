"""What Keras's public API has, convia has too, as far as tools/api.py does not say why not."""

import inspect

import pytest

from tools import api

ROWS = {row.namespace: row for row in api.report()}

SHARES = {  # names that are here, and of them those with the same arguments, where either is not all
    "layers": (0.98, 0.94),
    "optimizers": (1.0, 0.95),
    "preprocessing.image": (1.0, 0.8),
    "saving": (0.92, 1.0),
    "Model": (0.89, 1.0),
    "Sequential": (0.89, 1.0),
    "Layer": (0.94, 1.0),
    "Variable": (0.93, 1.0),
    "KerasTensor": (0.71, 1.0),
}
COMPLETE = sorted(name for name in ROWS if name not in SHARES and not name.startswith("applications"))


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
