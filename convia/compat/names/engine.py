"""``keras.engine``: layers, models and what they are made of, in one place."""

from convia.compat.names.layers import merge
from convia.function import get_source_inputs
from convia.graph import Input, InputLayer
from convia.input_spec import InputSpec
from convia.layer import Layer
from convia.models import Functional, Model, Sequential
from convia.symbolic import KerasTensor, Node

Container = Network = Model

__all__ = [
    "Container", "Functional", "Input", "InputLayer", "InputSpec", "KerasTensor", "Layer", "Model", "Network", "Node",
    "Sequential", "get_source_inputs", "merge",
]  # fmt: skip
