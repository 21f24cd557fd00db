"""Modules of torch as layers."""

# mypy thinks that redeclared arguments keep their place
# mypy: disable-error-code="misc"

import copy
from dataclasses import KW_ONLY
from typing import Annotated, Any

import torch
from torch import nn

from convia import registry
from convia.args import Convert
from convia.config import device, dtype_name
from convia.errors import explain
from convia.layer import Layer
from convia.symbolic import KerasTensor
from convia.variable import Variable

__all__ = ["TorchModuleWrapper"]


def _module(value: Any, owner: Any, name: str) -> nn.Module:
    who = f"{type(owner).__name__}, argument {name!r}"
    if not isinstance(value, nn.Module):
        raise ValueError(explain(who, repr(value), "a torch.nn.Module"))
    if any(nn.parameter.is_lazy(parameter) for parameter in value.parameters()):
        raise ValueError(explain(who, repr(value), "a module that has all its parameters", "Call it on data once."))
    return value


class TorchModuleWrapper(Layer):
    """A module of torch as a layer: its parameters are the layer's weights, without a copy.

    Modules do without it in a model's ``call``, where torch finds their parameters; it gives them Keras's books: names,
    ``trainable``, a place in graphs and in files.

    Args:
        module: any ``torch.nn.Module`` whose parameters exist; they become variables in place. It is in training mode
            while the layer trains, unlike Keras's, which is so also in a call that does not say.
        name: of the layer.
        output_shape: with the batch; found by itself when None.

    Raises:
        ValueError: no module, or a lazy one that has not been called.
    """

    module: Annotated[Any, Convert(_module)]
    _: KW_ONLY  # for type checkers
    name: Any = None
    output_shape: Any = None

    def __post_init__(self) -> None:
        """Make variables of the module's parameters; one that several places share stays one."""
        self.module.to(device())
        made = {id(parameter): _variable(name, parameter) for name, parameter in self.module.named_parameters()}
        for part in self.module.modules():
            for name, parameter in list(part._parameters.items()):
                if parameter is not None and not isinstance(parameter, Variable):
                    setattr(part, name, made[id(parameter)])
        for variable in made.values():
            variable.path = f"{self.name}/{variable.name}"
            self._track_variable(variable)
        object.__setattr__(self, "built", True)

    def _register_strays(self) -> None:
        """Do nothing: torch knows the weights through the module."""

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Call the module, in training mode or not."""
        if self.module.training != bool(training):
            self.module.train(bool(training))
        return self.module(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return a symbolic output of the given shape, or of the one that the module has on such inputs."""
        if self.output_shape is None:
            return super().compute_output_spec(*args, **kwargs)
        return KerasTensor(self.output_shape, self.compute_dtype)

    def save_own_variables(self, store: Any) -> None:
        """Write the module's ``state_dict``, which has statistics as well, under its names."""
        store.update({name: value.detach().cpu().numpy() for name, value in self.module.state_dict().items()})

    def load_own_variables(self, store: Any) -> None:
        """Read what ``save_own_variables`` wrote.

        Raises:
            RuntimeError: names or shapes that are not the module's.
        """
        self.module.load_state_dict({name: torch.as_tensor(store[name][()]) for name in store})

    def get_config(self) -> dict[str, Any]:
        """Return the arguments; the module by the name of its class, since code and pickles do not go into files."""
        base = Layer(name=self.name, trainable=self.trainable, dtype=self.dtype_policy).get_config()
        module = {"class_name": "__torch_module__", "config": type(self.module).__qualname__}
        return {**base, "module": module, "output_shape": self.output_shape}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "TorchModuleWrapper":
        """Make a layer from a config and the module that ``custom_objects`` has under the layer's name.

        Raises:
            ValueError: it has none.
        """
        given = dict(config)
        if not isinstance(given.get("module"), nn.Module):
            name = given.get("name", "torch_module_wrapper")
            module = registry.get_registered_object(name, custom_objects)
            if module is None:
                raise ValueError(
                    explain(
                        f"TorchModuleWrapper layer {name!r}",
                        "a config, which cannot hold a module of torch",
                        "the module itself",
                        f"Make it anew and pass it under the layer's name: custom_objects={{{name!r}: module}}.",
                    )
                )
            given["module"] = module
        return cls(**given)

    def __deepcopy__(self, memo: dict[int, Any]) -> "TorchModuleWrapper":
        twin = TorchModuleWrapper(
            copy.deepcopy(self.module, memo), self.name, self.output_shape, dtype=self.dtype_policy
        )
        memo[id(self)] = twin
        return twin


def _variable(name: str, parameter: nn.Parameter) -> Variable:
    """Return a variable that shares the parameter's memory."""
    if isinstance(parameter, Variable):
        return parameter
    variable = Variable(0.0, dtype=dtype_name(parameter.dtype), trainable=parameter.requires_grad, name=name)
    variable.data = parameter.data
    return variable
