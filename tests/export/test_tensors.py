"""Safetensors: the reference package reads what convia writes and the other way round; broken files are refused."""

import json
import re
import struct

import numpy as np
import pytest
import torch
from torch import nn

import convia
from convia import layers as L
from convia.export import load_safetensors, read_safetensors, save_safetensors, torch_state_dict

from exported_networks import cnn, seeded, through  # isort: skip

TYPES = (
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "float32",
    "float64",
)
ARRAYS = {kind: np.arange(6).reshape(2, 3).astype(kind) for kind in TYPES} | {
    "scalar": np.float32(3),
    "empty": np.ones((0, 2)),
}


def test_the_reference_reads_what_convia_writes(tmp_path):
    reference = pytest.importorskip("safetensors.numpy")
    save_safetensors(ARRAYS, tmp_path / "a.safetensors", {"made by": "ü"})
    found = reference.load_file(tmp_path / "a.safetensors")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_convia_reads_what_the_reference_writes(tmp_path):
    reference = pytest.importorskip("safetensors.torch")
    tensors = {
        "a": torch.randn(2, 3),
        "half": torch.randn(4).half(),
        "brain": torch.randn(4).bfloat16(),
        "flags": torch.tensor([True, False]),
    }
    reference.save_file(tensors, tmp_path / "t.safetensors")
    found = read_safetensors(tmp_path / "t.safetensors")
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], (tensor.float() if name == "brain" else tensor).numpy())


def test_big_endian_and_strided_arrays(tmp_path):
    arrays = {"big": np.arange(3, dtype=">f4"), "strided": np.arange(12.0).reshape(3, 4)[:, ::2].T}
    save_safetensors(arrays, tmp_path / "a.safetensors")
    for name, found in read_safetensors(tmp_path / "a.safetensors").items():
        np.testing.assert_array_equal(found, arrays[name])


def test_round_trip_of_a_model(tmp_path):
    model, other = cnn(), cnn()
    other.set_weights([np.zeros_like(w) for w in other.get_weights()])
    save_safetensors(model, tmp_path / "m.safetensors")
    assert [*read_safetensors(tmp_path / "m.safetensors")] == [variable.path for variable in model.weights]
    load_safetensors(other, tmp_path / "m.safetensors")  # its layers have names with other numbers
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_equal_paths_get_numbers(tmp_path):
    inside = [convia.Sequential([convia.Input((2,)), L.Dense(2, name="same")]) for _ in range(2)]
    model = seeded(convia.Sequential([convia.Input((2,)), *inside]))
    before = model.get_weights()
    save_safetensors(model, tmp_path / "m.safetensors")
    assert [*read_safetensors(tmp_path / "m.safetensors")] == [
        "same/kernel",
        "same/bias",
        "same/kernel_1",
        "same/bias_1",
    ]
    model.set_weights([0 * w for w in before])
    load_safetensors(model, tmp_path / "m.safetensors")
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def written(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("header", "options", "why"),
    [
        (b"", {"length": 9}, "no header of the length it says"),
        (b"", {"length": 2**63}, "no header of the length it says"),
        (b"{", {}, "Expecting property name"),
        ([], {}, "pop"),
        ({"a": {**ENTRY, "data_offsets": [0, 8]}}, {"data": b"1234"}, "bytes 0 to 8 of 4"),
        ({"a": {**ENTRY, "data_offsets": [-4, 0]}}, {"data": b"1234"}, "bytes -4 to 0 of 4"),
        ({"a": {**ENTRY, "shape": [2]}}, {"data": b"1234"}, "4 bytes for [2] of F32"),
        ({"a": {**ENTRY, "shape": [-1]}}, {"data": b"1234"}, "bytes 0 to 4 of 4"),
        ({"a": {**ENTRY, "dtype": "F8"}}, {"data": b"1234"}, "F8"),
        ({"a": {"dtype": "F32"}}, {"data": b"1234"}, "missing 2 required positional arguments"),
    ],
)  # fmt: skip
def test_broken_files(tmp_path, header, options, why):
    written(tmp_path / "b.safetensors", header, **options)
    with pytest.raises(
        OSError, match=r"load_safetensors: received .*; expected a whole .safetensors file. Copy it again."
    ):
        read_safetensors(tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match=re.escape(why)):
        read_safetensors(tmp_path / "b.safetensors")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"load_safetensors: received '.*none', which does not exist"):
        read_safetensors(tmp_path / "none")


