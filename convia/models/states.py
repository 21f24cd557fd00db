"""The state of a model as nested dictionaries: weights, optimizer and metrics by group and path."""

from typing import Any

from convia.errors import explain

_GROUPS = ("trainable_variables", "non_trainable_variables", "optimizer_variables", "metrics_variables")
_FORMATS = {"backend_tensor": lambda variable: variable.value, "numpy_array": lambda variable: variable.numpy()}


def read(model: Any, value_format: str) -> dict[str, Any]:
    """Return {"trainable_variables": {"layer": {"kernel": value}}, …}.

    Raises:
        ValueError: an unknown format; two variables of one path.
    """
    if value_format not in _FORMATS:
        raise ValueError(
            explain("get_state_tree, argument 'value_format'", repr(value_format), f"one of {[*_FORMATS]}")
        )
    return {group: _nested(_variables(model, group), _FORMATS[value_format]) for group in _GROUPS}


def write(model: Any, state: dict[str, Any]) -> None:
    """Set the variables that ``read`` returned; others stay as they are.

    Raises:
        ValueError: an unknown group.
    """
    for group, values in state.items():
        if group not in _GROUPS:
            raise ValueError(explain("set_state_tree", f"the group {group!r}", f"one of {[*_GROUPS]}"))
        known = {variable.path: variable for variable in _variables(model, group)}
        for path, value in _flat(values).items():
            if path in known:
                known[path].assign(value)


def _variables(model: Any, group: str) -> list[Any]:
    if group != "optimizer_variables":
        variables: list[Any] = getattr(model, group)
        return variables
    optimizer = getattr(model, "optimizer", None)
    return optimizer.variables if optimizer is not None else []


def _nested(variables: list[Any], value_of: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for variable in variables:
        *folders, name = variable.path.split("/")
        place = result
        for folder in folders:
            place = place.setdefault(folder, {})
        if name in place:
            remedy = "Give the layers names of their own."
            raise ValueError(explain("get_state_tree", f"two variables {variable.path!r}", "a path for each", remedy))
        place[name] = value_of(variable)
    return result


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}/") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
