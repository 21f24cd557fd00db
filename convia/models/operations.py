"""Functions of ``ops`` in a graph, as Keras writes them: a class per function, some arguments in its config.

``y = ops.concatenate([a, b], axis=1)`` is the class ``Concatenate`` of ``keras.src.ops.numpy`` with the config
``{"axis": 1}``, called on ``[a, b]``. The table says which arguments are in the config; classes are named after the
functions except where ``_CLASSES`` has another name.
"""

import inspect
from typing import Any

from convia import registry
from convia.errors import explain
from convia.symbolic import FunctionCall, _get_item

_POINTWISE = (
    "absolute add angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_invert "
    "bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor cbrt ceil conjugate copy corrcoef cos "
    "cosh deg2rad digitize divide divide_no_nan dot dstack equal exp exp2 expm1 fabs fliplr flipud floor floor_divide "
    "fmax fmin fmod gcd get_item greater greater_equal heaviside hstack hypot i0 imag inner isfinite isinf isnan "
    "isneginf isposinf isreal kron lcm ldexp left_shift less less_equal log log10 log1p log2 logaddexp logaddexp2 "
    "logical_and logical_not logical_or logical_xor matmul maximum minimum mod multiply ndim negative nextafter "
    "nonzero not_equal outer power rad2deg ravel real reciprocal right_shift select sign signbit sin sinc sinh size "
    "slogdet sqrt square subtract tan tanh true_divide trunc vdot vstack where"
)
_REDUCTIONS = (
    "all amax amin any argmax argmin mean median nanargmax nanargmin nanmax nanmean nanmedian nanmin nanprod nanstd "
    "nansum nanvar ptp std sum var"
)
_ROWS: tuple[tuple[str, str, str], ...] = (  # module, arguments in the config, functions
    ("numpy", "", _POINTWISE),
    ("numpy", "axis keepdims", _REDUCTIONS),
    ("numpy", "axis keepdims dtype", "prod"),
    ("numpy", "axis keepdims initial", "max min"),
    ("numpy", "axis", "append argsort average concatenate count_nonzero expand_dims flip sort squeeze stack take"),
    ("numpy", "axis", "take_along_axis"),
    ("numpy", "axis dtype", "cumprod cumsum nancumprod nancumsum"),
    ("numpy", "axis method keepdims", "nanpercentile nanquantile percentile quantile"),
    ("numpy", "axes", "tensordot transpose"),
    ("numpy", "axis1 axis2", "swapaxes"),
    ("numpy", "axisa axisb axisc axis", "cross"),
    ("numpy", "bins range", "histogram"),
    ("numpy", "decimals", "round"),
    ("numpy", "dtype", "arange array empty_like full_like ones_like view zeros_like"),
    ("numpy", "indexing", "meshgrid"),
    ("numpy", "indices_or_sections", "dsplit hsplit vsplit"),
    ("numpy", "indices_or_sections axis", "array_split split"),
    ("numpy", "k", "diag diagflat tril triu"),
    ("numpy", "k axes", "rot90"),
    ("numpy", "kth axis", "argpartition"),
    ("numpy", "mode", "correlate"),
    ("numpy", "n axis", "diff"),
    ("numpy", "nan posinf neginf", "nan_to_num"),
    ("numpy", "newshape", "reshape"),
    ("numpy", "offset axis1 axis2", "diagonal trace"),
    ("numpy", "pad_width mode", "pad"),
    ("numpy", "repeats", "tile"),
    ("numpy", "repeats axis", "repeat"),
    ("numpy", "equal_nan", "isclose"),
    ("numpy", "rtol atol equal_nan", "allclose"),
    ("numpy", "assume_unique invert", "isin"),
    ("numpy", "shape", "broadcast_to unravel_index"),
    ("numpy", "shape dtype", "full"),
    ("numpy", "shift axis", "roll"),
    ("numpy", "side", "searchsorted"),
    ("numpy", "source destination", "moveaxis"),
    ("numpy", "subscripts", "einsum"),
    ("numpy", "weights minlength sparse", "bincount"),
    ("numpy", "x dx axis", "trapezoid"),
    ("numpy", "x_min x_max", "clip"),
    ("numpy", "N increasing", "vander"),
    ("core", "", "slice_update stop_gradient"),
    ("core", "dtype", "cast saturate_cast"),
    ("core", "num axis", "unstack"),
    ("core", "reduction", "scatter_update"),
    ("core", "shape", "scatter slice"),
    ("linalg", "", "det eig eigh inv lu_factor solve"),
    ("linalg", "full_matrices compute_uv", "svd"),
    ("linalg", "lower", "solve_triangular"),
    ("linalg", "mode", "qr"),
    ("linalg", "ord axis keepdims", "norm"),
    ("linalg", "rcond", "lstsq pinv"),
    ("linalg", "upper", "cholesky cholesky_inverse"),
    ("math", "", "cdist erf erfc erfinv fft fft2 ifft2 logdet rsqrt view_as_complex view_as_real"),
    ("math", "axis keepdims", "logsumexp"),
    ("math", "fft_length", "irfft rfft"),
    ("math", "k", "in_top_k"),
    ("math", "k sorted", "top_k"),
    ("math", "num_segments sorted", "segment_max segment_min segment_prod segment_sum"),
    ("math", "sequence_length sequence_stride", "extract_sequences"),
    ("math", "sequence_length sequence_stride fft_length length window center", "istft"),
    ("math", "sequence_length sequence_stride fft_length window center", "stft"),
    ("nn", "", "hard_sigmoid hard_silu hard_swish hard_tanh log_sigmoid polar relu relu6 selu sigmoid silu softplus"),
    ("nn", "", "softsign sparse_plus sparse_sigmoid swish tanh_shrink"),
    ("nn", "alpha", "celu elu"),
    ("nn", "approximate", "gelu"),
    ("nn", "axes keepdims synchronized", "moments"),
    ("nn", "axis", "glu log_softmax softmax sparsemax"),
    ("nn", "axis epsilon", "batch_normalization layer_normalization rms_normalization"),
    ("nn", "axis order epsilon", "normalize"),
    ("nn", "b", "squareplus"),
    ("nn", "block_size data_format", "depth_to_space space_to_depth"),
    ("nn", "from_logits", "binary_crossentropy"),
    ("nn", "from_logits axis", "categorical_crossentropy sparse_categorical_crossentropy"),
    ("nn", "is_causal flash_attention attn_logits_soft_cap", "dot_product_attention"),
    ("nn", "kernel_size dilation padding stride", "unfold"),
    ("nn", "output_size kernel_size dilation padding stride", "fold"),
    ("nn", "max_val", "psnr"),
    ("nn", "negative_slope", "leaky_relu"),
    ("nn", "num_classes axis dtype sparse", "multi_hot one_hot"),
    ("nn", "output_size data_format", "adaptive_average_pool adaptive_max_pool"),
    ("nn", "pool_size strides padding data_format", "average_pool max_pool"),
    ("nn", "strides padding data_format dilation_rate", "conv depthwise_conv separable_conv"),
    ("nn", "strides padding output_padding data_format dilation_rate", "conv_transpose"),
    ("nn", "threshold", "hard_shrink soft_shrink"),
    ("nn", "threshold default_value", "threshold"),
    ("image", "data_format", "rgb_to_grayscale rgb_to_hsv hsv_to_rgb sobel_edges"),
    ("image", "interpolation fill_mode fill_value data_format", "affine_transform"),
    ("image", "interpolation fill_value data_format", "perspective_transform"),
    ("image", "kernel_size sigma data_format", "gaussian_blur"),
    ("image", "order fill_mode fill_value", "map_coordinates"),
    ("image", "size strides dilation_rate padding data_format", "extract_patches"),
    (
        "image",
        "size interpolation antialias crop_to_aspect_ratio pad_to_aspect_ratio fill_mode fill_value data_format",
        "resize",
    ),
    (
        "image",
        "top_padding left_padding bottom_padding right_padding target_height target_width data_format",
        "pad_images",
    ),
    (
        "image",
        "top_cropping left_cropping bottom_cropping right_cropping target_height target_width data_format",
        "crop_images",
    ),
)
_CLASSES = {
    "allclose": "AllClose",
    "batch_normalization": "BatchNorm",
    "cdist": "CDist",
    "fft": "FFT",
    "fft2": "FFT2",
    "hard_swish": "HardSilu",
    "hsv_to_rgb": "HSVToRGB",
    "ifft2": "IFFT2",
    "irfft": "IRFFT",
    "isin": "IsIn",
    "istft": "ISTFT",
    "layer_normalization": "LayerNorm",
    "psnr": "PSNR",
    "rfft": "RFFT",
    "rgb_to_grayscale": "RGBToGrayscale",
    "rgb_to_hsv": "RGBToHSV",
    "rms_normalization": "RMSNorm",
    "searchsorted": "SearchSorted",
    "stft": "STFT",
    "svd": "SVD",
    "swish": "Silu",
    "top_k": "TopK",
    "in_top_k": "InTopK",
}
_OURS = {"_get_item": "get_item"}  # function of ours → its name in the table
_PREFIX = "keras.src.ops."


