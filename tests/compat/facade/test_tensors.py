"""Tensors of torch with TensorFlow's methods, variables, types, shapes; and that all of it can be taken away."""
# ruff: noqa: RUF005

import numpy as np
import pytest
import torch

import convia as keras
import convia.compat.tensorflow as tf
from convia.compat.tensorflow import tensors


def test_methods_of_tensors():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    assert type(x) is torch.Tensor and isinstance(x, tf.Tensor) and tf.is_tensor(x)
    assert x.shape.as_list() == x.get_shape().as_list() == [2, 2] and x.shape[:1].as_list() == [2]
    assert x.shape.rank == x.shape.ndims == 2 and x.shape.num_elements() == 4 and x.shape == (2, 2)
    assert x.dtype.name == "float32" and x.dtype.as_numpy_dtype is np.float32 and x.dtype.is_floating
    y = tf.Variable([1.0]) * 2
    assert y.requires_grad
    np.testing.assert_array_equal(y.numpy(), [2])
    np.testing.assert_array_equal(np.asarray(y), [2])
    assert {x.ref(): 1}[x.ref()] == 1 and x.ref().deref() is x
    x.set_shape([None, 2])
    with pytest.raises(ValueError, match="compatible shapes"):
        x.set_shape([3, 2])


def test_adding_in_place_makes_a_new_tensor_for_programs():
    x = tf.constant([1.0, 2.0])
    y = x
    y += 1
    y *= 2
    np.testing.assert_array_equal(x, [1, 2])
    np.testing.assert_array_equal(y, [4, 6])
    v = tf.Variable([1.0])
    w = v
    w += 1
    assert float(v[0]) == 1


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda x: x + np.ones(2), [2, 3]),
        (lambda x: np.ones(2) - x, [0, -1]),
        (lambda x: [3, 4] * x, [3, 8]),
        (lambda x: x < np.array([2, 2]), [True, False]),
        (lambda x: x / [2.0, 2.0], [0.5, 1]),
        (lambda x: x != np.array([1, 3]), [False, True]),
        (lambda x: np.float64(2) * x, [2, 4]),
    ],
)
def test_operators_with_arrays(act, expected):
    result = act(tf.constant([1.0, 2.0]))
    np.testing.assert_array_equal(result, expected)
    assert result.dtype in (torch.float32, torch.bool)


def test_deactivation():
    tensors.deactivate()
    assert not tensors.is_active()
    for owner, name in ((torch.Tensor, "get_shape"), (torch.Size, "as_list"), (torch.dtype, "name")):
        assert not hasattr(owner, name)
    assert torch.Tensor.__getitem__ is torch._C.TensorBase.__getitem__
    assert type(keras.KerasTensor((2, 3)).shape) is tuple
    with pytest.raises(TypeError):
        np.ones(2) + torch.ones(2)
    tensors.activate()
    assert torch.ones(2).shape.as_list() == [2]


def test_types():
    assert tf.float32 == "float32" == tf.float32 and tf.float32 == torch.float32 == tf.float32
    assert tf.float32 == np.float32 and tf.float32 == np.dtype("float32") and tf.float32 != tf.float64
    assert tf.float32 != "nonsense" and tf.as_dtype(float) == tf.float32 and tf.as_dtype(1) is tf.float32
    assert (tf.uint8.max, tf.uint8.min, tf.int32.size, tf.half.name) == (255, 0, 4, "float16")
    assert (repr(tf.int64), str(tf.bool)) == ("tf.int64", "<dtype: 'bool'>")
    assert {tf.float32: 1}[torch.float32] == 1 and tf.string.as_numpy_dtype is np.object_
    assert tf.int8.is_integer and tf.complex64.is_complex and tf.complex64.real_dtype == tf.float32
    with pytest.raises(TypeError, match="Did you mean 'float32'"):
        tf.as_dtype("flaot32")
    with pytest.raises(TypeError, match="limits"):
        _ = tf.bool.limits


def test_shapes():
    shape = tf.TensorShape([None, 3])
    assert (repr(shape), str(shape), shape == (None, 3)) == ("TensorShape([None, 3])", "(None, 3)", True)
    assert shape.merge_with([2, None]).as_list() == [2, 3] and shape.num_elements() is None
    assert (shape + [4]).as_list() == [None, 3, 4] and ([1] + shape[1:]).as_list() == [1, 3]
    assert tf.TensorShape(None).rank is None and shape.is_compatible_with(tf.TensorShape(None))
    with pytest.raises(ValueError, match="compatible"):
        shape.assert_has_rank(3)
    with pytest.raises(ValueError, match="unknown rank"):
        tf.TensorShape(None).as_list()
    assert tf.TensorSpec((None, 3)).is_compatible_with(tf.ones((2, 3)))


