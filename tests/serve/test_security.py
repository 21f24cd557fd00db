"""Strangers who ask the service: nothing is fetched or read for them, and no text of theirs becomes code of a page."""

import builtins
import socket
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
from starlette.testclient import TestClient

import convia as keras
from convia import layers
from convia.serve import Classifier, create_app

HOSTILE = "<script>alert(1)</script>{{title}}${7*7}{% raw %}"
TARGETS = ["http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "/etc/passwd", "https://localhost:1/x.png"]


def read(image):
    return np.asarray(image.convert("RGB").resize((8, 8)), "float32")


@pytest.fixture(scope="module")
def client():
    inner = [
        layers.Conv2D(2, 3, name=HOSTILE.replace("/", "")),
        layers.Flatten(),
        layers.Dense(2, activation="softmax"),
    ]
    model = keras.Sequential([layers.Input((8, 8, 3)), *inner])
    with TestClient(create_app(Classifier(model, read, lambda count: [HOSTILE, "plain"]))) as found:
        yield found


@pytest.fixture
def watched(monkeypatch):
    """What is connected to or opened meanwhile."""
    seen, opened = [], builtins.open
    monkeypatch.setattr(socket, "create_connection", lambda address, *_, **__: seen.append(address))
    monkeypatch.setattr(
        builtins, "open", lambda path, *rest, **named: seen.append(str(path)) or opened(path, *rest, **named)
    )
    whole = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *rest, **named: seen.append(str(self)) or whole(self, *rest, **named)
    )
    return seen


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "ask",
    [
        lambda client, target: client.post("/predict", json={"image": target}),
        lambda client, target: client.post("/predict", json={"url": target}),
        lambda client, target: client.post("/predict", json={"images": [target]}),
        lambda client, target: client.post("/predict", content=target.encode(), headers={"content-type": "image/png"}),
        lambda client, target: client.post("/predict", files={"file": (target, target.encode(), "image/png")}),
        lambda client, target: client.post("/predict", params={"url": target}, json={}),
    ],
)
def test_no_address_and_no_path_is_followed(client, ask, target, watched):
    answer = ask(client, target)
    assert 400 <= answer.status_code < 500
    assert "root:" not in answer.text
    assert not [each for each in watched if "passwd" in str(each) or "169.254" in str(each) or "localhost" in str(each)]


@pytest.mark.parametrize("address", ["/", f"/?lang={HOSTILE}", "/?title={{title}}"])
def test_texts_of_others_stay_texts(client, address):
    text = client.get(address).text
    assert "<script>alert" not in text
    assert "49{% raw" not in text and "$49" not in text  # nothing is evaluated


def test_names_come_as_data_that_no_browser_takes_for_a_page(client):
    answer = client.get("/model")
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert HOSTILE in answer.json()["classes"]
    assert "innerHTML" not in client.get("/assets/page.js").text
