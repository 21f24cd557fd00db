"""Models: networks that are trained as a whole."""

from convia.models.model import Functional, Model
from convia.models.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential"]
