"""Models drawn at random pass both ways between convia and Keras: predictions, and training that goes on.

``CONVIA_GENERATED=60`` tests so many, instead of a handful.
"""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from generated import generated

import convia


def prepared(model: Any, seed: int) -> tuple[Any, Any]:
    """Set random weights, take two steps, and return inputs and targets."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.05, 0.35, np.shape(weight)) for weight in model.get_weights()])
    shapes = [(4, *tensor.shape[1:]) for tensor in convia.tree.flatten(model.input)]
    x = [rng.normal(size=shape).astype("float32") for shape in shapes]
    x = x if isinstance(model.input, (list, tuple)) else x[0]
    y = [rng.normal(size=(4, *tensor.shape[1:])).astype("float32") for tensor in convia.tree.flatten(model.outputs)]
    y = y if len(y) > 1 else y[0]
    for _ in range(2):
        model.train_on_batch(x, y)
    return x, y


def predicted(model: Any, x: Any) -> list[np.ndarray]:
    return [np.asarray(value) for value in convia.tree.flatten(model.predict(x, verbose=0))]


@pytest.mark.parametrize("source", ["convia", "keras"])
@pytest.mark.parametrize("seed", range(int(os.environ.get("CONVIA_GENERATED", "6"))))
def test_both_ways(seed: int, source: str, tmp_path: Path) -> None:
    here, there = (convia, keras) if source == "convia" else (keras, convia)
    model = generated(seed)(here)
    x, _ = prepared(model, seed)
    path = tmp_path / ("m.keras" if seed % 3 else "m.h5")
    model.save(path)
    loaded = there.models.load_model(path)
    for a, b in zip(predicted(model, x), predicted(loaded, x), strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5 * max(1.0, float(np.abs(a).max())))
    assert [weight.trainable for weight in loaded.weights] == [weight.trainable for weight in model.weights]
    if path.suffix == ".keras":
        assert int(loaded.optimizer.iterations) == 2
        for a, b in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
            ours, theirs = (
                np.asarray(keras.ops.convert_to_numpy(v.value)) if hasattr(v, "value") else v.numpy() for v in (a, b)
            )
            np.testing.assert_allclose(theirs, ours, rtol=1e-6)
