"""Write the files of reference: models of an older or the present Keras, with what they predict and how they train on.

    <a Python with tensorflow 2.15> tests/saving/golden/make_golden.py tf_keras
    KERAS_BACKEND=torch <a Python with keras 3.15> tests/saving/golden/make_golden.py keras

Each case becomes ``case.h5``, ``case.keras`` and ``case.npz`` (inputs ``x0``…, outputs ``y0``…, losses ``losses``) in the
archive ``tf_keras.tar.xz`` or ``keras.tar.xz`` beside this script. Compressed together they are small: files of HDF5 are
mostly zeros and alike.
"""

import logging
import os
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")
logging.disable()

import numpy as np  # noqa: E402

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from architectures import ARCHITECTURES  # noqa: E402

IMAGE, SIGNAL, VOLUME, VECTOR, TOKENS = (6, 7, 4), (9, 4), (5, 4, 4, 3), (6,), (5,)
ACTIVATIONS = ("elu", "selu", "softplus", "softsign", "relu", "gelu", "tanh", "sigmoid", "exponential", "hard_sigmoid")
MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")

# name of the layer, shape of its input, arguments; the same in both libraries
LAYERS: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("Conv1D", SIGNAL, {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
    ("Conv1D", SIGNAL, {"filters": 4, "kernel_size": 2, "strides": 2, "groups": 2, "activation": "tanh"}),
    ("Conv2D", IMAGE, {"filters": 3, "kernel_size": 3, "padding": "same", "strides": 2, "activation": "relu"}),
    ("Conv2D", IMAGE, {"filters": 4, "kernel_size": (2, 3), "dilation_rate": (2, 1), "groups": 2, "use_bias": False}),
    ("Conv2D", IMAGE, {"filters": 2, "kernel_size": 1, "kernel_regularizer": "l2", "bias_constraint": "non_neg"}),
    ("Conv3D", VOLUME, {"filters": 2, "kernel_size": 2, "padding": "same", "activation": "elu"}),
    ("Conv1DTranspose", SIGNAL, {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}),
    ("Conv2DTranspose", IMAGE, {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}),
    ("Conv2DTranspose", IMAGE, {"filters": 2, "kernel_size": 3, "strides": 2, "output_padding": 1}),
    ("Conv3DTranspose", VOLUME, {"filters": 2, "kernel_size": 2, "strides": 2}),
    ("SeparableConv1D", SIGNAL, {"filters": 3, "kernel_size": 3, "depth_multiplier": 2}),
    ("SeparableConv2D", IMAGE, {"filters": 3, "kernel_size": 3, "padding": "same", "depth_multiplier": 2}),
    ("DepthwiseConv1D", SIGNAL, {"kernel_size": 3, "strides": 2, "depth_multiplier": 2}),
    ("DepthwiseConv2D", IMAGE, {"kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2}),
    ("MaxPooling1D", SIGNAL, {"pool_size": 3, "strides": 2, "padding": "same"}),
    ("MaxPooling2D", IMAGE, {"pool_size": (2, 3), "padding": "same"}),
    ("MaxPooling3D", VOLUME, {"pool_size": 2}),
    ("AveragePooling1D", SIGNAL, {"pool_size": 2}),
    ("AveragePooling2D", IMAGE, {"pool_size": 3, "strides": 2, "padding": "same"}),
    ("AveragePooling3D", VOLUME, {"pool_size": 2, "padding": "same"}),
    ("GlobalMaxPooling1D", SIGNAL, {}),
    ("GlobalMaxPooling2D", IMAGE, {"keepdims": True}),
    ("GlobalMaxPooling3D", VOLUME, {}),
    ("GlobalAveragePooling1D", SIGNAL, {"keepdims": True}),
    ("GlobalAveragePooling2D", IMAGE, {}),
    ("GlobalAveragePooling3D", VOLUME, {}),
    ("BatchNormalization", IMAGE, {"momentum": 0.9, "epsilon": 1e-5}),
    ("BatchNormalization", IMAGE, {"axis": 1, "scale": False}),
    ("BatchNormalization", VECTOR, {"center": False, "scale": False}),
    ("BatchNormalization", SIGNAL, {"center": False, "gamma_regularizer": "l2", "moving_variance_initializer": "ones"}),
    ("LayerNormalization", IMAGE, {"epsilon": 1e-4}),
    ("LayerNormalization", IMAGE, {"axis": (2, 3), "center": False}),
    ("GroupNormalization", IMAGE, {"groups": 2, "epsilon": 1e-4}),
    ("UnitNormalization", IMAGE, {"axis": (1, 3)}),
    ("Normalization", IMAGE, {"mean": [0.1, 0.2, 0.3, 0.4], "variance": [1.0, 2.0, 3.0, 4.0]}),
    ("Normalization", VECTOR, {"axis": None, "mean": 0.5, "variance": 2.0, "invert": True}),
    ("Dense", IMAGE, {"units": 3, "activation": "gelu"}),
    ("Dense", VECTOR, {"units": 3, "kernel_initializer": "he_uniform", "activity_regularizer": "l1"}),
    ("EinsumDense", SIGNAL, {"equation": "abc,cd->abd", "output_shape": (None, 3), "bias_axes": "d"}),
    ("Embedding", TOKENS, {"input_dim": 10, "output_dim": 3}),
    ("Flatten", IMAGE, {}),
    ("Flatten", IMAGE, {"data_format": "channels_first"}),
    ("Reshape", IMAGE, {"target_shape": (-1, 2)}),
    ("Permute", IMAGE, {"dims": (3, 1, 2)}),
    ("RepeatVector", VECTOR, {"n": 3}),
    ("Cropping1D", SIGNAL, {"cropping": (1, 2)}),
    ("Cropping2D", IMAGE, {"cropping": ((1, 2), (0, 3))}),
    ("Cropping3D", VOLUME, {"cropping": 1}),
    ("ZeroPadding1D", SIGNAL, {"padding": (1, 2)}),
    ("ZeroPadding2D", IMAGE, {"padding": ((1, 2), (0, 3))}),
    ("ZeroPadding3D", VOLUME, {"padding": 1}),
    ("UpSampling1D", SIGNAL, {"size": 2}),
    ("UpSampling2D", IMAGE, {"size": (2, 3)}),
    ("UpSampling2D", IMAGE, {"size": 2, "interpolation": "bilinear"}),
    ("UpSampling3D", VOLUME, {"size": 2}),
    ("ReLU", IMAGE, {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}),
    ("LeakyReLU", IMAGE, {}),
    ("PReLU", IMAGE, {"shared_axes": [1, 2]}),
    ("ELU", IMAGE, {"alpha": 0.7}),
    ("Softmax", IMAGE, {"axis": [1, 2]}),
    ("Softmax", VECTOR, {}),
    *(("Activation", VECTOR, {"activation": name}) for name in (*ACTIVATIONS, "swish", "linear")),
    ("Dropout", IMAGE, {"rate": 0.3, "noise_shape": (None, 1, 1, 4)}),
    ("SpatialDropout1D", SIGNAL, {"rate": 0.3}),
    ("SpatialDropout2D", IMAGE, {"rate": 0.3}),
    ("SpatialDropout3D", VOLUME, {"rate": 0.3}),
    ("GaussianNoise", IMAGE, {"stddev": 0.3}),
    ("GaussianDropout", IMAGE, {"rate": 0.3}),
    ("AlphaDropout", IMAGE, {"rate": 0.3}),
    ("ActivityRegularization", IMAGE, {"l1": 0.1, "l2": 0.2}),
    ("Rescaling", IMAGE, {"scale": 0.5, "offset": -1.0}),
    ("Resizing", IMAGE, {"height": 9, "width": 4}),
    ("Resizing", IMAGE, {"height": 3, "width": 3, "interpolation": "nearest", "crop_to_aspect_ratio": True}),
    ("CenterCrop", IMAGE, {"height": 4, "width": 3}),
    ("RandomFlip", IMAGE, {"mode": "horizontal", "seed": 1}),
    ("RandomRotation", IMAGE, {"factor": 0.1, "fill_mode": "nearest"}),
    ("RandomZoom", IMAGE, {"height_factor": (-0.2, 0.1)}),
    ("RandomTranslation", IMAGE, {"height_factor": 0.1, "width_factor": 0.2}),
    ("RandomCrop", IMAGE, {"height": 4, "width": 4}),
    ("RandomContrast", IMAGE, {"factor": 0.2}),
    ("RandomBrightness", IMAGE, {"factor": 0.2}),
    ("Masking", SIGNAL, {"mask_value": 0.5}),
    ("SimpleRNN", SIGNAL, {"units": 3}),
    ("LSTM", SIGNAL, {"units": 3, "return_sequences": True}),
    ("GRU", SIGNAL, {"units": 3, "go_backwards": True}),
    ("GRU", SIGNAL, {"units": 3, "reset_after": False}),
    ("ConvLSTM2D", (3, 5, 5, 2), {"filters": 2, "kernel_size": 3}),
]


def wrapped(k: Any) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Layers that take layers."""
    la = k.layers
    return {
        "TimeDistributed": ((3, 6, 6, 2), la.TimeDistributed(la.Conv2D(2, 3, activation="relu"))),
        "Bidirectional": (SIGNAL, la.Bidirectional(la.LSTM(3, return_sequences=True), merge_mode="sum")),
        "RNN": (SIGNAL, la.RNN([la.LSTMCell(3), la.GRUCell(2)])),
    }


def merges(k: Any) -> Iterator[tuple[str, Any]]:
    """Layers of two inputs."""
    la = k.layers
    rows: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in MERGES]
    rows += [("Concatenate", {"axis": 1}), ("Dot", {"axes": -1, "normalize": True}), ("Attention", {"use_scale": True})]
    rows += [("AdditiveAttention", {}), ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3})]
    for name, options in rows:
        one, other = k.Input((3, 4)), k.Input((3, 4))
        layer = getattr(la, name)(**options)
        y = layer(one, other) if name == "MultiHeadAttention" else layer([one, other])
        yield name, k.Model([one, other], y)


def trained(k: Any) -> dict[str, Any]:
    """Optimizers, each by a name."""
    o = k.optimizers
    rows = {
        "SGD": o.SGD(0.05, momentum=0.9, nesterov=True),
        "SGD_plain": o.SGD(0.05),
        "SGD_schedule": o.SGD(o.schedules.ExponentialDecay(0.1, 2, 0.5)),
        "Adam": o.Adam(0.01, amsgrad=True, clipnorm=0.5),
        "Adam_plain": o.Adam(),
        "AdamW": o.AdamW(0.01, weight_decay=0.1),
        "RMSprop": o.RMSprop(0.01, momentum=0.5, centered=True),
        "Adagrad": o.Adagrad(0.05),
        "Adadelta": o.Adadelta(1.0),
        "Adamax": o.Adamax(0.01),
        "Nadam": o.Nadam(0.01),
        "Ftrl": o.Ftrl(0.05, l1_regularization_strength=0.01),
        "Lion": o.Lion(0.01),
        "Adafactor": o.Adafactor(0.02),
        "Ema": o.Adam(0.01, use_ema=True, ema_momentum=0.8),
    }
    if k.__version__.startswith("2"):
        old = o.legacy
        rows |= {
            "legacy_SGD": old.SGD(0.05, momentum=0.9, decay=0.1),
            "legacy_SGD_plain": old.SGD(0.05),
            "legacy_Adam": old.Adam(0.01, amsgrad=True),
            "legacy_Adam_decay": old.Adam(0.01, decay=0.1),
            "legacy_RMSprop": old.RMSprop(0.01, momentum=0.5, centered=True),
            "legacy_Adagrad": old.Adagrad(0.05),
            "legacy_Adadelta": old.Adadelta(1.0),
            "legacy_Adamax": old.Adamax(0.01),
            "legacy_Nadam": old.Nadam(0.01),
            "legacy_Ftrl": old.Ftrl(0.05),
        }
    return rows


def tensorflow_graphs(k: Any) -> dict[str, Any]:
    """Functions of TensorFlow in graphs: layers of the classes TFOpLambda and SlicingOpLambda."""
    import tensorflow as tf

    la, x = k.layers, k.Input((6, 8, 4))
    y = la.Conv2D(4, 3, padding="same")(x)
    rows: dict[str, Any] = {
        "relu": tf.nn.relu(y),
        "relu6": tf.nn.relu6(y),
        "leaky_relu": tf.nn.leaky_relu(y, alpha=0.3),
        "elu": tf.nn.elu(y),
        "selu": tf.nn.selu(y),
        "gelu": tf.nn.gelu(y),
        "silu": tf.nn.silu(y),
        "swish": tf.nn.swish(y),
        "softmax": tf.nn.softmax(y, axis=1),
        "log_softmax": tf.nn.log_softmax(y),
        "softplus": tf.nn.softplus(y),
        "sigmoid": tf.sigmoid(y),
        "tanh": tf.tanh(y),
        "exp": tf.exp(y),
        "log": tf.math.log(tf.abs(y) + 1.0),
        "sqrt": tf.sqrt(tf.square(y)),
        "rsqrt": tf.math.rsqrt(tf.abs(y) + 0.5),
        "pow": tf.pow(tf.abs(y), 1.5),
        "sin_cos": tf.sin(y) + tf.cos(x),
        "add": tf.add(x, y),
        "add_n": tf.add_n([x, y, y]),
        "subtract": tf.subtract(x, y),
        "multiply": tf.multiply(y, 2.0),
        "divide": tf.divide(x, 3.0),
        "maximum": tf.maximum(x, y),
        "minimum": tf.minimum(x, 0.1),
        "operators": 1.5 - (-(x + y) * 2 - 1) / 3 + y**2 + x * y,
        "comparison": tf.where(x > y, x, y),
        "cast": tf.cast(x > 0, "float32"),
        "clip": tf.clip_by_value(y, -0.2, 0.3),
        "concat": tf.concat([x, y], axis=-1),
        "stack": tf.stack([x, y], axis=1),
        "unstack": tf.unstack(y, axis=1)[2],
        "split": tf.split(y, 2, axis=-1)[1],
        "split_sizes": tf.split(y, [1, 3], axis=3)[1],
        "reshape": tf.reshape(y, (-1, 48, 4)),
        "dynamic_reshape": tf.reshape(y, (tf.shape(y)[0], 8, 24)),
        "transpose": tf.transpose(y, [0, 3, 1, 2]),
        "expand_dims": tf.expand_dims(y, 1),
        "squeeze": tf.squeeze(tf.reduce_mean(y, [1, 2], keepdims=True), [1, 2]),
        "tile": tf.tile(y, [1, 2, 1, 1]),
        "pad": tf.pad(y, [[0, 0], [1, 2], [0, 1], [0, 0]]),
        "reflect": tf.pad(y, [[0, 0], [1, 2], [2, 1], [0, 0]], "REFLECT"),
        "reduce_mean": tf.reduce_mean(y, axis=[1, 2]),
        "reduce_sum": tf.reduce_sum(y, -1, keepdims=True),
        "reduce_max": tf.reduce_max(y, axis=3),
        "reduce_min": tf.reduce_min(y, axis=1),
        "reduce_prod": tf.reduce_prod(y, axis=3),
        "variance": tf.math.reduce_variance(y, axis=[1, 2]),
        "std": tf.math.reduce_std(y, axis=1),
        "logsumexp": tf.reduce_logsumexp(y, axis=3),
        "argmax": tf.cast(tf.argmax(y, -1), "float32"),
        "one_hot": tf.one_hot(tf.argmax(y, -1), 4),
        "gather": tf.gather(y, [0, 2], axis=3),
        "reverse": tf.reverse(y, [2]),
        "matmul": tf.matmul(y, x, transpose_b=True),
        "l2_normalize": tf.nn.l2_normalize(y, axis=-1),
        "resize": tf.image.resize(y, (9, 5)),
        "resize_nearest": tf.image.resize(y, (12, 16), method="nearest"),
        "flip": tf.image.flip_left_right(y),
        "max_pool": tf.nn.max_pool2d(y, 2, 2, "VALID"),
        "avg_pool": tf.nn.avg_pool2d(y, 3, 2, "SAME"),
        "depth_to_space": tf.nn.depth_to_space(y, 2),
        "space_to_depth": tf.nn.space_to_depth(y, 2),
        "slice": y[:, 1:5:2, ..., 0],
        "new_axis": y[:, :, tf.newaxis, ::-1],
        "backend": k.backend.mean(k.backend.square(y), axis=(1, 2)),
        "backend_concat": k.backend.concatenate([x, y], axis=-1),
        "constant": x + np.ones((4,), "float32"),
        "identity": tf.identity(y) - tf.stop_gradient(x),
        "dropout_like": tf.zeros_like(y) + tf.ones_like(x) * y,
    }
    return {name: k.Model(x, value) for name, value in rows.items()} | {
        "two_functions": k.Model((source := k.Input((5,))), tf.nn.relu(la.Dense(3)(source)) * tf.reduce_sum(source))
    }


def functionals(k: Any) -> Iterator[tuple[str, Any]]:
    """Graphs, nested and shared ones."""
    for make in ARCHITECTURES:
        if make.__name__ != "functions" or not k.__version__.startswith("2"):
            yield make.__name__, make(k)


def single(k: Any, shape: tuple[int, ...], layer: Any) -> Any:
    inputs = k.Input(shape)
    return k.Model(inputs, layer(inputs))


def models(k: Any) -> Iterator[tuple[str, Any]]:
    """Yield (case, model)."""
    for number, (name, shape, options) in enumerate(LAYERS):
        yield f"layer_{number:03}_{name}", single(k, shape, getattr(k.layers, name)(**options))
    for name, (shape, layer) in wrapped(k).items():
        yield f"layer_{name}", single(k, shape, layer)
    for name, model in merges(k):
        yield f"merge_{name}", model
    for name, model in functionals(k):
        yield f"graph_{name}", model
    if k.__version__.startswith("2"):
        for name, model in tensorflow_graphs(k).items():
            yield f"tf_{name}", model


def randomize(model: Any, rng: Any) -> None:
    """Weights that no initializer would draw; small integers and those of normalizations by data stay."""
    values = []
    for weight in map(np.asarray, model.get_weights()):
        drawn = rng.normal(size=weight.shape) * 0.5 if weight.ndim > 1 else rng.uniform(0.2, 0.8, weight.shape)
        values.append(drawn.astype(weight.dtype) if weight.dtype.kind == "f" else weight)
    if not any(type(layer).__name__ == "Normalization" for layer in model.layers):
        model.set_weights(values)


def flat(structure: Any) -> list[Any]:
    if isinstance(structure, dict):
        return [item for key in sorted(structure) for item in flat(structure[key])]
    return [item for part in structure for item in flat(part)] if isinstance(structure, (list, tuple)) else [structure]


def inputs_for(model: Any, rng: Any, count: int = 2) -> Any:
    """Random inputs in the structure that a model takes."""
    is_tokens = any(type(layer).__name__ == "Embedding" for layer in model.layers)

    def draw(tensor: Any) -> Any:
        shape = (count, *tensor.shape[1:])
        return rng.integers(0, 10, shape).astype("float32") if is_tokens else rng.normal(size=shape).astype("float32")

    given = model.inputs[0] if type(model).__name__ == "Sequential" else model.input
    if isinstance(given, dict):
        return {key: draw(tensor) for key, tensor in given.items()}
    return [draw(tensor) for tensor in given] if isinstance(given, (list, tuple)) else draw(given)


def write_model(archive: tarfile.TarFile, case: str, model: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".keras", ".h5"):  # Keras 3 forgets the optimizer when it has written .h5
            path = Path(folder) / f"{case}{ending}"
            try:
                model.save(path)
            except Exception as error:
                print("left out:", path.name, str(error)[:100].replace("\n", " "))
                continue
            add(archive, path)


def write_arrays(archive: tarfile.TarFile, case: str, **arrays: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{case}.npz"
        np.savez(path, **{key: np.asarray(value) for key, value in arrays.items()})
        add(archive, path)


def add(archive: tarfile.TarFile, path: Path) -> None:
    if path.suffix != ".h5":
        with zipfile.ZipFile(path) as source:
            members = {name: source.read(name) for name in source.namelist()}
        with zipfile.ZipFile(path, "w") as target:
            for name, data in members.items():
                target.writestr(zipfile.ZipInfo(name), data)
    info = tarfile.TarInfo(path.name)
    info.size = path.stat().st_size
    with path.open("rb") as stream:
        archive.addfile(info, stream)


def write_all(k: Any, path: Path) -> None:
    with tarfile.open(path, "w:xz") as archive:
        for number, (case, model) in enumerate(models(k)):
            rng = np.random.default_rng(number)
            randomize(model, rng)
            x = inputs_for(model, rng)
            y = model.predict(x, verbose=0)
            arrays = {f"x{place}": value for place, value in enumerate(flat(x))}
            arrays |= {f"y{place}": value for place, value in enumerate(flat(y))}
            write_model(archive, case, model)
            write_arrays(archive, case, **arrays)
        for name, optimizer in trained(k).items():
            write_trained(archive, k, name, optimizer)


def write_trained(archive: tarfile.TarFile, k: Any, name: str, optimizer: Any) -> None:
    """Three steps before the file is written; the losses of five steps after that."""
    la, rng = k.layers, np.random.default_rng(7)
    inner = [la.Conv2D(2, 3, activation="tanh"), la.BatchNormalization(), la.Flatten(), la.Dense(3)]
    model = k.Sequential([k.Input((5, 5, 2)), *inner])
    randomize(model, rng)
    metrics = ["mae", k.metrics.MeanSquaredError(name="square")]
    model.compile(optimizer, k.losses.MeanSquaredError(), metrics=metrics)
    x, y = rng.normal(size=(4, 5, 5, 2)).astype("float32"), rng.normal(size=(4, 3)).astype("float32")
    for _ in range(3):
        model.train_on_batch(x, y)
    write_model(archive, f"train_{name}", model)
    losses = [model.train_on_batch(x, y)[0] for _ in range(5)]
    write_arrays(archive, f"train_{name}", x0=x, y0=y, losses=np.asarray(losses, "float64"))


if __name__ == "__main__":
    if sys.argv[1] == "tf_keras":
        import tensorflow

        library = tensorflow.keras
        library.__version__ = tensorflow.__version__
    else:
        import keras as library
    write_all(library, HERE / f"{sys.argv[1]}.tar.xz")
