"""The page about faults: every row is a test, and every test of a fault has its row."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "howto" / "faults.md"
LEAST = 25
PARTS = {
    "test_errors_of_disks_are_survived": "test_other_errors_are_not"
}  # of a row's test: what is no fault by itself
OTHERS = {"test_settings_of_a_home_that_cannot_be_found", *PARTS.values()}


def functions(folder):
    """The names of all tests below a folder."""
    trees = (ast.parse(path.read_text()) for path in folder.rglob("test_*.py") if path != Path(__file__))
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


def rows():
    """What happens, what is seen, what is kept, and the test, of each row."""
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if "`test_" in line]
    return [(*cells[:3], cells[-1].strip("`")) for cells in lines]


def test_every_row_is_a_test():
    known = functions(TESTS)
    assert {name for *_, name in rows()} - known == set()
    assert all(len(row) == 4 and all(row) for row in rows())


def test_there_are_enough_different_faults():
    assert len({what for what, *_ in rows()}) == len(rows()) >= LEAST


def test_every_test_of_a_fault_has_a_row():
    here = {name for name in functions(TESTS / "faults") if name.startswith("test_")}
    soak = {"test_threads_and_files_do_not_grow", "test_growth_is_seen"}
    assert here - {name for *_, name in rows()} - OTHERS - soak == set()
