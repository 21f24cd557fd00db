"""ResNet50 and what prepares its pictures and names its classes."""

from convia.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
