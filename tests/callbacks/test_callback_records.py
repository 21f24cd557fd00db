import gc
import json
import pickle
import threading
import urllib.parse
import weakref
from http.server import BaseHTTPRequestHandler, HTTPServer

import keras
import numpy as np
import pytest
from callback_fakes import FakeModel, play

import convia
from convia import callbacks
from convia.callbacks import CSVLogger, LambdaCallback, RemoteMonitor

FILES = {
    "metrics": ({}, [{"loss": 0.5, "acc": 0.25}, {"loss": 0.125, "acc": 1.0}]),
    "validation": ({}, [{"val_loss": 0.5, "loss": 1.0}, {"loss": 0.25}]),
    "validation later": ({}, [{"loss": 0.5}, {"loss": 0.25, "val_loss": 1.0}]),
    "separator": ({"separator": ";"}, [{"loss": 0.5}]),
    "lists": ({}, [{"loss": [1, 2], "text": "a b", "array": np.array([0.5, 1]), "scalar": np.array(2.0)}]),
    "append": ({"append": True}, [{"loss": 0.5}]),
}


@pytest.mark.parametrize("name", FILES)
def test_csv_files_are_those_of_keras(name, tmp_path):
    options, epochs = FILES[name]
    files = [tmp_path / "own.csv", tmp_path / "theirs.csv"]
    for file, module in zip(files, (callbacks, keras.callbacks), strict=True):
        callback = module.CSVLogger(file, **options)
        play(callback, epochs)
        play(callback, epochs)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_text().count("epoch") == 1


def test_a_line_is_on_disk_when_its_epoch_ends(tmp_path):
    callback = CSVLogger(tmp_path / "log.csv")
    callback.set_model(FakeModel())
    callback.on_train_begin()
    callback.on_epoch_end(0, {"loss": 0.5})
    assert (tmp_path / "log.csv").read_text().splitlines() == ["epoch,loss,val_loss", "0,0.5,NA"]
    callback.on_train_end()
    assert callback.csv_file.closed


def test_functions_become_hooks():
    seen = []
    hooks = ["on_epoch_begin", "on_epoch_end", "on_train_begin", "on_train_end", "on_train_batch_end", "on_test_end"]
    callback = LambdaCallback(**{name: lambda *a, name=name, **k: seen.append(name) for name in hooks})
    play(callback, [{}], batches=[{}])
    callback.on_test_end({})
    assert seen == [
        "on_train_begin",
        "on_epoch_begin",
        "on_train_batch_end",
        "on_epoch_end",
        "on_train_end",
        "on_test_end",
    ]


@pytest.fixture
def server():
    """A server, and what was sent to it: (path, headers, body)."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, dict(self.headers), body))
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()

        def log_message(self, *args):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}", received
    http.shutdown()
    http.server_close()
    thread.join()


def test_logs_are_sent_as_a_form_or_as_json(server):
    root, received = server
    logs = {"loss": np.float32(0.5), "acc": np.array([1.0, 2.0])}
    play(RemoteMonitor(root), [logs])
    play(RemoteMonitor(root, path="/log", send_as_json=True, headers={"X-Token": "t"}), [logs])
    play(RemoteMonitor(root, path="/broken"), [logs])
    sent = {"epoch": 0, "loss": 0.5, "acc": [1.0, 2.0]}
    path, headers, body = received[0]
    assert path == "/publish/epoch/end/"
    assert json.loads(urllib.parse.parse_qs(body)["data"][0]) == sent
    path, headers, body = received[1]
    assert (path, headers["Content-Type"], headers["X-Token"]) == ("/log", "application/json", "t")
    assert json.loads(body) == sent
    assert len(received) == 3


def test_a_server_that_cannot_be_reached_is_a_warning():
    with pytest.warns(UserWarning) as caught:
        play(RemoteMonitor("http://127.0.0.1:9"), [{"loss": 1.0}])
    text = str(caught[0].message)
    assert text.startswith("RemoteMonitor: received no answer from http://127.0.0.1:9 (")
    assert text.endswith("expected a server that takes the logs.")


def test_a_model_goes_as_soon_as_nobody_needs_it_and_its_history_keeps_it(tmp_path):
    def train(**given):
        model = convia.Sequential([convia.layers.Input((2,)), convia.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model, model.fit(np.ones((4, 2)), np.ones(4), verbose=0, **given)

    gc.collect()
    gc.disable()
    try:
        model, history = train(
            callbacks=[callbacks.BackupAndRestore(tmp_path / "b"), callbacks.ModelCheckpoint(tmp_path / "m.keras")]
        )
        known = weakref.ref(model)
        assert (history.model is model, model.history == history, model.history.model is model) == (True,) * 3
        model.history.history["more"] = [1]
        del model
        assert history.model is known() is not None
        assert history.history["more"] == [1]
        del history
        assert known() is None
    finally:
        gc.enable()


def test_a_history_goes_through_pickle_with_its_model_and_without():
    model = convia.Sequential([convia.Input((2,)), convia.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
    again = pickle.loads(pickle.dumps(history))
    assert again.history == history.history and again.model.count_params() == 3
    assert pickle.loads(pickle.dumps(convia.callbacks.History())).model is None
