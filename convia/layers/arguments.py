"""Kinds of constructor arguments that many layers share."""

from typing import Annotated, Any

from convia import activations, config, constraints, initializers, regularizers
from convia.args import Convert, converter, one_of, whole_tuple
from convia.errors import explain

Activation = Annotated[Any, converter(activations.get)]
Initializer = Annotated[Any, converter(initializers.get)]
Regularizer = Annotated[Any, converter(regularizers.get)]
Constraint = Annotated[Any, converter(constraints.get)]
DataFormat = Annotated[Any, converter(config.standardize_data_format)]
Padding = Annotated[str, one_of("valid", "same")]


def _unquantized(value: Any, owner: Any, name: str) -> None:
    if value is not None:
        raise ValueError(
            explain(
                f"{type(owner).__name__}, argument {name!r}", repr(value), "None", "Weights are not quantized here."
            )
        )


Unquantized = Annotated[Any, Convert(_unquantized)]


def _axes(value: Any, owner: Any, name: str) -> int | list[int]:
    if isinstance(value, int):
        return value
    if isinstance(value, (list, tuple)) and value and all(isinstance(axis, int) for axis in value):
        return list(value)
    raise TypeError(explain(f"{type(owner).__name__}, argument {name!r}", repr(value), "an axis or a list of axes"))


Axes = Annotated[Any, Convert(_axes)]


def _sides(value: Any, owner: Any, name: str) -> tuple[Any, ...]:
    if owner.rank == 1:
        return whole_tuple(value, 2, owner, name, minimum=0)
    items = tuple(value) if isinstance(value, (list, tuple)) else (value,) * owner.rank
    if len(items) != owner.rank:
        raise ValueError(
            explain(
                f"{type(owner).__name__}, argument {name!r}",
                repr(value),
                f"a whole number, or {owner.rank} of them or of pairs (before, after), one per spatial dimension",
            )
        )
    return tuple(whole_tuple(item, 2, owner, name, minimum=0) for item in items)


Sides = Annotated[Any, Convert(_sides)]  # elements to add or remove (before, after) along each spatial axis
