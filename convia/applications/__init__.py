"""Networks: those that were published, with official weights, and small ones that are ready to be trained."""

from convia.applications import (
    convnext,
    densenet,
    efficientnet,
    efficientnet_v2,
    history,
    imagenet_utils,
    inception_resnet_v2,
    inception_v3,
    mobilenet,
    mobilenet_v2,
    mobilenet_v3,
    nasnet,
    resnet,
    resnet50,
    resnet_v2,
    vgg16,
    vgg19,
    xception,
)
from convia.applications.classics import MODELS, build, course, deep, layers_of, lenet
from convia.applications.convnext import ConvNeXtBase, ConvNeXtLarge, ConvNeXtSmall, ConvNeXtTiny, ConvNeXtXLarge
from convia.applications.densenet import DenseNet121, DenseNet169, DenseNet201
from convia.applications.efficientnet import (
    EfficientNetB0,
    EfficientNetB1,
    EfficientNetB2,
    EfficientNetB3,
    EfficientNetB4,
    EfficientNetB5,
    EfficientNetB6,
    EfficientNetB7,
)
from convia.applications.efficientnet_v2 import (
    EfficientNetV2B0,
    EfficientNetV2B1,
    EfficientNetV2B2,
    EfficientNetV2B3,
    EfficientNetV2L,
    EfficientNetV2M,
    EfficientNetV2S,
)
from convia.applications.history import AlexNet, GoogLeNet, LeNet5, LeNet1989, ZFNet
from convia.applications.inception_resnet_v2 import InceptionResNetV2
from convia.applications.inception_v3 import InceptionV3
from convia.applications.mobilenet import MobileNet
from convia.applications.mobilenet_v2 import MobileNetV2
from convia.applications.mobilenet_v3 import MobileNetV3Large, MobileNetV3Small
from convia.applications.nasnet import NASNetLarge, NASNetMobile
from convia.applications.resnet import ResNet50, ResNet101, ResNet152
from convia.applications.resnet_v2 import ResNet50V2, ResNet101V2, ResNet152V2
from convia.applications.vgg import VGG16, VGG19
from convia.applications.xception import Xception

__all__ = [
    "MODELS",
    "VGG16",
    "VGG19",
    "AlexNet",
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "GoogLeNet",
    "InceptionResNetV2",
    "InceptionV3",
    "LeNet5",
    "LeNet1989",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetLarge",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "ResNet101",
    "ResNet101V2",
    "ResNet152",
    "ResNet152V2",
    "Xception",
    "ZFNet",
    "build",
    "convnext",
    "course",
    "deep",
    "densenet",
    "efficientnet",
    "efficientnet_v2",
    "history",
    "imagenet_utils",
    "inception_resnet_v2",
    "inception_v3",
    "layers_of",
    "lenet",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3",
    "nasnet",
    "resnet",
    "resnet50",
    "resnet_v2",
    "vgg16",
    "vgg19",
    "xception",
]
