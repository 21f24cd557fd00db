"""Small data sets to learn with: ``(x_train, y_train), (x_test, y_test) = mnist.load_data()``.

``digits`` comes with the library and needs no network; the others are downloaded once to ``~/.keras/datasets``.
"""

from convia.datasets import cifar10, cifar100, digits, fashion_mnist, mnist

__all__ = ["cifar10", "cifar100", "digits", "fashion_mnist", "mnist"]
