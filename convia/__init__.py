"""convia: convolutional neural networks with the Keras API, on PyTorch.

``import convia as keras`` gives the names of Keras 3.
"""

import gc
import importlib

_collects = gc.isenabled()
gc.disable()  # imports leave no garbage, and every search for it would walk through all of torch again

from convia import (
    activations,
    applications,
    backend,
    callbacks,
    config,
    constraints,
    convolution,
    datasets,
    distribution,
    dtype_policies,
    explain,
    initializers,
    layers,
    losses,
    metrics,
    mixed_precision,
    models,
    ops,
    optimizers,
    preprocessing,
    random,
    regularizers,
    report,
    saving,
    tree,
    utils,
    visualization,
    wrappers,
)
from convia.config import DTypePolicy
from convia.dtype_policies import FloatDTypePolicy
from convia.function import Function
from convia.graph import Input
from convia.initializers import Initializer
from convia.input_spec import InputSpec
from convia.layer import Layer
from convia.losses import Loss
from convia.metrics import Metric
from convia.models import Functional, Model, Sequential
from convia.optimizers import Optimizer
from convia.recomputation import RematScope, remat
from convia.regularizers import Regularizer
from convia.scopes import device, name_scope
from convia.symbolic import KerasTensor, Operation
from convia.transfer import transfer
from convia.variable import Variable

if _collects:
    gc.enable()

__version__ = "0.1.0"


def load_ipython_extension(ipython: object) -> None:
    """``%load_ext convia`` in a notebook: from then on `keras` and `tensorflow` are convia's, of any era."""
    importlib.import_module("convia.compat").activate()


def version() -> str:
    """Return the version of convia."""
    return __version__


__all__ = [
    "DTypePolicy",
    "FloatDTypePolicy",
    "Function",
    "Functional",
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Operation",
    "Optimizer",
    "Regularizer",
    "RematScope",
    "Sequential",
    "Variable",
    "activations",
    "applications",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "convolution",
    "datasets",
    "device",
    "distribution",
    "dtype_policies",
    "explain",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "name_scope",
    "ops",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "remat",
    "report",
    "saving",
    "transfer",
    "tree",
    "utils",
    "version",
    "visualization",
    "wrappers",
]
