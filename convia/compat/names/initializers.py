"""Initializers under older names."""

from convia import initializers

normal, uniform = initializers.RandomNormal, initializers.RandomUniform
zero, one = initializers.Zeros, initializers.Ones

__all__ = [
    "normal",
    "one",
    "uniform",
    "zero",
]