def _class_name(name: str) -> str:
    return _CLASSES.get(name) or "".join(part.capitalize() for part in name.split("_"))


_BY_NAME = {name: (module, keys.split()) for module, keys, names in _ROWS for name in names.split()}
_BY_CLASS = {(_BY_NAME[name][0], _class_name(name)): name for name in reversed(_BY_NAME)}


def _name_of(function: Any) -> str:
    """The name in the table of a function of ``ops``; others may have the same name."""
    name = getattr(function, "__name__", repr(function))
    if name in _OURS:
        return _OURS[name]
    known = registry.registered("keras.ops").get(name)
    while known is not None and known is not function:
        known = getattr(known, "__wrapped__", None)
    return name if known is not None else f"{getattr(function, '__module__', None) or 'torch'}.{name}"


def describe(operation: FunctionCall, node: Any) -> dict[str, Any]:
    """Return Keras's config of a function in a graph, with the arguments of its call ``node``.

    Raises:
        ValueError: not a function of ``ops``.
    """
    name = _name_of(operation.function)
    if name not in _BY_NAME:
        raise ValueError(
            explain(
                "get_config",
                f"the function {name!r} in a graph",
                "a layer or a function of convia.ops",
                "Other functions work in a graph but have no config; wrap them in a Layer.",
            )
        )
    module, keys = _BY_NAME[name]
    given = _bound(operation.function, node.args, node.kwargs)
    config = {"name": operation.name, **{key: registry.serialize(given[key]) for key in keys if key in given}}
    class_name = _class_name(name)
    return {"module": _PREFIX + module, "class_name": class_name, "config": config, "registered_name": class_name}


