"""TensorFlow's methods of tensors are there while these tests run, and gone afterwards."""

import pytest

from convia.compat.tensorflow import tensors

tensors.deactivate()


@pytest.fixture(autouse=True)
def _tensorflow_tensors():
    tensors.activate()
    yield
    tensors.deactivate()
