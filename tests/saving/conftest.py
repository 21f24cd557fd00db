"""A small model, and its file."""

from pathlib import Path
from typing import Any

import pytest
from architectures import named_stack

import convia


@pytest.fixture
def model() -> Any:
    return named_stack(convia)


@pytest.fixture
def saved(model: Any, tmp_path: Path) -> Path:
    model.save(tmp_path / "m.keras")
    return tmp_path / "m.keras"
