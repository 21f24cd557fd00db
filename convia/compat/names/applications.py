"""What ``keras.applications`` had besides networks: layers of MobileNet, the check of an input's shape."""

import functools
import importlib
import re
from typing import Any

from convia import applications, config, ops
from convia.compat import eras
from convia.errors import explain
from convia.layers import DepthwiseConv2D
from convia.naming import auto_name


def relu6(x: Any) -> Any:
    """max(x, 0), 6 at most: what files of older MobileNets call their activation."""
    return ops.relu6(x)


def _obtain_input_shape(input_shape: Any, default_size: int, min_size: int, data_format: Any = None,
                        require_flatten: bool = True, weights: Any = None, dim_ordering: Any = None,
                        include_top: bool | None = None) -> tuple[Any, ...]:  # fmt: skip
    """Return the shape of a network's images, the default one for None.

    Raises:
        ValueError: images smaller than the network can take, or of another size than its top layers need.
    """
    require_flatten = require_flatten if include_top is None else include_top
    order = {"th": "channels_first", "tf": "channels_last"}.get(dim_ordering or data_format, data_format)
    first = config.standardize_data_format(order) == "channels_first"
    default = (3, default_size, default_size) if first else (default_size, default_size, 3)
    if input_shape is None:
        return default if require_flatten else tuple(size if size == 3 else None for size in default)
    shape = tuple(input_shape)
    if weights == "imagenet" and require_flatten and shape != default:
        raise ValueError(explain("_obtain_input_shape", shape, f"{default} with these weights and the top layers"))
    if any(size is not None and size < min_size for size in (shape[1:] if first else shape[:-1])):
        raise ValueError(explain("_obtain_input_shape", shape, f"images of at least {min_size}×{min_size} pixels"))
    return shape


obtain_input_shape = _obtain_input_shape


def correct_pad(inputs: Any, kernel_size: Any) -> Any:
    """Return the zeros before and after height and width with which a convolution of stride 2 needs no padding.

    There is one less before an even size, as TensorFlow's "same" has it.
    """
    kernels = (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)
    first = 2 if config.image_data_format() == "channels_first" else 1
    sizes = inputs.shape[first : first + 2]
    less = [1 if sizes[0] is None else 1 - size % 2 for size in sizes]
    return tuple((kernel // 2 - fewer, kernel // 2) for kernel, fewer in zip(kernels, less, strict=True))


_KERAS_BACKEND = _KERAS_LAYERS = _KERAS_MODELS = _KERAS_UTILS = None  # nothing injected: the modules of keras


def get_submodules_from_kwargs(kwargs: Any) -> tuple[Any, ...]:
    """Return the modules (backend, layers, models, utils) that networks of ``keras_applications`` are made with."""
    return tuple(kwargs.get(name) or importlib.import_module(f"keras.{name}") for name in
                 ("backend", "layers", "models", "utils"))  # fmt: skip


# ResNet50's names of layers until Keras 2.2, by patterns of today's; what is made of a class is numbered
_RESNET = (
    (r"conv1_conv", "conv1"),
    (r"conv1_bn", "bn_conv1"),
    (r"pool1_pool", "MaxPooling2D"),
    (r"conv(\d)_block(\d+)_0_conv", "res{0}{1}_branch1"),
    (r"conv(\d)_block(\d+)_0_bn", "bn{0}{1}_branch1"),
    (r"conv(\d)_block(\d+)_(\d)_conv", "res{0}{1}_branch2{2}"),
    (r"conv(\d)_block(\d+)_(\d)_bn", "bn{0}{1}_branch2{2}"),
    (r".*_relu|.*_out", "Activation"),
    (r".*_add", "Add"),
    (r"predictions", "fc1000"),
)


def _letter(number: str) -> str:
    return chr(ord("a") + int(number) - 1)


@functools.wraps(applications.ResNet50)
def ResNet50(*args: Any, **kwargs: Any) -> Any:  # noqa: N802
    """The network of today; in Keras 1 and 2 its layers have the names of Caffe's."""
    model = applications.ResNet50(*args, **kwargs)
    for layer in model.layers if eras.current() in eras.STANDALONE else ():
        for pattern, name in _RESNET:
            match = re.fullmatch(pattern, layer.name)
            if match:
                first, *others = match.groups() or ("",)
                is_class = name[0].isupper()
                layer.name = auto_name(name) if is_class else name.format(first, *map(_letter, others))
                break
    return model


__all__ = [
    "_KERAS_BACKEND",
    "_KERAS_LAYERS",
    "_KERAS_MODELS",
    "_KERAS_UTILS",
    "DepthwiseConv2D",
    "ResNet50",
    "_obtain_input_shape",
    "correct_pad",
    "get_submodules_from_kwargs",
    "obtain_input_shape",
    "relu6",
]
