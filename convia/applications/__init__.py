"""Networks that are ready to be trained: ``lenet(input_shape=(28, 28, 1), classes=10)``."""

from convia.applications.classics import MODELS, build, course, deep, layers_of, lenet

__all__ = ["MODELS", "build", "course", "deep", "layers_of", "lenet"]
