"""Nested lists, tuples and dicts of leaves: flatten, map, and pack again (dicts in the order of their sorted keys)."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from convia.errors import explain

Tree = Any


class MAP_TO_NONE:  # noqa: N801
    """What a function given to ``traverse`` returns to put None into the place of a part."""


def _items(structure: Tree) -> list[tuple[Any, Any]] | None:
    """Return (key or index, child) of a container in order, None of a leaf."""
    if isinstance(structure, dict):
        keys = structure if isinstance(structure, OrderedDict) else sorted(structure)
        return [(key, structure[key]) for key in keys]
    return list(enumerate(structure)) if isinstance(structure, (list, tuple)) else None


def is_nested(structure: Tree) -> bool:
    """Whether the value is a container rather than a leaf."""
    return isinstance(structure, (dict, list, tuple))


def flatten(structure: Tree) -> list[Any]:
    """Return the leaves in order."""
    items = _items(structure)
    if items is None:
        return [structure]
    return [leaf for _, child in items for leaf in flatten(child)]


def flatten_with_path(structure: Tree) -> list[tuple[tuple[Any, ...], Any]]:
    """Return (keys and indices that lead to a leaf, the leaf) of all leaves in order."""
    items = _items(structure)
    if items is None:
        return [((), structure)]
    return [((key, *path), leaf) for key, child in items for path, leaf in flatten_with_path(child)]


def _like(structure: Tree, children: list[Any]) -> Tree:
    """Return a container of the same kind and keys with other children, which come in order."""
    if isinstance(structure, dict):
        packed = {key: child for (key, _), child in zip(_items(structure) or (), children, strict=True)}
        ordered = {key: packed[key] for key in structure}
        if isinstance(structure, defaultdict):
            return type(structure)(structure.default_factory, ordered)
        return type(structure)(ordered)
    return type(structure)(*children) if hasattr(structure, "_fields") else type(structure)(children)


def pack(structure: Tree, leaves: list[Any]) -> Tree:
    """Return a tree of the same structure that holds ``leaves`` instead."""
    return _pack(structure, iter(leaves))


def _pack(structure: Tree, leaves: Iterator[Any]) -> Tree:
    items = _items(structure)
    return next(leaves) if items is None else _like(structure, [_pack(child, leaves) for _, child in items])


def pack_sequence_as(structure: Tree, flat_sequence: Iterable[Any]) -> Tree:
    """Return a tree of the same structure that holds the values of a sequence instead.

    Raises:
        TypeError: no sequence. ValueError: another number of values than leaves.
    """
    if not isinstance(flat_sequence, Iterable):
        raise TypeError(explain("pack_sequence_as, argument 'flat_sequence'", repr(flat_sequence), "a sequence"))
    leaves, wanted = list(flat_sequence), len(flatten(structure))
    if len(leaves) != wanted:
        raise ValueError(explain("pack_sequence_as", f"{len(leaves)} values", f"{wanted}, one per leaf"))
    return pack(structure, leaves)


def map_structure(func: Callable[..., Any], *structures: Tree, none_is_leaf: bool = True) -> Tree:
    """Apply a function to the corresponding leaves of trees of one structure.

    Args:
        func: takes as many leaves as there are trees.
        none_is_leaf: whether it is called for None, too; otherwise None stays None.

    Raises:
        ValueError: no tree, or trees of different structures.
    """
    if not structures:
        raise ValueError(explain("map_structure", "no tree", "one or more"))
    for other in structures[1:]:
        assert_same_structure(structures[0], other)
    leaves = zip(*map(flatten, structures), strict=True)
    return pack(structures[0], [func(*row) if none_is_leaf or row[0] is not None else None for row in leaves])


def map_structure_up_to(shallow_structure: Tree, func: Callable[..., Any], *structures: Tree) -> Tree:
    """Apply a function to what the trees hold where the shallow tree has its leaves.

    Raises:
        ValueError: no tree, or one that ends before the shallow one does.
    """
    if not structures:
        raise ValueError(explain("map_structure_up_to", "no tree", "one or more"))
    columns = [_children_up_to(shallow_structure, structure) for structure in structures]
    return pack(shallow_structure, [func(*row) for row in zip(*columns, strict=True)])


def _children_up_to(shallow: Tree, structure: Tree) -> list[Any]:
    if not is_nested(shallow):
        return [structure]
    _assert_same_container(shallow, structure)
    pairs = zip(_items(shallow) or (), _items(structure) or (), strict=True)
    return [leaf for (_, inner), (_, other) in pairs for leaf in _children_up_to(inner, other)]


def _assert_same_container(a: Tree, b: Tree) -> None:
    kinds = type(a) is type(b) or (isinstance(a, dict) and isinstance(b, dict))
    same = kinds and (sorted(map(repr, a)) == sorted(map(repr, b)) if isinstance(a, dict) else len(a) == len(b))
    if not same:
        raise ValueError(explain("nested structures", f"{a!r} and {b!r}", "containers of one kind, with equal keys"))


def assert_same_structure(a: Tree, b: Tree, check_types: bool | None = None) -> None:
    """Raise ValueError unless two trees differ in their leaves alone; ``check_types`` is accepted and has no effect."""
    if not is_nested(a) and not is_nested(b):
        return
    _assert_same_container(a, b)
    for (_, one), (_, other) in zip(_items(a) or (), _items(b) or (), strict=True):
        assert_same_structure(one, other)


def assert_same_paths(a: Tree, b: Tree) -> None:
    """Raise ValueError unless the same keys and indices lead to the leaves of two trees."""
    paths = [{path for path, _ in flatten_with_path(tree)} for tree in (a, b)]
    if paths[0] != paths[1]:
        missing = [", ".join(sorted(map(str, difference))) for difference in (paths[0] - paths[1], paths[1] - paths[0])]
        raise ValueError(
            explain("nested structures", f"only in a: {missing[0]}; only in b: {missing[1]}", "equal paths")
        )


def traverse(func: Callable[[Any], Any], structure: Tree, top_down: bool = True) -> Tree:
    """Replace each part of a tree by what a function returns for it.

    Args:
        func: returns None to leave a part (top-down: and to go on inside it), MAP_TO_NONE to put None there.
        structure: any tree.
        top_down: whether a container comes before or after what is in it.
    """
    if top_down:
        result = func(structure)
        return _inside(func, structure, top_down) if result is None else _none_or(result)
    changed = _inside(func, structure, top_down)
    result = func(changed)
    return changed if result is None else _none_or(result)


def _inside(func: Callable[[Any], Any], structure: Tree, top_down: bool) -> Tree:
    items = _items(structure)
    return structure if items is None else _like(structure, [traverse(func, child, top_down) for _, child in items])


def _none_or(result: Any) -> Any:
    return None if result is MAP_TO_NONE else result


def lists_to_tuples(structure: Tree) -> Tree:
    """Return the tree with tuples instead of lists."""
    return traverse(lambda part: tuple(part) if isinstance(part, list) else None, structure, top_down=False)


def map_shape_structure(func: Callable[[Any], Any], structure: Tree) -> Tree:
    """Apply a function to the shapes in a tree: lists and tuples of whole numbers and None are its leaves."""
    if isinstance(structure, (list, tuple)) and all(size is None or isinstance(size, int) for size in structure):
        return func(structure)
    items = _items(structure)
    if items is None:
        return func(structure)
    return _like(structure, [map_shape_structure(func, child) for _, child in items])
