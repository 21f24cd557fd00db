"""Fine-tuning of published networks: ten steps of the engine (channels as lanes where vectors are long) lead where torch's
executor leads.

The oracle is torch in double precision. A deep network whose normalizations see a batch passes rounding errors on enlarged:
already the first gradients of torch in single precision are some per cent away from those in double precision. So the
network starts as trained ones are (what is added to shortcuts is small; Goyal et al. 2017, arXiv:1706.02677), rates are
small, and vectors are compared, not single numbers: a rectifier that falls to the other side of its kink moves one of them
at once. Weights, losses and predictions are within 1e-3 of the oracle or, where torch's single precision is further away,
within so many times that: a shift that a normalization follows, for one, has no gradient but rounding, which is random.

``CONVIA_EXAMPLES=1`` in the environment takes all networks and optimizers.
"""

import os

import numpy as np
import pytest
import torch
from engine_harness import needs_engine

import convia as keras
from convia import engine
from convia.training import plans

pytestmark = needs_engine
STEPS, BATCH, SIDE, CLASSES = 10, 8, 64, 5
ROUNDING = 4  # times what torch's single precision is away from the oracle
THOROUGH = os.environ.get("CONVIA_EXAMPLES")
NETWORKS = ["MobileNetV2", "EfficientNetB0", "ResNet50"] if THOROUGH else ["MobileNetV2"]
OPTIMIZERS = {
    "Adam": lambda: keras.optimizers.Adam(1e-5, epsilon=1e-3),
    "SGD": lambda: keras.optimizers.SGD(1e-6, momentum=0.9),
}


@pytest.fixture(autouse=True)
def single_precision():
    yield
    keras.config.set_floatx("float32")


def network(name, frozen):
    """A network of which a part is frozen, whose random layers draw nothing: the masks of the two are not the same."""
    keras.utils.set_random_seed(7)
    model = getattr(keras.applications, name)(weights=None, input_shape=(SIDE, SIDE, 3), classes=CLASSES)
    for layer in model.layers[: int(frozen * len(model.layers))]:
        layer.trainable = False
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
        if layer.name.lower().endswith(("project_bn", "_3_bn")):
            layer.gamma.assign(0.1 * layer.gamma)
    return model


def tuned(name, frozen, optimizer, chosen, precision, start=None):
    """Return the weights before and after, the loss of each step, and predictions."""
    keras.config.set_floatx(precision)
    model = network(name, frozen)
    model.set_weights(start or model.get_weights())
    before = model.get_weights()
    generator = np.random.default_rng(0)
    x = generator.random((BATCH * STEPS, SIDE, SIDE, 3), np.float32)
    y = generator.integers(0, CLASSES, len(x))
    model.compile(OPTIMIZERS[optimizer](), "sparse_categorical_crossentropy", engine=chosen)
    losses = [model.train_on_batch(x[k : k + BATCH], y[k : k + BATCH]) for k in range(0, len(x), BATCH)]
    assert chosen == "torch" or plans.networks[model][plans.TRAIN].wide or engine.instruction_set() != "avx512"
    keras.config.set_engine("torch")
    with torch.no_grad():
        outputs = model(x[:BATCH].astype(precision), training=False).numpy()
    keras.config.set_engine("auto")
    return before, model.get_weights(), np.asarray(losses), outputs, [weight.path for weight in model.weights]


def apart(mine, theirs, unit=0.0):
    """How far they are apart, as lengths of vectors, relative to the length of one or of as many units."""
    return np.linalg.norm(mine - theirs) / max(np.linalg.norm(theirs), unit * np.size(theirs) ** 0.5)


def change_apart(run, oracle):
    """How far all changes are from the oracle's, as lengths of vectors."""
    rows = list(zip(run[1], oracle[1], oracle[0], strict=True))
    return (sum(((a - b) ** 2).sum() for a, b, _ in rows) / sum(((b - c) ** 2).sum() for _, b, c in rows)) ** 0.5


@pytest.mark.parametrize("optimizer", OPTIMIZERS if THOROUGH else ["Adam"])
@pytest.mark.parametrize("frozen", [0, 0.7], ids=["all", "frozen base"])
@pytest.mark.parametrize("name", NETWORKS)
def test_ten_steps_equal_torchs(name, frozen, optimizer):
    mine = tuned(name, frozen, optimizer, "native", "float32")
    single = tuned(name, frozen, optimizer, "torch", "float32", mine[0])
    oracle = tuned(name, frozen, optimizer, "torch", "float64", mine[0])
    for a, s, b, path in zip(mine[1], single[1], oracle[1], oracle[4], strict=True):
        unit = 0.0 if path.endswith("kernel") else 1.0  # scales and shifts belong to normalized numbers
        assert apart(a, b, unit) <= max(1e-3, ROUNDING * apart(s, b, unit)), path
    for number, what in ((2, "losses"), (3, "predictions")):
        assert apart(mine[number], oracle[number]) <= max(1e-3, ROUNDING * apart(single[number], oracle[number])), what
    assert change_apart(mine, oracle) <= max(2 * change_apart(single, oracle), 5e-3)
