"""Files that are damaged, or made to do harm: what is refused, and what errors say."""

import contextlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import convia
from convia.models import load_model
from convia.saving import files

INSIDE = "model.weights.h5"


def rewrite(path: Path, changes: dict[str, bytes | None], **options: Any) -> Path:
    """Replace members of an archive; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members.update(changes)  # type: ignore[arg-type]
    target = path.with_name("changed.keras")
    with zipfile.ZipFile(target, "w", **options) as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)
    return target


def with_config(path: Path, edit: Any) -> Path:
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    edit(config)
    return rewrite(path, {"config.json": json.dumps(config).encode()})


def with_weights(path: Path, edit: Any) -> Path:
    with zipfile.ZipFile(path) as archive:
        stream = io.BytesIO(archive.read(INSIDE))
    with h5py.File(stream, "r+") as file:
        edit(file)
    return rewrite(path, {INSIDE: stream.getvalue()})


# -- texts of variable length in HDF5 ----------------------------------------------------------------------------------


def changed_bytes(path: Path, find: bytes, offset: int, new: bytes) -> Path:
    """Overwrite bytes at an offset from the first place of others."""
    data = bytearray(path.read_bytes())
    place = data.index(find) + offset
    data[place : place + len(new)] = new
    path.write_bytes(data)
    return path


def test_a_heap_that_the_library_would_never_leave(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "m.h5")
    data = (tmp_path / "m.h5").read_bytes()
    start = place = data.index(b"GCOL") + 16
    while data[place : place + 2] != b"\0\0":
        place += 16 + -(-int.from_bytes(data[place + 8 : place + 16], "little") // 8) * 8
    path = changed_bytes(tmp_path / "m.h5", b"GCOL", place - start + 16 + 8, bytes(8))  # free space of no size
    with pytest.raises(OSError, match=r"m\.h5' \(its heaps are in disorder\); expected a whole HDF5 file"):
        load_model(path)


def test_a_heap_larger_than_the_file(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "m.h5")
    path = changed_bytes(tmp_path / "m.h5", b"GCOL", 8, b"\xff" * 6)
    with pytest.raises(OSError, match=r"its heaps are in disorder"):
        load_model(path)


@pytest.mark.parametrize("name", ["backend", "model_config", "training_config", "keras_version"])
def test_a_text_longer_than_the_file(name: str, model: Any, tmp_path: Path) -> None:
    model.compile("adam", "mse")
    model.save(tmp_path / "m.h5")
    data = (tmp_path / "m.h5").read_bytes()
    place = data.index(name.encode() + b"\0") - 8
    padded = [-(-int.from_bytes(data[at : at + 2], "little") // 8) * 8 for at in (place + 2, place + 4, place + 6)]
    length = data.index(name.encode() + b"\0") + sum(padded)
    with h5py.File(tmp_path / "m.h5") as file:
        assert int.from_bytes(data[length : length + 4], "little") == len(file.attrs[name])
    path = changed_bytes(tmp_path / "m.h5", name.encode() + b"\0", sum(padded), b"\0\0\0\x7f")
    with pytest.raises(OSError, match=rf"a text of 2,130,706,432 bytes at '{name}' of .*m\.h5', which has"):
        load_model(path)


def test_types_of_varying_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    convia.Sequential([convia.Input((3,)), convia.layers.Dense(2, name="d")]).save(path)
    varying = h5py.vlen_dtype(np.int32)
    with h5py.File(path, "r+") as file:
        del file.attrs["keras_version"]
        lists = np.empty(1, object)
        lists[0] = np.arange(3, dtype=np.int32)
        file.attrs.create("keras_version", lists, dtype=varying)
    with pytest.raises(ValueError, match=r"'keras_version' of another type in .*m\.h5.*numbers or a text"):
        load_model(path)
    with h5py.File(path, "r+") as file:
        del file.attrs["keras_version"]
        kernel = file["model_weights"].visititems(lambda name, node: name if "kernel" in name else None)
        del file["model_weights"][kernel]
        file["model_weights"].create_dataset(kernel, (3, 2), varying)
    with pytest.raises(ValueError, match=r"data of another type at .*kernel.*expected numbers"):
        load_model(path)


# -- damaged ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_cut_files(model: Any, ending: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"m{ending}"
    model.save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(OSError, match=r"damaged or incomplete") as caught:
        load_model(path)
    assert isinstance(caught.value, ValueError) and f"m{ending}" in str(caught.value)


def test_cut_weights(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model.save_weights(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(OSError, match=r"truncated.*damaged or incomplete"):
        model.load_weights(path)


def with_a_flipped_bit(data: bytes, times: int) -> Iterator[bytearray]:
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(data), size=times):
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(8))
        yield flipped


def test_every_flipped_bit_of_an_archive_is_noticed_or_harmless(model: Any, saved: Path) -> None:
    data = saved.read_bytes()
    before = model.get_weights()
    for flipped in with_a_flipped_bit(data, 150):
        saved.write_bytes(flipped)
        try:
            after = load_model(saved).get_weights()
        except (OSError, ValueError):
            continue
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)


def test_flipped_bits_of_hdf5_raise_nothing_odd(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model.save_weights(path)
    data = path.read_bytes()
    for flipped in with_a_flipped_bit(data, 200):
        path.write_bytes(flipped)
        with contextlib.suppress(OSError, ValueError):
            model.load_weights(path)


def test_broken_json(saved: Path) -> None:
    for text in (b"{", b"[]", b"{}", b"\xff", b"[" * 10**6):
        with pytest.raises(ValueError, match=r"JSON with the class and the config of a model"):
            load_model(rewrite(saved, {"config.json": text}))


# -- hostile ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../b", "C:evil", "a\\b"])
def test_members_that_point_out(name: str, saved: Path) -> None:
    with pytest.raises(OSError, match=r"the member .* Do not trust this file"):
        load_model(rewrite(saved, {name: b""}))


def test_a_member_that_swells(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LARGE", 1 << 20)
    path = rewrite(saved, {INSIDE: bytes(1 << 24)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(OSError, match=r"'model\.weights\.h5' of 16,777,216 bytes from .* expected an honest size"):
        load_model(path)


def test_an_array_that_swells(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LARGE", 1 << 20)

    def edit(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", (5000, 5000), "float32", chunks=(10, 10))

    with pytest.raises(OSError, match=r"an array of 100,000,000 bytes that takes 0 on disk"):
        load_model(with_weights(saved, edit))


@pytest.mark.parametrize(
    "link", [h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink("/layers/dense_1/vars/0")], ids=["external", "soft"]
)
@pytest.mark.parametrize("place", ["layers/dense/vars/0", "layers/dense"])
def test_links(link: Any, place: str, saved: Path) -> None:
    def edit(file: h5py.File) -> None:
        del file[place]
        file[place] = link

    with pytest.raises(OSError, match=r"a link .* are not followed; do not trust this file"):
        load_model(with_weights(saved, edit))


def test_data_in_other_files(saved: Path) -> None:
    def outside(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", (5, 3), "float32", external=[("/etc/passwd", 0, 60)])

    def virtual(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        layout = h5py.VirtualLayout((5, 3), "float32")
        layout[:] = h5py.VirtualSource("/etc/passwd", "a", (5, 3))
        file.create_virtual_dataset("layers/dense/vars/0", layout)

    for edit in (outside, virtual):
        with pytest.raises(OSError, match=r"an array kept in another file"):
            load_model(with_weights(saved, edit))


def test_an_array_in_place_of_a_group(saved: Path) -> None:
    def edit(file: h5py.File) -> None:
        del file["layers/dense"]
        file["layers/dense"] = np.zeros(3)

    with pytest.raises(OSError, match=r"expected a group"):
        load_model(with_weights(saved, edit))


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("keras.utils", "get_file"), ("subprocess", "Popen")]
)
def test_names_of_code_are_not_imported(module: str, name: str, saved: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        config["config"]["layers"][1] = {"module": module, "class_name": name, "config": {}, "registered_name": name}

    with pytest.raises(ValueError, match=f"the unknown name '{name}'.*custom_objects"):
        load_model(with_config(saved, edit))


# -- code -------------------------------------------------------------------------------------------------------------


def _as_lambda(function: Any) -> Any:
    def edit(config: dict[str, Any]) -> None:
        arguments = {"name": "scale", "trainable": True, "dtype": "float32", "function": function, "arguments": {}}
        layer = {"module": "keras.layers", "class_name": "Lambda", "config": arguments, "registered_name": None}
        config["config"]["layers"].insert(1, layer)

    return edit


@pytest.mark.parametrize(
    "function",
    [
        {"class_name": "__lambda__", "config": {"code": "4wEAAA==", "defaults": None, "closure": None}},
        {"class_name": "__lambda__", "config": {"value": ["4wEAAA==", None, None]}},
        ["4wEAAAAAAAAA\n", None, None],
        {"module": "__main__", "class_name": "function", "config": "<lambda>", "registered_name": "<lambda>"},
    ],
)
def test_lambdas_need_their_function(function: Any, saved: Path) -> None:
    path = with_config(saved, _as_lambda(function))
    for safe_mode in (True, False):
        with pytest.raises(ValueError, match=r"Lambda layer 'scale'.*never run.*custom_objects=\{'scale': function\}"):
            load_model(path, safe_mode=safe_mode)
    loaded = load_model(path, custom_objects={"scale": lambda x: 2 * x})
    np.testing.assert_allclose(loaded.layers[0](np.ones((1, 5), "float32")).numpy(), 2.0)


def test_our_own_lambda_is_refused_on_loading(tmp_path: Path) -> None:
    model = convia.Sequential([convia.Input((3,)), convia.layers.Lambda(lambda x: x * 3, name="triple")])
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"Lambda layer 'triple'"):
        load_model(tmp_path / "m.keras")
    loaded = load_model(tmp_path / "m.keras", custom_objects={"triple": lambda x: x * 3})
    np.testing.assert_allclose(loaded.predict(np.ones((1, 3)), verbose=0), 3.0)


def test_code_elsewhere_is_refused(saved: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        config["config"]["layers"][1]["config"]["activation"] = {"class_name": "__lambda__", "config": {"value": ["x"]}}

    with pytest.raises(ValueError, match=r"Code in a file could do anything and is never run"):
        load_model(with_config(saved, edit))
