"""VGG16 and what prepares its pictures and names its classes."""

from convia.applications.vgg import VGG16, decode_predictions, preprocess_input

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]