def test_variables():
    v = tf.Variable([[1, 2]], dtype=tf.float32, name="v")
    assert isinstance(v, tf.Variable) and isinstance(keras.Variable(1.0), tf.Variable)
    assert not isinstance(v, tf.Tensor)
    v.assign([[3.0, 4.0]])
    v.assign_add([[1.0, 1.0]])
    v.assign_sub(tf.ones((1, 2)))
    np.testing.assert_array_equal(v.numpy(), [[3, 4]])
    value = v.value()
    v.assign(tf.zeros((1, 2)))
    assert float(tf.reduce_sum(value)) == 7 and float(tf.reduce_sum(v.read_value())) == 0
    assert v.dtype == tf.float32 and v.name == "v" and tf.Variable(2).dtype == tf.int32
    assert not tf.Variable(1.0, trainable=False).requires_grad
    assert float(tf.Variable(lambda: tf.constant(5.0))) == 5
    with pytest.raises(ValueError, match="initial_value"):
        tf.Variable()
    with pytest.raises(ValueError, match="shape"):
        v.assign([1.0])


def test_modules_find_their_variables():
    class Block(tf.Module):
        def __init__(self):
            super().__init__(name="block")
            self.w = tf.Variable([1.0])
            self.steps = [tf.Variable(0, trainable=False), {"b": tf.Variable(2.0)}]
            self.dense = keras.layers.Dense(2)
            self.dense.build((None, 3))

    class Net(tf.Module):
        def __init__(self):
            self.block = Block()

    net = Net()
    assert len(net.trainable_variables) == 4 and len(net.variables) == 5 and len(net.non_trainable_variables) == 1
    assert net.name == "net" and net.block in net.submodules and net.block.dense in net.submodules


def test_functions_on_symbolic_tensors_become_a_graph():
    image = keras.Input((8, 8, 3))
    batch = tf.shape(image)[0]
    half = tf.shape(image)[1] // 2
    outputs = [
        tf.image.resize(tf.nn.relu(image) * 2.0 - 1.0, (4, 4)),
        tf.reshape(image, (batch, -1)),
        tf.reshape(image, [-1, half, 16, 3]),
        tf.tile(tf.ones((1, 5)), [batch, 1]),
        tf.concat([image, image[:, ::-1]], axis=-1),
        tf.random.normal((batch, 2)),
        tf.where(image > 0.5, image, tf.zeros_like(image)),
    ]
    assert [o.shape.as_list() for o in outputs] == [
        [None, 4, 4, 3], [None, 192], [None, 4, 16, 3], [None, 5], [None, 8, 8, 6], [None, 2], [None, 8, 8, 3],
    ]  # fmt: skip
    assert image.get_shape()[1:].as_list() == [8, 8, 3] and isinstance(image, tf.Tensor)
    x = np.random.default_rng(0).uniform(size=(3, 8, 8, 3)).astype("float32")
    found = keras.Model(image, outputs).predict(x, verbose=0)
    np.testing.assert_allclose(found[1], x.reshape(3, -1))
    np.testing.assert_allclose(found[4][..., 3:], x[:, ::-1])
    np.testing.assert_allclose(found[6], np.where(x > 0.5, x, 0))
    assert found[3].shape == (3, 5)


def test_graphs_of_simple_functions_can_be_saved(tmp_path):
    x = keras.Input((4,))
    y = tf.reduce_mean(tf.nn.softmax(tf.concat([x, tf.square(x)], 1)), axis=1, keepdims=True) + tf.sqrt(tf.abs(x))
    model = keras.Model(x, y)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    data = np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4)
    np.testing.assert_allclose(again(data), model(data))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (np.squeeze, [3.0, 1.0]),
        (np.argmax, 0),
        (np.argwhere, [[0, 0, 0], [0, 1, 0]]),
        (np.size, 2),
        (np.exp, np.exp([[[3.0], [1.0]]])),
        (lambda x: np.repeat(x, 2, axis=2), [[[3.0, 3.0], [1.0, 1.0]]]),
        (lambda x: np.clip(x, 0, 2).astype("uint8"), [[[2], [1]]]),
        (lambda x: np.moveaxis(x, 2, 0), [[[3.0, 1.0]]]),
        (lambda x: np.concatenate([x, x]), [[[3.0], [1.0]], [[3.0], [1.0]]]),
    ],
)
def test_functions_of_numpy_see_arrays_and_return_them(function, expected):
    found = function(tf.constant([[[3.0], [1.0]]]))
    assert not isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found, expected)


