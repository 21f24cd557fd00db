"""InceptionResNetV2: Inception's branches, scaled and added to what they started from."""

from torch import Tensor

from convia.applications._published import Network, Options, channels, standard, tf_kernels, variant
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.applications.inception_v3 import MAX, STEM, TALL, WIDE, Branch, Conv, chain, halve, join, windows_of_5
from convia.layer import Layer
from convia.layers import Activation, Conv2D
from convia.symbolic import KerasTensor

__all__ = ["InceptionResNetV2", "decode_predictions", "preprocess_input"]


class CustomScaleLayer(Layer):
    """a + scale · b of two inputs."""

    _namespace = "keras.src.applications.inception_resnet_v2"  # where files look for it
    scale: float

    def call(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Add the second, scaled, to the first."""
        return inputs[0] + inputs[1] * self.scale


# What is repeated: name → (how often, scale, branches).
_REPEATED: dict[str, tuple[int, float, tuple[Branch, ...]]] = {
    "block35": (10, 0.17, ((Conv(32),), (Conv(32), Conv(32, 3)), (Conv(32), Conv(48, 3), Conv(64, 3)))),
    "block17": (20, 0.1, ((Conv(192),), (Conv(128), Conv(160, WIDE), Conv(192, TALL)))),
    "block8": (10, 0.2, ((Conv(192),), (Conv(192), Conv(224, (1, 3)), Conv(256, (3, 1))))),
}
_REDUCTIONS: dict[str, tuple[Branch, ...]] = {
    "mixed_6a": ((halve(384),), (Conv(256), Conv(256, 3), halve(384)), (MAX,)),
    "mixed_7a": ((Conv(256), halve(384)), (Conv(256), halve(288)), (Conv(256), Conv(288, 3), halve(320)), (MAX,)),
}


def _repeat(x: KerasTensor, kind: str) -> KerasTensor:
    times, scale, branches = _REPEATED[kind]
    for number in range(1, times + 1):
        name = f"{kind}_{number}"
        is_last = name == "block8_10"  # neither scaled nor activated
        mixed = join(x, branches, f"{name}_mixed")
        up = Conv2D(channels(x), 1, padding="same", name=f"{name}_conv")(mixed)
        x = CustomScaleLayer(1.0 if is_last else scale)([x, up])
        x = x if is_last else Activation("relu", name=f"{name}_ac")(x)
    return x


def _body(x: KerasTensor, options: Options) -> KerasTensor:
    x = join(chain(x, STEM), _FIRST, "mixed_5b")
    x = join(_repeat(x, "block35"), _REDUCTIONS["mixed_6a"], "mixed_6a")
    x = join(_repeat(x, "block17"), _REDUCTIONS["mixed_7a"], "mixed_7a")
    return Conv(1536)(_repeat(x, "block8"), "conv_7b")


_FIRST = ((Conv(96),), *windows_of_5(64)[1:])
_WEIGHTS = tf_kernels(
    *("inception_resnet_v2", "inception_resnet_v2"),
    *("e693bd0210a403b3192acc6073ad2e96", "d19885ff4a710c122648d3b5c3b684e4"),
)
_NETWORK = Network("InceptionResNetV2", _body, _WEIGHTS, size=299, smallest=75)
_PAPER = "Szegedy et al. 2016, arXiv:1602.07261"
InceptionResNetV2 = variant(standard, _NETWORK, "InceptionResNetV2", _PAPER, name="inception_resnet_v2")
preprocess_input = preprocessor("tf")
