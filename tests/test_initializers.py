"""Seeded values bit for bit against Keras on torch; moments and bounds against the papers' formulas."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import math
import sys

import keras
import numpy as np
import pytest
import torch

from convia import initializers, random

RANDOM = [
    ("RandomNormal", {}),
    ("RandomNormal", {"mean": 1.0, "stddev": 0.2}),
    ("RandomUniform", {}),
    ("RandomUniform", {"minval": 0.0, "maxval": 2.0}),
    ("TruncatedNormal", {}),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 0.2}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "uniform"}),
    ("VarianceScaling", {"mode": "fan_avg", "distribution": "untruncated_normal"}),
    ("VarianceScaling", {"distribution": "Normal", "input_axes": [0], "output_axes": [1, 2]}),
    ("GlorotUniform", {}),
    ("GlorotNormal", {}),
    ("HeUniform", {}),
    ("HeNormal", {}),
    ("HeNormal", {"input_axes": (0, 1), "output_axes": (2,)}),
    ("LecunUniform", {}),
    ("LecunNormal", {}),
    ("Orthogonal", {}),
    ("Orthogonal", {"gain": 2.0}),
]
FIXED = [
    ("Zeros", {}, (3, 4)),
    ("Ones", {}, (3, 4)),
    ("Constant", {}, (3, 4)),
    ("Constant", {"value": 2.5}, (3, 4)),
    ("Constant", {"value": 7}, ()),
    ("Identity", {}, (3, 4)),
    ("Identity", {"gain": 0.5}, (4, 3)),
    ("STFT", {}, (16, 1, 9)),
    ("STFT", {"side": "imag", "window": "hamming", "scaling": "spectrum", "periodic": True}, (16, 1, 9)),
    ("STFT", {"window": None}, (15, 1, 9)),
    ("STFT", {"window": "blackman", "scaling": None}, (15, 1, 5)),
    ("STFT", {"window": "parzen"}, (15, 1, 5)),
]
SHAPES = [(12, 20), (20, 12), (3, 3, 8, 16), (3, 4, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "options"), RANDOM)
def test_seeded_values_equal_keras(name: str, options: dict, shape: tuple) -> None:
    if "output_axes" in options and len(shape) < 3:
        pytest.skip("the axes need three dimensions")
    ours, theirs = (
        getattr(m, name)(**options, seed=7)(shape, dtype="float32") for m in (initializers, keras.initializers)
    )
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("name", "options"), RANDOM)
def test_seeds(name: str, options: dict) -> None:
    shape = (4, 5, 6)
    make = getattr(initializers, name)
    seeded, unseeded = make(**options, seed=7), make(**options)
    assert torch.equal(seeded(shape), seeded(shape))
    assert not torch.equal(unseeded(shape), unseeded(shape))
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(unseeded(shape))
    assert torch.equal(*draws)
    advancing = make(**options, seed=random.SeedGenerator(7))
    assert torch.equal(advancing(shape), seeded(shape))
    assert not torch.equal(advancing(shape), seeded(shape))


@pytest.mark.parametrize(
    ("name", "scale", "fan", "uniform"),
    [
        ("GlorotUniform", 1, "avg", True),
        ("GlorotNormal", 1, "avg", False),
        ("HeUniform", 2, "in", True),
        ("HeNormal", 2, "in", False),
        ("LecunUniform", 1, "in", True),
        ("LecunNormal", 1, "in", False),
    ],
)
@pytest.mark.parametrize("shape", [(100, 300), (3, 3, 40, 80)], ids=str)
def test_variance_and_bounds_follow_the_formula(name: str, scale: int, fan: str, uniform: bool, shape: tuple) -> None:
    field = math.prod(shape[:-2])
    n = {"in": field * shape[-2], "avg": field * (shape[-2] + shape[-1]) / 2}[fan]
    deviation = math.sqrt(scale / n)
    w = getattr(initializers, name)(seed=1)(shape)
    assert float(w.mean()) == pytest.approx(0, abs=5 * deviation / w.numel() ** 0.5)
    assert float(w.std()) == pytest.approx(deviation, rel=0.02)
    bound = deviation * (math.sqrt(3) if uniform else 2 / 0.87962566103423978)
    assert bound * 0.99 < float(w.abs().max()) <= bound * (1 + 1e-6)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((5,), (5, 5)), ((5, 6), (5, 6)), ((3, 3, 5, 6), (45, 54)), ((2, 3, 4, 5, 6), (120, 144))],
)
def test_fans(shape: tuple, expected: tuple) -> None:
    assert initializers.fans(shape) == expected


@pytest.mark.parametrize("shape", [(8, 3), (3, 8), (3, 3, 2, 4)], ids=str)
def test_orthogonal(shape: tuple) -> None:
    w = initializers.Orthogonal(gain=2.0, seed=1)(shape, "float64").reshape(-1, shape[-1])
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    torch.testing.assert_close(gram, 4 * torch.eye(len(gram), dtype=torch.float64))
    assert initializers.Orthogonal()(shape, "bfloat16").dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options", "shape"), FIXED)
def test_fixed_values_equal_keras(name: str, options: dict, shape: tuple, dtype: str) -> None:
    ours, theirs = (getattr(m, name)(**options)(shape, dtype) for m in (initializers, keras.initializers))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-6)


def test_arrays_as_constants_and_windows() -> None:
    row = np.arange(4, dtype="float32")
    constant = initializers.Constant(row)
    assert constant((2, 4)).tolist() == [[0, 1, 2, 3]] * 2
    assert constant.clone()((2, 4)).tolist() == [[0, 1, 2, 3]] * 2
    torch.testing.assert_close(
        initializers.STFT(window=np.ones(4))((4, 1, 3)), initializers.STFT(window=None)((4, 1, 3)) / 2
    )


@pytest.mark.parametrize(("name", "options"), RANDOM + [case[:2] for case in FIXED])
@pytest.mark.parametrize("seed", [None, 5, "generator"])
def test_configs_equal_keras_and_make_the_same_object(name: str, options: dict, seed: object) -> None:
    options = dict(options)
    if (name, options) in RANDOM:
        options["seed"] = seed
    made = []
    for module in (initializers, keras.initializers):
        if options.get("seed") == "generator":
            root = random if module is initializers else keras.random
            made.append(getattr(module, name)(**{**options, "seed": root.SeedGenerator(3, name="s")}))
        else:
            made.append(getattr(module, name)(**options))
    ours, theirs = made
    config = initializers.serialize(ours)
    forgotten = {"gain": ours.gain} if name == "Identity" else {}  # by Keras
    assert ours.get_config() == theirs.get_config() | forgotten
    assert config == {**keras.initializers.serialize(theirs), "config": config["config"]}
    assert type(keras.initializers.deserialize(config)).__name__ == name
    again = initializers.deserialize(config)
    assert type(again) is type(ours) and again.get_config() == ours.get_config()
    assert type(ours.clone()) is type(ours)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, name) for name in ("GlorotUniform", "HeNormal", "Zeros", "Orthogonal", "STFT")),
        ("glorot_uniform", "GlorotUniform"),
        ("he_normal", "HeNormal"),
        ("lecun_uniform", "LecunUniform"),
        ("variance_scaling", "VarianceScaling"),
        ("zeros", "Zeros"),
        ("zero", "Zeros"),
        ("ones", "Ones"),
        ("one", "Ones"),
        ("constant", "Constant"),
        ("normal", "RandomNormal"),
        ("uniform", "RandomUniform"),
        ("truncated_normal", "TruncatedNormal"),
        ("identity", "Identity"),
        ("IdentityInitializer", "Identity"),
        ("OrthogonalInitializer", "Orthogonal"),
        ("STFTInitializer", "STFT"),
    ],
)
def test_get_by_name(name: str, kind: str) -> None:
    assert type(initializers.get(name)) is getattr(initializers, kind)
    if name != "constant":  # Keras wants a value here
        assert type(keras.initializers.get(name)).__name__ == kind


def test_get_of_other_things() -> None:
    instance = initializers.HeNormal()
    assert initializers.get(None) is None
    assert initializers.get(instance) is instance
    assert initializers.get(torch.zeros) is torch.zeros
    assert type(initializers.get(initializers.Ones)) is initializers.Ones
    assert initializers.get({"class_name": "Constant", "config": {"value": 3.0}}).value == 3.0


@pytest.mark.parametrize("values", [np.ones((2, 3)), torch.ones(2, 3)], ids=["array", "tensor"])
def test_get_of_values(values: object) -> None:
    given = initializers.get(values)
    assert torch.equal(given((2, 3), dtype="float32"), torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"initializer: received a weight of shape \(3, 2\); expected \(2, 3\)"):
        given((3, 2))


def test_named_initializers_are_variance_scalings() -> None:
    assert isinstance(initializers.HeNormal(), initializers.VarianceScaling)
    assert (initializers.HeNormal().scale, initializers.HeNormal().mode) == (2.0, "fan_in")


def test_own_subclass() -> None:
    class Half(initializers.Initializer):
        def __call__(self, shape: tuple, dtype: object = None) -> torch.Tensor:
            return torch.full(shape, 0.5)

    assert initializers.get(Half)((2,)).tolist() == [0.5, 0.5]
    assert Half().get_config() == {}


def test_names_are_those_of_keras() -> None:
    assert sorted(initializers.__all__) == sorted(name for name in dir(keras.initializers) if not name.startswith("_"))
    for name in initializers.__all__:
        assert getattr(initializers, name).__name__ == getattr(keras.initializers, name).__name__


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: initializers.Initializer()((2,)), r"Initializer: received no __call__; expected __call__\(shape"),
        (
            lambda: initializers.Identity()((2, 2, 2)),
            r"Identity: received shape \(2, 2, 2\); expected the shape of a m",
        ),
        (
            lambda: initializers.Orthogonal()((2,)),
            r"Orthogonal: received shape \(2,\); expected a shape of at least two",
        ),
        (lambda: initializers.VarianceScaling(scale=0), r"VarianceScaling, argument 'scale': received 0; expected a n"),
        (
            lambda: initializers.VarianceScaling(mode="fan"),
            r"argument 'mode': received 'fan'; expected one of \['fan_in'",
        ),
        (
            lambda: initializers.VarianceScaling(distribution="x"),
            r"argument 'distribution': received 'x'; expected one",
        ),
        (lambda: initializers.HeNormal(seed="a"), r"HeNormal, argument 'seed': received 'a'; expected a whole number"),
        (lambda: initializers.STFT(side="x"), r"STFT, argument 'side': received 'x'; expected one of"),
        (lambda: initializers.STFT(scaling="x"), r"STFT, argument 'scaling': received 'x'; expected one of"),
        (lambda: initializers.STFT(window=np.ones(3))((4, 1, 3)), r"STFT: received a window of shape \(3,\); expected"),
        (lambda: initializers.STFT(window="nothing"), "nothing|Unknown window"),
        (
            lambda: initializers.get("glorot_unifrom"),
            r"initializers\.get: .*'glorot_unifrom'; .* Did you mean 'GlorotU",
        ),
        (lambda: initializers.get(3), r"initializers\.get: received 3; expected a name"),
    ],
)
def test_errors(call: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError, NotImplementedError), match=message):
        call()


def test_windows_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    assert initializers.STFT(window="hann")((4, 1, 3)).shape == (4, 1, 3)
    with pytest.raises(ValueError, match=r"STFT: received window='parzen'; .* Others need SciPy"):
        initializers.STFT(window="parzen")
