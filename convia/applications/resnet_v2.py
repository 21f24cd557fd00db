"""ResNet V2: the residual networks of ``resnet`` with normalization and activation before each convolution."""

from convia.applications._published import Network, standard, tf_kernels, variant
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.applications.resnet import BLOCKS, network

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]


def _variant(depth: str, top: str, no_top: str) -> Network:
    return network(f"ResNet{depth}V2", BLOCKS[depth], 2, tf_kernels("resnet", f"resnet{depth}v2", top, no_top))


_PAPER = "He et al. 2016, arXiv:1603.05027"
_50 = _variant("50", "3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917")
_101 = _variant("101", "6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5")
_152 = _variant("152", "a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33")
ResNet50V2 = variant(standard, _50, "ResNet50V2", _PAPER, name="resnet50v2")
ResNet101V2 = variant(standard, _101, "ResNet101V2", _PAPER, name="resnet101v2")
ResNet152V2 = variant(standard, _152, "ResNet152V2", _PAPER, name="resnet152v2")
preprocess_input = preprocessor("tf")
