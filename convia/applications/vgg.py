"""VGG: blocks of 3×3 convolutions with max-pooling between them, then three fully connected layers."""

from functools import partial

from convia.applications._published import Network, Options, standard, tf_kernels, variant
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.layers import Conv2D, Dense, Flatten, MaxPooling2D
from convia.symbolic import KerasTensor

__all__ = ["VGG16", "VGG19", "decode_predictions", "preprocess_input"]

_FILTERS = (64, 128, 256, 512, 512)
_BLOCKS = {"VGG16": (2, 2, 3, 3, 3), "VGG19": (2, 2, 4, 4, 4)}  # convolutions per block
_WEIGHTS = {
    "VGG16": tf_kernels("vgg16", "vgg16", "64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc"),
    "VGG19": tf_kernels("vgg19", "vgg19", "cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6"),
}


def _body(x: KerasTensor, options: Options, convolutions: tuple[int, ...]) -> KerasTensor:
    for block, (filters, count) in enumerate(zip(_FILTERS, convolutions, strict=True), 1):
        for number in range(1, count + 1):
            name = f"block{block}_conv{number}"
            x = Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
        x = MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    return x


def _head(x: KerasTensor, options: Options) -> KerasTensor:
    x = Flatten(name="flatten")(x)  # (N, h·w·512)
    for name in ("fc1", "fc2"):
        x = Dense(4096, activation="relu", name=name)(x)
    return Dense(options.classes, activation=options.classifier_activation, name="predictions")(x)


def _network(title: str) -> Network:
    return Network(title, partial(_body, convolutions=_BLOCKS[title]), _WEIGHTS[title], head=_head)


_PAPER = "Simonyan and Zisserman 2014, arXiv:1409.1556"
VGG16 = variant(standard, _network("VGG16"), "VGG16", _PAPER, name="vgg16")
VGG19 = variant(standard, _network("VGG19"), "VGG19", _PAPER, name="vgg19")
preprocess_input = preprocessor("caffe")
