"""The audit: every layer of the registry has three configurations or more that are compared with Keras."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from oracle import COMPARED
from test_contract import CLASSES

ENOUGH = 3
EXCUSED = {  # layer → why fewer configurations prove it
    "Augmentation": "the base of augmentations, without call()",
    "ImageLayer": "the base of image layers, without call()",
    "InputLayer": "the beginning of a graph, which computes nothing",
    "Layer": "the base of all layers, without call()",
    "Wrapper": "the base of layers that hold a layer, without call()",
}


@pytest.fixture(scope="module")
def counts():
    """How many rows the tables of all layer tests have, by layer."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path != Path(__file__):
            spec = spec_from_file_location(f"audited_{path.stem}", path)
            spec.loader.exec_module(module_from_spec(spec))
    return {name: len(rows) for name, rows in COMPARED.items()}


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - EXCUSED.keys()))
def test_has_enough_configurations(name, counts):
    assert counts.get(name, 0) >= ENOUGH, "add rows to a table of against_keras"


def test_excuses_are_needed_and_rows_name_layers(counts):
    assert EXCUSED.keys() <= CLASSES.keys()
    assert not [name for name in EXCUSED if counts.get(name, 0) >= ENOUGH]
    assert not counts.keys() - CLASSES.keys()
