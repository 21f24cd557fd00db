"""Where the names of Keras's modules are found here: every path that a program may import, as data.

A row says which modules have the names of one path of Keras, in order of preference. Paths below TensorFlow and Keras's
own private paths are those of ``keras`` under other names.
"""

import re

# Other names of ``keras``, longest first; what follows is looked up in the table below.
_ROOTS = re.compile(
    r"(tensorflow\.(python|compat\.v[12]|_api\.v2|contrib)\.keras\.(api\.|python\.keras\.)?|tensorflow\.keras\.|tf_keras\.(src\.)?"
    r"|keras\.(src|api|_tf_keras\.keras)\.|keras\.)((_?v[12]|api|src)\.)*"
)
_BEFORE = (
    (r"keras\.api\._?v[12]\.keras", "keras"),
    (r"keras_preprocessing", "keras.preprocessing"),
    (r"keras_applications", "keras.applications"),
)
_RENAMED = (
    (r"keras\.applications\.(mobilenetv2|mobilenet_v2)", "keras.applications.mobilenet_v2"),
    (r"keras\.backend\.(tensorflow|theano|cntk|load|common)_?backend", "keras.backend"),
    (r"keras\.backend\.common", "keras.backend"),
    (r"keras\.(optimizer_v[12]|optimizers)\.(optimizer_v[12]|adam|sgd|rmsprop|adagrad|adadelta|nadam|adamax|ftrl)",
     "keras.optimizers"),
    (r"keras\.optimizer_v[12]", "keras.optimizers"),
    (r"keras\.optimizers\.(optimizer_experimental|experimental|legacy_learning_rate_decay)", "keras.optimizers"),
    (r"keras\.(optimizer_v2\.|optimizers\.schedules\.)learning_rate_schedule", "keras.optimizers.schedules"),
    (r"keras\.saving\.\w+", "keras.saving"),
    (r"keras\.distribute\.\w+", "keras.utils"),
    (r"keras\.python", "keras"),
)  # fmt: skip

# path → the modules that have its names
TABLE = {
    "keras": "convia.compat.names.root convia",
    "keras.activations": "convia.compat.names.functions convia.activations",
    "keras.applications": "convia.compat.names.applications convia.applications",
    "keras.applications.resnet": "convia.compat.names.applications convia.applications.resnet",
    "keras.applications.resnet50": "convia.compat.names.applications convia.applications.resnet50",
    "keras.applications.imagenet_utils": "convia.compat.names.applications convia.applications.imagenet_utils",
    "keras.applications.mobilenet": "convia.compat.names.applications convia.applications.mobilenet",
    "keras.backend": "convia.compat.names.backend convia.backend",
    "keras.callbacks": "convia.compat.names.callbacks convia.callbacks",
    "keras.callbacks.experimental": "convia.callbacks",
    "keras.config": "convia.config",
    "keras.constraints": "convia.compat.names.functions convia.constraints",
    "keras.datasets": "convia.datasets",
    "keras.datasets.boston_housing": "convia.compat.names.boston_housing",
    "keras.datasets.cifar": "convia.compat.names.datasets",
    "keras.datasets.imdb": "convia.compat.names.imdb",
    "keras.datasets.reuters": "convia.compat.names.reuters",
    "keras.engine": "convia.compat.names.engine convia.compat.names.layers convia.layers",
    "keras.estimator": "convia.compat.names.engine convia.compat.names.layers convia.layers",
    "keras.experimental": "convia.compat.names.root",
    "keras.export": "convia.compat.names.engine convia.compat.names.layers convia.layers",
    "keras.initializers": "convia.compat.names.initializers convia.initializers",
    "keras.initializations": "convia.compat.names.initializations",
    "keras.layers": "convia.compat.names.layers convia.compat.names.lookups convia.layers",
    "keras.layers.experimental": "convia.compat.names.layers convia.compat.names.lookups convia.layers",
    "keras.layers.experimental.preprocessing": "convia.compat.names.layers convia.compat.names.lookups convia.layers",
    "keras.legacy": "convia.compat.names.engine convia.compat.names.layers convia.layers",
    "keras.legacy.interfaces": "convia.compat.names.engine convia.compat.names.layers convia.layers",
    "keras.legacy.layers": "convia.compat.names.layers convia.compat.names.lookups convia.layers",
    "keras.losses": "convia.compat.names.losses convia.losses",
    "keras.metrics": "convia.compat.names.metrics convia.metrics",
    "keras.mixed_precision": "convia.mixed_precision",
    "keras.mixed_precision.experimental": "convia.compat.names.root convia.mixed_precision",
    "keras.models": "convia.compat.names.models convia.models convia.saving",
    "keras.objectives": "convia.compat.names.losses convia.losses",
    "keras.ops": "convia.ops",
    "keras.optimizers": "convia.compat.names.optimizers convia.optimizers",
    "keras.optimizers.experimental": "convia.compat.names.optimizers convia.optimizers",
    "keras.optimizers.learning_rate_schedule": "convia.optimizers.schedules",
    "keras.optimizers.legacy": "convia.compat.names.optimizers convia.optimizers",
    "keras.optimizers.schedules": "convia.optimizers.schedules",
    "keras.preprocessing": "convia.compat.names.utils convia.preprocessing",
    "keras.preprocessing.image": "convia.compat.names.utils convia.compat.names.images convia.preprocessing.image",
    "keras.preprocessing.sequence": "convia.compat.names.sequences convia.preprocessing.sequence",
    "keras.preprocessing.text": "convia.compat.names.sequences",
    "keras.premade": "convia.compat.names.engine convia.compat.names.layers convia.layers",
    "keras.random": "convia.random",
    "keras.regularizers": "convia.compat.names.functions convia.regularizers",
    "keras.saving": "convia.saving convia.models",
    "keras.utils": "convia.compat.names.utils convia.utils",
    "keras.utils.legacy": "convia.saving",
    "keras.wrappers": "convia.wrappers",
    "keras.wrappers.scikit_learn": "convia.compat.names.scikit_learn",
}  # fmt: skip