def test_arrays_beside_a_tensor_take_its_type():
    x = tf.constant([[0.5]])
    assert (np.array([[2]]) @ x).dtype == (x @ np.array([[2]])).dtype == ([2] * x).dtype == tf.float32


def test_an_array_of_tensors_is_filled_by_a_loop():
    array = tf.TensorArray(tf.float32, size=2, dynamic_size=True)
    for place in range(3):
        array = array.write(tf.constant(place), [place, place])
    np.testing.assert_array_equal(array.stack(), [[0, 0], [1, 1], [2, 2]])
    np.testing.assert_array_equal(array.concat(), [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(array.gather([2, 0]), [[2, 2], [0, 0]])
    assert int(array.size()) == 3 and array.read(1).dtype is torch.float32
    other = tf.TensorArray(tf.int32, 0).unstack([4, 5]).scatter([3], [[7]][0])
    np.testing.assert_array_equal(other.stack(), [4, 5, 0, 7])
    np.testing.assert_array_equal(tf.TensorArray(tf.int32, 0).split([1, 2, 3], [1, 2]).read(1), [2, 3])
    with pytest.raises(ValueError, match=r"tf\.TensorArray\.read: received the place 9"):
        array.read(9)
    with pytest.raises(ValueError, match="at least one write"):
        tf.TensorArray(tf.int32, 2).stack()


def test_parts_of_images_in_a_layer_depend_on_sizes_alone():
    def parts(images):
        count = tf.shape(images)[0]
        low = tf.random.uniform((count, 2), 0, 0.5)
        return tf.image.crop_and_resize(images, tf.concat([low, low + 0.5], 1), tf.range(count), tf.shape(images)[1:3])

    x = keras.Input((8, 6, 3))
    y = keras.layers.Lambda(parts)(x)
    assert tuple(y.shape[1:]) == (8, 6, 3)
    assert keras.Model(x, y).predict(np.ones((2, 8, 6, 3)), verbose=0).mean() == pytest.approx(1)


@pytest.mark.parametrize(("padding", "size", "step", "places", "values"), [
    ("SAME", 2, 2, 1203, 33.723007), ("VALID", 3, 1, 975, 54.165477), ("SAME", 3, 2, 1104, 47.464783),
])  # fmt: skip
def test_pools_say_where_the_largest_were_as_tensorflow_does(padding, size, step, places, values):
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype("float32")
    found, where = tf.nn.max_pool_with_argmax(x, [1, size, size, 1], [1, step, step, 1], padding)
    assert int(where.sum()) == places and float(found.sum()) == pytest.approx(values, rel=1e-5)
    np.testing.assert_array_equal(x[0].reshape(-1)[where[0]], found[0])
    _, numbered = tf.nn.max_pool_with_argmax(x, size, step, padding, include_batch_in_index=True)
    np.testing.assert_array_equal(x.reshape(-1)[numbered], found)


def test_overlapping_boxes_lose_score_softly_as_in_tensorflow():
    boxes = tf.constant([[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 2, 1, 3], [0, 0.05, 1, 1.0]])
    scores = tf.constant([0.9, 0.8, 0.7, 0.6])
    kept, left = tf.image.non_max_suppression_with_scores(boxes, scores, 4, 0.5, 0.1, 0.5)
    assert kept.tolist() == [0, 2, 1, 3]
    np.testing.assert_allclose(left, [0.9, 0.7, 0.4096038, 0.1167151], rtol=1e-5)
    kept, left = tf.image.non_max_suppression_with_scores(boxes, scores, 4)
    assert kept.tolist() == [0, 2] and left.tolist() == pytest.approx([0.9, 0.7])


def test_what_is_chosen_by_values_has_a_place_in_a_graph():
    x = keras.Input((3, 5, 4))
    scores = tf.reduce_max(x, -1)
    kept = tf.boolean_mask(x, scores > 0.5)
    best = tf.image.non_max_suppression(kept, tf.reduce_max(kept, -1), 2)
    places = tf.where(scores > 0.5)
    model = keras.Model(x, [tf.gather(kept, best), places])
    data = np.zeros((1, 3, 5, 4), "float32")
    data[0, 1, 2] = [0, 0, 1, 1]
    boxes, where = model(data)
    assert boxes.tolist() == [[0, 0, 1, 1]] and where.tolist() == [[0, 1, 2]]
