"""What notebooks show."""

import numpy as np
import pytest

import convia as k


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
