"""Arguments that do not go together: an error of the same kind as Keras's, for every network."""

import json
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch

from convia import applications, fetch, initializers

sys.path.insert(0, str(Path(__file__).parent))
from make_errors import CASES, ERRORS, kind
from make_golden import Asked

TABLE = json.loads(ERRORS.read_text())


@pytest.fixture(autouse=True)
def _nothing_to_wait_for(monkeypatch):
    monkeypatch.setattr(fetch, "get_file", mock.Mock(side_effect=Asked))
    for start in (initializers.VarianceScaling, initializers.TruncatedNormal):
        monkeypatch.setattr(start, "__call__", lambda self, shape, dtype=None: torch.zeros(()).expand(shape))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", CASES)
def test_errors_are_of_the_same_kind(case):
    expected = {title: name for name, titles in TABLE[case].items() for title in titles}
    assert expected
    assert {title: kind(getattr(applications, title), CASES[case]) for title in expected} == expected
