"""VGG19 and what prepares its pictures and names its classes."""

from convia.applications.vgg import VGG19, decode_predictions, preprocess_input

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]
