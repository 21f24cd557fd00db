"""Write files as older tf.keras wrote them, with what they predict and how they train on: ``tf_1.tar.xz``.

    <a Python with tensorflow 2.15> tests/saving/golden/make_golden_old.py

In TensorFlow's 1.x mode tf.keras 2.15 writes what versions 1.13 to 2.3 did: functions in graphs as layers of the class
TensorFlowOpLayer, initializers with a ``dtype``, axes as lists. cuDNN's layers run on GPUs alone; what they predict comes
from the layers that tf.keras turns their weights into.
"""

import sys
import tarfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from make_golden import add, flat, inputs_for, randomize, write_arrays, write_model, write_trained  # noqa: E402

k, la = tf.keras, tf.keras.layers


def graphs() -> dict[str, Any]:
    """Functions of TensorFlow in graphs."""
    x = k.Input((6, 8, 4))
    y = la.Conv2D(4, 3, padding="same")(x)
    rows: dict[str, Any] = {
        "activations": [
            f(y) for f in (tf.nn.relu, tf.nn.relu6, tf.nn.elu, tf.nn.selu, tf.nn.swish, tf.sigmoid, tf.tanh)
        ],
        "more_activations": [tf.nn.softplus(y), tf.nn.softmax(y), tf.nn.log_softmax(y), tf.nn.leaky_relu(y, 0.3)],
        "operators": 1.5 - (-(x + y) * 2 - 1) / 3 + y**2 + x * y,
        "pointwise": [tf.exp(y), tf.math.log(tf.abs(y) + 1.0), tf.sqrt(tf.square(y)), tf.math.rsqrt(tf.abs(y) + 0.5)],
        "more_pointwise": [
            tf.pow(tf.abs(y), 1.5),
            tf.floor(y * 3),
            tf.sign(y),
            tf.math.erf(y),
            tf.clip_by_value(y, -0.2, 0.3),
        ],
        "pairs": [tf.maximum(x, y), tf.minimum(x, 0.1), tf.math.squared_difference(x, y), tf.add_n([x, y, y])],
        "comparison": [tf.where(x > y, x, y), tf.cast(x > 0, "float32")],
        "constants": [x + np.ones((4,), "float32"), tf.nn.bias_add(y, [1.0, 2.0, 3.0, 4.0])],
        "likes": tf.zeros_like(y) + tf.ones_like(x) * tf.identity(y) - tf.stop_gradient(x),
        "reductions": [
            tf.reduce_mean(y, [1, 2]),
            tf.reduce_sum(y, -1, keepdims=True),
            tf.reduce_max(y, 3),
            tf.reduce_min(y, 1),
        ],
        "backend": k.backend.mean(k.backend.square(y), axis=(1, 2)),
        "shapes": [
            tf.reshape(y, (-1, 48, 4)),
            tf.transpose(y, [0, 3, 1, 2]),
            tf.expand_dims(y, 1),
            tf.tile(y, [1, 2, 1, 1]),
        ],
        "dynamic_reshape": tf.reshape(y, (tf.shape(y)[0], 8, 24)),
        "squeeze": tf.squeeze(tf.reduce_mean(y, [1, 2], keepdims=True), [1, 2]),
        "slices": [y[:, 1:5:2, ..., 0], y[:, :, tf.newaxis], tf.reverse(y, [2]), tf.image.flip_left_right(y)],
        "joins": [tf.concat([x, y], -1), tf.stack([x, y], 1)],
        "parts": [tf.split(y, 2, axis=-1)[1], tf.split(y, [1, 3], axis=3)[1], tf.unstack(y, axis=1)[2]],
        "padding": [
            tf.pad(y, [[0, 0], [1, 2], [0, 1], [0, 0]]),
            tf.pad(y, [[0, 0], [1, 2], [2, 1], [0, 0]], "REFLECT"),
        ],
        "resize": [tf.image.resize(y, (9, 5)), tf.image.resize(y, (12, 16), method="nearest")],
        "indices": [
            tf.cast(tf.argmax(y, -1), "float32"),
            tf.one_hot(tf.argmax(y, -1), 4),
            tf.gather(y, [0, 2], axis=3),
        ],
        "top_k": tf.nn.top_k(y, 2)[0],
        "products": [tf.matmul(y, x, transpose_b=True), tf.einsum("bhwc,bhwd->bcd", y, x)],
        "sums": [tf.cumsum(y, axis=1), tf.cumsum(y, axis=2, exclusive=True, reverse=True), tf.nn.l2_normalize(y, -1)],
        "pools": [tf.nn.max_pool2d(y, 2, 2, "VALID"), tf.nn.avg_pool2d(y, 3, 2, "SAME")],
        "depth": [tf.nn.depth_to_space(y, 2), tf.nn.space_to_depth(y, 2)],
    }
    return {name: k.Model(x, value) for name, value in rows.items()}


