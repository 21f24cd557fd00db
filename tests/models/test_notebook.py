"""What notebooks show of a model; the kernel is played by two modules."""

import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

import convia as k


@pytest.fixture
def shown(monkeypatch):
    """What the kernel was given to show."""
    given = []
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    display = SimpleNamespace(display=lambda data, raw: given.append(data))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return given


class Cells(HTMLParser):
    """The texts of an HTML page."""

    def __init__(self, text):
        super().__init__()
        self.texts = []
        self.feed(text)

    def handle_data(self, data):
        self.texts.append(data)


def model():
    return k.Sequential(
        [k.Input((8, 8, 1)), k.layers.Conv2D(4, 3, name="conv"), k.layers.Flatten(name="a<b")], name="m"
    )


def test_a_summary_is_a_table(shown, capsys):
    model().summary(show_trainable=True)
    assert capsys.readouterr().out == ""
    (given,) = shown
    assert (
        'Model: "m"' in given["text/plain"]
        and "conv (Conv2D)" in given["text/plain"]
        and "\x1b" not in given["text/plain"]
    )
    texts = Cells(given["text/html"]).texts
    assert texts[:5] == ['Model: "m"', "Layer (type)", "Output Shape", "Param #", "Trainable"]
    assert texts[5:9] == ["conv (Conv2D)", "(None, 6, 6, 4)", "40", "Y"]
    assert "a<b (Flatten)" in texts and "Total params: 40 (160.00 B)" in texts


def test_whoever_prints_gets_text(shown):
    lines = []
    model().summary(print_fn=lines.append)
    assert not shown and "conv (Conv2D)" in lines[0]
