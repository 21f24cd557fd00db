"""What the arguments of older Keras are called today, as tables. ``door`` applies them; nothing else knows them.

A row names classes (or methods) and says "old=new" for each argument. ``-old`` is accepted and left out: it changed how
fast, not what was computed, or has no meaning here.
"""

from typing import Any

_WEIGHTS = (
    "init=kernel_initializer W_regularizer=kernel_regularizer b_regularizer=bias_regularizer "
    "W_constraint=kernel_constraint b_constraint=bias_constraint bias=use_bias "
)
_IMAGES = "border_mode=padding subsample=strides dim_ordering=data_format "
_CONV = f"{_WEIGHTS}{_IMAGES}nb_filter=filters atrous_rate=dilation_rate filter_size=kernel_size -stack_size "
_RECURRENT = (
    f"{_WEIGHTS}output_dim=units inner_init=recurrent_initializer inner_activation=recurrent_activation "
    "U_regularizer=recurrent_regularizer dropout_W=dropout dropout_U=recurrent_dropout "
    "forget_bias_init=unit_forget_bias -consume_less -implementation -time_major "
)
_DEPTHWISE = (
    "kernel_initializer=depthwise_initializer kernel_regularizer=depthwise_regularizer "
    "kernel_constraint=depthwise_constraint init=depthwise_initializer "
)
_POOL = f"{_IMAGES}pool_length=pool_size poolsize=pool_size stride=strides ds=pool_size "
_LOADING = "-workers -use_multiprocessing -max_queue_size -max_q_size -nb_worker -pickle_safe "
_FIT = f"{_LOADING}nb_epoch=epochs nb_val_samples=validation_steps val_samples=validation_steps "

LAYERS: tuple[tuple[str, str], ...] = (
    ("Dense", f"{_WEIGHTS}output_dim=units -input_length"),
    ("Embedding", "init=embeddings_initializer W_regularizer=embeddings_regularizer "
     "W_constraint=embeddings_constraint -dropout"),
    ("Conv1D", f"{_CONV}filter_length=kernel_size subsample_length=strides"),
    ("Conv2D Conv3D Conv2DTranspose Conv3DTranspose", _CONV),
    ("SeparableConv2D SeparableConv1D", f"{_CONV}depthwise_init=depthwise_initializer "
     "pointwise_init=pointwise_initializer"),
    ("DepthwiseConv2D DepthwiseConv1D", f"{_DEPTHWISE}{_IMAGES}bias=use_bias"),
    ("LocallyConnected1D LocallyConnected2D", f"{_CONV}filter_length=kernel_size subsample_length=strides"),
    ("ConvLSTM2D", f"{_CONV}{_RECURRENT}"),
    ("SimpleRNN LSTM GRU", _RECURRENT),
    ("SimpleRNNCell LSTMCell GRUCell", "-implementation"),
    ("RNN Bidirectional", "-implementation -time_major"),
    ("MaxPooling1D AveragePooling1D MaxPooling2D AveragePooling2D MaxPooling3D AveragePooling3D", _POOL),
    ("GlobalMaxPooling2D GlobalAveragePooling2D GlobalMaxPooling3D GlobalAveragePooling3D UpSampling2D UpSampling3D "
     "ZeroPadding2D ZeroPadding3D Cropping2D Cropping3D", "dim_ordering=data_format"),
    ("UpSampling1D", "length=size"),
    ("Flatten", "dim_ordering=data_format"),
    ("Dropout GaussianDropout AlphaDropout SpatialDropout1D SpatialDropout2D SpatialDropout3D",
     "p=rate dim_ordering=data_format"),
    ("GaussianNoise", "sigma=stddev"),
    ("BatchNormalization", "gamma_init=gamma_initializer beta_init=beta_initializer -mode -fused -renorm "
     "-renorm_clipping -renorm_momentum -virtual_batch_size -adjustment"),
    ("LeakyReLU", "alpha=negative_slope"),
    ("PReLU", "init=alpha_initializer"),
    ("RepeatVector Permute Reshape Activation TimeDistributed Masking ActivityRegularization", "-dim_ordering"),
    ("Lambda", "-dim_ordering"),
    ("InputLayer", "input_shape=shape batch_input_shape=batch_shape input_dtype=dtype"),
)  # fmt: skip
OPTIMIZERS: tuple[tuple[str, str], ...] = (
    ("SGD Adam Adamax Nadam Adagrad Adadelta RMSprop AdamW Ftrl", "lr=learning_rate -schedule_decay"),
)
CALLBACKS: tuple[tuple[str, str], ...] = (
    ("ReduceLROnPlateau", "epsilon=min_delta"),
    ("TensorBoard", "-write_grads -batch_size -embeddings_layer_names -embeddings_data -profile_batch_size"),
)
OTHERS: tuple[tuple[str, str], ...] = (
    ("L1", "l=l1"),
    ("L2", "l=l2"),
    ("MaxNorm", "m=max_value"),
    ("ImageDataGenerator", "dim_ordering=data_format"),
)
METHODS: tuple[tuple[str, str], ...] = (
    ("fit", _FIT),
    ("evaluate", f"{_LOADING}val_samples=steps"),
    ("predict", f"{_LOADING}val_samples=steps"),
    ("train_on_batch", "-reset_metrics"),
    ("test_on_batch", "-reset_metrics"),
    ("compile", "-sample_weight_mode -target_tensors -class_mode -distribute -experimental_steps_per_execution "
     "-experimental_run_tf_function -from_serialized"),
    ("save_weights", "-save_format -options"),
    ("load_weights", "-options"),
)  # fmt: skip