def stacks() -> dict[str, Any]:
    """Layers whose configs were others then."""
    norms = [la.BatchNormalization(), la.Conv2D(2, 3), la.BatchNormalization(axis=[1])]
    rnns = [la.LSTM(4, return_sequences=True), la.Bidirectional(la.GRU(2, return_sequences=True)), la.SimpleRNN(2)]
    return {
        "norms": k.Sequential([la.Input((6, 6, 3)), *norms]),
        "rnns": k.Sequential([la.Input((5, 3)), *rnns]),
        "embedding": k.Sequential([la.Embedding(10, 3, input_length=5), la.Conv1D(2, 3), la.PReLU()]),
    }


def write_both(archive: tarfile.TarFile, case: str, model: Any, number: int) -> None:
    rng = np.random.default_rng(number)
    randomize(model, rng)
    x = inputs_for(model, rng)
    y = model.predict(x, verbose=0)
    write_model(archive, case, model)
    arrays = {f"x{place}": value for place, value in enumerate(flat(x))}
    write_arrays(archive, case, **arrays, **{f"y{place}": value for place, value in enumerate(flat(y))})


def write_cudnn(archive: tarfile.TarFile) -> None:
    """A file of cuDNN's layers, made from their config and random weights."""
    from keras.src.saving.legacy.hdf5_format import preprocess_weights_for_loading

    with tf.Graph().as_default():
        old = tf.compat.v1.keras.layers
        inner = [old.CuDNNLSTM(4, return_sequences=True), la.Bidirectional(old.CuDNNGRU(2, return_sequences=True))]
        model = k.Sequential([la.Input((5, 3)), *inner, la.Bidirectional(old.CuDNNLSTM(3))])
        config, layers = (
            model.to_json(),
            [(layer.name, [(w.name, tuple(w.shape)) for w in layer.weights]) for layer in model.layers],
        )
    rng = np.random.default_rng(0)
    weights = {
        name: [(path, rng.normal(size=shape).astype("float32")) for path, shape in rows] for name, rows in layers
    }
    today = [
        la.LSTM(4, return_sequences=True),
        la.Bidirectional(la.GRU(2, return_sequences=True)),
        la.Bidirectional(la.LSTM(3)),
    ]
    model = k.Sequential([la.Input((5, 3)), *today])
    for layer, rows in zip(model.layers, weights.values(), strict=True):
        layer.set_weights(preprocess_weights_for_loading(layer, [array for _, array in rows], "2", "tensorflow"))
    path = HERE / "layer_cudnn.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"], file.attrs["backend"] = (
            config,
            "2.2.4-tf",
            "tensorflow",
        )
        place = file.create_group("model_weights")
        place.attrs["layer_names"] = [name.encode() for name in weights]
        for name, rows in weights.items():
            entry = place.create_group(name)
            entry.attrs["weight_names"] = [variable.encode() for variable, _ in rows]
            for variable, array in rows:
                entry[variable] = array
    add(archive, path)
    path.unlink()
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    write_arrays(archive, "layer_cudnn", x0=x, y0=model.predict(x, verbose=0))


def write_later(archive: tarfile.TarFile) -> None:
    """What tf.keras 2 has beside the layers and optimizers of ``make_golden.py``."""
    sync = [la.BatchNormalization(synchronized=True), la.experimental.SyncBatchNormalization(), la.BatchNormalization()]
    write_both(archive, "layer_sync", k.Sequential([la.Input((6, 6, 3)), *sync]), 1)
    fresh = k.Sequential([la.Input((3,)), la.Dense(2)])
    fresh.compile(k.optimizers.Adam(0.01), "mse")
    write_both(archive, "graph_untrained", fresh, 2)
    x = k.Input((6,))
    hidden = la.Dense(4)(x)
    added = k.Model(x, la.Dense(2)(hidden))
    added.add_loss(tf.reduce_mean(hidden))
    added.add_metric(tf.reduce_sum(hidden), name="total")
    write_both(archive, "graph_added", added, 3)
    write_trained(archive, k, "Scaled", k.mixed_precision.LossScaleOptimizer(k.optimizers.Adam(0.01)))


if __name__ == "__main__":
    k.__version__ = tf.__version__
    with tarfile.open(HERE / "tf_1.tar.xz", "w:xz") as archive:
        write_cudnn(archive)
        write_later(archive)
        tf.compat.v1.disable_v2_behavior()
        for number, (name, model) in enumerate({**graphs(), **stacks()}.items()):
            write_both(archive, f"old_{name}", model, number)
