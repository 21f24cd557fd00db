"""How the era of a program is found, what names resolve to, and that everything is undone afterwards."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import convia
from convia import compat
from convia.compat import eras, hook, notebooks, paths, programs, python2, report
from convia.compat.grafts.callbacks import Logs


@pytest.fixture(params=["keras1", "keras2", "tfkeras", "keras3"])
def era(request):
    with programs.using(request.param):
        yield request.param


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("import numpy", None),
        ("from keras.layers import Dense\nmodel.fit(x, y, nb_epoch=2)", "keras1"),
        ("from keras.layers import Convolution2D\nConvolution2D(3, 3, 3, border_mode='same')", "keras1"),
        ("from keras.layers import merge", "keras1"),
        ("import tensorflow as tf\nfrom keras.layers.core import Lambda\ntf.mul(x, y)", "keras1"),
        ("import keras\nK.set_image_dim_ordering('th')", "keras1"),
        ("from keras.models import Sequential\nmodel.fit_generator(g, epochs=2)", "keras2"),
        ("from keras.optimizers import Adam\nAdam(lr=1e-3)", "keras2"),
        ("from keras.layers.core import Dense", "keras2"),
        ("import pandas as pd\nimport keras.backend as K\npd.merge(a, b)", "keras2"),
        ("from tensorflow.keras.layers import Dense", "tfkeras"),
        ("from tensorflow import keras\nAdam(lr=1)", "tfkeras"),
        ("import tensorflow as tf\ntf.keras.Sequential()", "tfkeras"),
        ("import tf_keras", "tfkeras"),
        ("import keras\nfrom keras import layers", "keras3"),
        ("from keras import ops\nfrom keras.layers import Dense", "keras3"),
    ],
)
def test_the_era_is_found_by_imports_names_and_arguments(source, wanted):
    assert eras.detect(source) == wanted


def test_the_programs_own_modules_are_read_too(tmp_path):
    (tmp_path / "nets.py").write_text("from keras.layers import Dense\nDense(3, init='normal', W_regularizer=None)")
    assert eras.detect("import nets\nimport keras", tmp_path) == "keras1"


def test_an_unknown_era_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"received 'kears2'.*Did you mean 'keras2'"):
        eras.set_era("kears2")


@pytest.mark.parametrize("path", sorted(paths.PATHS))
def test_every_module_path_can_be_imported_from_all_roots(path):
    with programs.using("keras2"):
        module = importlib.import_module(path)
        assert dir(module)
        tail = path.removeprefix("keras")
        assert importlib.import_module(f"tensorflow.keras{tail}") is module
        assert importlib.import_module(f"tensorflow.python.keras{tail}") is module


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("keras.src.layers.core.dense", "keras.layers.core.dense"),
        ("tensorflow.python.keras.api._v2.keras", None),
        ("tf_keras.layers", "keras.layers"),
        ("keras_preprocessing.image", "keras.preprocessing.image"),
        ("keras_applications.vgg16", "keras.applications.vgg16"),
        ("keras.backend.tensorflow_backend", "keras.backend"),
        ("tensorflow.contrib.keras.layers", "keras.layers"),
        ("tensorflow.data", None),
        ("numpy", None),
    ],
)
def test_paths_have_one_canonical_form(name, wanted):
    found = paths.canonical(name)
    assert found == wanted or (wanted is None and found not in paths.PATHS)


def test_names_of_keras_are_those_of_convia(era):
    keras = importlib.import_module("keras")
    assert keras.layers.Conv2D is convia.layers.Conv2D
    assert keras.__version__ == eras.ERAS[era]
    assert importlib.import_module("keras.applications.vgg16").VGG16 is convia.applications.VGG16


def test_an_unknown_name_is_refused_with_the_nearest(era):
    with pytest.raises(AttributeError, match="Did you mean 'Conv2D'"):
        importlib.import_module("keras.layers").Conv2DD  # noqa: B018
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("keras.nothing")


def test_all_is_as_before_afterwards():
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] in hook.ROOTS}
    owners = [convia.Layer, convia.Model, convia.layers.Conv2D, convia.optimizers.Adam, convia.KerasTensor]
    held = [dict(vars(owner)) for owner in owners]
    with programs.using("keras1"):
        importlib.import_module("keras.layers")
        assert hasattr(convia.Model, "fit_generator")
        convia.layers.Conv2D.of_a_program = convia.Model.fit = None
    assert not compat.is_active()
    assert [dict(vars(owner)) for owner in owners] == held
    assert {name: module for name, module in sys.modules.items() if name.split(".")[0] in hook.ROOTS} == before
    with pytest.raises(TypeError, match="nb_filter"):
        convia.layers.Conv2D(3, 3, nb_filter=3)


def test_convia_itself_never_meets_an_older_meaning():
    with programs.using("keras2"):
        layers = importlib.import_module("keras").layers
        assert layers.Conv2D(4, 3, 3).kernel_size == (3, 3)
        names = {"__name__": "convia.somewhere", "layers": convia.layers}
        exec("strides = layers.Conv2D(4, 3, 3).strides", names)
        assert names["strides"] == (3, 3)


@pytest.mark.parametrize(("which", "size"), [("keras1", (3, 5)), ("keras2", (3, 5)), ("tfkeras", (3, 3))])
def test_positions_mean_what_they_meant(which, size):
    with programs.using(which):
        layer = importlib.import_module("keras").layers.Conv2D(4, 3, 5)
        assert layer.kernel_size == size


@pytest.mark.parametrize(
    ("which", "name", "argument", "value"),
    [
        ("keras2", "Adadelta", "learning_rate", 1.0),
        ("tfkeras", "Adadelta", "learning_rate", 0.001),
        ("keras1", "Adagrad", "learning_rate", 0.01),
        ("keras3", "Nadam", "learning_rate", 0.001),
    ],
)
def test_defaults_are_those_of_the_era(which, name, argument, value):
    with programs.using(which):
        keras = importlib.import_module("keras")
        assert float(getattr(getattr(keras.optimizers, name)(), argument)) == pytest.approx(value)
        model = keras.models.Sequential([keras.layers.Dense(1, input_shape=(2,))])
        model.compile(name.lower(), "mse")
        assert float(getattr(model.optimizer, argument)) == pytest.approx(value)


def test_hard_sigmoid_is_that_of_the_era(era):
    layer = importlib.import_module("keras").layers.Activation("hard_sigmoid")
    found = float(layer(np.array([[1.0]], "float32"))[0, 0])
    assert found == pytest.approx(0.7 if era != "keras3" else 4 / 6)


@pytest.mark.parametrize(
    ("keys", "asked", "found"),
    [
        (["acc"], "accuracy", "acc"),
        (["val_accuracy"], "val_acc", "val_accuracy"),
        (["out_acc"], "out_accuracy", "out_acc"),
        (["lr"], "learning_rate", "lr"),
    ],
)
def test_results_are_found_under_either_spelling(keys, asked, found):
    logs = Logs(dict.fromkeys(keys, 1.0))
    assert asked in logs
    assert logs[asked] == logs.get(asked) == logs[found]
    assert logs.get("nothing") is None
    with pytest.raises(KeyError):
        logs["nothing"]


def test_the_report_says_what_was_translated_and_is_silent_otherwise():
    report.clear()
    assert not report.line("keras2")
    report.note("lr", "learning_rate")
    report.note("lr", "learning_rate")
    assert report.line("keras2").endswith("lr → learning_rate (2×)")
    report.clear()


@pytest.mark.parametrize(
    ("source", "fixes"),
    [
        ("print 'a'", ["print('a')"]),
        ("if x:\n    print x, y", ["print(x, y)"]),
        ("try:\n  f()\nexcept ValueError, e:\n  pass", ["except ValueError as e:"]),
        ("for i in xrange(3): print(i)", ["range"]),
        ("import cPickle", ["import pickle"]),
        ("try:\n  import cPickle\nexcept ImportError:\n  import pickle", []),
        ("xrange = range\nxrange(2)", []),
        ("name = raw_input()", ["input"]),
        ("d.iteritems()", [".items"]),
        ("print('fine')", []),
        (
            "import cPickle\nprint d.has_key(raw_input())",
            ["import pickle", "print(d.has_key(raw_input()))", "input", ".in"],
        ),
        ("from functools import reduce\nprint 'a'\nreduce(f, x)", ["print('a')"]),
    ],
)
def test_leftovers_of_python_2_are_found_with_the_fix(source, fixes):
    assert [item.fix for item in python2.leftovers(source)] == fixes


def test_python_2_is_refused_with_lines_and_fixes(tmp_path):
    (tmp_path / "old.py").write_text("import keras\nprint 'loss', 3\n")
    with pytest.raises(ValueError, match=r"(?s)old.py in Python 2.*line 2: print 'loss', 3 — write print\('loss', 3\)"):
        programs.run(tmp_path / "old.py")


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("none.py", None, FileNotFoundError),
        ("a.txt", "", ValueError),
        ("a.ipynb", "{", ValueError),
    ],
)
def test_other_files_are_refused(name, text, error, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(error, match="convia run: received"):
        programs.run(tmp_path / name)


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("%matplotlib inline\nx = 1", "__ipython__.magic('matplotlib inline')\nx = 1"),
        ("!ls {x}", "__ipython__.shell('ls {x}')"),
        ("  !ls", "  __ipython__.shell('ls')"),
        ("a = !ls", "a = __ipython__.shell('ls')"),
        ("%time f(x)", "f(x)"),
        ("%%time\nf(x)", "\nf(x)"),
        ("%%html\n<b>", ""),
        ("f?", "pass"),
        ("x = a % b", "x = a % b"),
        ("s = '''\n!no\n'''", "s = '''\n!no\n'''"),
    ],
)
def test_lines_of_notebooks_become_python(cell, wanted):
    assert notebooks.to_python(cell) == wanted


def test_shell_commands_may_fail_and_installs_are_left_out(capfd):
    shell = notebooks.IPython({"word": "hello"})
    assert shell.shell("echo {word} $word") == ["hello hello"]
    assert shell.shell("exit 3") == []
    report.clear()
    assert shell.shell("pip install -q tensorflow==2.3 numpy") == []
    assert list(report.notes()) == ["pip install -q tensorflow==2.3 numpy left out"]
    report.clear()


def test_weights_given_to_layers_and_theano_orders():
    with programs.using("keras1"):
        keras = importlib.import_module("keras")
        kernel = np.ones((2, 3), "float32")
        layer = keras.layers.Dense(3, input_dim=2, weights=[kernel, np.zeros(3)])
        keras.models.Sequential([layer])
        assert np.array_equal(layer.get_weights()[0], kernel)
        assert keras.layers.MaxPooling2D(dim_ordering="th").data_format == "channels_first"


def test_the_command_line_and_the_first_line_of_a_program(tmp_path):
    program = tmp_path / "p.py"
    text = "import sys, keras\nprint(keras.__version__, sys.argv[1:])\nkeras.optimizers.SGD(lr=0.1)\n"
    program.write_text(text)
    command = [sys.executable, "-m", "convia", "run", "--era", "keras1", str(program), "--epochs", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1.2.2 ['--epochs', '5']"
    assert "lr → learning_rate" in done.stderr
    program.write_text(f"import convia.compat\n{text}")
    environment = {key: value for key, value in os.environ.items() if key != "CONVIA_COMPAT"}
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.startswith("2.")
    assert "lr → learning_rate" in done.stderr


def test_every_public_name_of_tf_keras_that_is_counted_resolves():
    usage = json.loads((Path(__file__).parent / "golden" / "names.json").read_text())
    with programs.using("keras2"):
        missing = []
        for name in usage:
            module, _, item = name.rpartition(".")
            try:
                getattr(importlib.import_module(module), item)
            except (ImportError, AttributeError):
                missing.append(name)
    assert not missing


def test_the_extension_of_notebooks_switches_the_eras_on():
    convia.load_ipython_extension(None)
    try:
        assert importlib.import_module("keras").layers is importlib.import_module("tensorflow.keras").layers
    finally:
        compat.deactivate()


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("model.add(Convolution2D(32, 3, 3, input_shape=(1, 28, 28)))", True),
        ("model.add(Convolution2D(32, 3, 3, input_shape=(3, img_rows, img_cols)))", True),
        ("model.add(Convolution2D(32, 1, 3, 3))", True),
        ("model.add(Convolution2D(32, 3, 3, input_shape=(28, 28, 1)))", False),
        ("model.add(Convolution2D(32, 3, 3, input_shape=(1, 28, 28), dim_ordering='tf'))", False),
        ("image = Input(shape=(3, 224, 224))", True),
        ("image = Input(shape=(224, 224, 3))", False),
        ("axis = 1 if K.image_dim_ordering() == 'th' else -1; net(img_dim=(3, 32, 32))", True),
        ("shape = (1, 28, 28) if K.image_dim_ordering() == 'th' else (28, 28, 1)", False),
        ("K.set_image_dim_ordering('tf'); image = Input(shape=(3, 224, 224))", False),
    ],
)
def test_the_first_order_of_axes_is_read_off_shapes(line, first):
    assert eras.channels_first(line) is first


def test_a_program_of_the_first_keras_says_the_inputs_of_its_layers(tmp_path, capfd):
    (tmp_path / "old.py").write_text(
        "import numpy as np\n"
        "from keras.models import Sequential\n"
        "from keras.layers.core import Dense, Flatten\n"
        "from keras.layers.convolutional import Convolution2D, MaxPooling2D\n"
        "m = Sequential()\n"
        "m.add(Convolution2D(4, 1, 3, 3, border_mode='full'))\n"
        "m.add(MaxPooling2D(poolsize=(2, 2)))\n"
        "m.add(Flatten())\n"
        "m.add(Dense(4 * 5 * 5, 6, init='normal'))\n"
        "m.add(Dense(6, 2))\n"
        "m.compile(loss='mse', optimizer='sgd')\n"
        "m.fit(np.ones((4, 1, 8, 8)), np.ones((4, 2)), nb_epoch=1, show_accuracy=True, verbose=0)\n"
        "print(m.predict(np.ones((3, 1, 8, 8))).shape)\n"
    )
    programs.run(tmp_path / "old.py")
    assert "(3, 2)" in capfd.readouterr().out


def test_the_traceback_of_a_program_begins_with_its_own_line(tmp_path):
    program = tmp_path / "p.py"
    program.write_text("import keras\nkeras.layers.Denze(3)\n")
    done = subprocess.run(
        [sys.executable, "-m", "convia", "run", str(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "Did you mean 'Dense'" in done.stderr
    assert done.stderr.splitlines()[:2] == [
        "Traceback (most recent call last):",
        f'  File "{program}", line 2, in <module>',
    ]
