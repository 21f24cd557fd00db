"""Keras, where it serves as an oracle, runs on torch; tests leave no settings or names behind."""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["CONVIA_COMPAT"] = "off"  # `import keras` stays the oracle; tests of the eras switch them on and off

import numpy as np
import pytest
import torch

torch.set_num_threads(1)  # several test processes share the cores


@pytest.fixture(autouse=True)
def _fresh_start():
    """Every test starts from the same seeds, fresh automatic names and the settings that the library starts with."""
    from convia import config, masks, naming

    settings = dict(config._settings)
    np.random.seed(0)
    torch.manual_seed(0)
    naming.reset_uids()
    yield
    config._settings.update(settings)
    masks.in_use = False


def pytest_sessionfinish():
    """Write what a worker process has covered while it is still there: it is ended soon after its last test."""
    coverage = getattr(sys.modules.get("coverage"), "Coverage", None)
    if coverage is not None and coverage.current() is not None:
        coverage.current().save()
