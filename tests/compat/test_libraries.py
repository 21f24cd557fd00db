"""Names of NumPy, pandas, Pillow, Matplotlib and others that programs of older eras ask for."""

import collections
import importlib
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from convia.compat import paths, programs
from convia.compat.grafts import libraries


def test_every_library_that_is_looked_after_has_names_to_get_back():
    assert libraries._LENT.keys() >= paths.AGED


def test_names_come_and_go():
    before = hasattr(time, "clock"), hasattr(collections, "Iterable"), "float" in vars(np)
    with programs.using("keras2"):
        importlib.import_module("keras.layers")
        assert time.clock() > 0 and collections.Iterable and np.float is float and np.alltrue([True])
        assert np.float_ is np.float64 and -np.inf == np.NINF and np.trapz([1, 1]) == 1
    assert (hasattr(time, "clock"), hasattr(collections, "Iterable"), "float" in vars(np)) == before


def test_pictures_and_files():
    with programs.using("keras2"):
        importlib.import_module("keras.layers")
        image, draw, h5py = (importlib.import_module(name) for name in ("PIL.Image", "PIL.ImageDraw", "h5py"))
        picture = image.new("RGB", (8, 8)).resize((4, 4), image.ANTIALIAS)
        assert draw.Draw(picture).textsize("ab")[0] > 0
        with h5py.File("x", "w", driver="core", backing_store=False) as file:
            file["a"] = [1, 2]
            assert file["a"].value.tolist() == [1, 2]


def test_tables():
    pd = pytest.importorskip("pandas")
    with programs.using("keras2"):
        importlib.import_module("keras.layers")
        table = pd.DataFrame({"a": [1, 2]}).append({"a": 3}, ignore_index=True)
        assert table.as_matrix().tolist() == [[1], [2], [3]] and table.ix[2, "a"] == 3
        assert [name for name, _ in table.iteritems()] == ["a"]
        assert len(table["a"].append(table["a"])) == 6


def test_libraries_imported_after_keras_get_their_names_too():
    pytest.importorskip("matplotlib")
    code = (
        "import convia.compat, keras.layers, matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as plt\n"
        "plt.style.use('seaborn-whitegrid'); plt.hold(True); print(plt.cm.get_cmap('jet', 5).N)\n"
        "import scipy.signal; print(scipy.signal.gaussian(3, 1).shape)\n"
    )
    env = {**os.environ, "CONVIA_COMPAT": "on"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.split("\n")[:2] == ["5", "(3,)"]