# Several arguments that became one
JOINED: tuple[tuple[str, str], ...] = (
    ("nb_row nb_col", "kernel_size"),
    ("kernel_dim1 kernel_dim2 kernel_dim3", "kernel_size"),
)

# metrics by their short names, and what Keras 1 and 2 called their results
METRICS = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error",
           "msle": "mean_squared_logarithmic_error", "cosine": "cosine_proximity"}  # fmt: skip

# The positions of Keras 1's arguments, where they are not today's
_CONV2D = "nb_filter nb_row nb_col init activation weights border_mode subsample dim_ordering"
POSITIONS = {
    "Dense": "output_dim init activation weights",
    "Conv1D": "nb_filter filter_length init activation weights border_mode subsample_length",
    "Conv2D": _CONV2D,
    "LocallyConnected2D": _CONV2D,
    "SeparableConv2D": _CONV2D,
    "ConvLSTM2D": "nb_filter nb_row nb_col init inner_init forget_bias_init activation inner_activation border_mode",
    "Conv3D": "nb_filter kernel_dim1 kernel_dim2 kernel_dim3 init activation weights border_mode subsample",
    "Embedding": "input_dim output_dim init input_length",
    "LSTM": "output_dim init inner_init forget_bias_init activation inner_activation",
    "GRU": "output_dim init inner_init activation inner_activation",
    "SimpleRNN": "output_dim init inner_init activation",
}
# Those that Keras 2 on its own understood too: all of the first are whole numbers
NUMBERS_FIRST = {"Conv2D": 3, "LocallyConnected2D": 3, "SeparableConv2D": 3, "ConvLSTM2D": 3, "Conv3D": 4}

# Keras 0.1: so many whole numbers first, and which of them is the size of the inputs
WITH_INPUTS = {"Conv2D": (4, 1), "Dense": (2, 0), "LSTM": (2, 0), "GRU": (2, 0), "SimpleRNN": (2, 0)}

# Layers of sequences that were told the sizes of their inputs apart: what makes their input_shape, None if not given
LENGTHS: dict[str, tuple[str, ...]] = {
    "Embedding": ("input_length",),
    **dict.fromkeys(["LSTM", "GRU", "SimpleRNN", "RNN", "Conv1D", "LocallyConnected1D"], ("input_length", "input_dim")),
}

# argument → value in any older era → value today
VALUES: dict[str, dict[Any, Any]] = {
    "data_format": {"th": "channels_first", "tf": "channels_last", "default": None},
    "reduction": {"auto": "sum_over_batch_size"},
    "unit_forget_bias": {"one": True, "ones": True, "zero": False, "zeros": False},
}

# era → class → arguments that then had another default
_PLAIN_RATES: dict[str, dict[str, Any]] = {"Adadelta": {"learning_rate": 1.0}, "Adagrad": {"learning_rate": 0.01},
                "Nadam": {"learning_rate": 0.002}, "Adamax": {"learning_rate": 0.002}}  # fmt: skip
_GATES: dict[str, dict[str, Any]] = {
    "LSTM": {"recurrent_activation": "hard_sigmoid"},
    "GRU": {"recurrent_activation": "hard_sigmoid", "reset_after": False},
    "LSTMCell": {"recurrent_activation": "hard_sigmoid"},
    "GRUCell": {"recurrent_activation": "hard_sigmoid", "reset_after": False},
    "ConvLSTM2D": {"recurrent_activation": "hard_sigmoid"},
}
_POOLS: dict[str, dict[str, Any]] = {f"AveragePooling{rank}D": {"pool_size": (2,) * rank} for rank in (1, 2, 3)}
_QUIET: dict[str, dict[str, Any]] = {"predict": {"verbose": 0}}
DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "keras1": _PLAIN_RATES | _GATES | _QUIET | _POOLS,
    "keras2": _PLAIN_RATES | _GATES | _QUIET | _POOLS,
    "tfkeras": {"ConvLSTM2D": {"recurrent_activation": "hard_sigmoid"}} | _POOLS,
    "keras3": {},
}


def rows(*tables: tuple[tuple[str, str], ...]) -> dict[str, dict[str, str | None]]:
    """Return name → old argument → new one (None: left out) of tables of rows."""
    found: dict[str, dict[str, str | None]] = {}
    for names, pairs in (row for table in tables for row in table):
        for name in names.split():
            for pair in pairs.split():
                old, _, new = pair.partition("=")
                found.setdefault(name, {})[old.lstrip("-")] = new or None
    return found
