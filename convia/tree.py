"""Nested lists, tuples and dicts of leaves: flatten, map, and pack again (dicts in the order of their sorted keys)."""

from collections.abc import Callable, Iterator
from typing import Any

Tree = Any


def _children(tree: Tree) -> list[Any] | None:
    if isinstance(tree, dict):
        return [tree[key] for key in sorted(tree)]
    if isinstance(tree, (list, tuple)):
        return list(tree)
    return None


def is_nested(tree: Tree) -> bool:
    """Whether the value is a container rather than a leaf."""
    return isinstance(tree, (dict, list, tuple))


def flatten(tree: Tree) -> list[Any]:
    """Return the leaves in order."""
    children = _children(tree)
    if children is None:
        return [tree]
    return [leaf for child in children for leaf in flatten(child)]


def pack(tree: Tree, leaves: list[Any]) -> Tree:
    """Return a tree of the same structure that holds ``leaves`` instead."""
    return _pack(tree, iter(leaves))


def _pack(tree: Tree, leaves: Iterator[Any]) -> Tree:
    if isinstance(tree, dict):
        packed = {key: _pack(tree[key], leaves) for key in sorted(tree)}
        return type(tree)({key: packed[key] for key in tree})
    if isinstance(tree, (list, tuple)):
        items = [_pack(child, leaves) for child in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return next(leaves)


def map_structure(function: Callable[..., Any], *trees: Tree) -> Tree:
    """Apply ``function`` to the corresponding leaves of trees of one structure."""
    return pack(trees[0], [function(*leaves) for leaves in zip(*map(flatten, trees), strict=True)])
