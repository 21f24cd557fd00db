import importlib
import sys
import types
from typing import ClassVar

import numpy as np
import pytest
import torch
from callback_fakes import FakeModel, play

from convia import layers, models, registry
from convia.callbacks import TensorBoard
from convia.callbacks.tensorboard import _as_images

module = importlib.import_module("convia.callbacks.tensorboard")


class _Writer:
    """Notes what TensorBoard's writer would write: (folder, what, name, step, value)."""

    written: ClassVar[list] = []

    def __init__(self, folder):
        self.folder = folder.replace("\\", "/").rpartition("/")[2]
        self.open = True

    def _note(self, what, name, step, value):
        assert self.open
        self.written.append((self.folder, what, name, step, value))

    def add_scalar(self, name, value, step, new_style):
        assert new_style
        self._note("scalar", name, step, value)

    def add_histogram(self, name, value, step):
        self._note("histogram", name, step, value.shape)

    def add_images(self, name, value, step, dataformats):
        self._note("images", name, step, (dataformats, value.shape))

    def add_embedding(self, value, labels, global_step, tag):
        self._note("embedding", tag, global_step, (value.shape, labels))

    def add_summary(self, summary, step):
        self._note("summary", "keras", step, summary)

    def _get_file_writer(self):
        return self

    def flush(self):
        assert self.open

    def close(self):
        self.open = False


@pytest.fixture
def written(monkeypatch):
    monkeypatch.setattr(_Writer, "written", [])
    monkeypatch.setattr(module, "_writer_class", lambda: _Writer)
    monkeypatch.setattr(module, "_graph_summary", lambda text: text)
    return _Writer.written


RATE = float(np.float32(0.001))


def _scalars(written):
    return [(folder, name, step, value) for folder, what, name, step, value in written if what == "scalar"]


def test_metrics_of_epochs_go_to_two_folders(written, tmp_path):
    play(TensorBoard(tmp_path), [{"loss": 0.5, "val_loss": 0.25, "list": [1, 2]}, {"loss": 0.125}])
    assert _scalars(written) == [
        ("train", "epoch_loss", 0, 0.5),
        ("train", "epoch_learning_rate", 0, RATE),
        ("validation", "epoch_loss", 0, 0.25),
        ("train", "epoch_loss", 1, 0.125),
        ("train", "epoch_learning_rate", 1, RATE),
    ]


@pytest.mark.parametrize(("freq", "steps"), [("epoch", []), ("batch", [1, 2, 3, 4, 5, 6]), (2, [2, 4, 6]), (4, [4])])
def test_metrics_of_batches_are_written_as_often_as_asked_for(freq, steps, written, tmp_path):
    play(TensorBoard(tmp_path, update_freq=freq), [{}, {}], batches=[{"loss": 1.0}] * 3)
    assert _scalars(written) == [("train", "batch_loss", step, 1.0) for step in steps]


def test_speed_is_written(written, tmp_path):
    model = FakeModel()
    callback = TensorBoard(tmp_path, write_steps_per_second=True, update_freq=1)
    play(callback, [{"loss": 1.0}], model, batches=[{}])
    assert [name for _, name, _, _ in _scalars(written)] == [
        "batch_steps_per_second",
        "epoch_loss",
        "epoch_learning_rate",
        "epoch_steps_per_second",
    ]


def test_evaluation_is_written_against_the_steps_of_the_optimizer(written, tmp_path):
    callback = TensorBoard(tmp_path)
    callback.set_model(FakeModel())
    callback.model.optimizer.iterations = 7
    callback.on_test_begin()
    callback.on_test_end({"loss": 0.5})
    assert _scalars(written) == [("validation", "evaluation_loss_vs_iterations", 7, 0.5)]


def test_weights_are_written_as_histograms_and_images(written, tmp_path):
    model = FakeModel()
    model.layers = [models.Sequential([layers.Input((5, 5, 1)), layers.Conv2D(6, 3, name="conv")]).layers[-1]]
    play(TensorBoard(tmp_path, histogram_freq=2, write_images=True), [{}] * 3, model)
    epoch = [
        ("train", "histogram", "conv/kernel/histogram", (3, 3, 1, 6)),
        ("train", "images", "conv/kernel/image", ("NHWC", (3, 3, 3, 1))),
        ("train", "histogram", "conv/bias/histogram", (6,)),
        ("train", "images", "conv/bias/image", ("NHWC", (1, 6, 1, 1))),
    ]
    found = [(folder, what, name, value) for folder, what, name, _, value in written]
    assert [(a, b, c.removeprefix("sequential/"), d) for a, b, c, d in found] == epoch * 2
    assert {step for _, _, _, step, _ in written} == {0, 2}


@pytest.mark.parametrize(
    ("shape", "images"),
    [
        ((4,), (1, 4, 1, 1)),
        ((5, 2), (1, 2, 5, 1)),
        ((2, 5), (1, 2, 5, 1)),
        ((3, 2, 1, 7), (7, 3, 2, 1)),
        ((1,), None),
        ((3, 3, 2, 4), (3, 3, 2, 4)),
        ((3, 3, 2, 5), None),
        ((2, 2, 2, 2, 2), None),
    ],
)
def test_weights_that_look_like_images_become_images(shape, images):
    found = _as_images(np.zeros(shape))
    assert (None if found is None else found.shape) == images


