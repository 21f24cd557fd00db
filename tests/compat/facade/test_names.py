"""Names that programs use, what is said about missing ones, and the smaller namespaces."""

import io
import sys
import wave

import numpy as np
import pytest
import torch

import convia as keras
import convia.compat.tensorflow as tf

# what 418 public programs use, without tf.keras, most frequent first
USED = [
    "GradientTape",
    "data.Dataset.from_tensor_slices",
    "float32",
    "data.AUTOTUNE",
    "cast",
    "image.resize",
    "reduce_mean",
    "shape",
    "__version__",
    "reduce_sum",
    "random.set_seed",
    "expand_dims",
    "random.normal",
    "random.uniform",
    "function",
    "square",
    "concat",
    "nn.relu",
    "reshape",
    "one_hot",
    "zeros",
    "io.read_file",
    "argmax",
    "squeeze",
    "int32",
    "nn.softmax",
    "image.convert_image_dtype",
    "exp",
    "clip_by_value",
    "newaxis",
    "sqrt",
    "Variable",
    "constant",
    "config.list_physical_devices",
    "ones",
    "ConfigProto",
    "Session",
    "abs",
    "zeros_like",
    "data.Dataset.zip",
    "matmul",
    "reduce_max",
    "image.random_crop",
    "ones_like",
    "convert_to_tensor",
    "gather",
    "split",
    "stack",
    "maximum",
    "train.Checkpoint",
    "data.Dataset.list_files",
    "data.experimental.cardinality",
    "distribute.MirroredStrategy",
    "image.decode_jpeg",
    "image.flip_left_right",
    "transpose",
    "uint8",
    "equal",
    "image.random_flip_left_right",
    "train.latest_checkpoint",
    "TensorSpec",
    "data.Dataset",
    "repeat",
    "saved_model.save",
    "summary.create_file_writer",
    "config.experimental.set_memory_growth",
    "device",
    "distribute.TPUStrategy",
    "distribute.cluster_resolver.TPUClusterResolver.connect",
    "identity",
    "image.psnr",
    "math.l2_normalize",
    "math.reduce_max",
    "nn.conv2d",
    "nn.leaky_relu",
    "python.client.device_lib.list_local_devices",
    "random_normal_initializer",
    "reduce_min",
    "image.decode_png",
    "python.framework.ops",
    "audio.decode_wav",
    "cond",
    "distribute.get_strategy",
    "errors.InvalidArgumentError",
    "get_default_graph",
    "image.rgb_to_grayscale",
    "image.rot90",
    "linspace",
    "lite.Optimize.DEFAULT",
    "lite.TFLiteConverter.from_keras_model",
    "math.log",
    "multiply",
    "nn.depth_to_space",
    "nn.sigmoid",
    "nn.sigmoid_cross_entropy_with_logits",
    "nn.sparse_softmax_cross_entropy_with_logits",
    "numpy_function",
    "pow",
    "python.framework.ops.RegisterGradient",
    "python.framework.ops._gradient_registry._registry",
    "range",
    "sigmoid",
    "strings.split",
    "summary.scalar",
    "test.gpu_device_name",
    "tile",
    "Module",
    "add_n",
    "data.Dataset.from_generator",
    "image.ResizeMethod.NEAREST_NEIGHBOR",
    "image.decode_image",
    "image.resize_with_pad",
    "int16",
    "io.decode_jpeg",
    "io.decode_png",
    "losses.categorical_crossentropy",
    "math.confusion_matrix",
    "random.gamma",
    "python.lib.io.file_io",
    "FIFOQueue",
    "Print",
    "acos",
    "argmin",
    "assign_add",
    "bool",
    "clip_by_norm",
    "compat.as_bytes",
    "complex",
    "complex64",
    "config.experimental.enable_op_determinism",
    "config.experimental.get_device_details",
    "config.list_logical_devices",
    "config.set_soft_device_placement",
    "constant_initializer",
    "cos",
    "data.TFRecordDataset",
    "data.experimental.AUTOTUNE",
    "data.experimental.Counter",
    "distribute.HierarchicalCopyAllReduce",
    "distribute.ReduceOp.SUM",
    "distribute.cluster_resolver.TFConfigClusterResolver",
    "distribute.experimental.CentralStorageStrategy",
    "estimator.ModeKeys.TRAIN",
    "experimental.numpy.allclose",
    "get_logger",
    "global_variables_initializer",
    "image.adjust_brightness",
    "image.adjust_saturation",
    "image.central_crop",
    "image.crop_to_bounding_box",
    "image.extract_patches",
    "image.image_gradients",
    "image.pad_to_bounding_box",
    "image.resize_with_crop_or_pad",
    "image.rgb_to_yuv",
    "image.sample_distorted_bounding_box",
    "image.sobel_edges",
    "image.ssim",
    "image.stateless_random_brightness",
    "image.stateless_random_contrast",
    "image.stateless_random_crop",
    "image.total_variation",
    "io.gfile.exists",
    "io.gfile.listdir",
    "io.gfile.rmtree",
    "less",
    "linalg.einsum",
    "lite.Interpreter",
    "lite.OpsSet.SELECT_TF_OPS",
    "make_ndarray",
    "make_tensor_proto",
    "math.cumprod",
    "math.greater_equal",
    "math.reduce_std",
    "minimum",
    "nn.avg_pool2d",
    "nn.compute_average_loss",
    "nn.dropout",
    "nn.max_pool",
    "nn.moments",
    "nn.scale_regularization_loss",
    "nn.tanh",
    "optimizers.Adam",
    "pad",
    "py_function",
    "random.Generator.from_seed",
    "random.split",
    "random_uniform_initializer",
    "reduce_prod",
    "roll",
    "round",
    "rsqrt",
    "saved_model.load",
    "sign",
    "signal.fft",
    "signal.stft",
    "sin",
    "slice",
    "space_to_depth",
    "stop_gradient",
    "string",
    "strings.reduce_join",
    "strings.unicode_split",
    "summary.image",
    "tanh",
    "to_float",
    "train.CheckpointManager",
    "train.Coordinator",
    "train.RMSPropOptimizer",
    "truediv",
    "where",
    "zeros_initializer",
]


