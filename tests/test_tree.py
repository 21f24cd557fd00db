from collections import OrderedDict, defaultdict, namedtuple

import keras
import numpy as np
import pytest

from convia import tree

Point = namedtuple("Point", "x y")
TREES = [
    1,
    None,
    [],
    (1, [2, None], {"b": 3, "a": (4,)}),
    {"b": [1, 2], "a": {"c": 3, "d": 4}},
    OrderedDict(b=1, a=[2]),
    defaultdict(list, b=1, a=2),
    [(1, 2), [3], {"a": 4}],
    Point(1, [2, 3]),
]


@pytest.mark.parametrize("structure", TREES, ids=map(str, range(len(TREES))))
def test_equals_keras(structure):
    assert tree.flatten(structure) == keras.tree.flatten(structure)
    assert tree.flatten_with_path(structure) == keras.tree.flatten_with_path(structure)
    assert tree.is_nested(structure) == keras.tree.is_nested(structure)
    assert tree.lists_to_tuples(structure) == keras.tree.lists_to_tuples(structure)
    count = len(tree.flatten(structure))
    packed = [module.pack_sequence_as(structure, list(range(count))) for module in (tree, keras.tree)]
    assert packed[0] == packed[1] and type(packed[0]) is type(packed[1])
    double = [module.map_structure(lambda leaf: (leaf,), structure) for module in (tree, keras.tree)]
    assert double[0] == double[1]


def test_keys_are_sorted_at_every_depth():
    assert tree.flatten({"b": 1, "a": {"d": 2, "c": 3}}) == [3, 2, 1]
    assert tree.pack({"b": 1, "a": {"d": 2, "c": 3}}, "cdb") == {"b": "b", "a": {"d": "d", "c": "c"}}


@pytest.mark.parametrize("top_down", [True, False])
@pytest.mark.parametrize("structure", TREES[2:], ids=map(str, range(2, len(TREES))))
def test_traverse_equals_keras(structure, top_down):
    def change(module):
        def one(part):
            seen.append(part)
            if part == 2:
                return module.MAP_TO_NONE
            return "list" if isinstance(part, list) and len(part) == 1 else None

        return one

    results = []
    for module in (tree, keras.tree):
        seen = []
        results.append((module.traverse(change(module), structure, top_down), seen))
    assert results[0] == results[1]


def test_map_structure_up_to():
    shallow, deep = {"a": None, "b": [1, 2]}, {"a": (1, 2), "b": [[3], {"c": 4}]}
    for module in (tree, keras.tree):
        assert module.map_structure_up_to(shallow, str, deep) == {"a": "(1, 2)", "b": ["[3]", "{'c': 4}"]}
    assert tree.map_structure_up_to([0, 0], lambda a, b: (a, b), [1, [2]], [3, 4]) == [(1, 3), ([2], 4)]


@pytest.mark.parametrize("none_is_leaf", [True, False])
def test_none_may_be_no_leaf(none_is_leaf):
    results = [m.map_structure(str, [1, None, {"a": 2}], none_is_leaf=none_is_leaf) for m in (tree, keras.tree)]
    assert results[0] == results[1]


def test_shapes_are_leaves():
    shapes = {"a": (None, 3), "b": [[2, 4], (1, 1)]}
    results = [module.map_shape_structure(len, shapes) for module in (tree, keras.tree)]
    assert results[0] == results[1] == {"a": 2, "b": [2, 2]}


@pytest.mark.parametrize(
    ("a", "b"),
    [([1, 2], [1, 2, 3]), ([1, 2], (1, 2)), ({"a": 1}, {"b": 1}), ([1], 1), ([1, [2]], [1, 2]), ({"a": 1}, [1])],
)
def test_different_structures(a, b):
    with pytest.raises(ValueError, match="containers of one kind, with equal keys"):
        tree.assert_same_structure(a, b)
    with pytest.raises(ValueError, match="containers of one kind"):
        tree.map_structure(lambda x, y: x, a, b)
    with pytest.raises(ValueError):
        keras.tree.assert_same_structure(a, b)


def test_same_structures_and_paths():
    for module in (tree, keras.tree):
        module.assert_same_structure({"a": [1, 2], "b": None}, {"b": "x", "a": [np.ones(2), 3]})
        module.assert_same_paths({"a": [1, 2]}, {"a": (3, 4)})


def test_different_paths():
    with pytest.raises(ValueError, match=r"only in a: \('a', 1\); only in b: ; expected equal paths"):
        tree.assert_same_paths({"a": [1, 2]}, {"a": [1]})


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: tree.pack_sequence_as([1, 2], [3]), ValueError, "1 values.*2, one per leaf"),
        (lambda: tree.pack_sequence_as([1, 2], 3), TypeError, "a sequence"),
        (lambda: tree.map_structure(str), ValueError, "no tree"),
        (lambda: tree.map_structure_up_to([1], str), ValueError, "no tree"),
        (lambda: tree.map_structure_up_to([1], str, 2), ValueError, "containers of one kind"),
    ],
)
def test_messages(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
