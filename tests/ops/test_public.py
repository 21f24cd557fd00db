"""Names and signatures are Keras's."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import inspect
from types import ModuleType

import keras
import pytest

from convia import ops, registry


def public(module: ModuleType) -> list[str]:
    return [name for name in dir(module) if not name.startswith("_")]


NAMESPACES = {
    "": (ops, keras.ops),
    **{n: (getattr(ops, n), getattr(keras.ops, n)) for n in ("image", "linalg", "nn", "numpy")},
}
FUNCTIONS = [
    (f"{space}.{name}".strip("."), getattr(ours, name), getattr(theirs, name))
    for space, (ours, theirs) in NAMESPACES.items()
    for name in public(theirs)
    if not inspect.ismodule(getattr(theirs, name))
]


def parameters(function: object) -> list[tuple]:
    return [(p.name, p.default, p.kind) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("space", NAMESPACES)
def test_names_are_sorted_and_those_of_keras(space: str) -> None:
    ours, theirs = NAMESPACES[space]
    assert ours.__all__ == sorted(ours.__all__)
    assert set(ours.__all__) == set(public(theirs))


@pytest.mark.parametrize(("name", "ours", "theirs"), FUNCTIONS, ids=[name for name, *_ in FUNCTIONS])
def test_signatures_are_those_of_keras(name: str, ours: object, theirs: object) -> None:
    assert parameters(ours) == parameters(theirs)
    assert ours.__doc__
    assert not ours.__name__.startswith("_")


def test_functions_are_registered_under_their_names() -> None:
    for name in public(keras.ops):
        if not inspect.ismodule(getattr(keras.ops, name)):
            assert registry.lookup("keras.ops", name) is getattr(ops, name)
            assert registry.lookup("keras.ops", getattr(ops, name).__name__) is getattr(ops, name)
