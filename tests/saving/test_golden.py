"""Files that tf.keras 2.15, also in 1.x mode, and Keras 3.15 wrote: predictions, and training that goes on.

``golden/make_golden.py`` and ``golden/make_golden_old.py`` wrote them.
"""

import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convia.models import load_model

GOLDEN = Path(__file__).parent / "golden"
ERAS = ("tf_1", "tf_keras", "keras")


def _names(era: str) -> list[str]:
    with tarfile.open(GOLDEN / f"{era}.tar.xz") as archive:
        return sorted(archive.getnames())


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    for era in ERAS:
        with tarfile.open(GOLDEN / f"{era}.tar.xz") as archive:
            archive.extractall(folder / era, filter="data")
    return folder


NAMES = [f"{era}/{name}" for era in ERAS for name in _names(era) if not name.endswith(".npz")]
KERAS_DIFFERS = {
    "keras/layer_018_AveragePooling2D",  # on torch Keras counts the padding; on TensorFlow, and here, it does not
    "keras/layer_089_RandomCrop",  # Keras's layer leaves images as they are, though it says that it crops them
}
OTHER_RULE = {  # tf.keras computed the step otherwise: its state is taken over, later losses differ
    "tf_keras/train_Adafactor",
    "tf_keras/train_Nadam",
    "tf_keras/train_legacy_Nadam",
}
PREDICTING = [name for name in NAMES if "/train_" not in name and name.rpartition(".")[0] not in KERAS_DIFFERS]
TRAINING = [name for name in NAMES if "/train_" in name]


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path.with_suffix(".npz")) as file:
        return dict(file)


def flat(structure: Any) -> list[Any]:
    if isinstance(structure, dict):
        return [item for key in sorted(structure) for item in flat(structure[key])]
    return [item for part in structure for item in flat(part)] if isinstance(structure, (list, tuple)) else [structure]


def inputs_of(model: Any, values: dict[str, np.ndarray]) -> Any:
    given = [values[f"x{place}"] for place in range(sum(key.startswith("x") for key in values))]
    if isinstance(model.input, dict):
        return dict(zip(sorted(model.input), given, strict=True))
    return given if isinstance(model.input, (list, tuple)) else given[0]


@pytest.mark.parametrize("name", PREDICTING)
def test_predictions(name: str, unpacked: Path) -> None:
    values = arrays(unpacked / name)
    model = load_model(unpacked / name)
    results = flat(model.predict(inputs_of(model, values), verbose=0))
    expected = [values[f"y{place}"] for place in range(len(results))]
    assert f"y{len(results)}" not in values
    for ours, theirs in zip(results, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1.0, np.abs(theirs).max()), rtol=0)


@pytest.mark.parametrize("name", TRAINING)
def test_training_goes_on(name: str, unpacked: Path) -> None:
    values = arrays(unpacked / name)
    model = load_model(unpacked / name)
    without_state = "legacy_" in name and name.endswith(".keras")  # tf.keras did not write it
    assert int(model.optimizer.iterations) == (0 if without_state else 3)
    losses = [model.train_on_batch(values["x0"], values["y0"])[0] for _ in values["losses"]]
    count = 1 if without_state or name.rpartition(".")[0] in OTHER_RULE else len(losses)
    np.testing.assert_allclose(losses[:count], values["losses"][:count], rtol=1e-4)
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_an_optimizer_that_never_stepped_is_no_reason_to_warn(ending: str, unpacked: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load_model(unpacked / "tf_1" / f"graph_untrained.{ending}")
    assert int(model.optimizer.iterations) == 0


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_losses_in_a_graph_are_left_out_with_a_warning(ending: str, unpacked: Path) -> None:
    with pytest.warns(UserWarning, match=r"AddLoss layer 'add_loss', a loss in the graph.*Predictions are the same"):
        load_model(unpacked / "tf_1" / f"graph_added.{ending}")


def test_layers_of_cudnn_become_those_that_run_anywhere(unpacked: Path) -> None:
    first, second, _ = load_model(unpacked / "tf_1" / "layer_cudnn.h5").layers
    assert type(first).__name__ == "LSTM" and second.forward_layer.reset_after