def call_arguments(operation: FunctionCall, node: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a call that are not in the config, as Keras's class takes them."""
    keys = _BY_NAME[_name_of(operation.function)][1]
    given = _bound(operation.function, node.args, node.kwargs)
    return _split(operation.function, {key: value for key, value in given.items() if key not in keys}, keys)


def revive(entry: dict[str, Any]) -> "Revived | None":
    """Make the function's operation from Keras's config, None if it is that of a layer.

    Raises:
        ValueError: a function that convia does not have.
    """
    class_name, module = entry["class_name"], str(entry.get("module") or "")
    if module.startswith(_PREFIX):
        name = _BY_CLASS.get((module.removeprefix(_PREFIX), class_name))
    elif not module and "trainable" not in entry["config"]:  # in .h5 files, where all layers have that key
        name = next((known for (_, key), known in _BY_CLASS.items() if key == class_name), None)
        if name is None:
            return None
    else:
        return None
    function = _get_item if name == "get_item" else name and registry.registered("keras.ops").get(name)
    if not function:
        raise ValueError(
            explain(
                "from_config", f"the operation {class_name!r} of {module}", "one that convia has", "Wrap it in a Layer."
            )
        )
    config = {key: value for key, value in entry["config"].items() if key != "name"}
    return Revived(function, entry["name"], registry.deserialize(config))


class Revived(FunctionCall):
    """A function from a file: some arguments of its calls were in its config."""

    def __init__(self, function: Any, name: str, config: dict[str, Any]) -> None:
        super().__init__(function, name)
        self._config = config

    def completed(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return all arguments of a call from those in the file."""
        names = [name for name in inspect.signature(self.function).parameters if name not in self._config]
        given = {**dict(zip(names, args, strict=False)), **kwargs, **self._config}
        if self.function is _get_item and isinstance(given["key"], list):
            given["key"] = tuple(given["key"])  # JSON has no tuples
        positional, named = _split(self.function, given, ())
        return [*positional, *args[len(names) :]], named


def _bound(function: Any, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def _split(function: Any, given: dict[str, Any], left_out: Any) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by position as long as none is missing, the rest by name; defaults at the end are dropped."""
    parameters = [p for name, p in inspect.signature(function).parameters.items() if name not in left_out]
    positional: list[Any] = []
    for place, parameter in enumerate(parameters):
        if parameter.name not in given or parameter.kind is parameter.KEYWORD_ONLY:
            rest = [p.name for p in parameters[place:] if p.name in given]
            return positional, {name: given[name] for name in rest}
        positional.append(given[parameter.name])
    while positional and positional[-1] is None and parameters[len(positional) - 1].default is None:
        positional.pop()
    return positional, {}


__all__ = ["Revived", "call_arguments", "describe", "revive"]
