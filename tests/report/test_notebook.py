"""What notebooks show."""

import base64
from pathlib import Path

import numpy as np
import pytest

import convia as k
from convia.report.notebook import ReportPath


def network():
    return k.Sequential(
        [k.Input((4,)), k.layers.Dense(2, name="<b>first"), k.layers.Dense(1, trainable=False)], name="net"
    )


def test_a_history_draws_itself():
    model = network()
    model.compile("sgd", "mse")
    history = model.fit(np.ones((4, 4)), np.ones((4, 1)), epochs=3, verbose=0)
    figure = history.plot()
    assert next(len(line.get_xdata()) for line in figure.axes[0].lines) == 3
    assert figure._repr_png_()[:4] == b"\x89PNG"


def test_an_empty_history_is_refused():
    with pytest.raises(ValueError, match=r"learning_curves: received a history of nothing"):
        k.callbacks.History().plot()


def test_a_model_is_a_table():
    text = network()._repr_html_()
    assert '<td class="number">10</td>' in text and "(None, 2)" in text and "13 parameters, 10 learn" in text
    assert "&lt;b&gt;first" in text and "<b>first" not in text


def test_a_model_without_weights_is_its_name():
    assert k.Sequential([k.layers.Dense(2)], name="net")._repr_html_() == "<p><strong>Sequential</strong> net</p>"


def test_a_report_shows_itself(tmp_path):
    path = ReportPath(tmp_path / "report.html")
    path.write_text("<h1>¿Qué?</h1>", encoding="utf-8")
    frame = path._repr_html_()
    start = 'src="data:text/html;charset=utf-8;base64,'
    assert frame.startswith("<iframe ") and 'title="report.html"' in frame
    content = frame.partition(start)[2].partition('"')[0]
    assert base64.b64decode(content).decode() == "<h1>¿Qué?</h1>"
    assert path == tmp_path / "report.html" and isinstance(path, Path)
