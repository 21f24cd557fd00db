"""Models for other programs (ONNX, OpenVINO, torch), weights as safetensors, and cards that say what a model is."""

from convia.export.card import Card, card
from convia.export.conversion import Converted, convert
from convia.export.formats import FORMATS, export_model
from convia.export.tensors import load_safetensors, read_safetensors, save_safetensors, torch_state_dict

__all__ = [
    "FORMATS",
    "Card",
    "Converted",
    "card",
    "convert",
    "export_model",
    "load_safetensors",
    "read_safetensors",
    "save_safetensors",
    "torch_state_dict",
]
