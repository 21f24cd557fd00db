"""``tensorflow_addons.activations``."""

from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia.activations import hard_shrink as hardshrink
from convia.activations import mish
from convia.activations import soft_shrink as softshrink
from convia.activations import tanh_shrink as tanhshrink


def gelu(x: Any, approximate: bool = True) -> Tensor:
    """Return x·Φ(x)."""
    return F.gelu(x, approximate="tanh" if approximate else "none")


def lisht(x: Any) -> Any:
    """Return x·tanh(x)."""
    return x * x.tanh()


def snake(x: Any, frequency: float = 1.0) -> Any:
    """Return x + sin²(frequency·x)/frequency."""
    return x + (frequency * x).sin() ** 2 / frequency


__all__ = ["gelu", "hardshrink", "lisht", "mish", "snake", "softshrink", "tanhshrink"]
