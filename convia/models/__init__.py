"""Models: networks that are trained as a whole."""

from convia.models.clone import clone_model
from convia.models.model import Functional, Model
from convia.models.sequential import Sequential
from convia.saving import load_model, model_from_json, save_model

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]
