"""What Keras's public API has, convia has too, as far as tools/api.py does not say why not."""

import inspect

import pytest

from tools import api

ROWS = {row.namespace: row for row in api.report()}

COMPLETE = sorted(name for name in ROWS if not name.startswith("applications"))


@pytest.mark.parametrize("name", COMPLETE)
def test_complete(name):
    row = ROWS[name]
    assert not row.missing
    assert not row.differing


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
