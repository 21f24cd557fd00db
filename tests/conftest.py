"""Keras, where it serves as an oracle, runs on torch; tests leave no settings or names behind."""

import os

os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
import torch

torch.set_num_threads(1)  # several test processes share the cores


@pytest.fixture(autouse=True)
def _fresh_start():
    """Every test starts from the same seeds and from fresh automatic names."""
    from convia import config, naming

    np.random.seed(0)
    torch.manual_seed(0)
    naming.reset_uids()
    yield
    config.set_floatx("float32")
    config.set_image_data_format("channels_last")
    config.set_dtype_policy(None)
    config.set_device(None)