# path → tails below it that have the same names
_SAME = {
    "keras.engine": "topology training base_layer network input_layer sequential saving functional base_layer_utils "
    "training_v1 keras_tensor input_spec node training_utils data_adapter",
    "keras.layers": "core convolutional pooling normalization advanced_activations merge embeddings noise wrappers "
    "recurrent local convolutional_recurrent cudnn_recurrent recurrent_v2 normalization_v2 dense_attention "
    "convolution_recurrent containers merging reshaping regularization attention rnn activation serialization "
    "core.dense core.lambda_layer normalization.batch_normalization preprocessing preprocessing.image_preprocessing",
    "keras.utils": "np_utils vis_utils data_utils generic_utils io_utils layer_utils conv_utils tf_utils "
    "multi_gpu_utils test_utils visualize_util training_utils dataset_utils image_utils layer_utils losses_utils "
    "metrics_utils tf_inspect control_flow_util image_dataset timeseries_dataset text_dataset version_utils",
    "keras.preprocessing": "image_dataset dataset_utils timeseries",
    "keras.models": "sequential model functional cloning",
    "keras.saving": "save model_config hdf5_format saved_model",
    "keras.metrics": "metrics base_metric accuracy_metrics",
    "keras.losses": "losses",
}
# packages below keras.layers, with a module for each layer
_PACKAGES = ("activation", "attention", "convolutional", "core", "locally_connected", "merging", "normalization",
             "pooling", "regularization", "rnn")  # fmt: skip
PATHS = TABLE | {
    f"{path}.{tail}": TABLE[path] for path, tails in _SAME.items() for tail in tails.split()
}  # fmt: skip


def canonical(name: str) -> str | None:
    """Return the path in ``keras`` that a module's name stands for, None if it is not one of Keras."""
    for pattern, path in _BEFORE:
        name = re.sub(rf"^{pattern}(?=\.|$)", path, name)
    match = _ROOTS.match(f"{name}.")
    if match is None:
        return None
    rest = f"{name}."[match.end() :].rstrip(".")
    path = f"keras.{rest}" if rest else "keras"
    for pattern, new in _RENAMED:
        path = re.sub(rf"^{pattern}(?=\.|$)", new, path)
    return path


def is_private(name: str) -> bool:
    """Whether a path is one of Keras's inner ones, of which only the beginning is looked at."""
    return name.startswith(("keras.src.", "keras.api.", "tensorflow.python.keras.", "tf_keras.src.", "keras.engine.",
                            *(f"keras.layers.{package}." for package in _PACKAGES)))  # fmt: skip


def children(path: str) -> list[str]:
    """Return the names of the modules directly below a path."""
    return sorted({name[len(path) + 1 :].split(".")[0] for name in PATHS if name.startswith(f"{path}.")})


# Modules of other libraries that are gone or not installed, and where their names are
MOVED = {
    "IPython": "convia.compat.names.ipython",
    "IPython.core": "convia.compat.names.ipython",
    "IPython.core.display": "convia.compat.names.ipython_display",
    "IPython.display": "convia.compat.names.ipython_display",
    "absl": "convia.compat.names.absl",
    "absl.app": "convia.compat.names.flags",
    "absl.flags": "convia.compat.names.flags",
    "absl.logging": "logging",
    "keras_contrib": "convia.compat.names.contrib_layers",
    "keras_contrib.layers": "convia.compat.names.contrib_layers",
    "keras_contrib.layers.normalization": "convia.compat.names.contrib_layers",
    "keras_contrib.layers.normalization.instancenormalization": "convia.compat.names.contrib_layers",
    "scipy.misc": "convia.compat.names.scipy_misc",
    "sklearn.cross_validation": "sklearn.model_selection",
    "sklearn.externals.joblib": "joblib",
    "sklearn.datasets.samples_generator": "sklearn.datasets",
    "sklearn.grid_search": "sklearn.model_selection",
    "sklearn.metrics.classification": "sklearn.metrics",
    "sklearn.preprocessing.data": "sklearn.preprocessing",
    "tensorflow_addons": "convia.compat.addons",
    **{
        f"tensorflow_addons.{part}": f"convia.compat.addons.{part}"
        for part in ("activations", "callbacks", "image", "layers", "losses", "metrics", "optimizers")
    },
}

# Modules of other libraries that get back names which they had once, when they are imported
AGED = {"PIL.Image", "PIL.ImageDraw", "h5py", "matplotlib.cm", "matplotlib.pyplot", "matplotlib.style", "pandas",
        "scipy.signal"}  # fmt: skip

__all__ = ["AGED", "MOVED", "PATHS", "canonical", "children", "is_private"]