def dense(name="d", units=2):
    return convia.Sequential([convia.Input((3,)), L.Dense(units, name=name)], name="m")


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (dense("e"), r"load_safetensors of 'm' from .*: received no array 'd/bias' \(2 such\); an array 'e/bias' \(2 such\); expected the model's weights by their paths. Is it the same"),
        (dense(units=1), r"load_safetensors of 'm' from .*, 'd/kernel': received shape \(3, 1\); expected \(3, 2\)."),
    ],
)  # fmt: skip
def test_weights_of_another_model_change_nothing(tmp_path, saved, message):
    model = dense()
    before = model.get_weights()
    save_safetensors(saved, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=message):
        load_safetensors(model, tmp_path / "m.safetensors")
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (convia.Sequential([L.Dense(2)], name="m"), "save_safetensors: received model 'm', not built; expected a model with weights. Call it on data"),
        ({"a": np.array(["x"])}, "save_safetensors, 'a': received type <U1; expected one of ['BOOL', "),
    ],
)  # fmt: skip
def test_what_cannot_be_written(tmp_path, given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        save_safetensors(given, tmp_path / "m.safetensors")
    assert not [*tmp_path.iterdir()]


# -- torch's layouts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "module"),
    [
        (L.Conv2D(4, 3, name="l"), (8, 8, 3), nn.Conv2d(3, 4, 3)),
        (L.Conv2D(4, (3, 2), groups=2, name="l"), (8, 8, 6), nn.Conv2d(6, 4, (3, 2), groups=2)),
        (L.Conv1D(4, 3, name="l"), (8, 3), nn.Conv1d(3, 4, 3)),
        (L.Conv3D(4, 2, name="l"), (4, 4, 4, 3), nn.Conv3d(3, 4, 2)),
        (L.Conv2DTranspose(4, 3, strides=2, name="l"), (5, 5, 3), nn.ConvTranspose2d(3, 4, 3, stride=2)),
        (L.DepthwiseConv2D(3, depth_multiplier=2, name="l"), (8, 8, 3), nn.Conv2d(3, 6, 3, groups=3)),
        (L.BatchNormalization(name="l"), (8, 8, 3), nn.BatchNorm2d(3, eps=1e-3)),
        (L.Dense(4, name="l"), (3,), nn.Linear(3, 4)),
    ],
)  # fmt: skip
def test_torch_loads_the_weights(layer, shape, module):
    model = through(layer, shape=shape)
    state = torch_state_dict(model)
    module.load_state_dict({name.removeprefix("l."): tensor for name, tensor in state.items()}, strict=False)
    x = torch.randn(2, *shape)
    first = x if len(shape) == 1 else x.movedim(-1, 1)
    with torch.no_grad():
        wanted = module.eval()(first)
        wanted = wanted if len(shape) == 1 else wanted.movedim(1, -1)
    np.testing.assert_allclose(model.predict(x.numpy(), verbose=0), wanted, rtol=1e-4, atol=1e-4)
    own = {name for name, _ in module.named_parameters()}
    assert own <= {name.removeprefix("l.") for name in state}


def test_separable_convolutions_are_two_of_torch():
    model = through(L.SeparableConv2D(4, 3, depth_multiplier=2, name="l"), shape=(8, 8, 3))
    module = nn.Module()
    module.depthwise, module.pointwise = nn.Conv2d(3, 6, 3, groups=3, bias=False), nn.Conv2d(6, 4, 1)
    module.load_state_dict({name.removeprefix("l."): tensor for name, tensor in torch_state_dict(model).items()})
    x = torch.randn(2, 8, 8, 3)
    with torch.no_grad():
        wanted = module.pointwise(module.depthwise(x.movedim(-1, 1))).movedim(1, -1)
    np.testing.assert_allclose(model.predict(x.numpy(), verbose=0), wanted, rtol=1e-4, atol=1e-4)


def test_state_dict_itself_keeps_kerass_shapes_and_goes_round():
    model, other = cnn(), cnn()
    assert all(
        tuple(v.shape) == tuple(w.shape) for v, w in zip(model.state_dict().values(), model.weights, strict=True)
    )
    other.set_weights([np.zeros_like(w) for w in other.get_weights()])
    names = dict(zip(model.state_dict(), other.state_dict(), strict=True))
    other.load_state_dict({names[name]: tensor for name, tensor in model.state_dict().items()})
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
