"""Files that are missing or of other models; saves that are interrupted; what errors say."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from architectures import functions, plain_stack, stack_of_stacks

import convia
from convia import saving
from convia.models import load_model
from convia.saving import files

# -- what is not there, or something else -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no.keras", "no.h5"])
def test_missing_files_name_the_folder(name: str, saved: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{name}', which does not exist.*holds m\.keras"):
        load_model(saved.with_name(name))
    with pytest.raises(ValueError, match=r"does not exist"):
        load_model(saved.parent / "nowhere" / name)


def test_missing_weights(model: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"load_weights: received .*w\.weights\.h5', which does not exist"):
        model.load_weights(tmp_path / "w.weights.h5")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"a folder; expected a model saved as .keras or .h5"):
        load_model(tmp_path)


def test_a_saved_model_of_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ValueError, match=r"a TensorFlow SavedModel.*save it again: model\.save\('model\.keras'\)"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["m", "m/", "a.b/m"])
def test_names_without_an_ending_get_one(name: str, model: Any, tmp_path: Path) -> None:
    path = f"{tmp_path}/{name}"
    if name.endswith("/"):
        Path(path).mkdir()
    with pytest.warns(UserWarning, match=r"a name without an ending; expected .*is written to '.*m\.keras'"):
        model.save(path)
    assert Path(path).with_name("m.keras").is_file()
    np.testing.assert_array_equal(load_model(path).get_weights()[0], model.get_weights()[0])


def test_a_folder_of_a_model_goes_before_a_file_beside_it(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "m", zipped=False)
    other = convia.Sequential([convia.Input((2,)), convia.layers.Dense(1)])
    other.save(tmp_path / "m.keras")
    assert len(load_model(tmp_path / "m").weights) == len(model.weights)


@pytest.mark.parametrize("name", ["m.pt", "m.ckpt"])
def test_other_endings(name: str, model: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.keras.*Try 'm\.keras'"):
        model.save(tmp_path / name)
    (tmp_path / name).write_bytes(b"?")
    with pytest.raises(OSError, match=r"The ending of the name tells the format"):
        load_model(tmp_path / name)
    with pytest.raises(OSError, match=r"ends in \.weights\.h5"):
        model.load_weights(tmp_path / name)
    with pytest.raises(ValueError, match=r"ends in \.weights\.h5. Try 'm\.weights\.h5'"):
        model.save_weights(tmp_path / name)


def test_an_old_file_called_keras(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "m.h5")
    (tmp_path / "m.h5").rename(tmp_path / "m.keras")
    with pytest.raises(OSError, match=r"It is an HDF5 file: rename it to end in \.h5"):
        load_model(tmp_path / "m.keras")


def test_weights_alone_are_not_a_model(model: Any, tmp_path: Path) -> None:
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(OSError, match=r"without a model's architecture.*load_weights"):
        load_model(tmp_path / "m.weights.h5")


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(OSError, match=r"without 'config\.json'.*It holds a\.txt"):
        load_model(tmp_path / "m.keras")


# -- interrupted ------------------------------------------------------------------------------------------------------


class Interruption(BaseException):
    """As Ctrl-C."""


@pytest.mark.parametrize("method", ["save .keras", "save .h5", "save_weights .weights.h5"])
def test_an_interrupted_save_leaves_the_old_file(
    method: str, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, ending = method.split()
    path = tmp_path / f"m{ending}"
    save = getattr(model, name)
    save(path)
    before, count = path.read_bytes(), 0

    def write(self: Any, place: Any, value: Any) -> None:
        nonlocal count
        count += 1
        if count > 2:
            raise Interruption
        original(self, place, value)

    original = h5py.Group.__setitem__
    monkeypatch.setattr(h5py.Group, "__setitem__", write)
    model.set_weights([0 * weight for weight in model.get_weights()])
    with pytest.raises(Interruption):
        save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    monkeypatch.undo()
    save(path)
    assert path.read_bytes() != before


def test_data_reach_the_disk_before_the_name(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: events.append("flushed"))
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (events.append("renamed"), replace(self, to))[1])
    model.save(tmp_path / "m.keras")
    assert events == ["flushed", "renamed", "flushed"]


def test_a_link_to_a_file_stays_a_link(model: Any, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "m.keras").symlink_to(tmp_path / "there" / "m.keras")
    model.save(tmp_path / "m.keras")
    assert (tmp_path / "m.keras").is_symlink() and (tmp_path / "there" / "m.keras").is_file()


def test_new_folders_are_made(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "a" / "b" / "m.keras")
    assert (tmp_path / "a" / "b" / "m.keras").is_file()


@pytest.mark.parametrize(("answer", "replaced"), [("y", True), ("n", False), (None, False)])
def test_asking_before_overwriting(
    answer: str | None, replaced: bool, model: Any, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reply(prompt: str) -> str:
        assert "already exists - overwrite?" in prompt
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", reply)
    before = saved.stat().st_ino
    model.save(saved, overwrite=False)
    assert (saved.stat().st_ino != before) == replaced


# -- weights of other models ------------------------------------------------------------------------------------------


def _two(units: int, more: bool = False) -> Any:
    layers = [convia.layers.Dense(3, name="one"), convia.layers.Dense(units, name="two")]
    return convia.Sequential([convia.Input((4,)), *layers, *([convia.layers.Dense(1, name="three")] if more else [])])


@pytest.mark.parametrize("ending", [".weights.h5", ".h5"])
def test_other_shapes_name_the_layer_and_both_shapes(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{ending}"
    model, other = _two(2), _two(5)
    model.save_weights(path) if ending == ".weights.h5" else model.save(path)
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"Dense 'two': kernel has shape \(3, 5\), the file's \(3, 2\)"):
        other.load_weights(path)
    for a, b in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.warns(UserWarning, match=r"\(3, 5\), the file's \(3, 2\)"):
        other.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    np.testing.assert_array_equal(other.get_weights()[2], before[2])


def test_another_number_of_layers(tmp_path: Path) -> None:
    _two(2).save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match=r"Dense 'three' has kernel \(2, 1\), bias \(1,\), the file 0 arrays"):
        _two(2, more=True).load_weights(tmp_path / "m.weights.h5")
    _two(2).save(tmp_path / "m.h5")
    with pytest.raises(ValueError, match=r"weights of 2 layers \(one, two\); expected 3.*by_name=True"):
        _two(2, more=True).load_weights(tmp_path / "m.h5")


def test_another_number_of_weights(tmp_path: Path) -> None:
    without_bias = convia.Sequential([convia.Input((4,)), convia.layers.Dense(3, use_bias=False, name="one")])
    with_bias = convia.Sequential([convia.Input((4,)), convia.layers.Dense(3, name="one")])
    without_bias.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match=r"Dense 'one' has kernel \(4, 3\), bias \(3,\), the file 1 arrays for it"):
        with_bias.load_weights(tmp_path / "m.weights.h5")
    without_bias.save(tmp_path / "m.h5")
    with pytest.raises(ValueError, match=r"1 weights for layer 'one' \[\(4, 3\)\], which has kernel \(4, 3\), bias"):
        with_bias.load_weights(tmp_path / "m.h5")


def test_by_name_takes_the_layers_of_that_name(tmp_path: Path) -> None:
    model, other = _two(2), _two(2, more=True)
    model.save(tmp_path / "m.h5")
    last = other.get_weights()[4]
    other.load_weights(tmp_path / "m.h5", by_name=True)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=False):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(other.get_weights()[4], last)
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match=r"by_name=True; expected a legacy \.h5 file"):
        other.load_weights(tmp_path / "m.weights.h5", by_name=True)


def test_models_without_weights_yet(tmp_path: Path) -> None:
    model = convia.Sequential([convia.layers.Dense(2)])
    for method in (model.save_weights, model.load_weights):
        with pytest.raises(ValueError, match=r"not built, whose weights do not exist yet.*build"):
            method(tmp_path / "m.weights.h5")
    with pytest.warns(UserWarning, match=r"saved before it is built"):
        model.save(tmp_path / "m.keras")


def test_unknown_arguments(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"save_model: received the unknown arguments \['colour'\]"):
        model.save(tmp_path / "m.keras", colour=1)
    with pytest.raises(ValueError, match=r"load_weights: received the unknown arguments"):
        model.load_weights(tmp_path / "m.weights.h5", colour=1)


def test_a_plain_function_of_torch_has_no_config(tmp_path: Path) -> None:
    import torch

    inputs = convia.Input((3,))
    model = convia.Model(inputs, torch.tanh(inputs))
    with pytest.raises(ValueError, match=r"the function 'torch.tanh' in a graph"):
        model.save(tmp_path / "m.keras")


# -- other ways to keep a model ---------------------------------------------------------------------------------------


def test_streams_and_folders(model: Any, tmp_path: Path) -> None:
    stream = io.BytesIO()
    saving.save_model(model, stream)
    model.save(tmp_path / "folder", zipped=False)
    for source in (stream, tmp_path / "folder"):
        loaded = load_model(source)
        for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_weights_out_of_a_model_file(tmp_path: Path) -> None:
    for ending in (".keras", ".h5"):
        model, other = plain_stack(convia), plain_stack(convia)
        model.save(tmp_path / f"m{ending}")
        other.load_weights(tmp_path / f"m{ending}")
        for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_shards(tmp_path: Path) -> None:
    model, other = stack_of_stacks(convia), stack_of_stacks(convia)
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=4.5e-7)
    listed = json.loads((tmp_path / "m.weights.json").read_text())
    assert listed["metadata"]["total_size"] == sum(weight.nbytes for weight in model.get_weights())
    assert len(list(tmp_path.glob("m_*.weights.h5"))) > 1
    other.load_weights(tmp_path / "m.weights.json")
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match=r"GiB; expected at most max_shard_size=1e-09"):
        model.save_weights(tmp_path / "m.weights.json", max_shard_size=1e-9)
    (tmp_path / "m.weights.json").write_text('{"weight_map": {"/vars": "../m.h5"}}')
    with pytest.raises(OSError, match=r"a file beside the list"):
        model.load_weights(tmp_path / "m.weights.json")


def test_many_layers_in_an_old_file(tmp_path: Path) -> None:
    layers = [convia.layers.Dense(1, name=f"{number:04}_{'x' * 300}") for number in range(250)]
    model = convia.Sequential([convia.Input((1,)), *layers])
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        assert "layer_names0" in file["model_weights"].attrs  # an attribute holds 64 KiB at most
    loaded = load_model(tmp_path / "m.h5")
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_functions_keep_their_arguments(tmp_path: Path) -> None:
    model = functions(convia)
    model.save(tmp_path / "m.keras")
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(load_model(tmp_path / "m.keras").predict(x, verbose=0), model.predict(x, verbose=0))
