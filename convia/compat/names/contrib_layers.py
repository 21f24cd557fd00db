"""``keras_contrib.layers``, as far as programs of convolutional networks use it."""

from typing import Any

from convia.compat.addons import layers


class InstanceNormalization(layers.InstanceNormalization):
    """Normalizes all of each image together unless an axis is given."""

    axis: Any = None


__all__ = ["InstanceNormalization"]
