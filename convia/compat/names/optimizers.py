"""Optimizers under older names; ``legacy`` ones are the present ones, which understand ``decay`` in older eras."""

from convia.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Ftrl, Nadam, Optimizer, RMSprop

adam, adamax, adadelta, adagrad, nadam, rmsprop, sgd = Adam, Adamax, Adadelta, Adagrad, Nadam, RMSprop, SGD
RMSProp = RMSprop

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Nadam",
    "Optimizer",
    "RMSProp",
    "RMSprop",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "nadam",
    "rmsprop",
    "sgd",
]
