"""Which networks a GPU runs from a recording, that numbers stay the same, and what else is done for GPUs."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import convia as keras
from convia import config, distributed, layers, masks, optimizers
from convia.training import cuda_graphs, data

X = np.random.default_rng(0).normal(size=(22, 8, 8, 3)).astype("float32")
Y = np.arange(22) % 2
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def network(*more, size=8, **named):
    inner = [
        layers.Conv2D(4, 3, activation="relu"),
        layers.BatchNormalization(),
        *more,
        layers.GlobalAveragePooling2D(),
    ]
    model = keras.Sequential([layers.Input((size, size, 3)), *inner, layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", **named)
    return model


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Let the choice believe that there is a GPU."""
    monkeypatch.setattr(config, "device", lambda: torch.device("cuda"))


def hooked():
    model = network()
    model.layers[0].register_forward_hook(lambda *_: None)
    return model


class Own(layers.Layer):
    def call(self, inputs):
        return inputs


REASONS = {
    "chosen by compile": lambda: network(jit_compile=False),
    "sizes of its inputs differ": lambda: network(size=None),
    "Own layer 'own' runs code of its own": lambda: network(Own(name="own")),
    "Dropout layer 'd' draws from a generator of its own": lambda: network(layers.Dropout(0.5, seed=1, name="d")),
    "has hooks": hooked,
    "layers add losses": lambda: network(layers.ActivityRegularization(0.1)),
}


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.usefixtures("as_on_a_gpu")
def test_reasons_against_a_recording(reason, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(config, "device", lambda: torch.device("cpu"))
        model = REASONS[reason]()
        model(X[:2, :8, :8])
    assert reason in cuda_graphs.reason_against(model, training=True)


@pytest.mark.parametrize("chosen", ["auto", True])
def test_a_static_network_is_recorded_on_a_gpu_only(chosen, monkeypatch):
    model = network(layers.Dropout(0.5), jit_compile=chosen)
    assert cuda_graphs.reason_against(model, training=True) == "the device is cpu"
    monkeypatch.setattr(config, "device", lambda: torch.device("cuda"))
    assert cuda_graphs.reason_against(model, training=True) == ""
    monkeypatch.setattr(distributed, "size", lambda: 2)
    assert "several processes" in cuda_graphs.reason_against(model, training=True)
    monkeypatch.undo()
    monkeypatch.setattr(config, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(masks, "in_use", True)
    assert "masks" in cuda_graphs.reason_against(model, training=True)


class Recording(cuda_graphs.Recorder):
    """Plays without CUDA: what is recorded is called again."""

    def __init__(self, model, training):
        super().__init__(model, training)
        self.reason, self.played = "", 0

    def _record(self, model, x, leaves):
        step = cuda_graphs._Flat(model, x, self._training, self)

        def play(*given):
            self.played += 1
            return step(*given)

        self._play = play


def test_the_first_batch_and_those_of_other_sizes_run_as_usual(monkeypatch):
    """22 samples in batches of 8: as usual, recorded, and 6 as usual; in each of two epochs."""
    monkeypatch.setattr(cuda_graphs, "_on_gpu", lambda leaf: True)
    weights = []
    for kind in (cuda_graphs.Recorder, Recording):
        monkeypatch.setattr(cuda_graphs, "Recorder", kind)
        keras.utils.set_random_seed(0)
        model = network(engine="torch")
        model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        predicted = model.predict(X, batch_size=8, verbose=0)
        weights.append([*model.get_weights(), predicted])
    assert model._recorders[True].played == 3
    assert model._recorders[False].played == 1
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_what_cannot_be_recorded_runs_as_usual_and_says_so(monkeypatch):
    def fail(step, leaves):
        step.model.layers[1].moving_mean.fill_(9.0)
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(cuda_graphs, "_on_gpu", lambda leaf: True)
    monkeypatch.setattr(cuda_graphs, "_without_gradients", fail)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: None)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state: None)
    model = network()
    recorder = cuda_graphs.Recorder(model, training=False)
    recorder.reason = ""
    x = torch.from_numpy(X[:4])
    assert recorder(model, x) is None
    with pytest.warns(UserWarning, match=r"cannot record .operation not permitted.*jit_compile=False"):
        assert recorder(model, x) is None
    assert recorder(model, x) is None and "not permitted" in recorder.reason
    assert not model.layers[1].moving_mean.any()  # as before


@pytest.mark.parametrize("momentum, nesterov", [(0.0, False), (0.9, False), (0.9, True)])
def test_all_variables_at_once_are_as_one_by_one(momentum, nesterov):
    results = []
    for together in (False, True):
        rng = np.random.default_rng(1)
        values = [torch.nn.Parameter(torch.from_numpy(rng.normal(size=size))) for size in ((3, 2), (4,))]
        optimizer = optimizers.SGD(0.1, momentum=momentum, nesterov=nesterov)
        optimizer.build(values)
        for _ in range(3):
            gradients = [torch.from_numpy(rng.normal(size=value.shape)) for value in values]
            with torch.no_grad():
                (optimizer._update_together if together else optimizer.update_steps)(gradients, values, 0.1)
        results.append([value.detach().numpy() for value in values])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)


def test_what_goes_to_a_gpu_is_pinned_and_not_waited_for():
    calls = []

    class Array:
        device = torch.device("cpu")

        def pin_memory(self):
            calls.append("pinned")
            return self

        def to(self, device, non_blocking):
            calls.append((device.type, non_blocking))

    data._moved(Array(), torch.device("cuda"))
    data._moved(SimpleNamespace(device=torch.device("cuda"), to=Array().to), torch.device("cpu"))
    assert calls == ["pinned", ("cuda", True), ("cpu", False)]


@GPU
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_recording_learns_what_plain_calls_learn(rate):
    weights = []
    for chosen in (False, "auto"):
        keras.utils.set_random_seed(0)
        model = network(layers.Dropout(rate), jit_compile=chosen)
        model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        weights.append([*model.get_weights(), model.predict(X, batch_size=8, verbose=0)])
        assert bool(model._recorders[True].reason) == (chosen is False)
    if not rate:  # masks are drawn from other places of the same stream
        for one, other in zip(*weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@GPU
def test_adam_is_fused_and_right_on_a_gpu():
    weights = []
    for device in ("cpu", "cuda"):
        config.set_device(device)
        keras.utils.set_random_seed(0)
        model = network(engine="torch")
        model.set_weights([np.full(weight.shape, 0.1, "float32") for weight in model.get_weights()])
        model.fit(X, Y, batch_size=11, epochs=2, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