class _WithConfig(FakeModel):
    def to_json(self):
        if self.weights:
            raise ValueError("no config")
        return '{"layers": []}'


_WithConfig.__name__ = "Functional"


def test_the_graph_is_written_from_the_config(written, tmp_path):
    play(TensorBoard(tmp_path), [{}], _WithConfig())
    play(TensorBoard(tmp_path, write_graph=False), [{}], _WithConfig())
    play(TensorBoard(tmp_path), [{}], FakeModel())
    assert written == [("train", "summary", "keras", 0, '{"layers": []}')]


def test_a_model_without_a_config_is_a_warning(written, tmp_path):
    model = _WithConfig()
    model.weights = 1
    with pytest.warns(UserWarning) as caught:
        TensorBoard(tmp_path).set_model(model)
    text = "TensorBoard: received no config; expected a model with a config. The graph is not written."
    assert str(caught[0].message) == text


class _Embedding:
    name = "words"

    def get_weights(self):
        return [np.zeros((2, 3))]


def test_embeddings_are_written_with_their_labels(written, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "lookup", lambda namespace, name: _Embedding)
    (tmp_path / "labels").write_text("cat\ndog\n")
    for metadata in (tmp_path / "labels", {"words": tmp_path / "labels"}, None):
        model = FakeModel()
        model.layers = [_Embedding(), object()]
        play(TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata=metadata), [{}], model)
    rows = [("train", "embedding", "words", 0, ((2, 3), labels)) for labels in (["cat", "dog"], ["cat", "dog"], None)]
    assert written == rows


def test_labels_of_unknown_layers_are_refused(written, tmp_path):
    callback = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"words": "labels"})
    with pytest.raises(ValueError) as error:
        callback.set_model(FakeModel())
    assert str(error.value) == (
        "TensorBoard, argument 'embeddings_metadata': received words; expected names of Embedding layers: "
        "there are none."
    )


@pytest.mark.parametrize(
    ("given", "batches"), [(0, None), ("0", None), (5, (5, 5)), ((2, 4), (2, 4)), ("10,20", (10, 20)), ([3, 3], (3, 3))]
)
def test_batches_to_profile(given, batches):
    assert TensorBoard(profile_batch=given)._profiled == batches


@pytest.mark.parametrize("given", [-1, (3, 2), (1, 2, 3), "a", None, ()])
def test_wrong_batches_to_profile_are_refused(given):
    with pytest.raises(ValueError) as error:
        TensorBoard(profile_batch=given)
    assert str(error.value) == (
        f"TensorBoard, argument 'profile_batch': received {given!r}; expected a batch ≥ 0, or the first and "
        "the last batch."
    )


@pytest.mark.parametrize(("batches", "events"), [((2, 3), ["start 2", "stop 3"]), ((3, 9), ["start 3", "stop 4"])])
def test_profiling_covers_the_batches_asked_for(batches, events, written, tmp_path, monkeypatch):
    callback = TensorBoard(tmp_path, profile_batch=batches)
    seen = []

    class Profiler:
        def __init__(self, on_trace_ready):
            pass

        def start(self):
            seen.append(f"start {callback._batches}")

        def stop(self):
            seen.append(f"stop {callback._batches}")

    monkeypatch.setattr(torch.profiler, "profile", Profiler)
    play(callback, [{}], batches=[{"loss": 1.0}] * 4)
    assert seen == events
    assert not _scalars(written)


def test_the_package_is_asked_for_when_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError) as error:
        TensorBoard(tmp_path).set_model(FakeModel())
    text = str(error.value)
    assert text.startswith("TensorBoard: received no such package (")
    assert text.endswith("expected tensorboard. Install it: pip install tensorboard")


def test_files_can_be_read_by_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = _WithConfig()
    model.layers = [models.Sequential([layers.Input((5, 5, 1)), layers.Conv2D(6, 3, name="conv")]).layers[-1]]
    options = {"histogram_freq": 1, "write_images": True, "update_freq": 1}
    callback = TensorBoard(tmp_path, **options)
    play(callback, [{"loss": 0.5, "val_loss": 0.25}], model, batches=[{"loss": 1.0}] * 2)
    tags = {}
    for folder in ("train", "validation"):
        events = EventAccumulator(str(tmp_path / folder))
        events.Reload()
        tags[folder] = events.Tags()
    assert tags["validation"]["tensors"] == ["epoch_loss"]
    assert {"keras", "batch_loss", "epoch_loss", "epoch_learning_rate"} <= set(tags["train"]["tensors"])
    assert len(tags["train"]["histograms"]) == len(tags["train"]["images"]) == 2
    assert isinstance(callback.summary, object)


def test_the_writer_of_training_is_at_hand(written, tmp_path):
    callback = TensorBoard(tmp_path)
    callback.set_model(types.SimpleNamespace(layers=[], optimizer=None))
    callback.summary.add_scalar("mine", 1.0, 0, new_style=True)
    assert _scalars(written) == [("train", "mine", 0, 1.0)]
