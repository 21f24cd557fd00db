"""ConvNeXt: depthwise 7×7 convolutions, layer normalization and wide dense layers, in four stages."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from convia import naming, ops, random
from convia.applications._published import (
    IMAGENET,
    ORIGIN,
    Network,
    Options,
    WeightFile,
    Weights,
    channels,
    make,
    variant,
)
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.errors import explain
from convia.initializers import Constant
from convia.layer import Layer
from convia.layers import Activation, Conv2D, Dense, GlobalAveragePooling2D, LayerNormalization, Normalization
from convia.models import Model, Sequential
from convia.symbolic import KerasTensor

__all__ = [
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "decode_predictions",
    "preprocess_input",
]

_HOME = "keras.src.applications.convnext"  # where files look for the layers
_EPSILON = 1e-6
_MEAN = [0.485 * 255, 0.456 * 255, 0.406 * 255]  # of ImageNet's channels
_VARIANCE = [(0.229 * 255) ** 2, (0.224 * 255) ** 2, (0.225 * 255) ** 2]


class StochasticDepth(Layer):
    """In training leave out whole samples at a rate, and scale up the others (Huang et al. 2016, arXiv:1603.09382)."""

    _namespace = _HOME
    drop_path_rate: float

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """Return the inputs, in training each sample either zero or divided by the rate of keeping."""
        if not training:
            return x
        keep = 1 - self.drop_path_rate
        shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
        y: Tensor = x / keep * ops.floor(keep + random.uniform(shape))
        return y


class LayerScale(Layer):
    """Scale every channel by a learned number (Touvron et al. 2021, arXiv:2103.17239)."""

    _namespace = _HOME
    init_values: float
    projection_dim: int

    def build(self, input_shape: Any) -> None:
        """Create the weight gamma, a number per channel."""
        name = naming.auto_name("variable")  # in Keras it has no name of its own either
        start = Constant(self.init_values)
        self.gamma = self.add_weight(name=name, shape=(self.projection_dim,), initializer=start, trainable=True)

    def call(self, x: Tensor) -> Tensor:
        """Return the inputs times gamma."""
        return x * self.gamma


def _normalization(name: str | None) -> LayerNormalization:
    return LayerNormalization(epsilon=_EPSILON, name=name)


def _block(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    before = x
    x = Conv2D(filters, 7, padding="same", groups=filters, name=f"{name}_depthwise_conv")(x)
    x = Dense(4 * filters, name=f"{name}_pointwise_conv_1")(_normalization(f"{name}_layernorm")(x))
    x = Dense(filters, name=f"{name}_pointwise_conv_2")(Activation("gelu", name=f"{name}_gelu")(x))
    x = LayerScale(1e-6, filters, name=f"{name}_layer_scale")(x)
    return before + Activation("linear", name=f"{name}_identity")(x)


def _samplers(filters: tuple[int, ...], name: str) -> list[Sequential]:
    """What makes the feature maps smaller before each stage: to a quarter, then to halves of height and width."""
    stem = [Conv2D(filters[0], 4, strides=4, name=f"{name}_stem_conv"), _normalization(f"{name}_stem_layernorm")]
    samplers = [Sequential(stem, name=f"{name}_stem")]
    for number, count in enumerate(filters[1:]):
        layers = [
            _normalization(f"{name}_downsampling_layernorm_{number}"),
            Conv2D(count, 2, strides=2, name=f"{name}_downsampling_conv_{number}"),
        ]
        samplers.append(Sequential(layers, name=f"{name}_downsampling_block_{number}"))
    return samplers


def _body(x: KerasTensor, options: Options, kind: str, scale: bool) -> KerasTensor:
    name, (depths, filters, *_) = options.name, _ROWS[kind]
    if scale and channels(x) == 3:
        x = Normalization(mean=_MEAN, variance=_VARIANCE, name=f"{name}_prestem_normalization")(x)
    for stage, sampler in enumerate(_samplers(filters, str(name))):
        x = sampler(x)
        for number in range(depths[stage]):
            x = _block(x, filters[stage], f"{name}_stage_{stage}_block_{number}")
    return x


def _head(x: KerasTensor, options: Options) -> KerasTensor:
    name = f"{options.name}_head"
    x = _normalization(f"{name}_layernorm")(GlobalAveragePooling2D(name=f"{name}_gap")(x))
    return Dense(options.classes, activation=options.classifier_activation, name=f"{name}_dense")(x)


def _end(x: KerasTensor) -> KerasTensor:
    return _normalization(None)(x)


# Blocks and channels of the four stages; hashes of the weights with and without the classifier.
_Row = tuple[tuple[int, ...], tuple[int, ...], str, str]
_ROWS: dict[str, _Row] = {
    "Tiny": (
        *((3, 3, 9, 3), (96, 192, 384, 768)),
        "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    ),
    "Small": (
        *((3, 3, 27, 3), (96, 192, 384, 768)),
        "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
        "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
    ),
    "Base": (
        *((3, 3, 27, 3), (128, 256, 512, 1024)),
        "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
    ),
    "Large": (
        *((3, 3, 27, 3), (192, 384, 768, 1536)),
        "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
    ),
    "XLarge": (
        *((3, 3, 27, 3), (256, 512, 1024, 2048)),
        "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
        "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
    ),
}


def _convnext(
    kind: str,
    include_top: bool = True,
    include_preprocessing: bool = True,
    weights: Any = IMAGENET,
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    title, official = f"ConvNeXt{kind}", f"convnext_{kind.lower()}"
    options = Options(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    if options.is_imagenet and official not in str(name):
        remedy = "The names of the layers start with it."
        raise ValueError(explain(f"{title}, argument 'name'", repr(name), f"one with {official!r} in it", remedy))
    _, _, top, no_top = _ROWS[kind]
    stem = f"{ORIGIN}convnext/{official}"
    files = Weights(WeightFile(f"{stem}.h5", top), WeightFile(f"{stem}_notop.h5", no_top))
    body = partial(_body, kind=kind, scale=include_preprocessing)
    return make(Network(title, body, files, head=_head, end=_end, channels_last_only=True), options)


def _variant(kind: str) -> Callable[..., Model]:
    return variant(
        _convnext, kind, f"ConvNeXt{kind}", "Liu et al. 2022, arXiv:2201.03545", name=f"convnext_{kind.lower()}"
    )


ConvNeXtTiny = _variant("Tiny")
ConvNeXtSmall = _variant("Small")
ConvNeXtBase = _variant("Base")
ConvNeXtLarge = _variant("Large")
ConvNeXtXLarge = _variant("XLarge")
preprocess_input = preprocessor(None)