@pytest.mark.parametrize("name", USED)
def test_names_that_programs_use(name):
    value = tf
    for part in name.split("."):
        value = getattr(value, part)


@pytest.mark.parametrize(
    ("owner", "name", "says"),
    [
        (tf, "reduce_maen", "Did you mean 'reduce_mean'"),
        (tf, "softmax", "There is tensorflow.nn.softmax"),
        (tf.image, "resise", "Did you mean 'resize'"),
        (tf.data.experimental, "cardinalty", "Did you mean 'cardinality'"),
        (tf.compat.v1, "Sesion", "Did you mean 'Session'"),
    ],
)
def test_missing_names(owner, name, says):
    with pytest.raises(AttributeError, match=says):
        getattr(owner, name)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: tf.saved_model.save(None, "x"), NotImplementedError, "model.save"),
        (lambda: tf.lite.TFLiteConverter.from_keras_model(None), NotImplementedError, "ONNX"),
        (lambda: tf.ragged.constant([[1]]), NotImplementedError, "ragged"),
        (lambda: tf.SparseTensor([], [], []), ValueError, "SparseTensor"),
        (tf.train.Coordinator, NotImplementedError, "tf.data"),
        (lambda: tf.matmul([1.0], [1.0]), ValueError, "tf.tensordot"),
        (lambda: tf.split(tf.ones(5), 2), ValueError, "divides the size"),
        (lambda: tf.split(tf.ones(5), [2, 2]), ValueError, "sum of 5"),
        (lambda: tf.pad(tf.ones(2), [[1, 1]], "EDGE"), ValueError, "REFLECT"),
        (lambda: tf.where(True, 1), ValueError, "both or neither"),
        (lambda: tf.sort(tf.ones(2), direction="UP"), ValueError, "DESCENDING"),
        (lambda: tf.case([(False, int)]), ValueError, "a default"),
        (lambda: tf.random.uniform((1,), dtype=tf.int32), ValueError, "maxval"),
        (lambda: tf.image.resize(tf.ones((2, 2, 1)), (2,)), ValueError, "height, width"),
        (lambda: tf.image.resize(tf.ones((2, 2, 1)), (2, 2), "cubic"), ValueError, "bicubic"),
        (lambda: tf.image.resize(tf.ones((2, 2)), (3, 3)), ValueError, "channels"),
        (lambda: tf.image.random_crop(tf.ones((2, 2, 1)), (3, 1, 1)), ValueError, "smaller size"),
        (lambda: tf.image.random_brightness(tf.ones((2, 2, 1)), -1), ValueError, "≥ 0"),
        (lambda: tf.image.random_contrast(tf.ones((2, 2, 1)), 2, 1), ValueError, "lower < upper"),
        (lambda: tf.image.central_crop(tf.ones((2, 2, 1)), 0), ValueError, "up to 1"),
        (lambda: tf.image.crop_to_bounding_box(tf.ones((2, 2, 1)), 1, 0, 2, 2), ValueError, "within the image"),
        (lambda: tf.image.pad_to_bounding_box(tf.ones((2, 2, 1)), 1, 0, 2, 2), ValueError, "one that fits"),
        (lambda: tf.nn.conv2d(tf.ones((1, 2, 2, 1)), tf.ones((1, 1, 1, 1)), 1, "FULL"), ValueError, "'SAME'"),
        (lambda: tf.io.read_file("/nowhere.png"), FileNotFoundError, "an existing file"),
        (lambda: tf.io.decode_png(b"abc"), tf.errors.InvalidArgumentError, "no image"),
        (lambda: tf.io.encode_png(tf.ones((2, 2, 1))), tf.errors.InvalidArgumentError, "uint8"),
        (lambda: tf.audio.decode_wav(b"abc"), tf.errors.InvalidArgumentError, "no WAV"),
        (lambda: tf.strings.to_number("x"), tf.errors.InvalidArgumentError, "numbers"),
        (lambda: tf.debugging.assert_equal(1, 2), tf.errors.InvalidArgumentError, "assert_equal"),
        (lambda: tf.debugging.assert_rank(tf.ones(2), 2), ValueError, "rank 2"),
        (lambda: tf.debugging.assert_shapes({tf.ones((2, 3)): ("N", "N")}), ValueError, "assert_shapes"),
        (lambda: tf.debugging.assert_type(tf.ones(2), tf.int32), TypeError, "int32"),
        (lambda: tf.debugging.check_numerics(tf.constant(np.nan), "bad"), tf.errors.InvalidArgumentError, "bad"),
        (lambda: tf.train.Checkpoint().read("/nowhere"), FileNotFoundError, "an existing checkpoint"),
        (lambda: tf.get_default_graph().gradient_override_map({"Elu": "A"}), NotImplementedError, "custom_gradient"),
        (lambda: tf.get_default_graph().gradient_override_map({"Relu": "A"}), ValueError, "received 'A'"),
    ],
)
def test_errors(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_images_in_files(tmp_path):
    pixels = tf.constant(np.random.default_rng(0).integers(0, 255, (9, 7, 3), "uint8"))
    path = str(tmp_path / "deeper" / "a.png")
    tf.io.write_file(path, tf.io.encode_png(pixels))
    content = tf.io.read_file(tf.constant(path))
    np.testing.assert_array_equal(tf.io.decode_png(content, channels=3), pixels)
    np.testing.assert_array_equal(tf.image.decode_jpeg(content), pixels)
    fractions = tf.io.decode_image(content, dtype=tf.float32)
    np.testing.assert_allclose(fractions, pixels.numpy() / 255, rtol=1e-6)
    assert tf.io.decode_image(content, channels=1).shape == (9, 7, 1)
    assert tf.io.decode_png(content, dtype=tf.uint16).dtype == tf.uint16
    smooth = tf.cast(tf.reshape(tf.range(192) // 2, (8, 8, 3)), tf.uint8)
    jpeg = tf.io.encode_jpeg(smooth, quality=100)
    assert (
        bool(tf.io.is_jpeg(jpeg))
        and int(tf.reduce_max(abs(tf.cast(tf.io.decode_jpeg(jpeg), "int32") - tf.cast(smooth, "int32")))) < 6
    )
    assert tf.io.gfile.exists(path) and tf.io.gfile.listdir(str(tmp_path)) == ["deeper"]
    with tf.io.gfile.GFile(str(tmp_path / "t.txt"), "w") as file:
        file.write("é")
    assert tf.io.gfile.GFile(str(tmp_path / "t.txt")).read() == "é"
    tensor = tf.constant([[1.5, 2.0]])
    np.testing.assert_array_equal(tf.io.parse_tensor(tf.io.serialize_tensor(tensor), tf.float32), tensor)


def test_sound():
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.array([0, 16384, -32768], "<i2").tobytes())
    sound, rate = tf.audio.decode_wav(buffer.getvalue(), desired_channels=1, desired_samples=4)
    np.testing.assert_array_equal(sound[:, 0], [0, 0.5, -1, 0])
    assert int(rate) == 8000
    again, _ = tf.audio.decode_wav(tf.audio.encode_wav(sound, rate))
    np.testing.assert_array_equal(again, sound)


@pytest.mark.parametrize(
    ("name", "args"),
    [("brightness", (0.3,)), ("contrast", (0.5, 1.5)), ("saturation", (0.5, 1.5)), ("hue", (0.2,)), ("crop", ((3, 4, 3),)),
     ("flip_left_right", ()), ("flip_up_down", ())],
)  # fmt: skip
def test_random_changes_of_images(name, args):
    image = tf.random.uniform((6, 6, 3), seed=1)
    change = getattr(tf.image, f"stateless_random_{name}")
    same = [change(image, *args, seed=(1, 2)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    others = {np.asarray(change(image, *args, (1, n))).tobytes() for n in range(20)}
    assert len(others) > 1
    tf.random.set_seed(5)
    first = [np.asarray(getattr(tf.image, f"random_{name}")(image, *args, seed=3)) for _ in range(4)]
    tf.random.set_seed(5)
    np.testing.assert_array_equal(
        first, [np.asarray(getattr(tf.image, f"random_{name}")(image, *args, seed=3)) for _ in range(4)]
    )


def test_random_numbers():
    tf.random.set_seed(1)
    a, b = tf.random.normal((3,), seed=2), tf.random.normal((3,), seed=2)
    assert not np.array_equal(a, b)
    tf.random.set_seed(1)
    np.testing.assert_array_equal(tf.random.normal((3,), seed=2), a)
    whole = tf.random.uniform((1000,), -2, 3, dtype=tf.int32)
    assert set(whole.numpy()) == {-2, -1, 0, 1, 2}
    wide = tf.random.normal((20000,), mean=3.0, stddev=2.0)
    assert abs(float(tf.reduce_mean(wide)) - 3) < 0.1 and abs(float(tf.math.reduce_std(wide)) - 2) < 0.1
    assert float(tf.reduce_max(abs(tf.random.truncated_normal((5000,))))) <= 2
    assert sorted(tf.random.shuffle(tf.range(9)).numpy()) == list(range(9))
    assert tf.random.categorical([[0.0, 9.0]], 5).shape == (1, 5)
    one, two = (tf.random.Generator.from_seed(4) for _ in range(2))
    np.testing.assert_array_equal(one.normal((3,)), two.normal((3,)))
    assert not np.array_equal(one.uniform((3,)), one.uniform((3,)))
    assert one.make_seeds(2).shape == (2, 2) and len(one.split(2)) == 2
    assert tf.random.gamma((4000,), 3.0, 2.0).mean().sub(1.5).abs() < 0.1
    assert tf.random.poisson((2,), [1.0, 2.0]).shape == (2, 2)


def test_checkpoints_are_managed(tmp_path):
    v = tf.Variable(1.0)
    checkpoint = tf.train.Checkpoint(step=v, parts={"a": tf.Variable([1.0, 2.0])})
    manager = tf.train.CheckpointManager(checkpoint, str(tmp_path), max_to_keep=2)
    assert manager.latest_checkpoint is None and manager.restore_or_initialize() is None
    for value in (2.0, 3.0, 4.0):
        v.assign(value)
        manager.save()
    assert [path[-1] for path in manager.checkpoints] == ["2", "3"] and manager.latest_checkpoint.endswith("ckpt-3")
    v.assign(0.0)
    checkpoint.restore(manager.latest_checkpoint)
    assert float(checkpoint.step) == 4 and ("parts/a", [2]) in tf.train.list_variables(str(tmp_path))
    with pytest.raises(AssertionError, match="all variables"):
        tf.train.Checkpoint(other=v).restore(manager.latest_checkpoint).assert_existing_objects_matched()
    with pytest.raises(tf.errors.InvalidArgumentError, match="shape"):
        tf.train.Checkpoint(step=tf.Variable([1.0])).restore(manager.latest_checkpoint)
    (tmp_path / "theirs.index").write_bytes(b"\0\0")
    with pytest.raises(tf.errors.InvalidArgumentError, match="of TensorFlow"):
        checkpoint.restore(str(tmp_path / "theirs"))


def test_old_programs():
    config = tf.ConfigProto(allow_soft_placement=True)
    config.gpu_options.allow_growth = True
    assert config.gpu_options.allow_growth
    with tf.Session(config=config) as session:
        session.run(tf.global_variables_initializer())
        assert session.run(tf.constant(3)) == 3
        x = tf.compat.v1.placeholder(tf.float32, (None, 2))
        np.testing.assert_array_equal(session.run(tf.reduce_sum(x * 2, 1), {x: np.ones((3, 2))}), [4, 4, 4])
    tf.compat.v1.disable_v2_behavior()
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    tf.logging.set_verbosity(tf.logging.ERROR)
    tf.compat.v1.set_random_seed(1)
    v = tf.Variable(3.0)
    assert tf.Session().run(tf.gradients(v * v, v))[0] == 6
    assert tf.compat.v1.get_variable("w", (2, 3)).shape == (2, 3)


def test_devices_and_blocks(capsys):
    assert tf.config.list_physical_devices("CPU")[0].device_type == "CPU"
    assert (tf.test.gpu_device_name() == "") == (not torch.cuda.is_available() and not tf.test.is_gpu_available())
    tf.config.run_functions_eagerly(True)
    tf.config.optimizer.set_jit(True)
    with tf.device("/GPU:0"), tf.name_scope("a"), tf.control_dependencies([]):
        tf.print("value", tf.constant([1, 2]), tf.constant("x"))
    assert capsys.readouterr().err == "value [1 2] x\n"
    assert tf.executing_eagerly() and tf.__version__.startswith("2.")

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32)], jit_compile=True)
    def double(x):
        assert isinstance(x, torch.Tensor)
        return x * 2

    np.testing.assert_array_equal(double(np.ones(2, "float32")), [2, 2])
    assert double.get_concrete_function()(tf.ones(1)) == 2


def test_summaries_need_tensorboard_or_say_so(tmp_path, monkeypatch):
    own = sys.modules["convia.compat.tensorflow.summary"]
    monkeypatch.setitem(own._settings, "warned", False)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.warns(UserWarning, match="pip install tensorboard"):
        writer = tf.summary.create_file_writer(str(tmp_path))
    tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        assert tf.summary.scalar("loss", tf.constant(1.0), step=1) is False
        with pytest.raises(ValueError, match="no step"):
            tf.summary.scalar("loss", 1.0)
    assert not tf.summary.should_record_summaries()


def test_summaries_are_written(tmp_path):
    pytest.importorskip("tensorboard")
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(step=3):
        assert tf.summary.scalar("loss", tf.constant(1.0))
        assert tf.summary.image("picture", tf.ones((2, 4, 4, 1)))
    writer.close()
    assert list(tmp_path.iterdir())


def test_keras_is_there():
    assert tf.keras.layers.Dense is keras.layers.Dense and tf.losses.MeanSquaredError is keras.losses.MeanSquaredError
